"""Our fine-tuning beside the Hugging Face Trainer on text of mixed length: same model, items, batches and adapter.

    python benchmarks/finetune.py --items 64
    python benchmarks/finetune.py --fit full --json figures.json

The Trainer runs twice: as its defaults have it (random batches, padded to their longest), and grouping by length. All
start from a zero head, take batches of 16, one epoch, a constant rate and the same precision, and are scored on the
same items. Speeds count real tokens.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
from _finetuning import pointwise
from _measure import Meter, Plan, Row, Workers, asked_of, ratio, run, show, spent, worker_options, write

from superalign.fits.full import Full
from superalign.fits.lora import Lora
from superalign.label import Labels
from superalign.learner import Learner
from superalign.model import models
from superalign.network import Reading
from superalign.objective import objectives

MIXED = "../shared/data/boolq/dev.jsonl"
BATCH = 16
RATES = {"lora": 3e-4, "full": 3e-5}


def ours(plan: Plan) -> Row:
    """Train and score with superalign's loop."""
    task, truth = pointwise(plan["task"], plan["items"] + plan["test"], plan["seed"])
    kind = {"lora": Lora, "full": Full}[plan["fit"]]
    fit = kind(lr=RATES[plan["fit"]], epochs=1, batch=BATCH, schedule="constant", warmup=0)
    network = fit.network(models.build(plan["model"]), len(task.classes))
    taught, asked = np.arange(plan["items"]), np.arange(plan["items"], len(truth))
    labels = Labels.hard(truth[taught], len(task.classes), "truth")
    with Meter() as meter:
        reading = Reading.of(task, taught, network.backbone)
        facts = Learner(network, objectives.build("naive"), fit, lambda **_: None).train(reading, labels, plan["seed"])
    probs = network.probs(Reading.of(task, asked, network.backbone), np.arange(len(asked)), fit.microbatch_tokens)
    return spent(meter, facts["tokens"]) | {"accuracy": float((probs.argmax(1) == truth[asked]).mean())}


def trainer(plan: Plan, grouped: bool) -> Row:
    """Train and score with the Hugging Face Trainer."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    task, truth = pointwise(plan["task"], plan["items"] + plan["test"], plan["seed"])
    model: Any = models.build(plan["model"])
    folder, n = str(model._model()._folder()), plan["items"]
    bf16 = model.precision() == "bf16"
    dtype = torch.bfloat16 if bf16 and plan["fit"] == "lora" else torch.float32
    network = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(task.classes), dtype=dtype)
    torch.nn.init.zeros_(network.score.weight)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network.config.pad_token_id = tokenizer.pad_token_id
    if plan["fit"] == "lora":
        lora = LoraConfig(
            r=8, lora_alpha=16, lora_dropout=0.0, target_modules="all-linear", task_type="SEQ_CLS",
            modules_to_save=["score"],
        )  # fmt: skip
        network = get_peft_model(network, lora)
    with tempfile.TemporaryDirectory() as out, Meter() as meter:
        ids, _ = model.backbone("fp32").tokenize(task.texts())
        rows = [{"input_ids": list(one), "labels": int(label)} for one, label in zip(ids, truth, strict=True)]
        settings = TrainingArguments(
            output_dir=out,
            per_device_train_batch_size=BATCH,
            learning_rate=RATES[plan["fit"]],
            lr_scheduler_type="constant",
            num_train_epochs=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=bf16,
            seed=plan["seed"],
            train_sampling_strategy="group_by_length" if grouped else "random",
            dataloader_pin_memory=False,
            disable_tqdm=True,
        )
        collate = DataCollatorWithPadding(tokenizer)
        trained = Trainer(network, settings, train_dataset=Dataset.from_list(rows[:n]), data_collator=collate)
        trained.train()
    guesses = trained.predict(Dataset.from_list(rows[n:])).predictions.argmax(1)
    return spent(meter, sum(map(len, ids[:n]))) | {"accuracy": float((guesses == truth[n:]).mean())}


WORKERS: Workers = {
    "Trainer": lambda plan: trainer(plan, grouped=False),
    "Trainer, by length": lambda plan: trainer(plan, grouped=True),
    "ours": ours,
}


def main() -> None:
    """Run the three and print them side by side."""
    options = worker_options(__doc__, WORKERS)
    options.add_argument("--fit", choices=[*RATES], default="lora")
    options.add_argument("--task", default=f"file:{MIXED}")
    options.add_argument("--items", type=int, default=64)
    options.add_argument("--test", type=int, default=100)
    asked = asked_of(options, WORKERS)
    plan = {name: getattr(asked, name) for name in ("fit", "model", "task", "items", "test", "seed")}
    rows = run(WORKERS, plan)
    for name in ("Trainer", "Trainer, by length"):
        rows[f"ours / {name}"] = ratio(rows["ours"], rows[name])
    show(f"{asked.fit} of {asked.model}, {asked.items} items", rows)
    write(asked.json, {"plan": plan, "figures": rows})


if __name__ == "__main__":
    main()
