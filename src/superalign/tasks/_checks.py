"""Naming degenerate data: repeated and contradicting rows, leaks between parts, one class, too few rows or groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from superalign.errors import DataError
from superalign.task import PARTS, Comparison, Dropped, Item
from superalign.tasks._convert import Draft, short

MIN_GROUPS, MIN_CLASS_ROWS, RARE = 12, 6, 5
MAX_SHARE = 0.8
FIRST_CLAIM = ("test", "transfer", "supervise", None)
"""The part that keeps a row when several claim it."""


def sift(drafts: Sequence[Draft]) -> tuple[list[Draft], list[Dropped], list[str]]:
    """Leave out rows that repeat or contradict another, or whose text or group is in a part that goes before.

    Returns:
        The drafts kept (in order), those left out with the reason, and one warning for each kind of reason.
    """
    reasons: dict[int, tuple[str, str]] = {}
    first: dict[tuple[str, ...], int] = {}
    owner: dict[str, str | None] = {}
    for part in FIRST_CLAIM:
        mine = [index for index, draft in enumerate(drafts) if draft.part == part]
        for index in mine:
            _compare(drafts, index, first, reasons)
            held = owner.get(drafts[index].item.group, part)
            if index not in reasons and held != part:
                reasons[index] = "leak", f"its group is also in the {held} part"
        owner.update({drafts[i].item.group: part for i in mine if i not in reasons})
    kept = [draft for index, draft in enumerate(drafts) if index not in reasons]
    dropped = [Dropped(drafts[index].where, reasons[index][1]) for index in sorted(reasons)]
    return kept, dropped, _summary(Counter(kind for kind, _ in reasons.values()))


def join_groups(drafts: Sequence[Draft]) -> None:
    """Put Comparisons without a prompt that share a response into one group, through any chain of others."""
    leader: dict[str, str] = {}

    def find(text: str) -> str:
        while (above := leader.setdefault(text, text)) != text:
            leader[text] = leader[above]
            text = above
        return text

    plain = [(draft, draft.item) for draft in drafts if isinstance(draft.item, Comparison) and not draft.item.prompt]
    for _, item in plain:
        leader[find(item.responses[0])] = find(item.responses[1])
    for draft, item in plain:
        draft.item = replace(item, group=short(find(item.responses[0])))


def refuse_identical(drafts: Sequence[Draft], where: str) -> None:
    """Refuse rows that all say the same.

    Raises:
        DataError: there is one text, whatever its labels.
    """
    if len(drafts) > 1 and len(contents := {_content(draft.item) for draft in drafts}) == 1:
        shown = " | ".join(contents.pop())
        raise DataError(
            f"all {len(drafts):,} rows have the same text",
            where=where,
            why=f"it is '{shown[:60]}{'...' if len(shown) > 60 else ''}'",
            fix="if another column holds the text, name it: text=COLUMN",
        )


def refuse_degenerate(
    drafts: Sequence[Draft], classes: Sequence[str], where: str, left_out: Sequence[str] = ()
) -> None:
    """Refuse data that no split can make a study of.

    Args:
        drafts: the rows that are left.
        classes: names of the classes.
        where: for the message.
        left_out: what was left out before, in words.

    Raises:
        DataError: fewer than 12 rows or groups, fewer than two classes with 6 rows each, or an empty part.
    """
    if len(drafts) < MIN_GROUPS:
        few = f"only {len(drafts)} row{'s'[: len(drafts) != 1]} can be used; at least {MIN_GROUPS} are needed"
        reason = "they are divided into three parts, each of which needs several rows"
        raise DataError(few if drafts else "no row can be used", where=where, why="; ".join([*left_out, reason]))
    if not _pairs(drafts):
        _refuse_missing_class(drafts, classes, where, left_out)
    groups = len({draft.item.group for draft in drafts})
    if groups < MIN_GROUPS:
        related = "1 group" if groups == 1 else f"{groups} groups"
        raise DataError(
            f"the {len(drafts):,} rows form {related} of related rows; at least {MIN_GROUPS} groups are needed",
            where=where,
            why="; ".join([*left_out, "related rows (same prompt, or same 'group') all go to one of three parts"]),
        )
    held = {draft.part for draft in drafts}
    if None not in held and len(held) < len(PARTS):
        raise DataError(f"no row is left for the {next(p for p in PARTS if p not in held)} part", where=where)
    for part in held - {None}:
        if len({draft.label for draft in drafts if draft.part == part}) < 2 and not _pairs(drafts):
            raise DataError(f"the {part} part has only one class", where=where)


def _refuse_missing_class(drafts: Sequence[Draft], classes: Sequence[str], where: str, left_out: Sequence[str]) -> None:
    counts = Counter(int(draft.label) for draft in drafts)
    large = sum(count >= MIN_CLASS_ROWS for count in counts.values())
    if large >= 2:
        return
    few = f"two classes with at least {MIN_CLASS_ROWS} rows each are needed; {large or 'none'} has so many"
    shown = ", ".join(f"'{classes[index]}' {count:,}" for index, count in counts.most_common(4))
    raise DataError(
        "the data has only one class" if len(counts) == 1 else few,
        where=where,
        why="; ".join([f"rows of each class: {shown}", *left_out]),
        fix="if another column holds the class, name it: label=COLUMN",
    )


def remarks(drafts: Sequence[Draft], classes: Sequence[str]) -> list[str]:
    """Return warnings on a large majority and on rare classes."""
    if _pairs(drafts):
        return []
    counts = Counter(int(draft.label) for draft in drafts)
    index, most = counts.most_common(1)[0]
    share, found = most / len(drafts), []
    if share > MAX_SHARE:
        found.append(f"class '{classes[index]}' holds {share:.0%} of the rows: to answer it always is that accurate")
    rare = [f"'{name}' ({counts[i]})" for i, name in enumerate(classes) if counts[i] < RARE]
    if rare:
        found.append(f"rare classes: {', '.join(rare[:4])}{', ...' if len(rare) > 4 else ''}")
    return found


def telling_tags(drafts: Sequence[Draft]) -> list[str]:
    """Return the tags whose value gives the label away: open data must not hold what gold seals."""
    if _pairs(drafts):
        return []
    labels: dict[str, dict[object, set[int]]] = {}
    for draft in drafts:
        for tag, value in draft.item.tags.items():
            labels.setdefault(tag, {}).setdefault(value, set()).add(int(draft.label))
    return [tag for tag, seen in labels.items() if _tells(seen, len(drafts))]


def _tells(seen: dict[object, set[int]], rows: int) -> bool:
    if len(set().union(*seen.values())) < 2:
        return False
    if len(seen) <= rows / 4:
        return all(len(labels) == 1 for labels in seen.values())
    numbers: dict[int, list[float]] = {}
    for value, labels in seen.items():
        for label in labels:
            if isinstance(value, int | float):
                numbers.setdefault(label, []).append(value)
    ranges = sorted((min(values), max(values)) for values in numbers.values())
    return len(ranges) > 1 and all(low[1] < high[0] for low, high in pairwise(ranges))


def _compare(
    drafts: Sequence[Draft],
    index: int,
    first: dict[tuple[str, ...], int],
    reasons: dict[int, tuple[str, str]],
) -> None:
    draft = drafts[index]
    earlier = first.setdefault(_content(draft.item), index)
    if earlier == index:
        return
    other = drafts[earlier]
    if other.part != draft.part:
        reasons[index] = "leak", f"the same text is in the {other.part} part ({other.where})"
    elif other.label == draft.label:  # the order of a Comparison follows from its texts, so this holds for it too
        reasons[index] = "duplicate", f"same text as {other.where}"
    else:
        reasons[index] = "conflict", f"same text as {other.where}, different labels"
        reasons.setdefault(earlier, ("conflict", f"same text as {draft.where}, different labels"))


def _content(item: Item) -> tuple[str, ...]:
    if isinstance(item, Comparison):
        return (item.prompt, *sorted(item.responses))
    return (item.prompt,) if item.response is None else (item.prompt, item.response)


def _summary(counts: Counter[str]) -> list[str]:
    texts = {
        "duplicate": "repeated rows left out (one of each kept)",
        "conflict": "rows left out for having the same text as another but a different label",
        "leak": "rows left out for having a text or group that is also in another part",
    }
    return [f"{text}: {counts[kind]:,}" for kind, text in texts.items() if counts[kind]]


def _pairs(drafts: Iterable[Draft]) -> bool:
    return any(isinstance(draft.item, Comparison) for draft in drafts)
