"""A new objective is one class: it shows in `superalign ls objectives` and works with every fit and task."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from superalign import WeakToStrong, run
from superalign.objective import Objective, objectives


@objectives.register("mae")
class MeanAbsoluteError(Objective):
    """Mean absolute error: sum_k |p_k - y_k|, which symmetric label noise leaves unbiased."""

    source: ClassVar[str] = "Ghosh et al. 2017 (arXiv 1712.09482)"

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the loss of each item."""
        return (logits.softmax(-1) - labels).abs().sum(-1)


if __name__ == "__main__":
    result = run(WeakToStrong(task="facts,cities=300", methods=("naive", "mae"), seeds=2, sweep=0))
    print("\n".join(result.verdict))
