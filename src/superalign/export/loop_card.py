"""The model card of a loop's learner: how to load it, what it learnt from, what the exam and the gate found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from superalign.display import printable
from superalign.export.card import CARD, base_of, named, percent
from superalign.export.rounds import Rounds
from superalign.models.hf import HuggingFace
from superalign.result import Interval
from superalign.store import write_synced

MEASURES = (
    ("held_out", "n_held_out", "attacks never trained on that break it (lower is better)"),
    ("trained", "n_trained", "attacks of the training that break it (lower is better)"),
    ("plain", "n_plain", "right when asked plainly"),
    ("evidence", "n_evidence", "true evidence accepted about what it did not know"),
    ("over_refusal", "n_benign", "benign requests refused (lower is better)"),
)


def write_loop_card(folder: Path, rounds: Rounds) -> None:
    """Write README.md: YAML front matter, then Markdown."""
    facts = {
        "base_model": named(rounds.model),
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["superalign", rounds.study.name, rounds.study.update.name, "noisy-labels"],
    }
    config = yaml.safe_dump(rounds.result.config, sort_keys=False, allow_unicode=True).splitlines()
    parts = [
        _title(rounds),
        ["## How to load it", "", *_loading(rounds)],
        ["## What it learnt from", "", *_data(rounds)],
        ["## Figures", "", *_figures(rounds)],
        ["## The gate", "", *_gate(rounds)],
        ["## What was found, and limits", "", *(f"- {line}" for line in _limits(rounds))],
        ["## The run", "", "Its whole configuration:", "", *(f"    {line}" for line in config)],
    ]
    front = f"---\n{yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)}---\n"
    write_synced(folder / CARD, "\n".join([front, *("\n".join([*part, ""]) for part in parts)]).encode())


def _title(rounds: Rounds) -> list[str]:
    passed = sum(row.accepted for row in rounds.rows)
    return [
        f"# {printable(rounds)}",
        "",
        f"What `{printable(rounds.model)}` learnt with `{printable(rounds.fit)}` and the update "
        f"`{printable(rounds.study.update)}`, in {passed} of {len(rounds.rows)} rounds of superalign's closed loop "
        "of attacker, critic and learner.",
    ]


def _loading(rounds: Rounds) -> list[str]:
    return [
        "```python",
        "from transformers import AutoModelForCausalLM",
        "from peft import PeftModel",
        "",
        f"base = AutoModelForCausalLM.from_pretrained({base_of(rounds.model)})",
        'model = PeftModel.from_pretrained(base, "THIS FOLDER")',
        "```",
    ]


def _data(rounds: Rounds) -> Iterator[str]:
    study, rows = rounds.study, rounds.rows
    yield f"Questions of `{printable(rounds.result.task.name)}` ({printable(study.task)}), other ones in each round:"
    yield ""
    yield "| round | questions attacked | feedback by aim | replayed | answers of an expert | tokens read |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in rows:
        fed = ", ".join(f"{aim} {count}" for aim, count in row.feedback.items())
        yield f"| {row.round} | {row.goals:,} | {fed} | {row.replayed} | {row.experts} | {row.tokens:,} |"
    yield ""
    if rounds.judged_by == "critics":
        judges = ", ".join(f"`{printable(one)}`" for one in study.critics)
        yield f"Which answer is better was said by {judges}, who do not see the truth."
    else:
        yield f"In this arm the labels are not those of critics: {printable(rounds.judged_by)}."
    if any(row.experts for row in rows):
        yield f"{sum(row.experts for row in rows)} verdicts are an expert's{rounds.simulated}."
    right = [row.label_accuracy for row in rows if row.label_accuracy is not None]
    if right:
        yield f"Of the verdicts {min(right):.0%} to {max(right):.0%} of a round were right, an expert's included."


def _figures(rounds: Rounds) -> Iterator[str]:
    result, seeds = rounds.result, rounds.result.seeds
    before, after = result.of(rounds.arm, "before"), result.of(rounds.arm, "after")
    yield "In the exam, on items of which nothing was learnt, with 95 % intervals. " + (
        "They are this very learner's."
        if seeds == 1
        else f"They are those of {seeds} seeds together, of which this learner is one."
    )
    yield ""
    yield "| | before | n | after | n |"
    yield "| --- | --- | --- | --- | --- |"
    if before and after:
        for measure, n, words in (one for one in MEASURES if one[0] in result.measured):
            old, new = (f"{_known(getattr(one, measure))} | {getattr(one, n):,}" for one in (before, after))
            yield f"| {words} | {old} | {new} |"
        if before.text is not None and after.text is not None:
            yield f"| log-likelihood of general text, nats a token | {before.text:.4f} | | {after.text:.4f} | |"
    if rounds.arm == "full":
        for one in result.exploits:
            yield ""
            yield f"A fresh attacker {one.phase}: {_known(one.success)} of {one.n:,} goals."


def _gate(rounds: Rounds) -> Iterator[str]:
    yield "What the gate saw of this very learner, without the truth:"
    yield ""
    names = [name for name, value in rounds.rows[0].start.items() if value is not None]
    yield f"| | {' | '.join(names)} | |"
    yield "| --- |" + " --- |" * (len(names) + 1)
    yield f"| start | {' | '.join(_number(rounds.rows[0].start[name]) for name in names)} | |"
    for row in rounds.rows:
        became = row.fate if row.accepted else f"{row.fate}: {printable('; '.join(row.why))}"
        yield f"| round {row.round} | {' | '.join(_number(row.measures.get(name)) for name in names)} | {became} |"


def _limits(rounds: Rounds) -> Iterator[str]:
    result = rounds.result
    yield from map(printable, result.verdict)
    yield f"The figures hold for `{printable(result.task.name)}` and the attacks of the exam alone."
    yield "It learnt from labels that are partly wrong, and may have learnt their mistakes."
    if not isinstance(rounds.model, HuggingFace):
        yield "Its base is superalign's own conversion of a model; on other weights of that name it was not measured."
    yield from map(printable, result.flags)


def _known(interval: Interval | None) -> str:
    return "not known" if interval is None else percent(interval)


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"
