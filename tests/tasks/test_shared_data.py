"""The real sets: each that suits a task loads without a column being named, the others say why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from superalign.errors import DataError
from superalign.task import split, tasks

HH = "hh_harmless_single_turn"
SUITABLE = [
    ("anthropic_evals/ai_risk_human_generated.jsonl", "pairs", 2, 7814),
    ("anthropic_evals/persona_a.jsonl", "classes", 2, 9973),
    ("bbq/religion.jsonl,block=4", "classes", 2, 2400),
    ("boolq/dev.jsonl", "classes", 2, 3270),
    ("city_country/statements.jsonl", "classes", 2, 11936),
    ("ethics/commonsense_test_short.jsonl,block=2", "classes", 2, 2109),
    ("ethics/deontology_train.jsonl", "classes", 2, 11998),
    ("ethics/justice_train.jsonl", "classes", 2, 11998),
    ("ethics/utilitarianism_test.jsonl", "pairs", 2, 4802),
    ("gsm8k/model_solutions.jsonl", "classes", 2, 5268),
    (f"{HH}/train_gt.jsonl,transfer={{}}/{HH}/train_w2s.jsonl,test={{}}/{HH}/test.jsonl", "pairs", 2, 7301),
    ("intents/banking77_train.jsonl,test={}/intents/banking77_test.jsonl", "classes", 77, 13076),
    ("intents/clinc150_test.jsonl", "classes", 151, 5500),
    ("logical_fallacy/statements.jsonl", "classes", 2, 2800),
    ("mmlu/val.jsonl", "classes", 2, 2918),
    ("pandalm_human_prefs/pairs.jsonl,max_bad=0.1", "pairs", 2, 774),
    ("sentiment_movie/snippets.jsonl", "classes", 2, 10316),
    ("sms_spam/messages.jsonl", "classes", 2, 5172),
    ("strategyqa/questions.jsonl", "classes", 2, 2289),
    ("true_false/statements.jsonl", "classes", 2, 6283),
    ("truthfulqa/questions.jsonl", "pairs", 2, 813),
    ("tweets_offensive/tweets.jsonl", "classes", 3, 12000),
    ("xstest/completions.jsonl", "classes", 3, 2240),
    ("xstest/prompts.jsonl", "classes", 2, 450),
]
UNSUITABLE = [
    ("attack_goals/goals.jsonl", "no column is recognised as the label"),
    ("cvalues_prompts_zh/prompts.jsonl", "no column is recognised as the label"),
    ("ethics/virtue_train.jsonl", "two classes with at least 6 rows"),
    ("gsm8k/train.jsonl", "no column is recognised as the label"),
    ("inaugural_addresses/addresses.jsonl", "no column is recognised as the label"),
    ("pandalm_human_prefs/pairs.jsonl", "6.1%"),
]


@pytest.mark.parametrize(("spec", "kind", "classes", "items"), SUITABLE, ids=[row[0][:40] for row in SUITABLE])
def test_suitable_sets_load_by_their_path(shared_data: Path, spec: str, kind: str, classes: int, items: int) -> None:
    source = tasks.build(f"file:{shared_data}/{spec.replace('{}', str(shared_data))}")
    task, labels = source.load()
    assert (("pairs" if task.pairwise else "classes"), len(task.classes), len(task.items)) == (kind, classes, items)
    assert len(labels) == items
    assert len({item.id for item in task.items}) == items
    parts = split(task, (1, 1, 1), seed=0)
    assert all(len(set(labels[index].tolist())) == classes for index in parts)


@pytest.mark.parametrize(("name", "said"), UNSUITABLE)
def test_other_sets_say_why_not(shared_data: Path, name: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        tasks.build(f"file:{shared_data}/{name}").load()


def test_an_implicit_prompt_is_found_in_a_transcript(shared_data: Path) -> None:
    task, _ = tasks.build(f"file:{shared_data}/{HH}/test.jsonl").load()
    assert task.pairwise
    assert all(item.prompt and "Assistant:" not in item.prompt for item in task.items)
    assert task.items[0].prompt.startswith("Is it true that")
