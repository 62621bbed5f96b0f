"""The public sets of the weak-to-strong papers: where each is, and what a row of it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

Values = Mapping[str, Any]
PARQUET = "refs/convert/parquet"
"""Where the hub keeps the rows of a set that is a program, which is never run here."""
TOXIC = 0.5


class Recipe(NamedTuple):
    """How one set is read.

    Args:
        dataset: its id on the hub.
        kind: `classes` (is it so, or not?), `choice` (the right answer and one wrong one of a question) or `pair`.
        shape: from its row to the columns of that kind, and `group`.
        subset: its configuration.
        train: the split that supervise and transfer are dealt from.
        test: the split that is the test part; without one, all three are dealt from `train`.
        revision: of the hub's repository.
        balance: leave out rows of the commoner class.
    """

    dataset: str
    kind: Literal["classes", "choice", "pair"]
    shape: Callable[[Values], Values]
    subset: str | None = None
    train: str = "train"
    test: str | None = "test"
    revision: str | None = None
    balance: bool = True


def is_so(text: str, group: str, true: Any = 1) -> Callable[[Values], Values]:
    """Return the shape of rows that are so, or not: texts joined by a line break, and what their `label` is then."""

    def shape(row: Values) -> Values:
        return {
            "text": "\n".join(str(row[column]) for column in text.split("+")),
            "label": "yes" if row["label"] == true else "no",
            "group": row[group],
        }

    return shape


def question(
    asked: str, choices: Callable[[Values], Any], right: Callable[[Values], Any], group: str
) -> Callable[[Values], Values]:
    """Return the shape of questions with several answers."""

    def shape(row: Values) -> Values:
        prompt = "\n".join(str(row[column]) for column in asked.split("+"))
        return {"prompt": prompt, "choices": choices(row), "label": right(row), "group": row[group]}

    return shape


def _listed(*columns: str) -> Callable[[Values], Any]:
    return lambda row: [row[column] for column in columns]


def _column(name: str) -> Callable[[Values], Any]:
    return lambda row: row[name]


def _number(name: str, first: int = 0) -> Callable[[Values], Any]:
    return lambda row: int(row[name]) - first


def _boolq(row: Values) -> Values:
    text = f"{row['passage']}\n{row['question']}"
    return {"text": text, "label": "yes" if row["answer"] else "no", "group": row["passage"]}


def _dream(row: Values) -> Values:
    said = "\n".join(row["dialogue"])
    return {"prompt": f"{said}\n{row['question']}", "choices": row["choice"], "label": row["answer"], "group": said}


def _justice(row: Values) -> Values:
    """One set of reasons follows the same opening, so all that share it are related."""
    text = str(row["scenario"])
    group = text.partition(" because ")[0].casefold()
    return {"text": text, "label": "yes" if row["label"] == 1 else "no", "group": group}


def _virtue(row: Values) -> Values:
    scenario, _, trait = str(row["scenario"]).partition("[SEP]")
    text = f"{scenario.strip()}\n{trait.strip()}"
    return {"text": text, "label": "yes" if row["label"] == 1 else "no", "group": scenario.strip()}


def _utilitarianism(row: Values) -> Values:
    group = str(row["baseline"]).partition(".")[0]
    return {"chosen": row["baseline"], "rejected": row["less_pleasant"], "group": group}


def _hh(row: Values) -> Values:
    chosen = str(row["chosen"])
    opening = chosen.rpartition("\n\nAssistant:")[0]
    return {"chosen": chosen, "rejected": row["rejected"], "group": opening or chosen}


def _safer(row: Values) -> Values:
    better = int(row["safer_response_id"])
    chosen, rejected = row[f"response_{better}"], row[f"response_{1 - better}"]
    return {"prompt": row["prompt"], "chosen": chosen, "rejected": rejected, "group": row["prompt"]}


def _privacy(row: Values) -> Values:
    text = f"{row['text']}\n{row['question']}"
    return {"text": text, "label": "yes" if row["answer"] == "Relevant" else "no", "group": row["question"]}


def _toxic(row: Values) -> Values:
    prompt = row["prompt"]
    said = "yes" if float(prompt["toxicity"]) >= TOXIC else "no"
    return {"text": prompt["text"], "label": said, "group": row["filename"]}


_ENDINGS = question("ctx", _column("endings"), _number("label"), "source_id")
_SIQA = question("context+question", _listed("answerA", "answerB", "answerC"), _number("label", 1), "context")
_COSMOS = question("context+question", _listed(*(f"answer{n}" for n in range(4))), _number("label"), "context")
_SCIQ = ("correct_answer", "distractor1", "distractor2", "distractor3")

SETS: dict[str, Recipe] = {
    "amazon-polarity": Recipe("fancyzhx/amazon_polarity", "classes", is_so("title+content", "title")),
    "anli-r2": Recipe(
        "facebook/anli", "classes", is_so("premise+hypothesis", "premise", 0), train="train_r2", test="test_r2"
    ),
    "boolq": Recipe("google/boolq", "classes", _boolq, test="validation"),
    "cola": Recipe("nyu-mll/glue", "classes", is_so("sentence", "sentence"), "cola", test="validation"),
    "cosmos-qa": Recipe("allenai/cosmos_qa", "choice", _COSMOS, test="validation", revision=PARQUET),
    "dream": Recipe("dataset-org/dream", "choice", _dream, revision=PARQUET),
    "ethics-deontology": Recipe(
        "hendrycks/ethics", "classes", is_so("scenario+excuse", "scenario"), "deontology", revision=PARQUET
    ),
    "ethics-justice": Recipe("hendrycks/ethics", "classes", _justice, "justice", revision=PARQUET),
    "ethics-utilitarianism": Recipe("hendrycks/ethics", "pair", _utilitarianism, "utilitarianism", revision=PARQUET),
    "ethics-virtue": Recipe("hendrycks/ethics", "classes", _virtue, "virtue", revision=PARQUET),
    "hellaswag": Recipe("Rowan/hellaswag", "choice", _ENDINGS, test="validation"),
    "hh": Recipe("Anthropic/hh-rlhf", "pair", _hh),
    "mc-taco": Recipe(
        "CogComp/mc_taco",
        "classes",
        is_so("sentence+question+answer", "sentence"),
        train="test",
        test="validation",
        revision=PARQUET,
    ),
    "multirc": Recipe(
        "aps/super_glue",
        "classes",
        is_so("paragraph+question+answer", "paragraph"),
        "multirc",
        test="validation",
        revision=PARQUET,
    ),
    "openbookqa": Recipe(
        "allenai/openbookqa",
        "choice",
        question("question_stem", _column("choices"), _column("answerKey"), "question_stem"),
        "main",
    ),
    "paws": Recipe(
        "google-research-datasets/paws", "classes", is_so("sentence1+sentence2", "sentence1"), "labeled_final"
    ),
    "piqa": Recipe(
        "ybisk/piqa",
        "choice",
        question("goal", _listed("sol1", "sol2"), _number("label"), "goal"),
        test="validation",
        revision=PARQUET,
    ),
    "pku-safe": Recipe("PKU-Alignment/PKU-SafeRLHF", "pair", _safer),
    "privacy-policy": Recipe(
        "nguha/legalbench", "classes", _privacy, "privacy_policy_qa", "test", None, PARQUET, balance=False
    ),
    "quail": Recipe(
        "textmachinelab/quail",
        "choice",
        question("context+question", _column("answers"), _number("correct_answer_id"), "context"),
        test="validation",
        revision=PARQUET,
    ),
    "quartz": Recipe(
        "allenai/quartz", "choice", question("para+question", _column("choices"), _column("answerKey"), "para")
    ),
    "sciq": Recipe("allenai/sciq", "choice", question("question", _listed(*_SCIQ), lambda _: 0, "question")),
    "social-iqa": Recipe("allenai/social_i_qa", "choice", _SIQA, test="validation", revision=PARQUET),
    "sst2": Recipe("stanfordnlp/sst2", "classes", is_so("sentence", "sentence"), test="validation"),
    "toxic-prompts": Recipe("allenai/real-toxicity-prompts", "classes", _toxic, test=None, balance=False),
    "twitter-sentiment": Recipe("EleutherAI/twitter-sentiment", "classes", is_so("text", "text"), test=None),
    "wic": Recipe(
        "aps/super_glue",
        "classes",
        is_so("word+sentence1+sentence2", "word"),
        "wic",
        test="validation",
        revision=PARQUET,
    ),
}
