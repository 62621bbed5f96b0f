"""The study of critics: who is taught what, that nobody sees the test's truth, and that every figure is there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from superalign import CriticEval, run
from superalign.agreement import rogan_gladen
from superalign.critic import Case, Cost, Critic, Critique, Flaw, critics
from superalign.errors import DataError, SuperalignError
from superalign.job import Tools, compute
from superalign.judging import held_values, rows_of
from superalign.metric import holm
from superalign.store import Artifact, Store
from superalign.task import Comparison, Example, Loaded, Task, TaskSource, split, tasks
from test_job import Heard

GOOD, BAD = ("bright", "warm", "kind"), ("grim", "cold", "rude")


def draw(*texts: object) -> int:
    return hashlib.sha256(repr(texts).encode()).digest()[0]


@tasks.register("test-answers")
class Answers(TaskSource):
    """Answers of five makers to sixty questions; a good one has a good word. Optionally with some truth flipped."""

    flip: tuple[str, ...] = ()
    """Parts whose truth is turned round."""
    pairs: bool = False
    """Comparisons instead of Examples."""
    kinds: int = 2
    """How many classes."""
    hostile: str = ""
    """A text in every response."""

    def load(self) -> Loaded:
        items: list[Any] = []
        labels = list[int]()
        for number in range(60):
            for maker in "abcde":
                label = draw(number, maker) % self.kinds
                words = [(BAD, GOOD)[label > 0][number % 3], (BAD, GOOD)[label == 0][number % 3]]
                said = [
                    f"It was {word} in {1900 + number}. Nobody is {word}. It is so. {self.hostile}" for word in words
                ]
                tags: dict[str, Any] = {"maker": maker, "annotator_1": "yes" if label else "no"}
                if draw(number) % 5:
                    tags["annotator_2"] = "yes" if label else "no"
                head = f"{number}/{maker}", f"How was day {number}?"
                if self.pairs:
                    items.append(
                        Comparison(*head, (said[1], said[0]) if label else (said[0], said[1]), str(number), tags)
                    )
                else:
                    items.append(Example(*head, said[0], str(number), tags))
                labels.append(label)
        names = ("first", "second") if self.pairs else ("no", "yes", "quite")[: self.kinds]
        task = Task("answers", "1", tuple(items), names)
        truth = np.array(labels, dtype=np.int64)
        parts = dict(zip(("supervise", "transfer", "test"), split(task, (8, 3, 5), 0), strict=True))
        for part in self.flip:
            truth[parts[part]] = 1 - truth[parts[part]]
        return Loaded(task, truth)

    def fingerprint(self) -> str:
        return str(self)


@critics.register("test-words")
class ByWords(Critic):
    """Counts cheerful words, errs on some cases, is silent on others, and quotes what it dislikes."""

    errs: int = 8
    """One case in so many is judged wrongly."""
    silent: int = 0
    """One case in so many has no verdict."""
    prefers: float = 0.0
    """How much it favours the first of two."""

    def judge(self, cases: Sequence[Case], tools: Tools, learnt: Artifact | None = None) -> list[Critique]:
        return [self._one(case) for case in cases]

    def _one(self, case: Case) -> Critique:
        cost = Cost(10, 3, 0.01)
        stable = case.id.split("/")[:2]
        if self.silent and draw("silent", stable) % self.silent == 0:
            why = ("abstained", "unparsable", "error: late", "")[draw("why", stable) % 4]
            return Critique(undetermined=why, cost=cost)
        scores = [sum(word in response for word in GOOD) / 2 for response in case.responses]
        sure = 0.6 + draw("sure", stable) / 700
        better = scores[1] > scores[0] if case.pair else scores[0] > 0 and " not" not in case.responses[0]
        if self.errs and draw("errs", stable) % self.errs == 0:
            better = not better
        good = sure if better else 1 - sure
        if case.pair:
            good = min(max(good - self.prefers, 0.01), 0.99)
        flaws = () if better or case.pair else (Flaw(case.responses[0][:12], "grim"),)
        return Critique("It says so.", good, flaws=flaws, cost=cost)


@critics.register("test-learner")
class ByLesson(ByWords):
    """Says of each word how often it was good among the cases it was taught."""

    errs: int = 0
    """Not used."""

    @property
    def learns(self) -> bool:
        return True

    def learn(self, cases: Sequence[Case], labels: Any, tools: Tools) -> Artifact:
        found = {}
        for word in (*GOOD, *BAD):
            rows = [place for place, case in enumerate(cases) if word in case.responses[0]]
            found[word] = np.array(labels.probs[rows, 1].mean() if rows else 0.5)
        return Artifact(found, {"taught": [case.id for case in cases]})

    def _one(self, case: Case) -> Critique:
        assert self.told is not None
        known = [float(value) for word, value in self.told.items() if word in case.responses[0]]
        good = float(np.clip(np.mean(known) if known else 0.5, 0.01, 0.99))
        return Critique("Taught so.", good, cost=Cost(seconds=0.001))

    def judge(self, cases: Sequence[Case], tools: Tools, learnt: Artifact | None = None) -> list[Critique]:
        object.__setattr__(self, "told", learnt.tensors if learnt else None)
        return super().judge(cases, tools)

    told: Any = None
    """What it was taught."""


def study(**settings: Any) -> CriticEval:
    small = {"task": "test-answers", "critics": ("test-words", "test-learner"), "seeds": 2, "flaws": 20}
    return CriticEval(**{**small, **settings})


def judged(asked: CriticEval, store: Store) -> dict[tuple[str, int, str], np.ndarray]:
    """What every critic says of the test and transfer part, and of planted flaws, straight from its jobs."""
    jobs = {
        (cell.critic, cell.seed, part): job
        for cell in asked.plan().cells
        for part, job in (("test", cell.test), ("transfer", cell.calibration), ("flaws", cell.flawed))
        if job
    }
    return {name: compute(job, store, Heard()).tensors["good"] for name, job in jobs.items()}


def same(a: dict[Any, np.ndarray], b: dict[Any, np.ndarray], names: Any) -> bool:
    return all(np.array_equal(a[name], b[name], equal_nan=True) for name in names)


def test_no_critic_depends_on_truth_outside_the_supervise_part(tmp_path):
    store = Store(tmp_path / "store")
    honest = judged(study(seeds=1, flaws=0), store)
    assert same(honest, judged(study(seeds=1, flaws=0, task=Answers(flip=("transfer", "test"))), store), honest)
    turned = judged(study(seeds=1, flaws=0, task=Answers(flip=("supervise",))), store)
    assert same(honest, turned, [name for name in honest if name[0] == "test-words"])
    assert not same(honest, turned, [("test-learner", 0, "test")])


def test_a_critic_is_taught_on_the_supervise_part_of_its_seed(tmp_path):
    store, asked, task = Store(tmp_path / "store"), study(), Answers().load().task
    for cell in asked.plan().cells:
        lesson = cell.test.inputs.get("learnt")
        assert (lesson is None) == (cell.critic == "test-words")
        if lesson:
            taught = compute(lesson, store, Heard()).meta["taught"]
            assert taught == [task.items[row].id for row in split(task, asked.shares, cell.seed).supervise]


def test_figures_can_be_recomputed_from_the_artifacts(tmp_path):
    store, loaded = Store(tmp_path / "store"), Answers().load()
    asked = study(critics=("test-words,silent=6", "test-learner"))
    result, said = run(asked, out=tmp_path / "run", store=store), judged(asked, store)
    test = split(loaded.task, asked.shares, 0).test
    truth = loaded.labels[test]
    assert len(result.rows) == 1 + 2
    for row in result.rows:
        good = said[row.critic, row.seed, "test"].astype(float)
        known = ~np.isnan(good)
        verdict, right = (good > 0.5)[known].astype(int), truth[known]
        assert (row.n, row.judged, row.correct) == (len(test), known.sum(), (verdict == right).sum())
        assert row.judged + row.abstained + row.unparsable + row.unanswered + row.errors == row.n
        assert row.accuracy == pytest.approx(metrics.accuracy_score(right, verdict))
        assert row.kappa == pytest.approx(metrics.cohen_kappa_score(right, verdict))
        assert row.auroc == pytest.approx(metrics.roc_auc_score(right, good[known]))
        assert row.brier == pytest.approx(metrics.brier_score_loss(right, good[known]), abs=1e-6)
        assert row.precision == pytest.approx(metrics.precision_score(right, verdict, pos_label=0))
        assert row.recall == pytest.approx(metrics.recall_score(right, verdict, pos_label=0))
    for one in result.summary:
        mine = [row for row in result.rows if row.critic == one.critic]
        assert one.seeds == len(mine) == (2 if one.learns else 1)
        for name in ("accuracy", "kappa", "auroc", "brier", "ece", "precision", "recall"):
            figure = getattr(one, name)
            assert figure.value == pytest.approx(np.mean([getattr(row, name) for row in mine]))
            assert figure.low <= figure.value <= figure.high
    silent = result.of("test-words,silent=6")
    assert silent.coverage.value < 1
    assert set(silent.undetermined) == {"abstained", "unparsable", "unanswered", "errors"}
    assert sum(silent.undetermined.values()) == silent.n - result.rows[0].judged
    assert any("no verdict" in flag or "errors" in flag for flag in result.flags)
    assert result.rows[0].facts == {"errors": ["error: late"] * min(3, result.rows[0].errors)}


def test_the_corrected_rate_uses_errors_of_the_transfer_part(tmp_path):
    store, loaded = Store(tmp_path / "store"), Answers().load()
    asked = study(critics=("test-words,errs=4",), flaws=0)
    result, said = run(asked, out=tmp_path / "run", store=store), judged(asked, store)
    parts = split(loaded.task, asked.shares, 0)
    known, good = loaded.labels[parts.transfer] == 1, said["test-words,errs=4", 0, "transfer"] > 0.5
    told = (said["test-words,errs=4", 0, "test"] > 0.5).mean()
    rate = result.summary[0].rate
    assert rate
    assert rate.sensitivity.value == pytest.approx(good[known].mean())
    assert rate.specificity.value == pytest.approx((~good[~known]).mean())
    assert rate.told.value == pytest.approx(told)
    assert rate.corrected.value == pytest.approx(float(rogan_gladen(told, good[known].mean(), (~good[~known]).mean())))
    assert rate.corrected.low <= rate.true <= rate.corrected.high
    assert rate.true == pytest.approx((loaded.labels[parts.test] == 1).mean())
    blind = run(study(critics=("test-words,errs=2",), flaws=0), out=tmp_path / "blind", store=store).summary[0].rate
    assert blind
    assert blind.corrected is None
    assert "nothing" in blind.reason


def test_every_two_critics_are_compared_on_what_both_judged(tmp_path):
    names = ("test-words", "test-words,errs=2", "test-words,silent=5")
    result = run(study(critics=names, flaws=0), out=tmp_path / "run", store=Store(tmp_path / "store"))
    assert [(test.a, test.b) for test in result.tests] == [(names[0], names[1]), (names[0], names[2]), names[1:]]
    assert [test.p_holm for test in result.tests] == holm([test.p for test in result.tests])
    rows = {row.critic: row for row in result.rows}
    first = result.tests[0]
    assert first.difference.value == pytest.approx(rows[names[0]].accuracy - rows[names[1]].accuracy)
    assert (first.n, result.tests[1].n) == (rows[names[0]].n, rows[names[2]].judged)
    assert result.tests[1].difference.value == 0  # they differ only where one is silent
    assert first.p_holm < 0.05
    assert any(said.startswith("test-words is right more often than test-words,errs=2") for said in result.verdict)


def test_a_held_out_tag_is_in_no_other_part(tmp_path):
    asked, task = study(holdout="maker"), Answers().load().task
    result = run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
    held = held_values(task, "maker", asked.shares)
    assert result.held_out == sorted(held)
    assert len(held) == 2
    params = {"holdout": "maker", "shares": asked.shares}
    for seed in range(2):
        for part in ("supervise", "transfer", "test"):
            rows = rows_of(task, params, part, seed)
            assert all((task.items[row].tags["maker"] in held) == (part == "test") for row in rows)
            assert set(rows) <= set(split(task, asked.shares, seed)._asdict()[part])
    assert result.summary[0].n == len(rows_of(task, params, "test", 0)) == result.task.parts["test"]
    assert any("no critic was taught on" in said for said in result.verdict)


def test_which_classes_are_good_can_be_said(tmp_path):
    three = Answers(kinds=3)
    with pytest.raises(DataError, match="which classes are good"):
        run(study(task=three, flaws=0), out=tmp_path / "a", store=Store(tmp_path / "store"))
    known = study(task=three, good=("yes", "quite"), critics=("test-words,errs=0",), flaws=0)
    result = run(known, out=tmp_path / "b", store=Store(tmp_path / "store"))
    assert result.good == ["yes", "quite"]
    assert result.summary[0].accuracy.value == 1.0
    turned = run(study(good=("no",), flaws=0), out=tmp_path / "c", store=Store(tmp_path / "store"))
    assert turned.of("test-words").kappa.high < 0
    assert "worse than chance" in " ".join(turned.verdict)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"good": ("yse",)}, "did you mean 'yes'"),
        ({"good": ("no", "yes")}, "all classes are called good"),
        ({"good": ("yes",), "task": Answers(pairs=True)}, "this task has pairs"),
        ({"holdout": "makr"}, "did you mean 'maker'"),
        ({"critics": ("keywords",), "task": Answers(pairs=True)}, "judges single responses"),
    ],
)
def test_what_cannot_be_judged_is_refused(tmp_path, settings, said):
    with pytest.raises(SuperalignError) as caught:
        run(study(**settings), out=tmp_path / "run", store=Store(tmp_path / "store"))
    assert said in str(caught.value)


def test_planted_flaws_are_found_by_who_can(tmp_path):
    asked = study(critics=("test-words,errs=0",))
    result = run(asked, out=tmp_path / "run", store=Store(tmp_path / "store"))
    planted = result.summary[0].planted
    assert planted
    assert planted.n == 20 == sum(kind.n for kind in planted.kinds)
    shares = {kind.kind: kind.detected.value for kind in planted.kinds}
    assert shares["negation"] == 1.0
    assert shares.get("wrong number", 0.0) == 0.0  # it counts words only
    assert planted.false_alarms.value == 0.0
    assert planted.flipped.value == planted.detected.value
    assert planted.invented.value == 0.0
    assert 0 < planted.located.value < 1
    assert any("planted flaws" in said for said in result.verdict)


def test_planted_flaws_go_into_good_responses_of_the_test_part_alone(tmp_path):
    store, loaded, asked = Store(tmp_path / "store"), Answers().load(), study()
    plan = asked.plan()
    assert plan.planted
    planted = compute(plan.planted, store, Heard()).meta["planted"]
    rows = [row for row, *_ in planted]
    assert len(set(rows)) == 20
    assert set(rows) <= set(split(loaded.task, asked.shares, 0).test)
    assert (loaded.labels[rows] == 1).all()
    for row, text, _, start, end, was in planted:
        assert text[:start] + was + text[end:] == loaded.task.items[row].response


def test_the_order_of_a_pair_is_measured(tmp_path):
    settings = {"task": Answers(pairs=True), "critics": ("test-words,errs=0", "test-words,errs=0,prefers=0.3")}
    result = run(study(**settings), out=tmp_path / "run", store=Store(tmp_path / "store"))
    fair, biased = (one.position for one in result.summary)
    assert fair
    assert biased
    assert (fair.first.value, fair.consistent.value, fair.n) == (0.5, 1.0, result.summary[0].n)
    assert biased.first.value > 0.6
    assert biased.first.low > 0.5
    assert biased.consistent.value < 0.8
    assert any("prefers the first response" in said for said in result.verdict)
    assert result.summary[0].precision is None
    assert result.summary[0].planted.detected.value > 0.5
    assert result.summary[0].planted.false_alarms is None


def test_annotators_are_compared_with_each_other_and_with_critics(tmp_path):
    result = run(study(flaws=0), out=tmp_path / "run", store=Store(tmp_path / "store"))
    among = result.annotators[0]
    assert (among.a, among.b) == ("annotator_1", "annotator_2")
    assert among.same.value == among.kappa.value == 1.0
    assert among.n < result.summary[0].n  # the second did not judge all
    with_critic = next(one for one in result.annotators if (one.a, one.b) == ("test-words", "annotator_1"))
    assert with_critic.same.value == pytest.approx(result.of("test-words").accuracy.value)
    assert any(said.startswith("Annotators agree") for said in result.verdict)


def test_every_reading_of_the_truth_is_in_the_record_even_from_the_store(tmp_path):
    store = Store(tmp_path / "store")
    first = run(study(), out=tmp_path / "a", store=store)
    again = run(study(), out=tmp_path / "b", store=store)
    assert again.jobs.computed == 0
    assert first.unsealed == again.unsealed
    assert {(one.part, one.reader) for one in first.unsealed} == {
        ("supervise", "GroundTruth"),
        ("test", "TestScore"),
        ("transfer", "LabelScore"),
        ("test", "KnownGood"),
    }
    assert first.model_copy(update={"jobs": again.jobs, "config": again.config}) == again.model_copy(
        update={"seconds": first.seconds}
    )


def test_a_critic_trained_on_a_model_beats_chance(tiny, tmp_path):
    trained = f"trained,model=hf:{tiny('llama')}"
    result = run(study(critics=(trained, "test-words"), seeds=2), out=tmp_path / "run", store=Store(tmp_path / "store"))
    assert result.of(trained).seeds == 2
    assert result.of(trained).kappa.low > 0
    assert {row.seed for row in result.rows if row.critic == trained} == {0, 1}
    assert ("accuracy", trained) in result.figures
    assert len(result.frame()) == 3
