"""Our preference path beside TRL's DPOTrainer and RewardTrainer: same model, pairs, batches, dtype and adapter.

    python benchmarks/preference.py --pairs 64
    python benchmarks/preference.py --part reward --json figures.json

TRL runs twice: as its defaults have it (gradient checkpointing, the reference computed in every step), and with the
settings that make it fastest here (neither). Both sides see the same pairs in the same batches of 8, so that their
losses can be laid on each other; ours cuts a batch into pieces of like length. Tokens are counted alike for all: the
prompt and the response of each side, without padding. The time of ours includes asking the reference once; TRL's
with a cached reference leaves that out, as it is done before its training begins.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _measure import Meter, Plan, Row, Workers, asked_of, ratio, run, show, spent, worker_options, write

from superalign.batching import epoch_batches
from superalign.fits.lora import Lora
from superalign.label import Labels
from superalign.learner import Learner
from superalign.model import models
from superalign.network import Reading
from superalign.objective import objectives
from superalign.policy import Answers
from superalign.reference import reference
from superalign.store import Store
from superalign.task import Comparison, Task, tasks

PAIRS = "../shared/data/hh_harmless_single_turn/train_gt.jsonl"
BATCH, LR, BETA, LIMIT = 8, 1e-4, 0.1, 512


def load(plan: Plan) -> tuple[Task, np.ndarray]:
    """Return the first pairs that fit the limit, the preferred response and, ours and theirs, their order."""
    task, truth = tasks.build(plan["task"]).load()
    chosen = np.random.default_rng(plan["seed"]).permutation(len(task.items))[: plan["pairs"]]
    items = tuple(task.items[i] for i in chosen)
    return Task(task.name, task.version, items, task.classes), truth[chosen]


def fit_of(plan: Plan, read: str) -> Lora:
    """Return our settings; TRL's are the same."""
    return Lora(lr=LR, epochs=1, batch=BATCH, schedule="constant", warmup=0, read=read, beta=BETA)


def ours(plan: Plan, read: str) -> Row:
    """Train with superalign's loop."""
    task, truth = load(plan)
    rows = np.arange(len(truth))
    fit = fit_of(plan, read)
    model = models.build(f"{plan['model']},max_tokens={LIMIT}")
    naive = objectives.build("naive")
    network: Any = fit.policy(model, naive) if read == "policy" else fit.network(model, 1)
    with Meter() as meter, tempfile.TemporaryDirectory() as folder:
        reading: Any
        if read == "policy":
            reading = Answers.of(task, rows, network.voice)
            known = reference(network, reading, model, Store(Path(folder)), fit.microbatch_tokens, lambda **_: None)
            reading = Answers(reading.prompts, reading.responses, reading.truncated, known)
        else:
            reading = Reading.of(task, rows, network.backbone)
        learner = Noting(network, naive, fit, lambda **_: None)
        learner.train(reading, Labels.hard(truth, 2, "truth"), plan["seed"])
    return row(meter, counted(task, model), learner.losses)


class Noting(Learner):
    """Notes the loss of every step."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.losses: list[float] = []

    def _gradient(self, *given: Any) -> Any:
        loss = super()._gradient(*given)
        self.losses.append(float(loss))
        return loss


def order(plan: Plan, read: str) -> list[int]:
    """Return the pairs in the order in which our loop batches them."""
    task, truth = load(plan)
    model = models.build(f"{plan['model']},max_tokens={LIMIT}")
    backbone = model.backbone("fp32")
    rows = np.arange(len(truth))
    reading: Any = Reading.of(task, rows, backbone)
    if read == "policy":
        assert backbone.voice is not None
        reading = Answers.of(task, rows, backbone.voice())
    epoch = 0  # the only one
    batches = epoch_batches(reading.lengths, BATCH, np.random.default_rng([plan["seed"], epoch]))
    return [int(i) for batch in batches for i in batch]


def trl(plan: Plan, read: str, fast: bool) -> Row:
    """Train with TRL on the same pairs in the same batches."""
    from datasets import Dataset
    from peft import LoraConfig

    task, truth = load(plan)
    model = models.build(f"{plan['model']},max_tokens={LIMIT}")
    rows = []
    for index in order(plan, read):
        item, better = task.items[index], int(truth[index])
        assert isinstance(item, Comparison)
        sides = [[{"role": "assistant", "content": text}] for text in item.responses]
        rows.append(
            {
                "prompt": [{"role": "user", "content": item.prompt}],
                "chosen": sides[better],
                "rejected": sides[1 - better],
            }
        )
    lora = LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules="all-linear")
    with tempfile.TemporaryDirectory() as folder:
        common: dict[str, Any] = {
            "output_dir": folder,
            "per_device_train_batch_size": BATCH,
            "learning_rate": LR,
            "lr_scheduler_type": "constant",
            "num_train_epochs": 1,
            "max_length": LIMIT,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "use_cpu": True,
            "bf16": model.precision() == "bf16",
            "weight_decay": 0.0,
            "seed": plan["seed"],
            "train_sampling_strategy": "sequential",
            "dataloader_pin_memory": False,
            "disable_tqdm": True,
        }
        if fast:
            common["gradient_checkpointing"] = False
        trainer = (dpo_trainer if read == "policy" else reward_trainer)(
            plan, common, Dataset.from_list(rows), lora, fast
        )
        with Meter() as meter:
            trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return row(meter, counted(task, model), losses)


def folder_of(plan: Plan) -> str:
    """Return the folder of the model that both load."""
    return str(models.build(plan["model"])._model()._folder())


def dpo_trainer(plan: Plan, common: dict[str, Any], rows: Any, lora: Any, fast: bool) -> Any:
    """Return TRL's DPOTrainer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    dtype = torch.bfloat16 if common["bf16"] else torch.float32
    network = AutoModelForCausalLM.from_pretrained(folder_of(plan), dtype=dtype)
    config = DPOConfig(**common, beta=BETA, precompute_ref_log_probs=fast)
    tokenizer = AutoTokenizer.from_pretrained(folder_of(plan))
    return DPOTrainer(model=network, args=config, train_dataset=rows, processing_class=tokenizer, peft_config=lora)


