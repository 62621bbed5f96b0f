"""The settings that every task read from a table shares: which column is what, and how many rows are kept."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from superalign.errors import ConfigError
from superalign.task import TaskSource


def plus_separated(value: Any) -> Any:
    """Split the text form of a list, `a+b`, at its plus signs."""
    return tuple(part.strip() for part in value.split("+")) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(plus_separated)]


class Tabular(TaskSource):
    """Columns that are not named are recognised by the names and forms that TRL, inspect and common sets use."""

    text: Names | None = None
    """Column of the text to classify; several (`passage+question`) are joined by a line break."""
    prompt: Names | None = None
    """Column (or columns) of the prompt, when `response`, `chosen` or `choices` answer it."""
    response: str | None = None
    """Column of the response to the prompt."""
    label: str | None = None
    """Column of the class, of the right choice, or of the preferred one of `responses`."""
    chosen: str | None = None
    """Column of the preferred response."""
    rejected: str | None = None
    """Column of the other response."""
    responses: Names | None = None
    """Two columns of responses, of which `label` names the better one (`response1+response2`)."""
    rewards: Names | None = None
    """Two columns of numbers: what other aims make of the chosen and the rejected response (or of the two of
    `responses`), for objectives that weigh aims (`modpo`)."""
    choices: str | None = None
    """Column with a list of choices, of which `label` names the right one; one wrong one is taken beside it."""
    group: str | None = None
    """Column that is equal for related rows; they never cross parts."""
    id: str | None = None
    """Column that names the row."""
    part: str | None = None
    """Column that says supervise, transfer or test; empty or `train` leaves it to the split."""
    difficulty: Names | None = None
    """Columns kept as tags, beside the recognised ones (population, difficulty, topic, ...)."""
    classes: Names | None = None
    """The classes in their order; rows of another class are quarantined. For labels 0..k-1 these are their names."""
    block: Annotated[int, Field(gt=1)] | None = None
    """So many consecutive rows are a group, for sets whose neighbours differ in a few words."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Keep at most so many rows of each file, whole groups drawn by `seed`."""
    balance: bool = False
    """Leave out rows of the larger classes until all are equal."""
    max_bad: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Go on while less than this share of the rows is bad."""
    seed: int = 0
    """Draws the wrong choices, and the rows that `limit` and `balance` keep."""

    @model_validator(mode="after")
    def _consistent(self) -> Tabular:
        if self.text and (self.prompt or self.response):
            raise ConfigError("'text' stands alone; a 'prompt' goes with a 'response'")
        if self.responses and len(self.responses) != 2:
            raise ConfigError(f"'responses' takes two columns, not {len(self.responses)}")
        if self.rewards and len(self.rewards) != 2:
            raise ConfigError(f"'rewards' takes two columns, not {len(self.rewards)}")
        if self.block and self.group:
            raise ConfigError("'block' and 'group' both say which rows are related: give one")
        kinds = [name for name in ("chosen", "responses", "choices") if getattr(self, name)]
        if len(kinds) > 1:
            raise ConfigError(f"'{kinds[0]}' and '{kinds[1]}' describe different kinds of task: give one")
        if self.classes is not None and len(set(self.classes)) < max(2, len(self.classes)):
            raise ConfigError("'classes' takes two or more different names")
        return self
