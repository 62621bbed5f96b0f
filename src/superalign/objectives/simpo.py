"""SimPO: a policy's own mean log-probability as the reward, without a reference policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from superalign.objective import Objective, Said, objectives

if TYPE_CHECKING:
    from torch import Tensor


@objectives.register("simpo")
class SimPO(Objective):
    """-q log sigma(z - gamma) - (1 - q) log sigma(-z - gamma), z = r1 - r0, with r = scale / |y| log pi(y | x).

    q is the given probability that the second response is the better one; soft labels are our reading.
    """

    source: ClassVar[str] = "Meng et al. 2024 (arXiv 2405.14734), equations 4 and 6"
    classes: ClassVar[int | None] = 2
    needs_reference: ClassVar[bool] = False

    scale: Annotated[float, Field(gt=0)] = 2.0
    """The paper's beta, of the mean log-probability a token."""
    normalise: bool = True
    """Take the mean a token; or the log-probability of the whole response (the paper's ablation, section 4.2)."""
    gamma: Annotated[float, Field(ge=0)] = 1.0
    """The margin by which the better response shall win."""

    def score(self, said: Said, beta: float) -> Tensor:
        """Return scale times the log-probability of a response, of its mean token if so set."""
        return self.scale * (said.logprob / said.tokens if self.normalise else said.logprob)

    def __call__(self, logits: Tensor, labels: Tensor, *, progress: float, context: Tensor | None) -> Tensor:
        """Return the loss of each Comparison."""
        from torch.nn.functional import softplus

        z = logits[..., 1] - logits[..., 0]
        return labels[..., 1] * softplus(self.gamma - z) + labels[..., 0] * softplus(self.gamma + z)
