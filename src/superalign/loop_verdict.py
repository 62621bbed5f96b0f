"""The finding of the loop study in plain sentences: nothing is claimed that its interval does not carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from superalign.attacker import World
from superalign.loop_result import ArmSummary, Change, Exploit, RoundRow, Slice
from superalign.result import Interval
from superalign.verdict import points, share


def headline(summary: Sequence[ArmSummary], changes: Sequence[Change]) -> str:
    """Say the finding in one line."""
    before, after = _both(summary)
    if before is None or after is None or before.held_out is None or after.held_out is None:
        return "Nothing can be said: no attempt of the exam was decided"
    change = _of(changes, before.arm, "held_out")
    moved = change.difference if change else None
    what = "fall" if moved and moved.high < 0 else "rise" if moved and moved.low > 0 else "cannot be told to fall"
    return f"Held-out attacks {what}: {before.held_out.value:.0%} before, {after.held_out.value:.0%} after"


def verdict(
    summary: Sequence[ArmSummary],
    changes: Sequence[Change],
    slices: Sequence[Slice],
    exploits: Sequence[Exploit],
    rows: Sequence[RoundRow],
    world: World = "knowledge",
) -> list[str]:
    """Return one sentence a finding."""
    return [
        *_attacks(summary, changes, world),
        *_kept(summary, changes),
        *_refused(summary, changes),
        *_unseen(slices),
        *_fresh(exploits),
        *_rounds(rows),
        *_arms(summary),
    ]


def _attacks(summary: Sequence[ArmSummary], changes: Sequence[Change], world: World) -> Iterator[str]:
    before, after = _both(summary)
    if before is None or after is None or before.held_out is None or after.held_out is None:
        yield "No attempt of the exam was decided, so nothing can be said."
        return
    change = _of(changes, before.arm, "held_out")
    n = f"(n = {before.n_held_out} and {after.n_held_out})"
    if world == "behaviour":
        yield (
            f"By its critics the model does what it should not in {share(before.held_out)} of the attempts of attacks "
            f"that were never trained on before, and in {share(after.held_out)} after {n}."
        )
    else:
        yield (
            f"Attacks that were never trained on break {share(before.held_out)} of what the model knows before, "
            f"{share(after.held_out)} after {n}."
        )
    if change and change.ratio:
        fell = Interval(value=1 - change.ratio.value, low=1 - change.ratio.high, high=1 - change.ratio.low)
        if fell.low > 0:
            yield f"Their success falls by {share(fell)}."
        elif fell.high < 0:
            yield f"Their success rises, by a factor of {change.ratio.value:.2f}."
        else:
            yield f"That is a change by a factor of {change.ratio.value:.2f}, which cannot be told from none."


def _kept(summary: Sequence[ArmSummary], changes: Sequence[Change]) -> Iterator[str]:
    before, after = _both(summary)
    if before is None or after is None:
        return
    plain = _of(changes, before.arm, "plain")
    if before.plain and after.plain and plain and plain.difference:
        yield (
            f"Asked plainly it is right in {share(before.plain)} before and {share(after.plain)} after, "
            f"a difference of {points(plain.difference)}."
        )
    if before.evidence and after.evidence:
        yield (
            f"True evidence about what it did not know is accepted in {share(before.evidence)} before and "
            f"{share(after.evidence)} after (n = {before.n_evidence} and {after.n_evidence})."
        )
    if before.text and after.text:
        change = (after.text - before.text) / abs(before.text)
        yield f"General text is {abs(change):.1%} {'likelier' if change >= 0 else 'less likely'} a token than before."


def _refused(summary: Sequence[ArmSummary], changes: Sequence[Change]) -> Iterator[str]:
    before, after = _both(summary)
    if before and after and before.over_refusal and after.over_refusal:
        change = _of(changes, before.arm, "over_refusal")
        moved = f", a difference of {points(change.difference)}" if change and change.difference else ""
        yield (
            f"Of requests that nobody should refuse it refuses {share(before.over_refusal)} before and "
            f"{share(after.over_refusal)} after (n = {before.n_benign} and {after.n_benign}){moved}."
        )


def _unseen(slices: Sequence[Slice]) -> Iterator[str]:
    for one in slices:
        if not one.seen and one.before and one.after:
            yield (
                f"On items with {one.tag} {one.value}, of which none was learnt from, held-out attacks break "
                f"{share(one.before)} before and {share(one.after)} after."
            )


def _fresh(exploits: Sequence[Exploit]) -> Iterator[str]:
    found = {one.phase: one for one in exploits}
    before, after = found.get("before"), found.get("after")
    if before and after and before.success and after.success:
        yield (
            f"A fresh attacker with its own budget breaks {share(before.success)} of {before.n} goals before and "
            f"{share(after.success)} of {after.n} after."
        )


def _rounds(rows: Sequence[RoundRow]) -> Iterator[str]:
    ways: Counter[str] = sum((Counter(row.ways) for row in rows if row.arm == rows[0].arm), Counter())
    if ways:
        told = ", ".join(f"{way} {n}" for way, n in ways.most_common())
        yield f"Where the better response to a broken goal comes from: {told}."
    back = [row for row in rows if not row.accepted]
    if rows:
        partly = sum(row.accepted and row.part < 1 for row in rows)
        part = f", {partly} of them in part" if partly else ""
        yield f"The gate let {len(rows) - len(back)} of {len(rows)} rounds pass{part}."
    labels = [row.label_accuracy for row in rows if row.label_accuracy is not None]
    if labels:
        yield f"The verdicts that were learnt from were right in {min(labels):.0%} to {max(labels):.0%} of each round."


def _arms(summary: Sequence[ArmSummary]) -> Iterator[str]:
    first, *others = [one for one in summary if one.phase == "after"]
    for one in others:
        if one.held_out and one.over_refusal:
            yield f"{one.arm}: held-out success {share(one.held_out)}, over-refusal {share(one.over_refusal)}."
        if one.held_out and first.held_out and one.plain and one.evidence:
            yield (
                f"{one.arm}: held-out success {share(one.held_out)}, plain {one.plain.value:.1%}, "
                f"true evidence {one.evidence.value:.1%}."
            )


def _both(summary: Sequence[ArmSummary]) -> tuple[ArmSummary | None, ArmSummary | None]:
    first = summary[0].arm if summary else ""
    found = {one.phase: one for one in summary if one.arm == first}
    return found.get("before"), found.get("after")


def _of(changes: Sequence[Change], arm: str, measure: str) -> Change | None:
    return next((one for one in changes if (one.arm, one.measure) == (arm, measure)), None)
