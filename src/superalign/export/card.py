"""The model card of an exported learner: how to load it, what it scored, what was done, and where it ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from superalign.display import printable
from superalign.export.choose import Chosen
from superalign.model import Model
from superalign.models.hf import HuggingFace
from superalign.result import Interval
from superalign.store import write_synced

CARD = "README.md"
LIBRARIES = {"adapter": "peft", "model": "transformers", "head": "superalign"}
POOLED = {
    "last": "hidden[torch.arange(len(hidden)), inputs.attention_mask.sum(1) - 1]  # the last token; pad on the right",
    "mean": "(hidden * inputs.attention_mask[..., None]).sum(1) / inputs.attention_mask.sum(1, keepdim=True)",
}
COMPARED = {
    "weak": "weak supervisor, which learnt from true labels",
    "ceiling": "ceiling, which learnt from true labels",
    "control": "control, which learnt from labels dealt to the wrong items",
}


class Card(NamedTuple):
    """What a card is written from.

    Args:
        chosen: the learner.
        about: its manifest.
        kind: transformers' class that loads it; None for the head of a probe.
        outputs: of its head; 0 when it has none of its own.
    """

    chosen: Chosen
    about: Mapping[str, Any]
    kind: str | None
    outputs: int


def write_card(folder: Path, card: Card) -> None:
    """Write README.md: YAML front matter, then Markdown."""
    parts = [front_matter(card), *("\n".join([*part, ""]) for part in _parts(card))]
    write_synced(folder / CARD, "\n".join(parts).encode())


def front_matter(card: Card) -> str:
    """Return what the hub reads of a card."""
    what, model = card.about["what"], card.chosen.model
    facts = {
        "base_model": named(model),
        "library_name": LIBRARIES[what],
        "pipeline_tag": "text-generation" if _is_policy(card) else "text-classification",
        "tags": ["superalign", card.about["run"]["study"], card.about["fit"]["name"], "noisy-labels"],
    }
    return f"---\n{yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)}---\n"


def _parts(card: Card) -> Iterator[list[str]]:
    chosen, about = card.chosen, card.about
    labels, task = about["labels"], chosen.result.task
    yield [
        f"# {printable(chosen)}",
        "",
        f"What `{printable(chosen.model)}` learnt with `{printable(chosen.fit)}` and the objective "
        f"`{printable(chosen.method)}`, in the study `{about['run']['study']}` of superalign.",
        f"It learnt from labels by {printable(labels['by'])}: the {chosen.job.params['part']} part of "
        f"`{printable(task.name)}`, {task.parts[chosen.job.params['part']]:,} items"
        + (f", of which a filter kept {labels['kept']:,}." if labels["kept"] is not None else ", all of them."),
    ]
    yield ["## How to load it", "", *_loading(card)]
    yield ["## Figures", "", *_figures(chosen)]
    yield ["## Limits", "", *(f"- {line}" for line in _limits(card))]
    config = yaml.safe_dump(chosen.result.config, sort_keys=False, allow_unicode=True).splitlines()
    yield ["## The run", "", "Its whole configuration:", "", *(f"    {line}" for line in config)]


def _is_policy(card: Card) -> bool:
    return bool(card.about["fit"].get("read") == "policy")


def _loading(card: Card) -> Iterator[str]:
    reads, base = card.about["reads"], base_of(card.chosen.model)
    if card.kind is None:
        yield from _alone(card)
        return
    labels = f", num_labels={card.outputs}" if card.kind == "AutoModelForSequenceClassification" else ""
    yield "```python"
    yield f"from transformers import {card.kind}"
    if card.about["what"] == "adapter":
        yield "from peft import PeftModel"
        yield ""
        yield f"base = {card.kind}.from_pretrained({base}{labels})"
        yield 'model = PeftModel.from_pretrained(base, "THIS FOLDER")'
    else:
        yield ""
        yield f'model = {card.kind}.from_pretrained("THIS FOLDER")'
    if card.kind == "AutoModel":
        yield ""
        yield from _applied(card)
    yield "```"
    yield ""
    if card.kind == "AutoModel":
        yield "transformers has no classifier that reads as this learner did, so its head stands in `head.safetensors`."
    if not _is_policy(card):
        yield _meaning(card)
    yield from _texts(reads)


def _alone(card: Card) -> Iterator[str]:
    reads = card.about["reads"]
    spec = f"`{printable(card.chosen.model)}`"
    yield f"`head.safetensors` is a linear head on features of {spec}: layer {reads['layer']}" + (
        f", the {reads['pooling']} of a text's tokens." if reads["pooling"] else "."
    )
    yield ""
    yield "```python"
    yield "from safetensors.numpy import load_file"
    yield ""
    yield 'head = load_file("THIS FOLDER/head.safetensors")'
    yield 'logits = features.astype("float64") @ head["weight"].T + head["bias"]  # features: [n, d]'
    yield "```"
    yield ""
    if reads["pairwise"]:
        yield "Features of a pair are those of the second response minus those of the first; the only logit is the "
        yield "log-odds of the second."
    else:
        yield _meaning(card, "the log-odds of the second class")
    yield from _texts(reads)


def _applied(card: Card) -> Iterator[str]:
    reads = card.about["reads"]
    yield "import torch"
    yield "from safetensors.torch import load_file"
    yield ""
    yield 'head = load_file("THIS FOLDER/head.safetensors")'
    yield f"hidden = model(**inputs, output_hidden_states=True).hidden_states[{reads['layer']}].float()"
    yield f"pooled = {POOLED[reads['pooling']]}"
    yield 'logits = pooled @ head["weight"].T'


def _meaning(card: Card, single: str = "the reward of a response; the better of two has the higher one") -> str:
    classes = ", ".join(f"`{printable(name).replace('`', '')}`" for name in card.about["reads"]["classes"])
    if card.outputs == 1:
        return f"The only logit is {single}" + ("." if card.about["reads"]["pairwise"] else f" ({classes}).")
    return f"The logits are those of the classes {classes}, in this order."


def _texts(reads: Mapping[str, Any]) -> Iterator[str]:
    if reads["max_tokens"] is None:
        return
    yield f"Texts were cut at {reads['max_tokens']} tokens. A prompt with a response went through the tokenizer's chat "
    yield "template where it has one, else both were joined by a line break."


def _figures(chosen: Chosen) -> Iterator[str]:
    """Yield the accuracy of this learner beside the others that its study compares it with."""
    result, rate = chosen.result, chosen.rate
    yield f"On the test part of `{printable(result.task.name)}`, never trained on."
    yield ""
    yield "| | accuracy [95 % interval] | items | seeds |"
    yield "| --- | --- | --- | --- |"
    for row in result.summary:
        role = getattr(row, "role", "student")
        mine = (role, row.method) == (chosen.role, chosen.method)
        if getattr(row, "rate", None) == rate and (mine or role != chosen.role):
            name = printable(f"{role} {row.method}").replace("|", "\\|")
            shown = f"**{name}**" if mine else name
            yield f"| {shown} | {percent(row.accuracy)} | {row.n:,} | {row.seeds} |"
    yield ""
    for row in result.rows:
        same = (getattr(row, "role", "student"), row.method, row.seed, getattr(row, "rate", None))
        if same == (chosen.role, chosen.method, chosen.seed, rate):
            yield f"This very learner, seed {chosen.seed}: {row.accuracy:.1%} ({row.correct:,} of {row.n:,})."
    for gap in getattr(result, "pgr", ()):
        if gap.method == chosen.method and chosen.role == "student":
            pooled = gap.pooled
            told = _plain(pooled) if pooled else f"not given, because {gap.reason}"
            yield f"Performance gap recovered: {told}."


def _limits(card: Card) -> Iterator[str]:
    chosen, result = card.chosen, card.chosen.result
    yield f"The figures hold for `{printable(result.task.name)}` alone, and for texts like its own."
    if chosen.role == "student":
        yield "It learnt from labels that are partly wrong, and may have learnt their mistakes."
    else:
        yield f"It is its study's {COMPARED.get(chosen.role, chosen.role)}, made for comparison."
    if chosen.rate:
        yield f"A share of {chosen.rate:g} of its labels was made wrong on purpose ({printable(result.noise)})."
    if card.about["what"] == "adapter" and not isinstance(chosen.model, HuggingFace):
        yield "Its base is superalign's own conversion of a model; on other weights of that name it was not measured."
    if result.task.dropped:
        yield f"{result.task.dropped:,} rows of the data were left out when it was read."
    for flag in result.flags:
        yield printable(flag)


def base_of(model: Model) -> str:
    """Return what a card's code says for the base model."""
    return repr(model.path if isinstance(model, HuggingFace) else f"FOLDER OF {named(model)}")


def named(model: Model) -> str:
    """Return a model without the settings that say how it is read."""
    return model.path if isinstance(model, HuggingFace) else str(model).partition(",")[0]


def percent(interval: Interval) -> str:
    """Write a share with its interval."""
    return f"{interval.value:.1%} [{interval.low:.1%}, {interval.high:.1%}]"


def _plain(interval: Interval) -> str:
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
