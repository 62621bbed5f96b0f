"""Every ensemble: the contract, and its rule beside an independent computation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.ensemble import JointEnsemble, Teaching, Vote, ensembles, reworded
from superalign.ensembles.prompts import agreement
from superalign.ensembles.simplex import likeliest
from superalign.errors import ConfigError, DataError
from superalign.fit import Lesson
from superalign.fits.probe import Probe, solve
from superalign.label import Labels
from superalign.objective import objectives
from superalign.task import Comparison, Example, Task, Text

NAIVE = objectives.build("naive")
PROBE = Probe(l2=(0.1,), steps=300)


def world(n: int = 240, k: int = 2, spread: float = 1.0, seed: int = 0):
    """Return features, classes and groups of two items; the first half is taught."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, k, n)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    x[:, :k] += spread * np.eye(k)[true]
    return x, true, np.array([f"g{i // 2}" for i in range(n)])


def probes(x, taught, groups, pairwise=False):
    """One way: probes on some features."""

    def way(given_):
        lessons = [Lesson(NAIVE, taught, labels, 0) for labels in given_]
        return np.stack([head.predict(x) for head in solve(PROBE, x, groups, lessons, pairwise=pairwise)])

    return way


def teaching(k: int = 2, ways: int = 1, seed: int = 0) -> Teaching:
    x, true, groups = world(k=k)
    taught = np.arange(len(x) // 2)
    views = [x, np.roll(x, 1, axis=1)[:, :4], x[:, :1]][:ways]
    labels = Labels.hard(true[taught], k, "truth")
    return Teaching([probes(view, taught, groups) for view in views], labels, taught, groups[taught], seed)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("name", ensembles.names())
class TestContract:
    def test_it_votes_on_every_item_with_labels(self, name, k):
        vote = ensembles.build(name).teach(teaching(k, ways=3))
        labels = Labels(vote.probs, vote.weight, name)  # refuses what are no probabilities
        assert len(labels) == 240
        assert vote.members.shape[1:] == (240, k)
        assert vote.facts["members"] == len(vote.members)
        assert ensembles.build(name).source

    def test_the_same_seed_gives_the_same_vote(self, name, k):
        first, again = (ensembles.build(name).teach(teaching(k, seed=3)).probs for _ in range(2))
        np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("spec", ["mean", "prompts", "simplex", "prompts,weight=share"])
def test_one_member_is_the_single_model(spec):
    taught = teaching()
    vote = ensembles.build(spec).teach(taught)
    np.testing.assert_array_equal(vote.probs, taught.learn([taught.labels])[0])
    np.testing.assert_array_equal(vote.weight, 1)


class TestBagging:
    def test_one_member_with_unit_weights_is_the_single_model(self):
        x, true, _ = world()
        labels, taught = Labels.hard(true[:120], 2, "truth"), np.arange(120)

        def nearest_mean(given_):  # of classes; unlike a probe it needs no groups
            out = []
            for one in given_:
                mass = one.probs * one.weight[:, None]
                centres = (mass.T @ x[:120]) / mass.sum(0)[:, None]
                near = np.exp(-((x[:, None] - centres) ** 2).sum(-1))
                out.append(near / near.sum(1, keepdims=True))
            return np.stack(out).astype(np.float32)

        together = Teaching([nearest_mean], labels, taught, np.array(["all"] * 120))  # one group: drawn once
        np.testing.assert_array_equal(together.resampled(1)[0].weight, 1)
        np.testing.assert_allclose(
            ensembles.build("bagging,members=1").teach(together).probs, nearest_mean([labels])[0], atol=1e-7
        )

    def test_it_is_the_mean_of_models_trained_on_repeated_rows(self):
        linear = pytest.importorskip("sklearn.linear_model")
        taught = teaching(seed=5)
        x, true, _ = world()
        z = (x - x[:120].mean(0)) / x[:120].std(0)
        said = []
        for sample in taught.resampled(4):
            rows = np.repeat(np.arange(120), sample.weight.astype(int))
            peer = linear.LogisticRegression(C=1 / (0.1 * len(rows)), tol=1e-8, max_iter=1000).fit(z[rows], true[rows])
            said.append(peer.predict_proba(z))
        ours = ensembles.build("bagging,members=4").teach(taught)
        np.testing.assert_allclose(ours.probs, np.mean(said, 0), atol=2e-3)

    @given(st.integers(0, 1000), st.integers(1, 8))
    def test_whole_groups_are_drawn_as_often_as_there_are_groups(self, seed, members):
        groups = np.array(["a", "a", "a", "b", "c", "c", "d"])
        labels = Labels(np.full((7, 2), 0.5, np.float32), np.array([1, 1, 0, 2, 1, 1, 1], np.float32), "t")
        for sample in Teaching([], labels, np.arange(7), groups, seed).resampled(members):
            times = {
                name: sample.weight[groups == name] / np.maximum(labels.weight[groups == name], 1) for name in "abcd"
            }
            assert times["a"][0] == times["a"][1]
            assert times["a"][2] == 0  # an item of weight 0 stays away
            assert times["c"][0] == times["c"][1]
            assert sum(times[name][0] for name in "abcd") == 4


def stumps(x, taught, true):
    """One way: decision stumps."""
    trees = pytest.importorskip("sklearn.tree")

    def way(given_):
        grown = [
            trees.DecisionTreeClassifier(max_depth=1, random_state=0).fit(x[taught], true[taught], one.weight)
            for one in given_
        ]
        return np.stack([tree.predict_proba(x) for tree in grown]).astype(np.float32)

    return way


class TestAdaBoost:
    def toy(self, k):
        x, true, groups = world(k=k, spread=1.5, seed=2)
        taught = np.arange(120)
        labels = Labels.hard(true[taught], k, "truth")
        return x, true, Teaching([stumps(x, taught, true)], labels, taught, groups[taught])

    def test_separable_data_take_one_learner(self):
        x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
        true, taught = (x[:, 0] > 0).astype(int), np.arange(0, 40, 2)
        labels = Labels.hard(true[taught], 2, "truth")
        vote = ensembles.build("adaboost").teach(
            Teaching([stumps(x, taught, true)], labels, taught, np.array([str(i) for i in taught]))
        )
        assert vote.facts["members"] == 1
        assert vote.facts["errors"] == [0.0]
        assert np.isfinite(vote.probs).all()
        assert (vote.probs.argmax(1) == true).mean() > 0.95

    def test_stumps_together_learn_what_no_stump_can(self):
        x = np.linspace(0, 1, 60, dtype=np.float32)[:, None]
        true, taught = ((x[:, 0] > 1 / 3) & (x[:, 0] < 2 / 3)).astype(int), np.arange(60)
        one = Teaching([stumps(x, taught, true)], Labels.hard(true, 2, "truth"), taught, taught.astype(str))
        assert (one.learn([one.labels])[0].argmax(1) == true).mean() < 0.7
        assert (ensembles.build("adaboost").teach(one).probs.argmax(1) == true).mean() > 0.98

    @pytest.mark.parametrize("k", [2, 3])
    def test_it_is_sklearns_samme(self, k):
        boosting, trees = pytest.importorskip("sklearn.ensemble"), pytest.importorskip("sklearn.tree")
        x, true, taught = self.toy(k)
        vote = ensembles.build("adaboost,members=6").teach(taught)
        stump = trees.DecisionTreeClassifier(max_depth=1, random_state=0)
        peer = boosting.AdaBoostClassifier(stump, n_estimators=6, random_state=0).fit(x[:120], true[:120])
        np.testing.assert_allclose(vote.facts["alphas"], peer.estimator_weights_, rtol=1e-4)
        np.testing.assert_allclose(vote.facts["errors"], peer.estimator_errors_, rtol=1e-4)
        assert (vote.probs.argmax(1) == peer.predict(x)).mean() > 0.99

    @pytest.mark.parametrize("k", [2, 3])
    def test_its_probabilities_are_those_of_the_additive_model(self, k):
        vote = ensembles.build("adaboost,members=5").teach(self.toy(k)[2])
        code = np.full((k, k), -1 / (k - 1)) + np.eye(k) * (1 + 1 / (k - 1))  # the paper's coding of a class
        beta = (k - 1) ** 2 / k * np.array(vote.facts["alphas"])
        f = (beta[:, None, None] * code[vote.members.argmax(-1)]).sum(0)
        p = np.exp(f / (k - 1))
        np.testing.assert_allclose(vote.probs, p / p.sum(1, keepdims=True), atol=1e-5)

    def test_a_learner_no_better_than_chance_ends_it(self):
        labels, taught = Labels.hard(np.array([0, 1] * 10), 2, "truth"), np.arange(20)
        blind = Teaching([lambda given_: np.tile([0.9, 0.1], (len(given_), 20, 1))], labels, taught, taught.astype(str))
        vote = ensembles.build("adaboost").teach(blind)
        assert vote.facts["members"] == 1
        assert (vote.probs.argmax(1) == 0).all()

    def test_each_round_takes_the_best_of_several_models(self):
        x, true, groups = world(spread=3)
        taught = np.arange(120)
        noise = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
        both = [stumps(noise, taught, true), stumps(x, taught, true)]
        labels = Labels.hard(true[taught], 2, "truth")
        two = ensembles.build("adaboost,members=1").teach(Teaching(both, labels, taught, groups[taught]))
        one = ensembles.build("adaboost,members=1").teach(Teaching(both[1:], labels, taught, groups[taught]))
        np.testing.assert_array_equal(two.probs, one.probs)


def soft(rng, m, n, k):
    return rng.dirichlet(np.ones(k), size=(m, n)).astype(np.float32)


class TestSimplex:
    @given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 4))
    def test_weights_stay_on_the_simplex_and_the_loss_never_rises(self, seed, m, k):
        rng = np.random.default_rng(seed)
        members, belief = soft(rng, m, 30, k), soft(rng, 1, 30, k)[0]

        def loss(share):
            return -(belief * np.log(np.tensordot(share, members.astype(np.float64), 1))).sum()

        share = rng.dirichlet(np.ones(m))
        for _ in range(5):
            after = likeliest(members, belief, share, steps=1)
            assert after.min() >= 0
            assert after.sum() == pytest.approx(1)
            assert loss(after) <= loss(share) + 1e-9
            share = after

    def test_it_ends_where_a_general_solver_does(self):
        optimize = pytest.importorskip("scipy.optimize")
        rng = np.random.default_rng(7)
        members, belief = soft(rng, 3, 200, 3), soft(rng, 1, 200, 3)[0]
        belief = (0.5 * belief + 0.3 * members[0] + 0.2 * members[1]).astype(np.float32)

        def loss(share):
            return -(belief * np.log(np.tensordot(share, members.astype(np.float64), 1))).mean()

        peer = optimize.minimize(
            loss, np.full(3, 1 / 3), bounds=[(0, 1)] * 3, constraints={"type": "eq", "fun": lambda w: w.sum() - 1}
        )
        ours = likeliest(members, belief, np.full(3, 1 / 3), steps=3000)
        np.testing.assert_allclose(ours, peer.x, atol=2e-3)

    @given(st.integers(0, 1000), st.integers(2, 5))
    def test_equal_members_keep_equal_weights(self, seed, m):
        rng = np.random.default_rng(seed)
        members = np.repeat(soft(rng, 1, 20, 3), m, axis=0)
        np.testing.assert_allclose(likeliest(members, soft(rng, 1, 20, 3)[0], np.full(m, 1 / m)), 1 / m)

    @pytest.mark.parametrize("k", [2, 3])
    @pytest.mark.parametrize("place", [0, 2])
    def test_the_informative_member_is_found_among_noise(self, k, place):
        x, true, groups = world(n=300, k=k, spread=2.5)
        rng = np.random.default_rng(4)
        members = soft(rng, 4, 300, k)
        members[place] = 0.75 * np.eye(k)[true] + 0.25 / k
        share, facts = ensembles.build("simplex").settle(members, x, groups)
        assert share.argmax() == place
        assert share[place] > 0.8
        assert facts["rounds"] <= 10

    def test_equal_members_end_at_once(self):
        x, _, groups = world(n=100)
        members = np.repeat(soft(np.random.default_rng(0), 1, 100, 2), 3, axis=0)
        share, facts = ensembles.build("simplex").settle(members, x, groups)
        np.testing.assert_allclose(share, 1 / 3)
        assert facts["rounds"] == 1

    def test_swapping_the_responses_of_comparisons_changes_nothing(self):
        x, true, groups = world(n=200, spread=2)
        rng = np.random.default_rng(3)
        members = soft(rng, 3, 200, 2)
        members[1] = 0.7 * np.eye(2)[true] + 0.15
        swap = rng.random(200) < 0.5
        turned = np.where(swap[:, None], members[:, :, ::-1], members)
        other = np.where(swap[:, None], -x, x)
        chosen = ensembles.build("simplex")
        assert isinstance(chosen, JointEnsemble)
        plain, _ = chosen.settle(members, x, groups, pairwise=True)
        after, _ = chosen.settle(turned, other, groups, pairwise=True)
        np.testing.assert_allclose(plain, after, atol=1e-3)


