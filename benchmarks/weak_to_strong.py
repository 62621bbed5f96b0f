"""Our paths beside the public weak-to-strong training loop's cost model: same model, data and number of epochs.

    python benchmarks/weak_to_strong.py --part finetune
    python benchmarks/weak_to_strong.py --part all --quick --json figures.json

Every measurement is a process of its own, one after the other. Speeds count real tokens, never padding; CPU seconds
count all threads. Close other programs first: on a shared machine only CPU seconds and ratios mean something.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from _features import features
from _finetuning import ours, public
from _measure import Plan, Rows, Workers, asked_of, ratio, run, show, worker_options, write
from _probing import our_study, public_study
from _steps import lora_step

WORKERS: Workers = {
    "public loop": public,
    "ours, full": lambda plan: ours(f"full,lr={plan['lr']}", plan),
    "ours, lora": lambda plan: ours("lora", plan),
    "features": features,
    "LoRA step": lora_step,
    "public probes": public_study,
    "our study": our_study,
}
MIXED_LENGTH = (
    "../shared/data/hh_harmless_single_turn/train_gt.jsonl",
    "../shared/data/boolq/dev.jsonl",
)


def finetune(plan: Plan) -> Rows:
    """Train the same items with the public loop, with ours on all weights, and with ours on adapters."""
    rows = run(("public loop", "ours, full", "ours, lora"), plan)
    for kind in ("full", "lora"):
        rows[f"{kind} / public"] = ratio(rows[f"ours, {kind}"], rows["public loop"])
    show(f"Fine-tuning {plan['model']}, {plan['items']} items, epochs: {plan['epochs']}", rows)
    return rows


def feature(plan: Plan) -> Rows:
    """Compute features, and measure the ceiling."""
    rows = run(["features"], plan)
    show(f"Features of {plan['model']}, {plan['texts']} texts", rows)
    return rows


def step(plan: Plan) -> Rows:
    """Take steps of LoRA, and measure the ceiling."""
    rows = run(["LoRA step"], plan)
    show(f"LoRA steps of {plan['model']}, {plan['batch']} items each", rows)
    return rows


def probe(plan: Plan) -> Rows:
    """Run a probe study, and charge what the public loop takes for the same learners at 200 epochs."""
    rows = run(("public probes", "our study"), plan)
    rows["public / ours"] = ratio(rows["public probes"], rows["our study"])
    show(f"Probes of {plan['model']} taught by {plan['weak']} on {plan['probe_task']}", rows)
    return rows


PARTS: dict[str, Callable[[Plan], Rows]] = {
    "finetune": finetune,
    "features": feature,
    "step": step,
    "probe": probe,
}


def main() -> None:
    """Run the parts asked for and print a table each."""
    options = worker_options(__doc__, WORKERS)
    options.add_argument("--part", choices=[*PARTS, "all"], default="all")
    options.add_argument("--quick", action="store_true", help="small sizes: a check that it runs, not a measurement")
    options.add_argument("--weak", default="embedded:minilm", help="of the probe part")
    options.add_argument("--probe-task", help="of the probe part (default: facts)")
    options.add_argument("--task", help="default: chat or encyclopedia texts when they are there, else facts")
    options.add_argument("--items", type=int, help="labelled items, a multiple of 32 (default: 96)")
    options.add_argument("--test", type=int, help="items scored (default: 200)")
    options.add_argument("--texts", type=int, help="texts whose features are computed (default: 400)")
    options.add_argument("--epochs", type=int, default=1)
    options.add_argument("--lr", type=float, default=3e-5, help="of the loops that train all weights")
    asked = asked_of(options, WORKERS)
    plan = {
        "model": asked.model,
        "task": asked.task or mixed_length(),
        "items": asked.items or (32 if asked.quick else 96),
        "test": asked.test or (40 if asked.quick else 200),
        "texts": asked.texts or (100 if asked.quick else 400),
        "epochs": asked.epochs,
        "lr": asked.lr,
        "seed": asked.seed,
        "tokens": 1024,
        "batch": 8 if asked.quick else 32,
        "weak": asked.weak,
        "probe_task": asked.probe_task or ("facts,cities=120" if asked.quick else "facts"),
    }
    print(f"texts: {plan['task']}")
    figures = {name: part(plan) for name, part in PARTS.items() if asked.part in (name, "all")}
    write(asked.json, {"plan": plan, "figures": figures})


def mixed_length() -> str:
    """Return a task whose texts differ much in length."""
    for path in MIXED_LENGTH:
        if Path(path).is_file():
            return f"file:{path}"
    return "facts"


if __name__ == "__main__":
    main()
