"""What the literature says of merging and mixing, each claim decided by a rule and by the figures of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from superalign.balance_result import ArmSummary, BalanceTest, Choice, Measure
from superalign.structure_result import Claim, Finding
from superalign.verdict import differs, p_value, points

PAPER = "Yang et al. 2025 (arXiv 2502.06876), abstract"
PRUNING = ("ties", "dare-linear", "dare-ties", "della", "della-linear", "breadcrumbs", "breadcrumbs-ties", "consensus")
"""Methods that drop a part of what experts changed."""
PLAIN = ("linear", "task-arithmetic")
Found = tuple[Finding, str]


@dataclass(frozen=True)
class Known:
    """What the rules read."""

    summary: Sequence[ArmSummary]
    tests: Sequence[BalanceTest]
    chosen: Choice

    def learnt(self) -> list[str]:
        """Return the axes whose expert is above the model itself on its own axis, by the interval."""
        return [one.arm for one in self.summary if one.kind == "expert" and one.changes[one.arm].low > 0]

    def test(self, a: str, b: str, measure: Measure = "average") -> BalanceTest | None:
        """Return the test of two arms."""
        return next((one for one in self.tests if (one.a, one.b, one.measure) == (a, b, measure)), None)

    def best(self, among: Sequence[str]) -> str:
        """Return the merge by some methods that the validation part puts first; nothing if there is none."""
        found = [one for one in self.summary if one.kind == "merge" and one.method in among]
        by = f"validation_{self.chosen.by}"
        return max(found, key=lambda one: float(getattr(one, by))).arm if found else ""

    @property
    def mixture(self) -> str:
        """The chosen mixture, as tests call it."""
        return f"mixture {self.chosen.mixture}"


def claims(summary: Sequence[ArmSummary], tests: Sequence[BalanceTest], chosen: Choice) -> list[Claim]:
    """Return every claim with its finding; where fewer than two experts learn, there is nothing to balance."""
    known = Known(summary, tests, chosen)
    learnt = known.learnt()
    reason = f"only {len(learnt)} of the experts is above the model itself on its own axis" if len(learnt) < 2 else None
    return [
        Claim(claim=claim, source=PAPER, rule=rule, finding=finding, because=because)
        for claim, rule, decide in _CLAIMS
        for finding, because in [("not testable here", reason) if reason else decide(known)]
    ]


def spillovers(summary: Sequence[ArmSummary]) -> Iterator[tuple[str, str, bool]]:
    """Yield expert, other axis, and whether it gains there; only where the interval leaves out 0."""
    for one in summary:
        for axis, change in one.changes.items() if one.kind == "expert" else ():
            if axis != one.arm and (change.low > 0 or change.high < 0):
                yield one.arm, axis, change.low > 0


def _above(a: Callable[[Known], str], b: Callable[[Known], str], needs: str) -> Callable[[Known], Found]:
    """Return the rule that one arm is above another on the average of the axes."""

    def decide(known: Known) -> Found:
        test = known.test(a(known), b(known))
        if test is None:
            return "not testable here", f"needs {needs}"
        said = f"{test.a} - {test.b} is {points(test.difference)}, p {p_value(test.p_holm)} (Holm)"
        return ("reproduced" if differs(test) and test.difference.low > 0 else "not reproduced"), said

    return decide


def _mixed_relations(known: Known) -> Found:
    found = list(spillovers(known.summary))
    gains, losses = ([f"{a} on {b}" for a, b, up in found if up is wanted] for wanted in (True, False))
    said = f"experts gain on another axis: {', '.join(gains) or 'none'}; lose: {', '.join(losses) or 'none'}"
    return ("reproduced" if gains and losses else "not reproduced"), said


def _scale(known: Known) -> Found:
    return "not testable here", "the paper's models have 7 to 8 billion parameters, its data are other sets"


_RULE = "of the average of the axes is above 0 by its interval and by p (Holm)"
_CLAIMS: tuple[tuple[str, str, Callable[[Known], Found]], ...] = (
    (
        "Merging experts balances aims better than mixing their data",
        f"chosen merge - chosen mixture {_RULE}",
        _above(lambda known: known.chosen.merge, lambda known: known.mixture, "a merge and a mixture"),
    ),
    (
        "R-TSVM balances aims better than mixing their data",
        f"r-tsvm (its sign chosen by validation) - chosen mixture {_RULE}",
        _above(lambda known: known.best(("r-tsvm",)), lambda known: known.mixture, "r-tsvm and a mixture"),
    ),
    (
        "Reweighting and ranks by sparsity improve on TSV-M",
        f"r-tsvm (its sign chosen by validation) - tsv-m {_RULE}",
        _above(lambda known: known.best(("r-tsvm",)), lambda known: known.best(("tsv-m",)), "r-tsvm and tsv-m"),
    ),
    (
        "Dropping redundant changes resolves conflict",
        f"the chosen one of {', '.join(PRUNING)} - the chosen one of {', '.join(PLAIN)} {_RULE}",
        _above(lambda known: known.best(PRUNING), lambda known: known.best(PLAIN), "a pruning and a plain merge"),
    ),
    (
        "Some aims help each other, others are in conflict",
        "by their intervals some expert is above the model itself on another axis, and some expert below",
        _mixed_relations,
    ),
    (
        "R-TSVM gains 2 to 5 points over mixtures and 1 to 3 over earlier merges",
        "never here: these are figures of other models and data",
        _scale,
    ),
)
