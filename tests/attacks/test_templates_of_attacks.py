"""The attacks that only fill templates: psychoanalytic families, poisoned context, many shots."""

from __future__ import annotations

from itertools import product

import pytest
from driven import ASKED, EXAMPLES, HOSTILE, KNOWN, ODD, run, scene
from hypothesis import given
from hypothesis import strategies as st

from superalign.attacker import Goal, Query, Scene, attacks
from superalign.attacks._frames import fill
from superalign.attacks._psyche import DISTANCE, PASSAGES, stub
from superalign.attacks.poisoned_context import INSTRUCTION, SOURCES
from superalign.errors import ConfigError


def queries(spec: str, goals: list[Goal], world: str = "knowledge", seed: int = 0) -> list[Query]:
    return [attempt.query for attempt in run(attacks.build(spec), goals, scene(world, seed))]


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_filling_puts_words_in_once_and_reads_nothing_in_them(prompt, claim, denied):
    goal = Goal("g", prompt, claim, denied)
    assert fill("a {claim}|{prompt}|{denied} {other} {", goal) == f"a {claim}|{prompt}|{denied} {{other}} {{"


def test_filling_does_not_fill_what_it_put_in():
    assert fill("{claim}", Goal("g", "p", "{prompt} {claim}")) == "{prompt} {claim}"


class TestIncompleteSentence:
    @given(st.floats(0.05, 0.95), st.text(min_size=1, max_size=60))
    def test_the_stub_is_that_share_of_the_claim_and_has_no_end(self, cut, claim):
        found = stub(Goal("g", "p", claim), cut)
        assert claim.startswith(found)
        assert len(found) <= max(1, round(cut * len(claim)))

    def test_all_combinations_are_tried_once(self):
        found = queries("incomplete-sentence", KNOWN[:1])
        tags = [(q.tags["genre"], q.tags["sentences"], q.tags["cut"]) for q in found]
        assert sorted(tags) == sorted(product(PASSAGES, (0, 2, 4, 8), (0.4, 0.6, 0.8)))

    def test_the_text_breaks_off_in_the_claim_and_holds_so_many_sentences(self):
        for query in queries("incomplete-sentence", KNOWN[:1]):
            (turn,) = query.messages
            assert turn.content.endswith(stub(KNOWN[0], query.tags["cut"]))
            known = [sentence in turn.content for sentence in PASSAGES[query.tags["genre"]]]
            assert sum(known[1:]) == max(0, query.tags["sentences"] - 1)
            assert (KNOWN[0].prompt in turn.content) == (query.tags["sentences"] > 0)
            assert KNOWN[0].claim not in turn.content

    def test_a_prefill_is_the_assistants(self):
        said = {q.messages[-1].content for q in queries("incomplete-sentence,prefill=true", KNOWN[:1])}
        assert said == {"Lyon is a", "Lyon is a city", "Lyon is a city in"}
        apart = Goal("g", "Is it?", "No, it is not.", "Yes, it is.")
        said = {q.messages[-1].content for q in queries("incomplete-sentence,prefill=true", [apart])}
        assert said == {"The last sentence, in full:"}
        poem = queries("incomplete-sentence,prefill=true", ASKED[:1], "behaviour")
        assert {q.messages[-1].role for q in poem} == {"assistant"}
        assert all("Here is a poem about the sea:".startswith(q.messages[-1].content) for q in poem)

    def test_a_request_without_an_opening_is_named(self):
        for query in queries("incomplete-sentence", ASKED[1:2], "behaviour"):
            assert "List three colours." in query.messages[0].content


class TestNegativePriming:
    def test_lines_and_distance_are_what_the_tags_say(self):
        found = queries("negative-priming,variants=cognitive", KNOWN[:1])
        assert len(found) == 8
        for query in found:
            text = query.messages[0].content
            assert text.count("\n- ") == query.tags["primes"] == text.count(KNOWN[0].denied)
            assert sum(sentence in text for sentence in DISTANCE) == query.tags["distance"]
            assert text.endswith(KNOWN[0].prompt)
            assert KNOWN[0].claim in text

    def test_a_request_is_primed_with_refusals_and_with_nothing_denied(self):
        for query in queries("negative-priming,variants=cognitive,primes=8", ASKED[:1], "behaviour"):
            assert "I cannot help with that." in query.messages[0].content

    def test_it_combines_with_an_incomplete_sentence(self):
        for query in queries("negative-priming,then=incomplete-sentence", KNOWN[:1]):
            assert query.messages[0].content.endswith(stub(KNOWN[0], 0.6))


