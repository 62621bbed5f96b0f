"""What a policy said before it learnt: computed once a model and text, and kept."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from superalign.config import digest
from superalign.fit import Report
from superalign.model import Model
from superalign.policy import Answers, Policy
from superalign.store import Artifact, Store

FloatArray = npt.NDArray[np.float32]
SHARD = 256  # items written at once: what a kill can cost


def reference(policy: Policy, answers: Answers, model: Model, store: Store, budget: int, report: Report) -> FloatArray:
    """Return log pi(response | prompt) of every response, float32 [n, s], of a policy that has not learnt yet.

    Items are ordered by content and cut into shards, so that the same items give the same batches, hence the same
    numbers, whatever the store already holds.

    Args:
        policy: as it was loaded.
        answers: the items.
        model: whose fingerprint names the policy.
        store: where the shards are kept, in a folder of their own.
        budget: tokens computed at once.
        report: told of the progress.
    """
    import torch

    dtype = str(next(policy.backbone.module.parameters()).dtype)
    bank = Store(store.root / "references" / digest([model.fingerprint(), policy.precision, dtype])[:32])
    bank.sweep()
    names = [digest([list(p), [list(r) for r in rs]]) for p, rs in zip(answers.prompts, answers.responses, strict=True)]
    order = np.argsort(names)
    out = np.empty((len(names), answers.sides), dtype=np.float32)
    tokens = 0
    for start in range(0, len(order), SHARD):
        rows = order[start : start + SHARD]
        key = digest([names[row] for row in rows])
        kept = bank.load(key) if bank.has(key) else None
        if kept is not None:
            out[rows] = kept.tensors["logprob"]
            continue
        with torch.inference_mode():
            for piece in policy.cut(answers, rows, budget):
                out[piece] = policy.logprobs(answers, piece).cpu().numpy()
                tokens += int(answers.sizes[piece].sum())
                report(done=start + len(rows), total=len(order), tokens=tokens)
        bank.save(key, Artifact({"logprob": out[rows]}))
    for notice in bank.notices:
        report(note=notice)
    return out
