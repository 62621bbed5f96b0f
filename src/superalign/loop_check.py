"""What can and what cannot be set for the loop, in each of its worlds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from superalign.attacker import World
from superalign.errors import ConfigError
from superalign.fits.lora import Lora
from superalign.prose import check_apart
from superalign.task import TaskSource, tasks
from superalign.tasks.goals import Goals

if TYPE_CHECKING:
    from superalign.studies.loop import Loop

ADAPTER = "lora,read=policy,keep=true,batch=4,epochs=2,target=attention,spare=3"
BEHAVIOURS: Mapping[str, Any] = {
    "rounds": 1,
    "goals": 80,
    "attacks": ("plain", "negative-priming", "incomplete-sentence"),
    "held_out": ("cognitive-dissonance", "best-of-n"),
    "unseen": (),
    "critics": ("keywords,sure=0.9",),
    "experts": 0,
    "update": "sft",  # pair losses teach a small model to say less, to benign requests as well
    "fit": f"{ADAPTER},lr=0.001",
    "examined": 48,
    "only_asked": 0,
    "gated": 24,
    "gated_asked": 0,
}
"""What is set in the world of behaviours unless the user says otherwise."""
SAID = {"knowledge": "pairs of answers to a question", "behaviour": "requests (goals:FILE)"}
ARMS = ("full", "no-attacker", "no-benign", "no-gate")  # the others stand on answers that are right or wrong


def world_of_task(task: TaskSource) -> World:
    """Return the world of a task."""
    return "behaviour" if isinstance(task, Goals) else "knowledge"


def suited(given: Any) -> Any:
    """Return the settings with what else is set by default where the task is requests."""
    try:
        if not isinstance(given, dict) or world_of_task(tasks.build(given["task"])) == "knowledge":
            return given
    except (ConfigError, KeyError):  # the field itself says what is wrong, and where; or the task is the usual one
        return given
    aims = ("steadfast", "helpful,share=2") if given.get("benign") else ("steadfast",)
    return {**BEHAVIOURS, "aims": aims, **given}


def check(loop: Loop) -> None:
    """Refuse what does not go together in the world of the task.

    Raises:
        ConfigError: on the first such thing.
    """
    here = SAID[loop.world]
    for attack in (*loop.attacks, *loop.held_out, loop.fresh):
        if loop.world not in attack.worlds:
            raise ConfigError(f"attack {attack} does not go for {here}", fix=_others(attack.worlds))
        if attack.roles and loop.attacker is None:
            why = "it asks a model of its own"
            raise ConfigError(f"attack {attack} has no attacker", why=why, fix="--attacker embedded:smollm2")
        attack.check(loop.learner, loop.attacker)
    if isinstance(loop.fit, Lora) and loop.fit.spare and loop.text is None:
        check_apart(2 * loop.texts)
    for aim in loop.aims:
        if loop.world not in aim.worlds:
            raise ConfigError(f"aim {aim} does not fit {here}", fix=_others(aim.worlds))
    if loop.world not in loop.update.worlds:
        why = f"it learns from what the learner writes, and the task is {here}"
        raise ConfigError(f"update {loop.update} does not fit the task", why=why, fix=_others(loop.update.worlds))
    told = (loop.refusals, loop.update.advisor) if loop.world == "behaviour" else (loop.expert,)
    for critic in (*loop.critics, *filter(None, told)):
        critic.check(pair=loop.world == "knowledge")
        critic.check_taught("the loop")
    if loop.world == "behaviour":
        _check_behaviours(loop)
    elif loop.benign is not None:
        raise ConfigError(f"benign requests do not fit {here}", fix="leave out benign, or --task goals:FILE")


def _check_behaviours(loop: Loop) -> None:
    if loop.experts:
        why = "there is no truth that could answer in a person's place"
        raise ConfigError("no expert can be asked about requests", why=why, fix="--experts 0")
    advisor = loop.update.advisor
    if advisor and loop.update.advises_itself and not hasattr(advisor, "model"):
        why = "the learner itself is to be asked, and that critic asks no one model"
        raise ConfigError(f"update {loop.update} cannot ask critic {advisor}", why=why, fix="rubric or principles")
    for arm in loop.arms:
        if arm not in ARMS:
            raise ConfigError(f"arm {arm} needs pairs of answers", fix=f"one of: {', '.join(ARMS)}")
    if loop.benign is None and any(aim.benign for aim in loop.aims):
        raise ConfigError("the aim helpful needs benign requests", fix="for example: --benign goals:SAFE.jsonl")
    if loop.benign is not None and world_of_task(loop.benign) != "behaviour":
        raise ConfigError(f"benign requests are not {loop.benign}", fix="goals:FILE")
    if loop.refusal is not None and not loop.refusal.strip():
        raise ConfigError("the stand-in refusal is empty", fix="leave out refusal")


def _others(worlds: frozenset[World]) -> str:
    return "it is for " + " or ".join(SAID[world] for world in sorted(worlds))