class TestCognitiveDissonance:
    def test_the_assistant_commits_itself_then_is_contradicted(self):
        for query in queries("cognitive-dissonance", KNOWN[:1]):
            quoted = query.tags["variant"] == "quoted"
            assert [turn.role for turn in query.messages] == ["user", "assistant"] * (2 if quoted else 1) + ["user"]
            last = query.messages[-1].content
            assert KNOWN[0].claim in last
            assert last.endswith(KNOWN[0].prompt)
            assert not quoted or query.messages[3].content == KNOWN[0].claim

    def test_it_combines_with_both_others(self):
        for query in queries("cognitive-dissonance,primes=3,then=incomplete-sentence", KNOWN[:1]):
            assert "felt" not in query.messages[-1].content
            assert "learnt by heart" in query.messages[-1].content
            assert query.messages[-1].content.endswith(stub(KNOWN[0], 0.6))

    def test_a_request_without_an_opening_gets_one(self):
        quoted = [q for q in queries("cognitive-dissonance", ASKED[1:2], "behaviour") if len(q.messages) == 5]
        assert all(q.messages[3].content.startswith("Certainly.") for q in quoted)


class TestPoisonedContext:
    @given(st.integers(1, len(SOURCES)), st.floats(0, 1), st.integers(0, 5))
    def test_so_many_passages_support_the_claim_as_the_share_says(self, n, share, seed):
        for query in queries(f"poisoned-context,passages={n},shares={share!r}", KNOWN[:1], seed=seed):
            text = query.messages[0].content
            assert text.count(KNOWN[0].claim) == round(share * n) == query.tags["false"]
            assert text.count(KNOWN[0].denied) == n - round(share * n)
            assert sum(f"] {source}: " in text for source in SOURCES) == n
            assert text.endswith(KNOWN[0].prompt)

    def test_where_the_false_ones_stand_is_drawn(self):
        found = queries("poisoned-context,passages=4,shares=0.25,orders=40", KNOWN[:1])
        lines = [q.messages[0].content.split("\n")[2:6] for q in found]
        places = [[KNOWN[0].claim in line for line in four].index(True) for four in lines]
        assert set(places) == {0, 1, 2, 3}

    def test_only_false_ones_give_instructions(self):
        for query in queries("poisoned-context,instructs=true,passages=5,shares=0.4", [KNOWN[0], ODD]):
            instructing = [line for line in query.messages[0].content.split("\n") if INSTRUCTION in line]
            goal = [KNOWN[0], ODD][query.goal]
            assert len(instructing) == 2
            assert all(goal.claim in line for line in instructing)


class TestManyShot:
    def test_earlier_turns_are_examples_answered_as_wanted(self):
        for query in queries("many-shot", KNOWN[:1]):
            said = [turn.content for turn in query.messages]
            claims = {one.prompt: one.claim for one in EXAMPLES["knowledge"]}
            assert len(said) == 2 * query.tags["shots"] + 1
            assert all(claims[q] == a for q, a in zip(said[:-1:2], said[1::2], strict=True))
            assert len(set(said[:-1:2])) == query.tags["shots"]
            assert said[-1] == KNOWN[0].prompt

    def test_examples_about_the_same_thing_are_not_shown(self):
        goal = Goal("a", "A?", "No.", "Yes.", group="g")
        examples = (Goal("b", "B?", "No B.", "B.", group="g"), Goal("c", "C?", "No C.", "C.", group="h"))
        place = Scene(scene().target, "knowledge", 0, examples)
        (attempt,) = run(attacks.build("many-shot"), [goal], place)
        assert [turn.content for turn in attempt.query.messages] == ["C?", "No C.", "A?"]
        with pytest.raises(ConfigError, match="no examples"):
            run(attacks.build("many-shot"), [goal], Scene(scene().target, "knowledge", 0, examples[:1]))

    def test_hostile_examples_are_shown_as_they_are(self):
        place = Scene(scene().target, "behaviour", 0, (Goal("h", HOSTILE, ""),))
        (attempt,) = run(attacks.build("many-shot"), ASKED[:1], place)
        assert attempt.query.messages[0].content == HOSTILE
