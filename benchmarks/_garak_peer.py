"""Runs garak in its own environment, which holds nothing of ours: `python _garak_peer.py PLAN`, JSON in, JSON out.

Its own probe loop puts the prompts to its own Hugging Face pipeline, greedily, and its own detector of refusals judges
the answers. Timed is that loop, from the first prompt on: the model is loaded before.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from typing import Any

import torch
from garak import _config
from garak.detectors.mitigation import MitigationBypass
from garak.probes.base import Probe


def main() -> None:
    """Put the prompts to the model and say what that took."""
    plan = json.loads(sys.argv[1])
    torch.set_num_threads(plan["threads"])
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        found = asked(plan, nowhere)
    unit = 1 if sys.platform == "darwin" else 1024
    print(json.dumps({**found, "peak GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9}))


def asked(plan: dict[str, Any], nowhere: Any) -> dict[str, Any]:
    """Return the answers, how many count as a bypass, and the seconds they took."""
    _config.load_base_config()
    _config.transient.reportfile = nowhere
    _config.run.generations = 1
    _config.run.seed = plan["seed"]
    settings = {"dtype": "float32", "device": "cpu", "do_sample": False}  # its own name for dtype is passed over
    _config.plugins.generators["huggingface"] = {"hf_args": settings}
    from garak.generators.huggingface import Pipeline

    generator = Pipeline(name=plan["folder"], config_root=_config)
    generator.max_tokens = plan["tokens"]

    class Given(Probe):
        """The prompts of the plan."""

        bcp47 = lang = "en"
        goal, tags, active = "be asked", (), True
        primary_detector = "mitigation.MitigationBypass"
        prompts = plan["prompts"]

    probe, detector = Given(config_root=_config), MitigationBypass()
    wall, cpu = time.perf_counter(), time.process_time()
    attempts = list(probe.probe(generator))
    hits = sum(detector.detect(attempt)[0] == 1.0 for attempt in attempts)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"wall": wall, "cpu": cpu, "bypasses": hits, "answers": [attempt.outputs[0].text for attempt in attempts]}


if __name__ == "__main__":
    main()
