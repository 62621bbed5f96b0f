"""The settings every transformer shares, wherever its weights come from."""

from __future__ import annotations

from abc import ABC
from typing import Annotated, Literal

from pydantic import Field

from superalign.model import Model
from superalign.models._reader import Chat
from superalign.models._torch import DtypeName


class TransformerSettings(Model, ABC):
    """What decides how a transformer reads texts and which hidden states are its features."""

    layer: int | None = None
    """Whose hidden states are the features; negative counts from the top. Default: 0.6 of the depth for a causal
    language model, the last for an encoder."""
    pooling: Literal["auto", "last", "mean"] = "auto"
    """Of a text's tokens: auto is the last token for causal language models, the mean for encoders."""
    max_tokens: Annotated[int, Field(ge=4)] | None = None
    """Longer texts are cut and counted. Default: the model's limit, 512 at most."""
    dtype: DtypeName = "auto"
    """Precision: auto is bf16 where the hardware multiplies it natively, else fp32."""
    chat: Chat = "auto"
    """The chat template: auto applies it to a prompt with a response, when there is a template."""
    device: str = "auto"
    """auto is the first GPU when there is one, else the CPU."""
    adapter: str | None = None
    """Folder of a LoRA adapter in PEFT's format that is merged into the weights, such as `superalign export` writes."""
    batch_tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens computed at once. Default: 512 on a CPU, where more is slower, and 16,384 on a GPU."""