def reward_trainer(plan: Plan, common: dict[str, Any], rows: Any, lora: Any, fast: bool) -> Any:
    """Return TRL's RewardTrainer, its head at zero as ours."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from trl import RewardConfig, RewardTrainer

    dtype = torch.bfloat16 if common["bf16"] else torch.float32
    network = AutoModelForSequenceClassification.from_pretrained(folder_of(plan), num_labels=1, dtype=dtype)
    torch.nn.init.zeros_(network.score.weight)
    tokenizer = AutoTokenizer.from_pretrained(folder_of(plan))
    network.config.pad_token_id = tokenizer.pad_token_id
    lora.task_type, lora.modules_to_save = "SEQ_CLS", ["score"]
    return RewardTrainer(
        model=network, args=RewardConfig(**common), train_dataset=rows, processing_class=tokenizer, peft_config=lora
    )


def counted(task: Task, model: Any) -> int:
    """Count the tokens of both sides of every pair, prompts twice."""
    ids, _ = model.backbone("fp32").tokenize(task.texts())
    return sum(map(len, ids))


def row(meter: Meter, tokens: int, losses: list[float]) -> Row:
    """Return one column of the table."""
    seen = {"first loss": losses[0], "last loss": float(np.mean(losses[-4:])), "losses": losses}
    return spent(meter, tokens) | seen


WORKERS: Workers = {
    "dpo: TRL": lambda plan: trl(plan, "policy", fast=False),
    "dpo: TRL, fastest": lambda plan: trl(plan, "policy", fast=True),
    "dpo: ours": lambda plan: ours(plan, "policy"),
    "reward: TRL": lambda plan: trl(plan, "head", fast=False),
    "reward: TRL, fastest": lambda plan: trl(plan, "head", fast=True),
    "reward: ours": lambda plan: ours(plan, "head"),
}


def compare(part: str, plan: Plan) -> dict[str, Any]:
    """Run TRL twice and ours, and print them side by side."""
    names = [name for name in WORKERS if name.startswith(part)]
    rows = run(names, plan)
    curves = {name: found.pop("losses") for name, found in rows.items()}
    mine = rows[names[-1]]
    for name in names[:-1]:
        rows[f"ours / {name.partition(': ')[2]}"] = ratio(mine, rows[name])
    show(f"{part}: {plan['pairs']} pairs, batches of {BATCH}, LoRA of {plan['model']}", rows)
    apart = {name: float(np.abs(np.array(curves[names[-1]]) - curves[name]).max()) for name in names[:-1]}
    print("largest difference of a step's loss:", {name: round(value, 5) for name, value in apart.items()})
    return {"rows": rows, "curves": curves, "loss apart": apart}


def main() -> None:
    """Run the parts asked for."""
    options = worker_options(__doc__, WORKERS)
    options.add_argument("--part", choices=["dpo", "reward", "all"], default="all")
    options.add_argument("--task", default=f"file:{PAIRS}")
    options.add_argument("--pairs", type=int, default=64, help="a multiple of the batch")
    asked = asked_of(options, WORKERS)
    plan = {"model": asked.model, "task": asked.task, "pairs": asked.pairs, "seed": asked.seed}
    figures = {part: compare(part, plan) for part in ("dpo", "reward") if asked.part in (part, "all")}
    write(asked.json, {"plan": plan, "figures": figures})


if __name__ == "__main__":
    main()
