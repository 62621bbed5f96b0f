"""A Model is anything that answers: here with features; some can be trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, ValidationInfo

from superalign.chat import Messages, Reply, Sampling, Scored
from superalign.config import Component
from superalign.errors import ModelError
from superalign.registry import Registry, chosen
from superalign.task import Text

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

FloatArray = npt.NDArray[np.float32]
Precision = Literal["bf16", "fp32"]
Progress = Callable[[int, int, int], None]
"""Called with (items done, items in all, tokens done)."""
SPEAKERS = "such as embedded:smollm2 or hf:FOLDER"
Stage = Callable[[str, int, int], None]
"""Called with (what is going on, done, total)."""


@dataclass(frozen=True)
class Features:
    """Hidden states of n texts.

    Args:
        layers: for each layer asked for, float32 [n, d].
        truncated: for each text, whether it was cut at the model's length limit.
        tokens: for each text, the real tokens read; padding is not counted.
    """

    layers: Mapping[int, FloatArray]
    truncated: Sequence[bool]
    tokens: Sequence[int]


class Head(Protocol):
    """The head of a language model."""

    @property
    def weight(self) -> Tensor:
        """[v, d]; the embedding itself where the two are tied."""

    def logprobs(self, hidden: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
        """Return log p(target) of each position, float32 [m], of hidden states [m, d] and targets [m]."""

    def logits(self, hidden: Tensor, dtype: torch.dtype) -> Tensor:
        """Return float32 [m, v] of hidden states [m, d]."""


class Spelling(Protocol):
    """How a language model reads conversations."""

    tokenizer: Any
    """Of transformers."""

    def text_of(self, messages: Messages) -> str:
        """Return a conversation as one string, up to where the model goes on."""

    def spell(self, strings: list[str]) -> list[list[int]]:
        """Return the token ids of such strings; nothing is cut."""


@dataclass(frozen=True)
class Voice:
    """What makes a backbone a policy.

    Args:
        head: on the backbone's hidden states.
        completions: token ids of each text: what is given, and what the policy would write.
        limit: most tokens of a text.
        spelling: how it reads conversations.
    """

    head: Head
    completions: Callable[[Sequence[Text]], list[tuple[list[int], list[int]]]]
    limit: int
    spelling: Spelling


@dataclass(frozen=True)
class Backbone:
    """A trainable network: `module(input_ids=, attention_mask=)` returns hidden states as `.last_hidden_state`."""

    module: nn.Module
    width: int
    tokenize: Callable[[Sequence[Text]], tuple[list[list[int]], int]]
    """Token ids of each text, and how many texts were cut at the length limit."""
    pool: Callable[[Any, Any], Any]
    """(hidden [n, t, d], attention mask [n, t]) -> [n, d]."""
    pad_id: int
    layer: int
    """The highest layer: what is pooled."""
    causal: bool
    """Whether each token sees only those before it."""
    windows: Mapping[str, int | None]
    """Kinds of attention layers and how far each looks, None for everywhere; "" is all layers."""
    voice: Callable[[], Voice] | None = None
    """Makes it a language model; None when it is none, or is cut off below its head."""


class Model(Component, ABC):
    """Base of the models. Building one reads no weights; the first use does."""

    trainable: ClassVar[bool] = False
    has_features: ClassVar[bool] = True
    """Whether there are hidden states to be had; a model behind HTTP only writes."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return the SHA-256 of all that decides the features of a text: weights, tokenizer, pooling, precision.

        Raises:
            ModelError: the model is not there and cannot be fetched.
        """

    @abstractmethod
    def depth(self) -> int:
        """Return the number of layers; layer 0 is the embedding, `depth()` the last."""

    @abstractmethod
    def chosen_layer(self) -> int:
        """Return the layer whose hidden states are this model's features."""

    @abstractmethod
    def features(self, texts: Sequence[Text], layers: Sequence[int], progress: Progress | None = None) -> Features:
        """Compute hidden states; layers above the highest one asked for are not computed."""

    def identity(self) -> dict[str, Any]:
        """Return the parameters by which jobs know this model."""
        return {"model": self.spec(), "fingerprint": self.fingerprint()}

    def precision(self) -> Precision:
        """Return the precision this model computes in."""
        return "fp32"

    def backbone(self, dtype: Precision = "fp32") -> Backbone:
        """Load a fresh network for training: up to the `layer` that was set, whole when none was.

        Args:
            dtype: of its weights; it may compute in a lower precision than it keeps them.

        Raises:
            ModelError: this kind of model cannot be trained.
        """
        raise ModelError(f"{self} cannot be fine-tuned", fix="use fit 'probe', or a transformer model")

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, seeds: Sequence[int], progress: Progress | None = None
    ) -> list[Reply]:
        """Answer each conversation; what is drawn depends on its own seed alone, not on the others.

        A conversation that cannot be answered gets a Reply with the error.

        Raises:
            ModelError: this kind of model writes no text.
        """
        raise ModelError(f"{self} writes no text", fix=f"take a language model, {SPEAKERS}")

    def logprobs(
        self, prompts: Sequence[Messages], answers: Sequence[Sequence[str]], progress: Progress | None = None
    ) -> list[Scored]:
        """Return how likely the model finds each of the given answers to each conversation, which is read once.

        Raises:
            ModelError: this kind of model does not say.
        """
        raise ModelError(f"{self} does not say how likely an answer is", fix=f"take a language model, {SPEAKERS}")

    def at_layer(self, layer: int) -> Model:
        """Return this model with another layer as its features."""
        return self.model_copy(update={"layer": self.check_layer(layer)})

    def prepare(self, report: Stage) -> None:
        """Bring what the model needs onto this machine, telling `report` what is going on."""
        self.fingerprint()

    def check_layer(self, layer: int) -> int:
        """Return `layer` (negative counts from the top) or raise ModelError when there is none such."""
        depth = self.depth()
        actual = layer + depth + 1 if layer < 0 else layer
        if not 0 <= actual <= depth:
            raise ModelError(f"{self} has layers 0 to {depth}, not {layer}")
        return actual


models: Registry[Model] = Registry("model", "superalign.models", Model)
ModelChoice = Annotated[Model, *chosen(models)]


def with_features(model: Model, setting: str) -> Model:
    """Return the model that a setting chose, if it has features.

    Raises:
        ModelError: it only writes text.
    """
    if model.has_features:
        return model
    why = f"{setting} learns from hidden states"
    raise ModelError(f"{model} only writes text", why=why, fix="take the model itself: hf:FOLDER, embedded:smollm2")


def _layered(model: Model, info: ValidationInfo) -> Model:
    return with_features(model, f"setting '{info.field_name}'")


LayeredModelChoice = Annotated[Model, *chosen(models), AfterValidator(_layered)]
"""A ModelChoice that refuses, before anything is done, a model without features."""
