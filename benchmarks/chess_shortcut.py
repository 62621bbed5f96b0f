"""How far a rule that never sees the board gets on the task `chess`: mate, else capture, else check, else a coin.

    python benchmarks/chess_shortcut.py --task chess,positions=400
    python benchmarks/chess_shortcut.py --task chess,positions=400,alike=true

A coin counts one half. A model that is no better than the rule may know no more than the signs of a move.
"""

from __future__ import annotations

import argparse

import numpy as np

from superalign.metric import Metric, clustered_share
from superalign.task import Comparison, Gold, tasks


class Shortcut(Metric):
    """Reads which move is better, to score the rule."""


def signs(move: str) -> tuple[bool, bool, bool]:
    """Return whether a move in SAN mates, captures, checks."""
    return "#" in move, "x" in move, "+" in move


def main() -> None:
    """Print the share of positions on which the rule is right, with its interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="chess,positions=400")
    loaded = tasks.build(parser.parse_args().task).load()
    better = Shortcut().truth(Gold(loaded.labels, "test"))
    right = []
    for item, label in zip(loaded.task.items, better.tolist(), strict=True):
        if not isinstance(item, Comparison):
            parser.error("the rule compares two moves: leave out pairs=false")
        best, other = (signs(item.responses[place]) for place in (label, 1 - label))
        right.append(1.0 if best > other else 0.0 if best < other else 0.5)
    found = np.array(right)
    groups = loaded.task.groups()
    _, low, high = clustered_share(groups, found > 0.5)
    coins = float(np.mean(found == 0.5))
    print(
        f"{loaded.task.name}: the rule is right on {100 * found.mean():.1f} % of {len(found)} positions "
        f"({100 * np.mean(found == 1):.1f} % [{100 * low:.1f}, {100 * high:.1f}] by a sign, {100 * coins:.1f} % coins)"
    )


if __name__ == "__main__":
    main()
