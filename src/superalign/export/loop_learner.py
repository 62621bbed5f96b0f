"""What a loop's learner knows after the last round that passed the gate, as an adapter that peft loads."""

from __future__ import annotations

from pathlib import Path

from superalign.errors import ConfigError, ModelError
from superalign.export.choose import artifact
from superalign.export.folder import written
from superalign.export.loop_card import write_loop_card
from superalign.export.rounds import choose_rounds
from superalign.fits._peft import blueprint, write_adapter
from superalign.models._folder import weights_digest
from superalign.models.embedded import Embedded
from superalign.models.hf import HuggingFace
from superalign.store import Store


def export_loop_learner(
    run: Path | str, out: Path | str, store: Store | None = None, *, arm: str | None = None, seed: int | None = None
) -> Path:
    """Write the adapter of the last accepted round, its manifest and its model card; return the folder.

    Args:
        run: the run's folder.
        out: the folder to write.
        store: where the run's artifacts are.
        arm: which variant of the loop; by default the loop as it was set.
        seed: which seed; by default the first.

    Raises:
        ConfigError: there is no such arm or seed, every round was rolled back, or `out` holds something else.
        ModelError: the base model has no weights here.
    """
    keep = store or Store()
    rounds = choose_rounds(Path(run), arm, seed)
    tensors = artifact(rounds.line.turns[-1].passed, rounds.run, keep).tensors
    accepted = [row.round for row in rounds.rows if row.accepted]
    if not tensors:
        why = "; ".join(f"round {row.round} was rolled back: {', '.join(row.why)}" for row in rounds.rows)
        fix = "--arm or --seed of a learner that passed the gate, or a run with more goals or other limits"
        raise ConfigError("nothing was learnt, so there is nothing to export", where=str(rounds), why=why, fix=fix)
    model = rounds.model
    origin = model.origin() if isinstance(model, HuggingFace | Embedded) else None
    if origin is None:
        raise ModelError(f"{model} has no weights that an adapter could stand on")
    about = {
        "what": "adapter",
        "learner": rounds.identity,
        "base": {
            "spec": str(model),
            "fingerprint": model.fingerprint(),
            "weights": weights_digest(origin.folder),
        },
        "reads": {"chat": getattr(model, "chat", None), "max_tokens": origin.max_tokens},
        "update": rounds.study.update.spec(),
        "fit": rounds.fit.spec(),
        "seed": rounds.seed,
        "rounds": {"all": len(rounds.rows), "accepted": accepted},
        "labels": {"by": [str(one) for one in rounds.study.critics], "expert": sum(row.experts for row in rounds.rows)},
        "run": {"study": rounds.study.name, "config_sha256": rounds.result.config_sha256},
    }
    settings = {
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": model.path if isinstance(model, HuggingFace) else str(origin.folder),
        "revision": getattr(model, "revision", None),
    }
    with written(out, about) as folder:
        write_adapter(folder, tensors, rounds.fit, blueprint("AutoModelForCausalLM", origin), settings)
        write_loop_card(folder, rounds)
    return Path(out)
