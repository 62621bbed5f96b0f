"""The gate between rounds: what a learner is worth without the truth, what it lost, and a part of what it learnt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from superalign.odds import sigmoid
from superalign.store import Array

HEAVIEST = 10.0  # an aim weighs at most so many times what it did


def standing(meta: Mapping[str, Any]) -> dict[str, float | None]:
    """Return what a learner is worth by what `measure` saw, without the truth.

    `plain`: share of its first plain answers that it still gives, each counted by how sure it was of it (tanh of the
    log-odds, |2p - 1| of a critic that takes twice those); `open`: share of the texts that it follows, each counted by
    how unsure it was (2 - 2p, of the likelier answer): what it knows it need not give up; of each other aim the share
    of probes answered as wanted; `text`: log p of general text a token; `steadfast`: share of decided attempts that it
    held.
    """
    both = [(old, meta["said"].get(name)) for name, old in meta["first"].items() if old]
    kept = [(math.tanh(abs(old[1] - old[0])), (old[1] > old[0]) == (new[1] > new[0])) for old, new in both if new]
    doubts = {name: 2 * sigmoid(-abs(old[1] - old[0])) for name, old in meta["first"].items() if old}
    texts = [(doubts[name], odds > 0) for name, odds in meta["probes"].get("open", ()) if name in doubts]
    decided = [row["outcome"] == "held" for row in meta["attempts"] if row["outcome"] in ("held", "broken")]
    found = {name: _mean([odds > 0 for _, odds in rows]) for name, rows in meta["probes"].items() if rows}
    logprob, tokens = meta["text"]
    if "open" in found:
        found["open"] = _weighed(texts)
    return {
        **found,
        "plain": _weighed(kept),
        "steadfast": _mean(decided),
        "text": logprob / tokens if tokens else None,
    }


def lost(
    start: Mapping[str, float | None], now: Mapping[str, float | None], limits: Mapping[str, float]
) -> Iterator[str]:
    """Say of each measure that fell by more than its limit how far it fell."""
    for name, limit in limits.items():
        old, new = start.get(name), now.get(name)
        if old is None:
            continue
        most = limit * abs(old) if name == "text" else limit
        if new is None or old - new > most:
            fell = "is not known" if new is None else f"fell from {old:.3f} to {new:.3f}"
            yield f"{name} {fell}; at most {most:.3f} may be lost"


def part_way(before: Mapping[str, Array], after: Mapping[str, Array], part: float) -> dict[str, Array]:
    """Return an adapter a part of the way from one to another; from none, its update scaled by that part."""
    if part == 1:
        return dict(after)
    if before:
        return {name: (old + part * (after[name] - old)).astype(old.dtype) for name, old in before.items()}
    return {name: (part * one).astype(one.dtype) if ".lora_B." in name else one for name, one in after.items()}


def dual_weights(
    weights: Mapping[str, float],
    start: Mapping[str, float | None],
    now: Mapping[str, float | None],
    limits: Mapping[str, float],
    step: float,
) -> dict[str, float]:
    """Return by how much each aim weighs more in the next round: a step of dual ascent on the limits.

    The loop then seeks a saddle point of the Lagrangian: the first aim is what is wanted, each other one a constraint.
    w <- clip(w + step (lost - limit) / limit, 0, 10), from w = 1; what is not known leaves it as it is. Our reading of
    the Lagrangian of Safe RLHF (Dai et al. 2023, arXiv 2310.12773), with a step a round.
    """
    found = {}
    for name, limit in limits.items():
        weight, old, new = weights.get(name, 1.0), start.get(name), now.get(name)
        if old is not None and new is not None:
            weight += step * (old - new - limit) / max(limit, 0.01)
        found[name] = min(max(weight, 0.0), HEAVIEST)
    return found


def _mean(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None


def _weighed(hits: Sequence[tuple[float, bool]]) -> float | None:
    total = sum(weight for weight, _ in hits)
    return sum(weight for weight, hit in hits if hit) / total if total else None
