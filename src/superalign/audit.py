"""The audit of a user's own labels: how many are wrong, which rows, why, and what each filter would drop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from superalign.bank import look
from superalign.config import Config, digest
from superalign.errors import DataError, SuperalignError
from superalign.estimation import NoiseEstimate, estimate, posterior
from superalign.filter import Evidence, Filter, compare, filters
from superalign.fit import Report
from superalign.label import Labels
from superalign.model import Model
from superalign.neighbours import Neighbours, nearest, standardised, votes
from superalign.result import DroppedRow, ModelFacts
from superalign.store import Store
from superalign.task import Comparison, Item, Loaded, Task, TaskSource

FloatArray = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
MIN_ROWS = 50
NEIGHBOURS = 50
LOOKED = 5  # nearest neighbours whose words are compared
ALIKE = 0.8  # share of common words from which two texts are near-duplicates
TEXT = 600  # characters of a text kept in the record
CLEANING = "posterior"


class AuditedRow(Config):
    """One labelled row, as the audit sees it."""

    where: str
    """Its id: file:line when no column names it."""
    text: str
    """The text, or prompt and the two responses; cut."""
    given: str
    likely: str
    """The likeliest true label: the given one, or another."""
    chance_wrong: float
    """Probability that the given label is wrong, under the estimated noise."""
    probability: float
    """Of the given label by a model that never saw the row."""
    against: int
    """Nearest rows with another label."""
    neighbours: int
    """Nearest rows looked at."""
    reasons: list[str]
    """Why it is suspicious, in words; empty when it is not."""
    kept: bool
    """Whether it is in cleaned.jsonl."""


class AuditedClass(Config):
    """One class: how many rows have it, and how many should."""

    name: str
    given: int
    expected: float
    """Rows that are truly of this class, as estimated."""
    set_apart: int
    """Rows given this class that the cleaning filter sets apart."""


class FilterFacts(Config):
    """What one filter would do to these labels."""

    name: str
    source: str
    dropped: int = 0
    relabelled: int = 0
    share: float = 0.0
    """Dropped or relabelled, of all rows."""
    refused: str | None = None
    """Why it could not be used."""


class AuditedTask(Config):
    """The data that was audited."""

    name: str
    version: str
    pairwise: bool
    classes: list[str]
    rows: int
    groups: int
    left_out: list[DroppedRow]
    """Rows that reading left out: broken, repeated, contradicting another."""
    warnings: list[str]

    @classmethod
    def of(cls, task: Task) -> AuditedTask:
        """Describe what was read."""
        return cls(
            name=task.name,
            version=task.version,
            pairwise=task.pairwise,
            classes=list(task.classes),
            rows=len(task.items),
            groups=len(set(task.groups())),
            left_out=[DroppedRow(where=row.where, reason=row.reason) for row in task.dropped],
            warnings=list(task.warnings),
        )


class Audit(Config):
    """Everything the audit found; written to audit.json."""

    schema_version: Literal["superalign.label-audit/1"] = "superalign.label-audit/1"
    task: AuditedTask
    model: ModelFacts
    noise: NoiseEstimate
    classes: list[AuditedClass]
    filters: list[FilterFacts]
    cleaning: str
    """The filter that decided which rows are in cleaned.jsonl."""
    kept: int
    rows: list[AuditedRow]
    """All of them, the most suspicious first."""
    flags: list[str]
    """What a reader must know before quoting a figure."""
    verdict: list[str]
    """The finding in plain sentences."""
    seed: int
    config_sha256: str
    seconds: float

    @property
    def suspicious(self) -> list[AuditedRow]:
        """The rows with a reason to look at them."""
        return [row for row in self.rows if row.reasons]


def audit(
    task: TaskSource,
    model: Model,
    *,
    store: Store | None = None,
    clean: Filter | str = CLEANING,
    seed: int = 0,
    loaded: Loaded | None = None,
    report: Report = lambda **_: None,
) -> Audit:
    """Audit the labels that a task's source came with.

    These labels are what is in doubt: they are not gold, and nothing here calls them true.

    Args:
        task: where the rows come from.
        model: whose features judge them.
        store: where features are kept; the user's own when None.
        clean: the filter that decides which rows are kept.
        seed: of the folds and the bootstrap.
        loaded: what `task.load()` returned, when it was called before.
        report: told of the progress.

    Raises:
        DataError: the data cannot be read, or has too few rows.
    """
    start = time.perf_counter()
    cleaning = filters.build(clean)
    read, classes = _enough(loaded or task.load())
    labels, groups = Labels.hard(classes, len(read.classes), read.name), np.array(read.groups())
    texts, layer = read.texts(), model.chosen_layer()
    looked = look(model, texts, [layer], store or Store(), report)
    facts = ModelFacts.of(model, texts=len(texts), truncated=looked.truncated, tokens=looked.tokens)
    features = read.by_item(looked.layers[layer])
    evidence = Evidence(features, labels, groups, seed, read.pairwise)
    report(note="training probes on four fifths of the rows to judge the rest")
    noise = estimate(labels, evidence.probs, groups=groups, pairwise=read.pairwise, seed=seed)
    report(note="comparing rows with their neighbours")
    rows_of_one = standardised(features, centre=not read.pairwise)
    near = nearest(rows_of_one, min(NEIGHBOURS, len(classes) // 10), groups=groups, pairwise=read.pairwise)
    done = cleaning.judge(evidence)
    kept = (done.weight > 0) & (done.argmax == classes)
    rows = _rows(read, classes, evidence, noise, near, kept)
    found = [_try(name, evidence) for name in filters.names()]
    order = sorted(range(len(rows)), key=lambda i: (not rows[i].reasons, -rows[i].chance_wrong))
    return Audit(
        task=AuditedTask.of(read),
        model=facts,
        noise=noise,
        classes=_classes(read, classes, noise, kept),
        filters=found,
        cleaning=str(cleaning),
        kept=int(kept.sum()),
        rows=[rows[i] for i in order],
        flags=_flags(read, noise, facts, kept),
        verdict=_verdict(read, noise, rows, str(cleaning), kept),
        seed=seed,
        config_sha256=digest([task.spec(), task.fingerprint(), model.spec(), cleaning.spec(), seed]),
        seconds=time.perf_counter() - start,
    )


def _enough(loaded: Loaded) -> Loaded:
    rows = len(loaded.task.items)
    if rows < MIN_ROWS:
        raise DataError(
            f"{rows} labelled rows are too few to audit",
            where=loaded.task.name,
            why="a model is trained on some rows to judge the others",
            fix=f"give at least {MIN_ROWS}; a few hundred give useful intervals",
        )
    return loaded


def _rows(
    task: Task,
    given: IntArray,
    evidence: Evidence,
    noise: NoiseEstimate,
    near: Neighbours,
    kept: npt.NDArray[np.bool_],
) -> list[AuditedRow]:
    names = [f"{name} preferred" if task.pairwise else name for name in task.classes]
    true, p = posterior(noise, given, evidence.probs), evidence.probs
    likely = true.argmax(1)
    said = votes(near, evidence.labels.probs, pairwise=task.pairwise)
    looked = (near.items >= 0).sum(1)
    against = np.round((1 - said[np.arange(len(given)), given]) * looked).astype(int)
    twins = _twins(task, given)
    out = []
    for i, item in enumerate(task.items):
        reasons = []
        unlikely = true[i, given[i]] < 0.5 or p[i, given[i]] < noise.thresholds[given[i]] / 2
        if p[i].argmax() != given[i] and unlikely:
            best = int(p[i].argmax())
            reasons.append(
                f"a model that never saw it gives '{names[best]}' {p[i, best]:.0%} and the given label "
                f"{p[i, given[i]]:.0%}"
            )
        if looked[i] and said[i].argmax() != given[i] and against[i] > looked[i] / 2:
            reasons.append(f"neighbours disagree: {against[i]} of the {looked[i]} nearest rows have another label")
        alike = _near_duplicate(task, given, near, i)
        if i in twins:
            reasons.append(f"the same text but for case and spaces has another label: {task.items[twins[i]].id}")
        elif alike is not None:
            reasons.append(f"a near-duplicate has another label: {task.items[alike].id}")
        out.append(
            AuditedRow(
                where=item.id,
                text=_text(item)[:TEXT],
                given=names[given[i]],
                likely=names[likely[i]],
                chance_wrong=float(np.clip(1 - true[i, given[i]], 0, 1)),
                probability=float(p[i, given[i]]),
                against=int(against[i]),
                neighbours=int(looked[i]),
                reasons=reasons,
                kept=bool(kept[i]),
            )
        )
    return out


def _twins(task: Task, given: IntArray) -> dict[int, int]:
    """Return for each item another one with the same words and another label."""
    seen: dict[tuple[str, ...], dict[int, int]] = {}
    keys = []
    for i, item in enumerate(task.items):
        prompt, *bodies = (" ".join(text.casefold().split()) for text in _parts(item))
        ordered = sorted(bodies) if task.pairwise else bodies
        label = int(given[i]) ^ int(task.pairwise and ordered != bodies)
        keys.append(((prompt, *ordered), label))
        seen.setdefault(keys[-1][0], {}).setdefault(label, i)
    return {
        i: next(other for other_label, other in seen[key].items() if other_label != label)
        for i, (key, label) in enumerate(keys)
        if len(seen[key]) > 1
    }


def _near_duplicate(task: Task, given: IntArray, near: Neighbours, i: int) -> int | None:
    words = set(" ".join(_parts(task.items[i])).casefold().split())
    for j, similarity in zip(near.items[i, :LOOKED].tolist(), near.similarity[i, :LOOKED].tolist(), strict=True):
        if j < 0:
            break
        label = 1 - given[j] if task.pairwise and similarity < 0 else given[j]
        other = set(" ".join(_parts(task.items[j])).casefold().split())
        if label != given[i] and len(words & other) >= ALIKE * len(words | other):
            return int(j)
    return None


def _parts(item: Item) -> tuple[str, ...]:
    if isinstance(item, Comparison):
        return (item.prompt, *item.responses)
    return (item.prompt, item.response or "")


def _text(item: Item) -> str:
    if isinstance(item, Comparison):
        half = TEXT // 3
        named = (("prompt", item.prompt), ("first", item.responses[0]), ("second", item.responses[1]))
        return "\n".join(f"{name}: {text[: half - 10]}" for name, text in named if text)
    return item.prompt if item.response is None else f"{item.prompt}\n{item.response}"


def _classes(task: Task, given: IntArray, noise: NoiseEstimate, kept: npt.NDArray[np.bool_]) -> list[AuditedClass]:
    counts = np.bincount(given, minlength=len(task.classes))
    apart = np.bincount(given[~kept], minlength=len(task.classes))
    return [
        AuditedClass(name=name, given=int(counts[i]), expected=noise.prior[i] * len(given), set_apart=int(apart[i]))
        for i, name in enumerate(task.classes)
    ]


def _try(name: str, evidence: Evidence) -> FilterFacts:
    part = filters.build(name)
    try:
        done = compare(name, evidence.labels, part.judge(evidence))
    except SuperalignError as error:
        return FilterFacts(name=name, source=part.source, refused=error.what)
    changed = done.dropped + done.relabelled
    return FilterFacts(
        name=name,
        source=part.source,
        dropped=done.dropped,
        relabelled=done.relabelled,
        share=changed / max(done.n, 1),
    )


def _flags(task: Task, noise: NoiseEstimate, facts: ModelFacts, kept: npt.NDArray[np.bool_]) -> list[str]:
    flags = [*noise.notes]
    if facts.truncated:
        flags.append(f"{facts.truncated:,} texts were cut at the model's length limit and judged as cut")
    contradicting = sum("different labels" in row.reason for row in task.dropped)
    if contradicting:
        flags.append(
            f"{contradicting:,} rows have the same text as another and a different label; none is in the audit"
        )
    rare = sum(1 for share in noise.prior if 0 < share * noise.n < 5)
    if rare:
        flags.append(f"{rare} classes have fewer than 5 rows: nothing can be said of them")
    if kept.mean() < 0.5:
        flags.append("cleaning sets apart more than half of the rows: look at the model before you use the rest")
    return flags


def _verdict(
    task: Task, noise: NoiseEstimate, rows: Sequence[AuditedRow], cleaning: str, kept: npt.NDArray[np.bool_]
) -> list[str]:
    rate = noise.rate
    what = "preferences" if task.pairwise else "labels"
    lines = [
        f"About {rate.value:.1%} of the {noise.n:,} {what} are wrong, 95% interval {rate.low:.1%} to {rate.high:.1%}.",
        f"The model, judging rows it never saw, disagrees with {1 - noise.agreement:.1%}. What is beyond the "
        "estimate it finds ambiguous; mistakes that people make just where the model is unsure would hide there.",
        f"{sum(bool(row.reasons) for row in rows):,} rows are suspicious; the list begins with the surest.",
        f"Filter '{cleaning}' sets {int((~kept).sum()):,} rows apart ({1 - kept.mean():.1%}) and keeps "
        f"{int(kept.sum()):,}.",
    ]
    if not task.pairwise:
        lines += _confusions(task, noise)
    return lines


def _confusions(task: Task, noise: NoiseEstimate) -> list[str]:
    """Name the commonest mistake, when wrong labels are not spread evenly."""
    if noise.structure != "by class" or len(task.classes) < 3:
        return []
    wrong: Any = np.array(noise.transition) * np.array(noise.prior)[:, None] * (1 - np.eye(len(task.classes)))
    i, j = np.unravel_index(int(wrong.argmax()), wrong.shape)
    return [f"The commonest mistake: '{task.classes[i]}' labelled '{task.classes[j]}', {wrong[i, j]:.1%} of all rows."]