class TestPrompts:
    @pytest.mark.parametrize(
        ("said", "entropy", "share"),
        [([1, 1, 1, 1], 1.0, 1.0), ([0, 0, 1, 1], 0.0, 0.5), ([0, 1, 1, 1], 0.18872, 0.75)],
    )
    def test_weights_of_known_votes(self, said, entropy, share):
        members = (0.6 * np.eye(2)[said] + 0.2)[:, None].astype(np.float32)
        assert agreement(members, "entropy")[0] == pytest.approx(entropy, abs=1e-5)
        assert agreement(members, "share")[0] == pytest.approx(share)

    def test_agreeing_items_weigh_most_and_the_label_is_the_mean(self):
        taught = teaching(ways=3)
        vote = ensembles.build("prompts").teach(taught)
        np.testing.assert_allclose(vote.probs, taught.learn([taught.labels]).mean(0), atol=1e-6)
        same = (vote.members.argmax(-1) == vote.members[0].argmax(-1)).all(0)
        assert same.any()
        assert not same.all()
        assert (vote.weight[same] == 1).all()
        assert (vote.weight[~same] < 0.1).all()  # two against one of three

    def test_answers_evenly_divided_everywhere_are_refused(self):
        taught = teaching()
        way = taught.ways[0]
        against = Teaching([way, lambda given_: way(given_)[:, :, ::-1]], taught.labels, taught.taught, taught.groups)
        with pytest.raises(DataError, match="evenly divided"):
            ensembles.build("prompts").teach(against)

    def test_a_prompt_needs_a_place_for_the_item_and_differs_from_the_others(self):
        with pytest.raises(ConfigError, match="no place for the item"):
            ensembles.build({"name": "prompts", "templates": ["Is this true?"]})
        with pytest.raises(ConfigError, match="twice"):
            ensembles.build({"name": "prompts", "templates": ["{text}", "{text}"]})
        assert ensembles.build("prompts,templates={text}+Really, {text}?").asked == ("{text}", "Really, {text}?")

    def test_every_item_is_asked_as_the_template_says(self):
        examples = Task("t", "1", (Example("1", "a", "yes", group="g"), Example("2", "{b}")), ("n", "y"))
        pairs = Task("t", "1", (Comparison("1", "", ("a", "b")), Comparison("2", "p", ("a", "b"))), ("first", "second"))
        assert reworded(examples, "{text}") is examples
        asked = reworded(examples, "Well: {text}!")
        assert asked.texts() == [Text("Well: a!", "yes"), Text("Well: {b}!")]
        assert asked.groups() == examples.groups()
        said = reworded(pairs, "Q: {text}")
        assert said.texts() == [Text("Q: a"), Text("Q: b"), Text("Q: p", "a"), Text("Q: p", "b")]


def test_a_mean_may_be_weighted():
    members = np.stack([np.full((2, 2), 0.5), np.eye(2)]).astype(np.float32)
    np.testing.assert_allclose(Vote.mean(members, np.array([0.0, 1.0])).probs, np.eye(2))
