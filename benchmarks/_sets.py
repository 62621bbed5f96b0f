"""The public sets that the benchmarks read, where a folder holds them."""

from __future__ import annotations

from pathlib import Path

SETS = {
    "city_country": "city_country/statements.jsonl",
    "sentiment_movie": "sentiment_movie/snippets.jsonl",
    "ethics_commonsense": "ethics/commonsense_test_short.jsonl,block=2",
    "ethics_justice": "ethics/justice_train.jsonl",
    "ethics_deontology": "ethics/deontology_train.jsonl",
    "ethics_utilitarianism": "ethics/utilitarianism_test.jsonl",
    "true_false": "true_false/statements.jsonl",
    "truthfulqa": "truthfulqa/questions.jsonl",
    "strategyqa": "strategyqa/questions.jsonl",
    "logical_fallacy": "logical_fallacy/statements.jsonl",
    "boolq": "boolq/dev.jsonl",
    "hh_harmless": "hh_harmless_single_turn/train_gt.jsonl,transfer={hh}/train_w2s.jsonl,test={hh}/test.jsonl",
    "persona": "anthropic_evals/persona_a.jsonl",
    "ai_risk": "anthropic_evals/ai_risk_human_generated.jsonl",
    "bbq_age": "bbq/age.jsonl,block=4",
    "gsm8k_solutions": "gsm8k/model_solutions.jsonl",
    "mmlu": "mmlu/test_60_per_subject.jsonl",
    "sms_spam": "sms_spam/messages.jsonl,balance=true",
    "tweets_offensive": "tweets_offensive/tweets.jsonl",
    "xstest_prompts": "xstest/prompts.jsonl",
    "clinc150": "intents/clinc150_test.jsonl",
    "pandalm": "pandalm_human_prefs/pairs.jsonl,max_bad=0.1",
}


def spec(name: str, data: Path, limit: int) -> str:
    """Return the task of a set: the embedded world's facts or questions of them, or a file of the folder."""
    if name == "facts":
        return "facts"
    if name == "questions":  # pairs of answers, short enough for policies
        return f"facts,questions=true,cities={limit}"
    return f"file:{data}/{SETS[name].format(hh=data / 'hh_harmless_single_turn')},limit={limit}"
