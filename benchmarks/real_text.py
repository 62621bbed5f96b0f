"""Weak-to-strong on every suitable public set in a folder: where is there a gap, and what is recovered?

    python benchmarks/real_text.py --data ../shared/data --limit 2400

Nothing is picked: sets without a gap are listed with the reason why no PGR is given.
"""

from __future__ import annotations

import sys

from _measure import Row, set_options, write

from superalign import SuperalignError, WeakToStrong, run
from superalign.display import Plain

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


def main() -> None:
    """Run every set and print one line each."""
    options = set_options(__doc__, limit=2400)
    options.add_argument("--weak", default="embedded:minilm")
    options.add_argument("--strong", default="embedded:smollm2")
    asked = options.parse_args()
    rows = []
    for name in asked.only or SETS:
        task = f"file:{asked.data}/{SETS[name].format(hh=asked.data / 'hh_harmless_single_turn')},limit={asked.limit}"
        rows.append(study(name, task, asked.weak, asked.strong))
        print(line(rows[-1]), flush=True)
    write(asked.json, rows)


def study(name: str, task: str, weak: str, strong: str) -> Row:
    """Run one set; a set that cannot be used is a row with its reason."""
    try:
        result = run(WeakToStrong(weak=weak, strong=strong, task=task, sweep=0), listen=Plain(sys.stderr))
    except SuperalignError as error:
        return {"set": name, "refused": str(error)}
    figures = {
        s.role if s.role != "student" else s.method: [s.accuracy.value, s.accuracy.low, s.accuracy.high]
        for s in result.summary
    }
    pgr = {p.method: [p.pooled.value, p.pooled.low, p.pooled.high] if p.pooled else p.reason for p in result.pgr}
    facts = {"n": result.summary[0].n, "items": result.task.items, "dropped": result.task.dropped}
    return {"set": name, **facts, "truncated": result.strong.truncated, "accuracy": figures, "pgr": pgr}


def line(row: Row) -> str:
    """Return one line of the table."""
    if "refused" in row:
        return f"{row['set']:22} refused: {str(row['refused']).splitlines()[0]}"
    accuracy, pgr = row["accuracy"], row["pgr"]
    shares = "  ".join(f"{who} {100 * v:4.1f} [{100 * a:4.1f}, {100 * b:4.1f}]" for who, (v, a, b) in accuracy.items())
    gaps = "  ".join(
        f"{who} {v[0]:.2f} [{v[1]:.2f}, {v[2]:.2f}]" if isinstance(v, list) else f"{who}: none"
        for who, v in pgr.items()
    )
    return f"{row['set']:22} n {row['n']:>5}  {shares}  PGR {gaps}"


if __name__ == "__main__":
    main()
