"""Gain and harm of revisions: what becomes of wrong and of right responses, with a critique and without."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from superalign import agreement
from superalign.agreement import figure
from superalign.critic_result import Refinement
from superalign.metric import Bootstrap
from superalign.refinement import AnswerOracle
from superalign.result import Interval
from superalign.scoring import interval
from superalign.store import Artifact
from superalign.task import Task

UNAIDED = "no critique"
Values = list[npt.NDArray[Any]]


def refinements(
    task: Task, oracle: AnswerOracle, unaided: Artifact, aided: Sequence[tuple[str, list[Artifact]]]
) -> list[Refinement]:
    """Return what came of revisions without a critique, then with those of each critic.

    Args:
        task: its items.
        oracle: says which responses are right.
        unaided: of the step `write_anew`, without a critic.
        aided: names of critics, and of each what was written by its critiques, a seed.
    """
    revised = unaided.meta["revisions"]
    before = [oracle.right(row, which) for row, which, *_ in revised]
    exact = np.array([place for place, right in enumerate(before) if right is not None], dtype=np.int64)
    if not len(exact):
        return []
    was = np.array([before[place] for place in exact], dtype=bool)
    groups = np.array(task.groups())[[revised[place][0] for place in exact]]
    bootstrap = Bootstrap(groups, max(len(artifacts) for _, artifacts in aided))
    alone = _after(oracle, unaided, exact)

    def mean(values: Values, among: Values) -> Interval | None:
        pairs = zip(values, among, strict=True)  # what is unknown counts as 0, and is not among those that count
        found = figure(bootstrap, [partial(agreement.share, np.nan_to_num(x), among=a) for x, a in pairs])
        return interval(found) if found else None

    made = []
    for name, artifacts in [(UNAIDED, [unaided]), *aided]:
        after = [_after(oracle, one, exact) for one in artifacts]
        known = [~np.isnan(one) for one in after]
        both = [one & ~np.isnan(alone) for one in known]
        gain = mean(after, [one & ~was for one in known])
        harm = mean([1 - one for one in after], [one & was for one in known])
        made.append(
            Refinement(
                critic=name,
                gain=gain,
                harm=harm,
                net=mean([one - was for one in after], known),
                beyond=None if name == UNAIDED else mean([one - alone for one in after], both),
                n_wrong=int((~was).sum()),
                n_right=int(was.sum()),
                inexact=len(revised) - len(exact),
                errors=sum(bool(error) for one in artifacts for *_, error in one.meta["revisions"]),
            )
        )
    return made


def _after(oracle: AnswerOracle, written: Artifact, exact: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return 1 where a revision is right, 0 where it is not, NaN where the model met an error."""
    revisions = [written.meta["revisions"][place] for place in exact]
    return np.array(
        [np.nan if error else float(bool(oracle.right(row, which, text))) for row, which, text, error in revisions]
    )
