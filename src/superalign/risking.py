"""The step that looks for emergent risks among the failures of a loop's rounds."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from superalign.attacker import Goal, World, apart
from superalign.attacking import Params
from superalign.bank import look
from superalign.job import Inputs, Job, Tools, step
from superalign.loop_world import goal_of
from superalign.model import Model, models
from superalign.risk import LINK, Failure, described, find
from superalign.store import Artifact
from superalign.task import Comparison, Task, Text
from superalign.taxonomy import UNTAGGED, tags_of

MASK = "it"
RUN = 3  # words in a row that a text shares with its goal are the goal's own
WORD = re.compile(r"\w[\w'’-]*")


@step(version=1)
def find_risks(params: Params, inputs: Inputs, tools: Tools) -> Artifact:
    """Cluster what broke the learner, and name clusters that are new or that grow from round to round.

    A failure is read as what the attacker wrote, without its goal's own words, because else clusters are of cities and
    not of tactics.
    Parameters: `model`, `fingerprint`, `world`, `link`, `rounds` (of each input with attempts its seed and its round
    from 0). Inputs: `items`, and artifacts of `expose` under those names.

    Returns:
        meta: `risks` (see `risk.described`; sizes and shares for every round), `totals` (broken goals by round),
        `clusters`, `far` (the distance that counts as far), `failures`, `texts` (different ones), `truncated` (texts
        that the model did not read to their end), `untagged` (failures by a tactic that the taxonomy does not know).
    """
    spoken = _spoken(Task.from_meta(inputs["items"].meta))
    failures = [
        one
        for name, (seed, number) in sorted(params["rounds"].items())
        for one in _failures(inputs[name].meta, seed, number, params["world"], spoken)
    ]
    rounds = sorted({number for _, number in params["rounds"].values()})
    counts: dict[str, Any] = {"failures": len(failures), "texts": len({one.text for one in failures})}
    counts["untagged"] = sum(UNTAGGED in one.tags for one in failures)
    if not failures:
        nothing = {"risks": [], "totals": [0] * len(rounds), "clusters": 0, "far": params["link"], "truncated": 0}
        return Artifact(meta=counts | nothing)
    model = models.build(params["model"])
    layer = model.chosen_layer()
    looked = look(model, [Text(one.text) for one in failures], [layer], tools.store, tools.report)
    found = find(failures, looked.layers[layer], link=params["link"])
    places = [found.rounds.index(one) if one in found.rounds else None for one in rounds]
    risks = described(found, failures)
    for one in risks:
        one["sizes"] = [0 if place is None else one["sizes"][place] for place in places]
        one["shares"] = [None if place is None else one["shares"][place] for place in places]
    totals = [0 if place is None else found.totals[place] for place in places]
    whole = {"risks": risks, "totals": totals, "clusters": found.clusters, "far": found.far}
    return Artifact(meta=counts | whole | {"truncated": looked.truncated})


def risks_of(model: Model | None, items: Job, exposed: Mapping[tuple[int, int], Job], world: World) -> Job | None:
    """Return the job that looks for risks, by the attempts of each seed and round; None without a model."""
    if model is None or not exposed:
        return None
    named = {f"exposed{seed}_{number}": (seed, number) for seed, number in exposed}
    rounds = {name: list(when) for name, when in named.items()}
    params = {**model.identity(), "world": world, "link": LINK, "rounds": rounds}
    inputs = {"items": items, **{name: exposed[when] for name, when in named.items()}}
    return Job(find_risks, params, inputs, "emergent risks")


def masked(text: str, goal: Goal, spoken: Collection[str] = ()) -> str:
    """Return what an attacker wrote with its goal's own words masked.

    Masked are the goal's question, claim and denied answer, also where only three or more words in a row are left of
    them; its names, which are its words with capitals or digits, but for those that only begin a sentence; and a whole
    text that is word for word of some item, such as a turn that shows another goal.

    Args:
        text: of one turn.
        goal: whose words are masked.
        spoken: questions and answers of all items.
    """
    if text in spoken:
        return MASK
    own = [whole for whole in (goal.prompt, goal.claim, goal.denied) if whole.strip(" .?!")]
    for whole in sorted(own, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(whole.strip(' .?!'))}(?!\w)", MASK, text, flags=re.IGNORECASE)
    found = list(WORD.finditer(text))
    words = [one.group().lower() for one in found]
    runs = {run for whole in own for run in _runs(whole.lower())}
    names = _names(goal)
    hit = [word in names for word in words]
    for start in range(len(words) - RUN + 1):
        if tuple(words[start : start + RUN]) in runs:
            hit[start : start + RUN] = [True] * RUN
    out, end = "", 0
    for place, one in enumerate(found):
        if hit[place]:
            out += "" if place and hit[place - 1] else text[end : one.start()] + MASK
            end = one.end()
    return " ".join((out + text[end:]).split())


def _failures(
    meta: Mapping[str, Any], seed: int, number: int, world: World, spoken: Collection[str]
) -> Iterator[Failure]:
    goals = {goal.id: goal for goal in map(goal_of, meta["goals"])}
    for row in meta["attempts"]:
        if row["outcome"] == "broken":
            said = [content for _, content in row["messages"]]
            text = "\n".join(masked(one, goals[row["goal"]], spoken) for one in said)
            tags = tags_of(row["tactic"], world)
            yield Failure(text, number, row["goal"], seed, row["tactic"], tags, "\n".join(said))


def _spoken(task: Task) -> frozenset[str]:
    """Return the questions and answers of all items."""
    pairs = [item for item in task.items if isinstance(item, Comparison)]
    return frozenset(text for item in pairs for text in (item.prompt, *item.responses))


def _names(goal: Goal) -> set[str]:
    """Return the words of a goal that have capitals or digits, in lower case; of those that begin, only answers."""
    inner = [word for one in (goal.prompt, goal.claim, goal.denied) for word in WORD.findall(one)[1:]]
    answers = [word for one in apart(goal.claim, goal.denied) for word in WORD.findall(one)] if goal.denied else []
    return {word.lower() for word in (*inner, *answers) if word != "I" and (word[0].isupper() or word[0].isdigit())}


def _runs(text: str) -> list[tuple[str, ...]]:
    words = WORD.findall(text)
    return [tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)]
