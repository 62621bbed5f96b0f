"""What a reader must know first: the finding in one line, and what was left out of the figures."""

from __future__ import annotations

from dataclasses import dataclass

from superalign.critic_result import CriticEvalResult
from superalign.critic_verdict import ranked
from superalign.noise_result import LabelNoiseResult
from superalign.noise_verdict import written
from superalign.report import words
from superalign.report.markup import clean
from superalign.report.results import Shown
from superalign.result import Interval, ModelFacts, WeakToStrongResult
from superalign.scaling_result import ScalingResult
from superalign.verdict import differs

NAMED = 4  # methods in a headline


@dataclass(frozen=True)
class LeftOut:
    """One kind of thing that is not in the figures, or is there in another form.

    Args:
        short: a few words, for beside a figure.
        why: whole sentences.
        pgr: whether only the PGR is without it.
    """

    short: str
    why: tuple[str, ...]
    pgr: bool = False


def headline(result: Shown) -> str:
    """Say the finding in one line."""
    if isinstance(result, WeakToStrongResult):
        return _recovery(result)
    if isinstance(result, CriticEvalResult):
        return _judges(result)
    if isinstance(result, ScalingResult):
        return _moved(result)
    return _survival(result) if isinstance(result, LabelNoiseResult) else result.headline


def left_out(result: Shown) -> list[LeftOut]:
    """Return what was dropped, cut, refused or failed; empty when nothing was."""
    found = [_quarantined(result.task.dropped), *(_truncated(model) for model in result.models)]
    jobs = result.jobs
    if jobs.failed:
        why = f"{words.count(jobs.failed)} of {words.plural(jobs.total, 'job')} failed; none of them counts as a score."
        found.append(LeftOut(f"{words.plural(jobs.failed, 'job')} failed", (why,)))
    found.append(_refused(result) if isinstance(result, WeakToStrongResult) else None)
    return [item for item in found if item]


def _recovery(result: WeakToStrongResult) -> str:
    """Say in one line whether students outdo their supervisor, and what part of the gap they recover."""
    sides: dict[str, list[str]] = {}
    for test in result.tests:
        if test.b == "weak":
            sides.setdefault(_side(test.difference), []).append(test.a)
    if result.pgr and all(pgr.pooled is None for pgr in result.pgr):
        return "No gap to recover: the ceiling is not above the weak supervisor beyond noise"
    if not sides:
        return "Weak-to-strong generalization"
    several = len(sides) > 1
    parts = [f"{'with ' + _and(methods) + ' ' if several else ''}{side}" for side, methods in sides.items()]
    return f"The student {'; '.join(parts)}{'' if several else _recovered(result)}"


def _survival(result: LabelNoiseResult) -> str:
    """Say in one line which methods outdo the first where the labels are worst."""
    worst, first = max(result.rates), result.methods[0]
    where = f"With {written(worst)} wrong labels"
    above = [test.a for test in result.tests if test.rate == worst and differs(test) and test.difference.value > 0]
    if above:
        verb = "scores" if len(above) == 1 else "score"
        return f"{where}, {_and(above) if len(above) <= NAMED else f'{len(above)} methods'} {verb} above {clean(first)}"
    if result.tests:
        return f"{where}, no method is shown to score above {clean(first)}"
    loss = result.at(first, worst).loss
    if loss is None:
        return f"{where}, {clean(first)} scores {words.percent(result.at(first, worst).accuracy.value)}"
    return f"{where}, {clean(first)} loses {words.lost(loss) if loss.low > 0 else 'nothing beyond the interval'}"


def _judges(result: CriticEvalResult) -> str:
    """Say in one line which critic agrees best with the truth."""
    known = [one for one in ranked(result.summary) if one.kappa]
    if not known or known[0].kappa is None:
        return "No critic gave verdicts that could be scored"
    best, figure = known[0], known[0].kappa
    if figure.low <= 0:
        return "No critic is shown to agree with the truth beyond chance"
    head = f"{clean(best.critic)} agrees with the truth"
    return f"{head}{' best' if len(known) > 1 else ''}: kappa {words.ratio(figure.value)} {words.ratios(figure)}"


def _moved(result: ScalingResult) -> str:
    """Say in one line what of the first method's PGR moves with the size of the strong model."""
    first = result.summary[0]
    known = {one.against: one.finding for one in result.trends if (one.method, one.figure) == (first.method, "PGR")}
    if not first.defined:
        return "No gap to recover: in no cell is the ceiling above the weak model beyond noise"
    finding = known["ceiling"]
    moves = {"rises": "grows with a stronger student", "falls": "falls with a stronger student"}
    said = moves.get(finding, "is not shown to move with a stronger student")
    median = f"median {words.ratio(first.median)} of the gap"
    cells = words.plural(first.cells, "cell")
    return f"What {clean(first.method)} recovers {said}: {median}, in {first.defined} of {cells} that have a PGR"


def _quarantined(n: int) -> LeftOut | None:
    why = f"{words.plural(n, 'row')} of the data could not be used and {_were(n)} quarantined."
    return LeftOut(f"{words.plural(n, 'row')} quarantined", (why,)) if n else None


def _truncated(model: ModelFacts) -> LeftOut | None:
    n = model.truncated
    share = f"{words.count(n)} of {words.plural(model.texts, 'text')}"
    why = f"{share} {_were(n)} cut at the length limit of {model.spec}, and scored as cut."
    return LeftOut(f"{words.plural(n, 'text')} cut", (why,)) if n else None


def _refused(result: WeakToStrongResult) -> LeftOut | None:
    """Return the single seeds without a PGR, for methods that have one over seeds."""
    seeds = [(pgr.method, seed) for pgr in result.pgr if pgr.pooled for seed in pgr.seeds if seed.value is None]
    why = [f"No PGR of {name}, seed {seed.seed}: {words.prose(seed.reason or 'not recorded')}." for name, seed in seeds]
    return LeftOut(f"{words.plural(len(seeds), 'seed')} without PGR", tuple(why), pgr=True) if seeds else None


def _side(difference: Interval) -> str:
    if difference.low > 0:
        return "does better than its supervisor"
    return "falls below its supervisor" if difference.high < 0 else "cannot be told from its supervisor"


def _recovered(result: WeakToStrongResult) -> str:
    pooled = [pgr.pooled.value for pgr in result.pgr if pgr.pooled]
    if not pooled or min(pooled) <= 0:
        return ""
    low, high = (f"{100 * value:.0f}" for value in (min(pooled), max(pooled)))
    return f", recovering {low}% of the gap" if low == high else f", recovering {low} to {high}% of the gap"


def _and(names: list[str]) -> str:
    return clean(" and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names))


def _were(n: int) -> str:
    return "was" if n == 1 else "were"
