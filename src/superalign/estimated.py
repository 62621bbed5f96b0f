"""What a dry run tells, as typed data."""

from __future__ import annotations

from superalign.config import Config


class Step(Config):
    """The jobs of one kind."""

    step: str
    jobs: int
    stored: int
    """Of them, already in the store."""


class Weighed(Config):
    """A model that takes part."""

    model: str
    parameters: int | None
    """None where they cannot be known here."""
    why: str = ""
    """Why not."""


class Work(Config):
    """What one component still has to do; tokens are estimates."""

    component: str
    model: str
    jobs: int
    read: int
    """Tokens."""
    written: int
    trained: int
    """Tokens read in training, each epoch anew."""
    flops: float | None
    """2 N a token read or written, 4 N a token trained on with N frozen weights."""


class Memory(Config):
    """Of the learner while it trains, in bytes; of a grid of probes, of the largest job."""

    weights: int
    adapter: int
    """Its parameters in float32."""
    optimizer: int
    """Gradients and the two moments of AdamW, in float32; of probes the axes of their features, in float64."""
    activations: int | None

    @property
    def total(self) -> int:
        """All that is known."""
        return self.weights + self.adapter + self.optimizer + (self.activations or 0)


class DryRun(Config):
    """The plan of a run of which nothing was computed."""

    study: str
    cells: int | None = None
    """Of a grid."""
    separate: int | None = None
    """Jobs that the cells would have as runs of their own, nothing shared."""
    jobs: int | None
    """Distinct ones; None where the plan hangs on a model that is not here."""
    stored: int | None
    steps: list[Step]
    models: list[Weighed]
    work: list[Work]
    memory: Memory | None
    hours: float | None
    """Of this machine, at the tokens a second that were given."""
    cost: float | None
    """Of these hours and of endpoints with prices, in the currency of the prices."""
    assumed: list[str]
    unknown: list[str]
