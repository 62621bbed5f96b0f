"""The result of the error lab as typed data."""

from __future__ import annotations

from typing import Any, Literal

from superalign.config import Config
from superalign.result import Figures, Interval, ModelFacts, PairedTest, ScoredRow, StudyResult, bounded

Outcome = Literal["survived", "not survived", "not told", "no gap"]
Finding = Literal["reproduced", "not reproduced", "not testable here"]


class StructureRow(ScoredRow):
    """One learner of one structure, method and seed; the ceiling's structure is empty."""

    structure: str
    agreement_when_right: float | None = None
    """Share of the test items that the structure's supervisor labels rightly on which the learner says the same."""
    agreement_when_wrong: float | None = None
    n_supervisor_wrong: int | None = None


class StructureFacts(Config):
    """What a structure made of the labels, over all seeds."""

    structure: str
    errors: list[int]
    """Wrong labels of the transfer part, by seed; the same for all structures."""
    n: int
    """Labels of the transfer part, of the first seed."""
    shared: float
    """Share of the errors that the weak model makes too, mean over seeds."""
    balance: list[float]
    """Share of the labels in each class, mean over seeds."""
    facts: list[dict[str, Any]]
    """By seed: what the structure decided."""


class StructureSummary(Config):
    """One method on one structure over all seeds; intervals are a bootstrap over test groups and seeds."""

    structure: str
    method: str
    objective: str
    filter: str | None
    accuracy: Interval
    n: int
    seeds: int
    ece: float
    label_accuracy: float
    """Mean over seeds, of the labels that it learned from."""
    kept: float
    """Share of the labels that it learned from, mean over seeds."""
    pgr: Interval | None
    """Performance gap recovered, from the weak model to the ceiling; None where there is no gap."""
    loss: Interval
    """Accuracy of the ceiling minus its own, paired."""
    gain: Interval
    """Its accuracy minus that of the structure's supervisor on the same test items, paired."""
    agrees_right: Interval | None
    """Share of the test items that its supervisor labels rightly on which it says the same."""
    agrees_wrong: Interval | None
    """The same where its supervisor is wrong: 0 of a learner that imitates no error."""
    outcome: Outcome
    """See structure_verdict.outcome."""


class StructureTest(PairedTest):
    """A method on a structure against the same method on random errors; p_holm is corrected for all of them."""

    structure: str
    method: str


class Claim(Config):
    """A claim of the literature, and what this run says of it."""

    claim: str
    source: str
    rule: str
    """When it counts as reproduced."""
    finding: Finding
    because: str
    """The figures that decided."""


class ErrorLabResult(StudyResult):
    """Everything `superalign run error-lab` found; written to results.json."""

    schema_version: Literal["superalign.error-lab/1"] = "superalign.error-lab/1"
    study: Literal["error-lab"] = "error-lab"
    weak: ModelFacts
    strong: ModelFacts
    match: Literal["class", "rate"]
    """What all structures have alike; see StructureFacts."""
    truth: list[float]
    """Share of the transfer part in each true class, mean over seeds."""
    weak_accuracy: Interval
    ceiling_accuracy: Interval
    gap: Interval
    """Ceiling minus weak accuracy."""
    reason: str | None
    """Why no PGR is given."""
    structures: list[StructureFacts]
    rows: list[StructureRow]
    summary: list[StructureSummary]
    tests: list[StructureTest]
    claims: list[Claim]
    said: str
    """The finding in one line."""

    @property
    def headline(self) -> str:
        """The finding in one line."""
        return self.said

    @property
    def models(self) -> list[ModelFacts]:
        """The models that were used."""
        return [self.weak, self.strong]

    @property
    def methods(self) -> list[str]:
        """Names of the methods."""
        return list(dict.fromkeys(one.method for one in self.summary))

    @property
    def figures(self) -> Figures:
        """The figures that are shown beside those of other runs."""
        found: Figures = {("seconds",): self.seconds, **bounded("gap", self.gap)}
        for one in self.summary:
            of = (one.structure, one.method)
            found |= {**bounded("accuracy", one.accuracy, *of), ("ece", *of): one.ece}
            found |= {**bounded("pgr", one.pgr, *of), **bounded("agreement_on_errors", one.agrees_wrong, *of)}
        return found

    def at(self, structure: str, method: str) -> StructureSummary:
        """Return the figures of one method on one structure."""
        return next(one for one in self.summary if (one.structure, one.method) == (structure, method))
