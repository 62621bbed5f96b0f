"""A learner as a folder that peft or transformers load without superalign: an adapter, a model, or a head."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from superalign.config import canonical
from superalign.errors import ConfigError, ModelError
from superalign.export.card import Card, write_card
from superalign.export.choose import choose, kept, recorded
from superalign.export.folder import written
from superalign.fits._finetune import FineTune
from superalign.fits._keep import LANGUAGE_HEAD, PEFT, SCORE
from superalign.fits._peft import Kind, blueprint, write_adapter
from superalign.fits.lora import Lora
from superalign.models._folder import TOKENIZER_FILES, weights_digest
from superalign.models._torch import quiet
from superalign.models._trunk import remove_pooler
from superalign.models.embedded import Embedded
from superalign.models.hf import HuggingFace, Origin
from superalign.objective import objectives
from superalign.store import Array, Store, write_tensors

HEAD = "head.safetensors"
TASKS: dict[Kind, str] = {
    "AutoModelForCausalLM": "CAUSAL_LM",
    "AutoModelForSequenceClassification": "SEQ_CLS",
    "AutoModel": "FEATURE_EXTRACTION",
}


class Form(NamedTuple):
    """How a learner is loaded: transformers' class, and the architecture as that class builds it, without weights."""

    kind: Kind
    network: Any


def export_learner(run: Path | str, out: Path | str, store: Store | None = None, **which: Any) -> Path:
    """Write what a learner of a run learnt, its manifest and its model card; return the folder.

    A `lora` becomes a PEFT adapter, a `full` a model of transformers, a `probe` its head.

    Args:
        run: the run's folder.
        out: the folder to write.
        store: where the run's artifacts are.
        which: of `choose`: role, method, seed, rate.

    Raises:
        ConfigError: there is no such learner, what it learnt was not kept, or `out` holds something else.
        ModelError: it cannot be loaded without superalign.
    """
    keep = store or Store()
    chosen = choose(Path(run), **which)
    objective = objectives.build(chosen.lesson["objective"])
    if objective.peers > 1:
        raise ConfigError(f"{objective} leaves two learners, whose mean is no model of its own", where=str(chosen))
    tensors, model, fit = kept(chosen, keep), chosen.model, chosen.fit
    origin = model.origin() if isinstance(model, HuggingFace | Embedded) else None
    facts = recorded(chosen.job, chosen.run, keep)["meta"]["facts"][chosen.row]
    form = None
    if isinstance(fit, FineTune) and origin is not None:
        if isinstance(fit, Lora) and isinstance(model, HuggingFace | Embedded) and model.adapter is not None:
            raise ModelError(
                "this adapter stands on another one, so plain peft cannot load it on the base model",
                where=f"{model}",
                fix="learn with fit full, which is exported whole",
            )
        form = _form(fit, origin, tensors, int(facts["layer"]), model.depth())
    what = "head" if form is None else "adapter" if isinstance(fit, Lora) else "model"
    about = {
        "what": what,
        "learner": chosen.identity,
        "base": {
            "spec": str(model),
            "fingerprint": model.fingerprint(),
            "weights": None if origin is None else weights_digest(origin.folder),
        },
        "reads": {
            "layer": int(facts.get("layer", model.chosen_layer())),
            "pooling": None if origin is None else origin.pooling,
            "max_tokens": None if origin is None else origin.max_tokens,
            "classes": chosen.result.task.classes,
            "pairwise": chosen.result.task.pairwise,
        },
        "objective": chosen.lesson["objective"],
        "fit": fit.spec(),
        "seed": chosen.seed,
        "labels": {"by": recorded(chosen.labels, chosen.run, keep)["meta"]["by"], "kept": facts.get("kept")},
        "run": {"study": chosen.result.study, "config_sha256": chosen.result.config_sha256},
    }
    with written(out, about) as folder:
        if form is None:
            _write_head(folder, tensors, about)
        elif isinstance(fit, Lora):
            _write_adapter(folder, tensors, fit, _required(origin), form, model, about)
        else:
            _write_model(folder, tensors, _required(origin), form, about)
        write_card(folder, Card(chosen, about, None if form is None else form.kind, _outputs(tensors)))
    return Path(out)


