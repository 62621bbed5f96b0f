"""The method section: what was done, in words made from the settings, and who read the ground truth."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from superalign.ensemble import ensembles
from superalign.errors import ConfigError
from superalign.metric import REPLICATES
from superalign.model import models
from superalign.objective import objectives
from superalign.registry import Registry
from superalign.report import words
from superalign.report.frame import Rows
from superalign.report.markup import Column, Markup, cut, join, table, tag
from superalign.report.results import Shown
from superalign.result import ModelFacts, WeakToStrongResult

CLASSES_NAMED = 12
PAPER = "Burns et al. 2023 (arXiv 2312.09390)"
REST = {
    "Strong ceiling": "The student's model and fit, trained on the truth of the same transfer items.",
    "Random-label control": (
        "The student's model and fit, trained on the weak labels dealt to the wrong items at random. What it scores "
        "above chance is not due to what the labels mean."
    ),
    "Intervals": (
        f"95%, percentiles of {REPLICATES:,} bootstrap replicates that resample groups of test items and seeds; "
        "the seeds' weights are spread by the t quantile, since a plain bootstrap over few seeds is too sure of itself."
    ),
    "PGR": (
        "Performance gap recovered: (student − weak) / (ceiling − weak), of accuracies averaged over seeds; "
        f"{PAPER}, section 3. It is refused when the interval of ceiling − weak reaches 0: the ratio of anything to "
        "noise is noise."
    ),
    "Paired tests": (
        "The difference of accuracy on the same test items; p is two-sided and of the same bootstrap as the interval."
    ),
    "Calibration": "Expected calibration error over 15 equal-width bins of the confidence of the predicted class.",
}


def method(result: WeakToStrongResult) -> Markup:
    """Return what was done, in words."""
    return told(result, steps(result))


def told(result: Shown, steps: Iterable[tuple[str, str]]) -> Markup:
    """Return the steps of a study, and who read the ground truth."""
    terms = [tag("div", tag("dt", name), tag("dd", text)) for name, text in steps]
    rows: Rows = [[cut(u.part, 40), cut(u.reader, 60), cut(u.why, 200), words.count(u.n)] for u in result.unsealed]
    columns = [Column("Part"), Column("Reader"), Column("Why"), Column("Items", number=True)]
    sealed = "Ground truth is sealed: a learner cannot read it. These are all readings of this run."
    readings = join(tag("p", sealed, class_="what"), table(columns, rows, "Readings of the ground truth"))
    title = tag("h3", "Readings of the ground truth")
    return tag("section", tag("h2", "Method"), tag("dl", *terms, class_="method"), title, readings, id="method")


def steps(result: WeakToStrongResult) -> Iterator[tuple[str, str]]:
    """Yield each step of the study and what it was here."""
    config = result.config
    yield "Task", task(result)
    yield "Parts", parts(result)
    fit = named(config.get("weak_fit"))
    taught = "trained on the truth of the supervise part. It labels the transfer part with class probabilities."
    yield "Weak supervisor", f"{model(result.weak)}{fit}, {taught}"
    yield from teachers(config)
    yield "Student", f"{model(result.strong)}{named(config.get('fit'))}, trained on those labels alone."
    yield from chosen("Method", objectives, config.get("methods", []))
    yield from REST.items()


def teachers(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the ensemble that labels in the weak model's place, and the models between weak and strong."""
    helpers, ensemble = config.get("helpers") or [], config.get("ensemble")
    if ensemble and (helpers or _name(ensemble) != "mean"):
        yield from chosen("Ensemble", ensembles, [ensemble])
    if helpers:
        yield "Other weak models", cut(f"{_list(helpers)}, trained as the weak supervisor is.", 300)
    if through := config.get("through"):
        yield (
            "Chain",
            cut(f"Weak supervisor, then {_list(through)}, then the student.", 300)
            + f" Each learns from a slice of the transfer part of its own, labelled by the one before ({PAPER}, section"
            " 4.3.1). Beside it stands a student taught by the weak supervisor's labels of the last slice.",
        )


def _list(choices: Iterable[Any]) -> str:
    return ", ".join(_model(choice) for choice in choices)


def _model(choice: Any) -> str:
    try:
        return str(models.build(choice))
    except ConfigError:  # a plug-in that is not installed where the report is written
        return _name(choice)


def task(result: Shown) -> str:
    """Return what was learnt: name, size and classes."""
    task = result.task
    kind = "comparisons" if task.pairwise else "examples"
    named = ", ".join(cut(name, 40) for name in task.classes[:CLASSES_NAMED])
    more = f" and {len(task.classes) - CLASSES_NAMED} more" if len(task.classes) > CLASSES_NAMED else ""
    groups = words.plural(task.groups, "group")
    head = f"{cut(task.name, 60)}, version {cut(task.version, 60)}"
    return f"{head}: {words.count(task.items)} {kind} in {groups} of related items; classes {named}{more}."


def chosen(noun: str, registry: Registry[Any], choices: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Yield each chosen component with what it does, its settings and its source."""
    for choice in choices:
        if text := described(registry, choice):
            yield f"{noun} {cut(_name(choice), 30)}", text


def parts(result: Shown) -> str:
    """Return how the items were dealt."""
    parts, shares = result.task.parts, result.config.get("shares")
    dealt = ", ".join(f"{words.count(n)} {name}" for name, n in parts.items())
    ratio = f" in the proportions {' : '.join(map(str, shares))}" if isinstance(shares, list | tuple) else ""
    hard = result.config.get("easy_to_hard")
    fixed = (
        f"the hardest groups by {cut(str(hard), 60)} are the test part" if hard else "parts fixed by the data are kept"
    )
    return (
        f"Dealt by group{ratio}, so that related items never cross parts; {fixed}. "
        f"First seed: {dealt}. The test part is the same for every seed; each seed deals the other two anew."
    )


def model(model: ModelFacts) -> str:
    """Return a model's name and the layer that was read."""
    layer = f", layer {model.layer} of {model.depth}" if model.depth else ""
    return cut(model.spec, 120) + layer


def _name(choice: Any) -> str:
    return str(choice.get("name", "")) if isinstance(choice, Mapping) else str(choice)


def _settings(choice: Any) -> str:
    given = choice.items() if isinstance(choice, Mapping) else ()
    return ", ".join(f"{key} {_value(value)}" for key, value in given if key != "name")


def _value(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def named(fit: Any) -> str:
    """Return a fit and its settings."""
    if fit is None:
        return ""
    settings = _settings(fit)
    return cut(f"; fit {_name(fit)}" + (f" ({settings})" if settings else ""), 300)


def described(registry: Registry[Any], choice: Any) -> str:
    """Return what a component does, its settings and its source."""
    try:
        known = registry.get(_name(choice))
    except ConfigError:  # a plug-in that is not installed where the report is written
        return cut(_settings(choice), 300)
    what = " ".join((inspect.getdoc(known) or "").split("\n\n")[0].split()).replace("`", "")
    settings = _settings(choice)
    source = getattr(known, "source", "")
    return cut(" ".join(filter(None, [what, settings and f"Here: {settings}.", source and f"{source}."])), 900)
