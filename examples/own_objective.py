"""A new objective is one class: it shows in `superalign ls objectives` and works with every fit and task."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from superalign import WeakToStrong, run
from superalign.objective import Objective, objectives


@objectives.register("brier")
class BrierScore(Objective):
    """Squared error of the probabilities: sum_k (p_k - y_k)^2, bounded however sure and wrong a guess is."""

    source: ClassVar[str] = "Brier 1950, Monthly Weather Review 78"

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the loss of each item."""
        return (logits.softmax(-1) - labels).square().sum(-1)


if __name__ == "__main__":
    result = run(WeakToStrong(task="facts,cities=300", methods=("naive", "brier"), seeds=2, sweep=0))
    print("\n".join(result.verdict))