def _form(fit: FineTune, origin: Origin, tensors: Mapping[str, Array], layer: int, depth: int) -> Form:
    """Return the class that reads as the learner did: a head of transformers, else a body with a head beside it."""
    if fit.read == "policy":
        return Form("AutoModelForCausalLM", blueprint("AutoModelForCausalLM", origin))
    outputs = len(tensors[SCORE])
    if origin.pooling == "last" and layer == depth:
        try:
            network = blueprint("AutoModelForSequenceClassification", origin, num_labels=outputs)
        except ValueError:  # transformers has no classifier of this architecture
            network = None
        score = getattr(network, "score", None)
        if score is not None and getattr(score, "bias", 0) is None and score.weight.shape == tensors[SCORE].shape:
            return Form("AutoModelForSequenceClassification", network)
    return Form("AutoModel", blueprint("AutoModel", origin))


def _write_head(folder: Path, tensors: Mapping[str, Array], about: Mapping[str, Any]) -> None:
    write_tensors(folder / HEAD, tensors, {"reads": canonical(about["reads"])})


def _write_adapter(
    folder: Path,
    tensors: Mapping[str, Array],
    fit: Lora,
    origin: Origin,
    form: Form,
    model: Any,
    about: Mapping[str, Any],
) -> None:
    adapter = {_plain(name, form): value for name, value in tensors.items() if name != SCORE}
    has_score = form.kind == "AutoModelForSequenceClassification"
    if has_score:
        adapter[f"{PEFT}{SCORE}"] = tensors[SCORE]
    elif SCORE in tensors:
        _write_head(folder, {"weight": tensors[SCORE]}, about)
    settings = {
        "task_type": TASKS[form.kind],
        "base_model_name_or_path": model.path if isinstance(model, HuggingFace) else str(origin.folder),
        "revision": getattr(model, "revision", None),
        "modules_to_save": ["score"] if has_score else None,
    }
    write_adapter(folder, adapter, fit, form.network, settings)


def _write_model(
    folder: Path, tensors: Mapping[str, Array], origin: Origin, form: Form, about: Mapping[str, Any]
) -> None:
    import torch
    import transformers

    config = copy.deepcopy(form.network.config)
    with quiet():
        network = getattr(transformers, form.kind).from_pretrained(
            origin.folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=origin.trust_remote_code,
        )
        if form.kind == "AutoModel":
            remove_pooler(network)
        body = {_plain(name, form): torch.from_numpy(value) for name, value in tensors.items() if name != LANGUAGE_HEAD}
        beside = body.pop(SCORE) if form.kind == "AutoModel" else None
        unknown = network.load_state_dict(body, strict=False).unexpected_keys
        if unknown:
            raise ModelError(f"transformers' {form.kind} has no tensor '{unknown[0]}'", where=str(origin.folder))
        if LANGUAGE_HEAD in tensors:
            with torch.no_grad():
                network.get_output_embeddings().weight.copy_(torch.from_numpy(tensors[LANGUAGE_HEAD]))
        network.save_pretrained(folder)
    if beside is not None:
        _write_head(folder, {"weight": beside.numpy()}, about)
    for name in TOKENIZER_FILES:
        if (origin.folder / name).is_file():
            shutil.copyfile(origin.folder / name, folder / name)


def _plain(name: str, form: Form) -> str:
    """Return a tensor's name as the class that loads it says: a bare body has no name of its own before it."""
    if form.kind != "AutoModel":
        return name
    start = PEFT if name.startswith(PEFT) else ""
    return start + name.removeprefix(PEFT).removeprefix(f"{form.network.base_model_prefix}.")


def _outputs(tensors: Mapping[str, Array]) -> int:
    head = tensors.get(SCORE, tensors.get("weight"))
    return 0 if head is None else len(head)


def _required(origin: Origin | None) -> Origin:
    if origin is None:
        raise ModelError("this model has no weights that transformers could load")
    return origin
