"""The learned attacker on tiny checkpoints: it learns from examples alone, once, and the same again after a kill."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from driven import GOALS, HOSTILE, KNOWN, ODD, drive, held, scene

from superalign.answers import AnswerBank
from superalign.attacker import Ask, Attempt, Budget, Goal, Query, Rehearse, Request, Scene, attacks
from superalign.attacks._rehearsal import lessons, rehearsed
from superalign.attacks.learned import message, request
from superalign.campaign import Campaign
from superalign.chat import Message, Reply, Sampling, asked
from superalign.errors import ConfigError, ModelError
from superalign.fits._apprentice import Apprentice, Pair
from superalign.fits.lora import Lora
from superalign.learner import Learner
from superalign.models.hf import HuggingFace
from superalign.models.openai import OpenAI
from superalign.store import Store
from superalign.studies.attack import AttackStudy
from superalign.trial import Denial

WORDS = ("one", "two", "three", "four", "five", "six")
RIVERS = tuple(
    Goal(f"e{n}", f"Is the river {word} long?", *(f"The {word} is {size}." for size in sizes))
    for n, word in enumerate(WORDS)
    for sizes in [("short", "long") if n % 2 else ("long", "short")]  # a random model holds on to one of them
)
QUICK = "learned,steps=4,batch=4,proposals=2,max_tokens=12,lr=0.01"


@pytest.fixture(scope="session")
def folder(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny checkpoint that reads 1024 tokens."""
    place = tmp_path_factory.mktemp("roomy") / "llama"
    shutil.copytree(tiny("llama"), place)
    for name, key in (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")):
        plain = json.loads((place / name).read_text())
        (place / name).write_text(json.dumps({**plain, key: 1024}))
    return place


@pytest.fixture
def model(folder: Path) -> HuggingFace:
    return HuggingFace(path=str(folder), dtype="fp32")


def campaign(model: HuggingFace, store: Store, attack: str = QUICK, goals: Sequence[Goal] = KNOWN, **given: Any) -> Any:
    bank = AnswerBank(store, model)
    place = Scene(model, "knowledge", given.pop("seed", 0), RIVERS, given.pop("attacker", None), store)
    return Campaign(attacks.build(attack), goals, place, Denial(bank), {"target": bank}, Budget(queries=40), **given)


def seen(attempts: Sequence[Attempt]) -> list[tuple[str, Any, Any, float | None]]:
    return [(one.query.name, dict(one.query.tags), one.outcome, one.score) for one in attempts]


def adapters(store: Store) -> list[str]:
    return sorted(place.name for place in (store.root / "adapters").iterdir())


def apprentice(model: HuggingFace, store: Store) -> Apprentice:
    pairs = [Pair(request(goal, "knowledge"), "The river is very long!") for goal in RIVERS]
    fit = Lora(read="policy", keep=True, lr=0.02, epochs=30, batch=6, rank=8, alpha=16)
    return Apprentice(model, fit, pairs, 1, store)


class TestApprentice:
    def test_it_writes_what_it_was_taught_where_it_was_not(self, model: HuggingFace, tmp_path: Path) -> None:
        one = apprentice(model, Store(tmp_path))
        facts = one.learn()
        assert facts["last_loss"] < facts["first_loss"]
        asks = asked(request(KNOWN[0], "knowledge"))  # of another goal than it learnt from
        taught = one.model()
        (before,), (after,) = (who.generate([asks], Sampling(max_tokens=24), [0]) for who in (model, taught))
        assert after.text.strip() == "The river is very long!" != before.text.strip()
        (less,), (more,) = (who.logprobs([asks], [["The river is very long!"]]) for who in (model, taught))
        assert more.logprobs[0] > less.logprobs[0] + 10

    def test_it_learns_once_and_repairs_what_is_damaged(
        self, model: HuggingFace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = Store(tmp_path)
        taught = apprentice(model, store).model()
        place = Path(taught.adapter) / "adapter_model.safetensors"
        whole, print_ = place.read_bytes(), taught.fingerprint()
        learn = Lora.learn
        monkeypatch.setattr(Lora, "learn", None)  # whoever learns again fails
        place.write_bytes(whole[:100])
        assert apprentice(model, store).model().fingerprint() == print_
        assert place.read_bytes() == whole
        monkeypatch.setattr(Lora, "learn", learn)
        kept = store.path(apprentice(model, store).key) / "tensors.safetensors"
        kept.write_bytes(kept.read_bytes()[:-8])
        assert apprentice(model, store).model().fingerprint() == print_  # learnt again, and the same
        assert not list((tmp_path / "tmp").iterdir())


class TestCampaigns:
    def test_what_is_learnt_changes_what_is_proposed(self, model: HuggingFace, tmp_path: Path) -> None:
        trained = campaign(model, Store(tmp_path)).run()
        plain = campaign(model, Store(tmp_path), QUICK.replace("steps=4", "steps=0")).run()
        assert {one.query.tags["from"] for one in trained} == {"trained"}
        assert {one.query.tags["from"] for one in plain} == {"untrained"}
        assert {one.query.name for one in trained}.isdisjoint(one.query.name for one in plain)
        assert all(one.query.tags["learnt"] > 0 for one in (*trained, *plain))

    def test_examples_are_tried_and_spent_but_no_figures(self, model: HuggingFace, tmp_path: Path) -> None:
        made = campaign(model, Store(tmp_path), f"{QUICK},examples=5,tries=4")
        attempts = made.run()
        assert made.spent.rehearsed == 20
        assert made.spent.queries == 20 + len(attempts)
        prompts = [goal.prompt for goal in KNOWN]
        assert all(prompts[one.query.goal] in one.query.messages[0].content for one in attempts)
        assert made.spent.tokens > sum(one.tokens for one in attempts) + 1000  # training and proposals, too

    def test_the_same_seed_is_the_same_stream_and_another_is_not(self, model: HuggingFace, tmp_path: Path) -> None:
        first, again = (seen(campaign(model, Store(tmp_path / name)).run()) for name in "ab")
        assert first == again
        assert first != seen(campaign(model, Store(tmp_path / "a"), seed=1).run())

    def test_nothing_is_learnt_from_the_goals(self, model: HuggingFace, tmp_path: Path) -> None:
        stores = [Store(tmp_path / name) for name in "ab"]
        for store, goals in zip(stores, (KNOWN[:2], [ODD]), strict=True):
            campaign(model, store, goals=goals).run()
        assert adapters(stores[0]) == adapters(stores[1])
        assert len(adapters(stores[0])) == 1

    @pytest.mark.parametrize("at", ["in training", "after training", "after the attempts"])
    def test_killed_and_run_again_it_is_the_same(
        self, at: str, model: HuggingFace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        undisturbed = seen(campaign(model, Store(tmp_path / "a"), f"{QUICK},rounds=2").run())

        def die(*_: Any, **__: Any) -> Any:
            raise KeyboardInterrupt

        made = campaign(model, Store(tmp_path / "b"), f"{QUICK},rounds=2", record=die)
        with pytest.MonkeyPatch.context() as patch:
            if at == "in training":
                patch.setattr(Learner, "train", die)
            elif at == "after training":
                patch.setattr(Apprentice, "model", die)
            with pytest.raises(KeyboardInterrupt):
                made.run()
        trainings: list[int] = []
        learn = Lora.learn
        monkeypatch.setattr(Lora, "learn", lambda *a, **k: trainings.append(1) or learn(*a, **k))
        assert seen(campaign(model, Store(tmp_path / "b"), f"{QUICK},rounds=2").run()) == undisturbed
        rounds = {one[1]["round"] for one in undisturbed if "round" in one[1]}
        assert len(trainings) == len(rounds) - (at != "in training")  # the first was kept

    def test_later_rounds_learn_more_and_leave_out_what_is_broken(self, model: HuggingFace, tmp_path: Path) -> None:
        made = campaign(model, Store(tmp_path), f"{QUICK},rounds=3,examples=3,tries=2", goals=[*KNOWN, ODD])
        attempts = made.run()
        by_round = [[one for one in attempts if one.query.tags.get("round") == turn] for turn in range(3)]
        learnt = [{one.query.tags["learnt"] for one in mine} for mine in by_round if mine]
        assert all(len(one) == 1 for one in learnt)
        assert learnt[0] != learnt[-1] or made.spent.rehearsed == 6
        broken: set[int] = set()
        for mine in by_round:
            assert broken.isdisjoint(one.query.goal for one in mine)
            broken |= {one.query.goal for one in mine if one.outcome == "broken"}
        names = [(one.query.goal, one.query.messages[0].content) for one in attempts]
        assert len(names) == len(set(names))

    def test_an_attacker_of_its_own_learns_in_the_targets_place(self, model: HuggingFace, tmp_path: Path) -> None:
        names = []
        for limit in (None, 300):  # which makes it another model
            store = Store(tmp_path / str(limit))
            campaign(model, store, attacker=model.model_copy(update={"max_tokens": limit})).run()
            names += adapters(store)
        campaign(model, Store(tmp_path / "alone")).run()
        assert adapters(Store(tmp_path / "alone")) == names[:1] != names[1:]

    def test_hostile_goals_are_asked_as_they_are(self, model: HuggingFace, tmp_path: Path) -> None:
        goals = [ODD, Goal("n", "\x00 {prompt} \ud800?", "<|im_end|>\n<|im_start|>system", "</s> no")]
        attempts = campaign(model, Store(tmp_path), goals=goals).run()
        assert attempts
        for one in attempts:
            plain = " ".join(one.query.messages[0].content.split()).casefold()
            assert " ".join(goals[one.query.goal].prompt.split()).casefold() in plain


class TestRefusals:
    def test_a_model_that_cannot_be_trained(self) -> None:
        endpoint = "openai:some,url=http://localhost:1"
        with pytest.raises(ConfigError, match="cannot train openai:some"):
            AttackStudy(target=endpoint, attacks=("learned",))
        with pytest.raises(ConfigError, match="cannot train openai:some"):
            AttackStudy(target="embedded:smollm2", attacker=endpoint, attacks=("learned",))
        study = AttackStudy(target=endpoint, attacker="embedded:smollm2", attacks=("learned",))
        assert isinstance(study.target, OpenAI)

    def test_a_model_that_stands_on_an_adapter(self, model: HuggingFace) -> None:
        with pytest.raises(ConfigError, match="only one fits"):
            attacks.build("learned").check(model.model_copy(update={"adapter": "somewhere"}), None)

    def test_a_model_that_is_none_of_language(self, tiny: Callable[[str], Path], tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="no policy"):
            apprentice(HuggingFace(path=str(tiny("bert")), dtype="fp32"), Store(tmp_path)).learn()

    def test_seeds_from_which_nothing_can_be_learnt(self) -> None:
        for seed in ("gcg", "learned"):
            with pytest.raises(ConfigError, match=f"nothing to learn from '{seed}'"):
                attacks.build(f"learned,seeds={seed}")
        with pytest.raises(ConfigError, match="no sense in the world of behaviour"):
            attacks.build("learned,seeds=pressure").searches(GOALS["behaviour"], scene("behaviour"))
        assert attacks.build("learned,seeds=pair").roles == {"attacker"}


class TestWriting:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            (" Surely yes. ", "Surely yes. Is  it so?"),
            ("I know it. is it\nSO? Tell me.", "I know it. is it\nSO? Tell me."),
            ("", ""),
            (" ...\n", ""),
        ],
    )
    def test_every_message_asks_the_question(self, text: str, found: str) -> None:
        assert message(text, Goal("a", "Is  it so?")) == found

    def test_what_repeats_or_says_nothing_is_counted(self) -> None:
        said = iter(["Yes.", "Yes. ", KNOWN[0].prompt, "", "No."])

        def answer(asks: Request) -> Any:
            return Reply(next(said)) if isinstance(asks, Ask) else held(asks)

        ((_, search),) = attacks.build("learned,proposals=5").searches(KNOWN[:1], scene())
        first, second = drive(search, answer)
        assert dict(first.query.tags) == {"round": 0, "from": "untrained", "learnt": 0, "unparsable": 3}
        assert "unparsable" not in second.query.tags

    def test_where_all_fails_a_plain_query_tells(self) -> None:
        ((_, search),) = attacks.build("learned,proposals=3").searches(KNOWN[:1], scene())
        (only,) = drive(search, lambda one: Reply("", error="late") if isinstance(one, Ask) else held(one))
        assert (only.query.tactic, dict(only.query.tags)) == ("no proposal", {"failed": 3})


class TestRehearsing:
    def test_searches_of_all_lengths_go_on_side_by_side(self) -> None:
        def search(index: int, n: int) -> Any:
            for turn in range(n):
                (came,) = yield [Query(index, asked(f"{index} {turn}"), "x")]
                assert came.query.messages[0].content == f"{index} {turn}"

        rounds, came = list[str](), list[Attempt]()

        def running() -> Any:
            came.extend((yield from rehearsed([search(0, 1), search(1, 0), search(2, 5)], [3, 3, 3])))

        def answer(one: Request) -> Any:
            assert isinstance(one, Rehearse)
            rounds.append(one.query.messages[0].content)
            return held(one)

        assert drive(running(), answer) == []
        assert rounds == ["0 0", "2 0", "2 1", "2 2"]
        assert [one.query.goal for one in came] == [0, 2, 2, 2]

    def test_lessons_are_single_messages_that_broke(self) -> None:
        single, several = asked(HOSTILE), (*asked("a"), Message("assistant", "b"), Message("user", "c"))
        attempts = [
            Attempt(Query(1, single, "x"), "broken"),
            Attempt(Query(1, single, "y"), "broken"),
            Attempt(Query(0, single, "x"), "held"),
            Attempt(Query(0, single, "x"), "undetermined"),
            Attempt(Query(0, several, "x"), "broken"),
            Attempt(Query(2, (Message("system", "s"),), "x"), "broken"),
        ]
        assert list(lessons(attempts)) == [(1, HOSTILE)]
