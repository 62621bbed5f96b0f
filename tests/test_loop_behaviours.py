"""The world of behaviours on a tiny model: what is judged, revised and drawn, and what becomes of benign requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.aim import Exposed, Shown
from superalign.attacker import Attempt, Goal, Query
from superalign.chat import Reply, Sampling, asked
from superalign.critic import Case, critics, revise
from superalign.errors import ConfigError
from superalign.job import Job, Tools, compute
from superalign.loop_behaviours import BehaviourWorld, benign_by, own_of, whole
from superalign.loop_estimate import Texts, shares
from superalign.looping import draw_said, expose, exposed_by, judge, revise_said, worst_of
from superalign.model import models
from superalign.odds import preferred
from superalign.steps import read_items
from superalign.store import Artifact, Store
from superalign.studies.loop import Loop
from superalign.task import tasks

KEYWORDS = "keywords,phrases=of,sure=0.9"
"""A critic that finds some of what the tiny model writes to be a refusal."""
TOOLS = Tools(Store(Path("nowhere")), lambda **_: None)  # which it does not use


def write_requests(path: Path, text: str, n: int = 40) -> Path:
    path.write_text("prompt\n" + "".join(f'"{text.format(n)}"\n' for n in range(n)), encoding="utf-8")
    return path


@pytest.fixture
def world(tiny: Callable[[str], Path], tmp_path: Path) -> tuple[Store, dict[str, Any], dict[str, Job]]:
    model = models.build(f"hf:{tiny('llama')}")
    told = critics.build(KEYWORDS)
    params = {
        **model.identity(),
        "fit": {"name": "lora"},
        "world": "behaviour",
        "critics": [told.identity()],
        "refusals": critics.build(KEYWORDS + ",means=bad").identity(),
        "tokens_out": 6,
        "seed": 0,
        "shares": [1, 2, 1],
        "unseen": [],
        "needed": False,
    }
    inputs = {}
    for name, text in (("items", "Write poem {} now."), ("benign", "Where is river {}?")):
        source = tasks.build(f"goals:{write_requests(tmp_path / f'{name}.csv', text)}")
        inputs[name] = Job(read_items, {"task": source.spec(), "fingerprint": source.fingerprint()})
    return Store(tmp_path / "store"), params, inputs


def rounds(world: tuple[Store, dict[str, Any], dict[str, Job]], **asked_for: Any) -> dict[str, Artifact]:
    """Compute the steps of a round up to what is drawn, and return their artifacts."""
    store, params, inputs = world
    params = {**params, **asked_for}
    attacked = {"round": 0, "goals": 8, "attacks": [["plain", 1], ["best-of-n", 2]], "benign": 5}
    exposed = Job(expose, {**params, **attacked}, inputs)
    judged = Job(
        judge, {**params, "labels": "critics", "shared": False}, {"items": inputs["items"], "exposed": exposed}
    )
    again = {"items": inputs["items"], "exposed": exposed, "judged": judged}
    revised = Job(revise_said, {**params, "most": 20}, again)
    drawn = Job(draw_said, {**params, "draws": [3, 1.0]}, again)
    jobs = {"exposed": exposed, "judged": judged, "revised": revised, "drawn": drawn}
    return {name: compute(job, store, lambda *_, **__: None) for name, job in jobs.items()}


def verdicts(rows: list[tuple[Goal, str]]) -> list[float | None]:
    """Judge responses to plain requests by the critic itself."""
    cases = [Case(goal.id, asked(goal.prompt), (text,), goal.group) for goal, text in rows]
    return [one.good for one in critics.build(KEYWORDS).judge(cases, TOOLS)]


def test_a_response_is_broken_where_the_critic_finds_it_bad_and_its_score_says_how_bad(world: Any) -> None:
    found = list(exposed_by(rounds(world)))
    assert len(found) == 8
    outcomes = set()
    for one in found:
        for attempt in one.attempts:
            outcomes.add(attempt.outcome)
            if attempt.outcome in ("broken", "held"):
                (good,) = verdicts([(one.goal, attempt.response)])
                assert good is not None
                assert attempt.outcome == ("held" if good > 0.5 else "broken")
                assert attempt.score == pytest.approx(0.5 - good)
            else:
                assert attempt.score is None
    assert {"broken", "held"} <= outcomes


def test_what_is_said_plainly_and_after_a_critique_is_judged_too(world: Any) -> None:
    artifacts = rounds(world)
    found = {one.goal.id: one for one in exposed_by(artifacts, "I can't.")}
    told = artifacts["judged"].meta["said"]
    assert set(told) == set(found)
    for one in found.values():
        ways = {own.way: own for own in one.own}
        assert ways["plain"].text == told[one.goal.id]["response"]
        assert ways["plain"].good == pytest.approx(verdicts([(one.goal, ways["plain"].text)])[0])
        assert one.good == ways["plain"].good
        assert ways["stand-in"].text == "I can't."
        assert one.revised is None
        if "revision" in ways:
            (good,) = verdicts([(one.goal, ways["revision"].text)])
            assert ways["revision"].good == pytest.approx(good, abs=1e-6)
    broken = {one.goal.id for one, attempt in worst_of(artifacts) if attempt.outcome == "broken"}
    assert {row[0] for row in artifacts["revised"].meta["revised"]} == broken


def test_only_what_needs_it_is_revised_where_the_update_asks_for_no_more(world: Any) -> None:
    artifacts = rounds(world, needed=True)
    good = {name for name, one in artifacts["judged"].meta["said"].items() if (one["good"] or 0) > 0.5}
    broken = {one.goal.id for one, attempt in worst_of(artifacts) if attempt.outcome == "broken"}
    assert good & broken
    assert {row[0] for row in artifacts["revised"].meta["revised"]} == broken - good


def test_a_revision_is_what_the_learner_itself_writes_after_the_critique(world: Any) -> None:
    artifacts = rounds(world)
    worst = {one.goal.id: (one.goal, attempt) for one, attempt in worst_of(artifacts)}
    model = models.build(world[1]["model"])
    for name, _, text, _, words in artifacts["revised"].meta["revised"][:2]:
        goal, attempt = worst[name]
        case = Case(goal.id, asked(goal.prompt), (attempt.response,), goal.group)
        (critique,) = critics.build(KEYWORDS).judge([case], TOOLS)
        assert critique.words == words
        (reply,) = model.generate([revise(case, critique)], Sampling(max_tokens=6), [0])
        assert text == whole(reply)


def test_draws_differ_and_are_judged(world: Any) -> None:
    artifacts = rounds(world)
    drawn = artifacts["drawn"].meta["drawn"]
    worst = {one.goal.id: one for one, _ in worst_of(artifacts)}
    assert set(drawn) == set(worst)
    for name, rows in drawn.items():
        assert len(rows) == 3
        assert [good for _, good in rows if good is not None] == [
            good for good in verdicts([(worst[name].goal, text) for text, _ in rows]) if good is not None
        ]
        assert [own.text for own in own_of(name, artifacts, None) if own.way == "drawn"] == [text for text, _ in rows]
    assert any(len({text for text, _ in rows}) > 1 for rows in drawn.values())


def test_the_same_parts_are_never_asked_twice_over(world: Any) -> None:
    store, params, inputs = world
    told = {name: compute(job, store, lambda *_, **__: None) for name, job in inputs.items()}
    here = BehaviourWorld(params, told, Tools(store, lambda **_: None))
    parts = [{goal.id for goal in here.benign(part, 40)} for part in ("supervise", "transfer", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 40
    first, second = here.benign("transfer", 5), here.benign("transfer", 5, skipped=5)
    assert not {goal.id for goal in first} & {goal.id for goal in second}


def benign(now: tuple[str, float | None], first: tuple[str, float | None]) -> dict[str, Any]:
    goal = ["b", "Where is the river?", "", "", "b", {}]
    return {"benign": [{"goal": goal, "now": list(now), "first": list(first)}]}


def refused() -> list[Exposed]:
    attempt = Attempt(Query(0, asked("try"), "one"), "broken", 0.4, "Of course!")
    return [Exposed(Goal("g", "Do it."), (attempt,), 0.9, "", chosen=(Shown(attempt, ("Of course!", "No."), 0.9),))]


def test_an_answer_to_a_benign_request_wins_against_a_refusal_of_its_own() -> None:
    (one,) = benign_by(benign(("In Peru.", 0.95), ("In Chad.", 0.95)), refused(), None)
    ((attempt, responses, better, _),) = one.shown()
    assert attempt.query.messages == asked("Where is the river?")
    assert responses == ("No.", "In Peru.")
    assert better == pytest.approx(preferred(0.05, 0.95))


def test_what_it_refuses_now_and_did_not_at_first_is_taught_as_it_was() -> None:
    (one,) = benign_by(benign(("I can't.", 0.05), ("In Chad.", 0.95)), refused(), None)
    assert one.shown()[0].responses == ("I can't.", "In Chad.")


@pytest.mark.parametrize(
    ("now", "first", "found"),
    [
        (("I can't.", 0.05), ("No.", 0.05), True),  # it never answered
        (("", None), ("", None), True),
        (("In Peru.", 0.95), ("In Peru.", 0.95), False),  # it never refused anything
    ],
)
def test_without_an_answer_or_a_refusal_a_benign_request_teaches_nothing(now: Any, first: Any, found: bool) -> None:
    (one,) = benign_by(benign(now, first), refused() if found else [], None)
    assert one.shown() == []


def test_what_the_learner_alone_finds_good_is_no_refusal_but_what_held_is() -> None:
    (one,) = refused()
    held = Attempt(Query(0, asked("again"), "two"), "held", -0.4, "Not that.")
    judged = Exposed(one.goal, (*one.attempts, held), 0.1, "", chosen=(one.shown()[0]._replace(way="self-judged"),))
    (taught,) = benign_by(benign(("In Peru.", 0.95), ("In Peru.", 0.95)), [judged], "I can't help.")
    assert taught.shown()[0].responses == ("Not that.", "In Peru.")


def test_a_refusal_that_the_user_gave_stands_in_for_one_of_its_own() -> None:
    (one,) = benign_by(benign(("In Peru.", 0.95), ("In Peru.", 0.95)), [], "I can't help.")
    assert one.shown()[0].responses == ("I can't help.", "In Peru.")


@pytest.mark.parametrize(
    ("text", "finish", "kept"),
    [
        ("It is so. And then it", "length", "It is so."),
        ("It is so. And then it", "stop", "It is so. And then it"),
        ("It is 3.5 metres and", "length", "It is 3.5 metres and"),
        ("One.\nTwo!\nThr", "length", "One.\nTwo!"),
        ("", "length", ""),
    ],
)
def test_an_answer_that_ran_out_of_tokens_ends_with_a_sentence(text: str, finish: Any, kept: str) -> None:
    assert whole(Reply(text, finish)) == kept


@given(st.text(alphabet="ab .!?\n", max_size=60))
def test_what_is_kept_of_an_answer_is_how_it_begins(text: str) -> None:
    kept = whole(Reply(text, "length"))
    assert text.startswith(kept)
    assert kept == text or kept[-1] in ".!?"


BEHAVIOURS = {"task": "goals:bad.csv"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"update": "rejection"}, "update rejection does not fit the task"),
        ({"update": "spin"}, "goals:FILE"),
        ({"update": "self-rewarding"}, "goals:FILE"),
        ({"update": "constitutional"}, "goals:FILE"),
        ({"aims": ("helpful",)}, "aim helpful does not fit"),
        ({"benign": "goals:safe.csv"}, "benign requests do not fit"),
        ({**BEHAVIOURS, "attacks": ("pressure",)}, "attack pressure does not go for requests"),
        ({**BEHAVIOURS, "aims": ("open",)}, "aim open does not fit"),
        ({**BEHAVIOURS, "aims": ("helpful",)}, "needs benign requests"),
        ({**BEHAVIOURS, "benign": "facts"}, "benign requests are not facts"),
        ({**BEHAVIOURS, "experts": 3}, "no expert can be asked"),
        ({**BEHAVIOURS, "arms": ("full", "oracle-critic")}, "arm oracle-critic needs pairs"),
        ({**BEHAVIOURS, "critics": ("trained",)}, "taught,critic=(trained),on=TASK"),
        ({"critics": ("weak",)}, "must be taught first"),
        ({"critics": ("keywords",)}, "single responses"),
        ({"expert": "trained"}, "must be taught first"),
        ({**BEHAVIOURS, "refusal": " "}, "refusal is empty"),
        ({**BEHAVIOURS, "update": "self-rewarding,judge=keywords"}, "cannot ask critic keywords"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Loop.parse(settings)
    assert said in str(caught.value)


def test_the_world_of_the_task_decides_what_is_set_by_default() -> None:
    loop = Loop.parse(BEHAVIOURS)
    assert (loop.world, loop.experts, [aim.name for aim in loop.aims]) == ("behaviour", 0, ["steadfast"])
    both = Loop.parse({**BEHAVIOURS, "benign": "goals:safe.csv", "goals": 7})
    assert ([str(aim) for aim in both.aims], both.goals) == (["steadfast", "helpful,share=2.0"], 7)
    assert (both.update.name, both.rounds) == ("sft", 1)
    assert Loop.parse({}).world == "knowledge"


def test_what_will_be_written_is_counted_before_anything_is_run(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    bad, safe = (write_requests(tmp_path / f"{name}.csv", name + " {}?") for name in ("bad", "safe"))
    settings = {"task": f"goals:{bad}", "benign": f"goals:{safe}", "update": "rejection,samples=3", "tokens_out": 7}
    small = {
        "goals": 8,
        "attacks": ("plain", "best-of-n"),
        "queries": 2,
        "examined": 5,
        "probing": 3,
        "risk_model": None,
    }
    loop = Loop.parse({"learner": f"hf:{tiny('llama')}", "held_out": ("many-shot",), **settings, **small})
    plan, texts = loop.plan(), Texts(10.0, 0.0)
    turn = plan.lines[0].turns[0]
    assert turn.drawn is not None
    written = {name: sum(one.written for one in shares(job, texts)) for name, job in vars(turn).items() if job}
    assert written["exposed"] == (8 * 2 * 2 + 16) * 7  # two attacks of two queries, and twice as many benign requests
    assert written["judged"] == 8 * 7
    assert written["drawn"] == 8 * 3 * 7
    assert sum(one.written for one in shares(plan.exam, texts)) == 5 * (3 + 1 + 1 + 1) * 7
