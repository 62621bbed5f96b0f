"""Runs nanoGCG in its own environment, which holds nothing of ours: `python _gcg_peer.py PLAN`, JSON in, JSON out.

Three things are mended so that it reads what we read: the base of the rotary positions, which the transformers it is
pinned to looks for under another name; the chat template, which that version looks for in another file; and the token
that begins a text, every occurrence of which it would take out of the conversation.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import time
from pathlib import Path
from typing import Any

import nanogcg
import torch
from nanogcg.gcg import GCG
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast


def load(folder: Path) -> tuple[Any, Any]:
    """Return network and tokenizer of a folder that a later transformers wrote."""
    written = json.loads((folder / "config.json").read_text())
    config = AutoConfig.from_pretrained(folder)
    config.rope_theta = written.get("rope_parameters", written)["rope_theta"]
    model = AutoModelForCausalLM.from_pretrained(folder, config=config, torch_dtype=torch.float32).eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    tokenizer.chat_template = (folder / "chat_template.jinja").read_text()
    return model, tokenizer


class Watched(GCG):
    """Notes when each batch of strings was scored: the first is what it begins with, then one a step."""

    def _compute_candidates_loss_original(self, size: int, embedded: Any) -> Any:
        losses = super()._compute_candidates_loss_original(size, embedded)
        NOTES.append((time.perf_counter(), time.process_time(), losses.tolist()))
        return losses


NOTES: list[tuple[float, float, list[float]]] = []


def main() -> None:
    """Run the steps that are asked for and say what they took."""
    plan = json.loads(sys.argv[1])
    torch.set_num_threads(plan["threads"])
    logging.disable(logging.WARNING)
    model, tokenizer = load(Path(plan["folder"]))
    config = nanogcg.GCGConfig(
        num_steps=plan["steps"],
        optim_str_init=" " + plan["init"],
        search_width=plan["width"],
        topk=plan["topk"],
        batch_size=plan["peer batch"],
        use_prefix_cache=plan["cache"],
        seed=plan["seed"],
    )
    found = Watched(model, tokenizer, config).run(plan["prompt"], plan["target"])
    (wall, cpu, (first,)), (last_wall, last_cpu, _) = NOTES[0], NOTES[-1]
    said = {
        "wall": last_wall - wall,
        "cpu": last_cpu - cpu,
        "scored": sum(len(losses) for _, _, losses in NOTES[1:]),
        "first": first,
        "best": found.best_loss,
        "string": found.best_string,
        "peak GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()
