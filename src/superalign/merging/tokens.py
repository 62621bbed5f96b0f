"""Whose tokenizer and chat template a merged model has: what all experts agree on, or what the config says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from superalign.errors import ConfigError, ModelError, did_you_mean
from superalign.models._folder import TOKENIZER_FILES, file_digest, read_json
from superalign.store import write_synced

TOKENIZER, SETTINGS, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
RULES = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
PASSING = {"name_or_path", "padding_side", "truncation_side", "model_max_length", "chat_template", "processor_class"}
PASSING |= {"transformers_version", "is_local", "local_files_only", "backend", "clean_up_tokenization_spaces"}
"""Keys of a tokenizer's settings that change no token of a text."""


@dataclass(frozen=True)
class Tokens:
    """What is written beside the weights.

    Args:
        folder: whose files are taken; None when no model has a tokenizer.
        template: a chat template that takes the place of the folder's.
    """

    folder: Path | None
    template: str | None = None

    def write(self, place: Path) -> None:
        """Write the tokenizer's files into a folder."""
        if self.folder is None:
            return
        for name in TOKENIZER_FILES:
            if (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, place / name)
        if self.template is not None:
            settings = read_json(place / SETTINGS) or {}
            settings.pop("chat_template", None)
            write_synced(place / SETTINGS, (json.dumps(settings, indent=2, ensure_ascii=False) + "\n").encode())
            (place / "chat_template.json").unlink(missing_ok=True)
            write_synced(place / TEMPLATE, self.template.encode())

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of what is taken."""
        files = [] if self.folder is None else [self.folder / name for name in TOKENIZER_FILES]
        return {str(file): file_digest(file) for file in files if file.is_file()}


def agree(
    base: Path | None, experts: Mapping[str, Path], source: str | None = None, template: str | None = None
) -> Tokens:
    """Return what the models agree on, or what is chosen among them.

    Args:
        base: the base model's folder; its vocabulary must be the experts', its settings and template need not.
        experts: each expert's folder, by its name in the config; those without a tokenizer do not vote.
        source: `base` or the name of an expert whose tokenizer is taken.
        template: `base`, the name of an expert, or a template in Jinja.

    Raises:
        ModelError: models disagree, and nobody said what to take; or their vocabularies differ.
        ConfigError: what was chosen is not there.
    """
    named = {**({} if base is None else {"base": base}), **experts}
    holders = {name: folder for name, folder in named.items() if _has(folder)}
    _check_vocabularies(list(holders.values()))
    voters = [folder for name, folder in holders.items() if name != "base"]
    if source is not None:
        taken: Path | None = _chosen("tokenizer_source", source, holders)
    else:
        _check_rules(voters)
        taken = voters[0] if voters else holders.get("base")
    if template is not None and ("{%" in template or "{{" in template):
        return Tokens(taken, template)
    if template not in (None, "auto"):
        return Tokens(taken, _template(_chosen("chat_template", template, holders)) or "")
    if source is None:
        _check_templates(voters)
    return Tokens(taken)


def _has(folder: Path) -> bool:
    return any((folder / name).is_file() for name in TOKENIZER_FILES[:2] + TOKENIZER_FILES[4:10])


def _chosen(key: str, name: str, holders: Mapping[str, Path]) -> Path:
    if name == "union":
        raise ConfigError(f"'{key}: union' is not supported", why="vocabularies are not put together here")
    if name not in holders:
        raise ConfigError(f"'{key}: {name}' has no tokenizer, or is no model", fix=did_you_mean(name, holders))
    return holders[name]


def _check_vocabularies(folders: Sequence[Path]) -> None:
    found = [(folder, _vocabulary(folder)) for folder in folders]
    for folder, vocabulary in found[1:]:
        first, known = found[0]
        if vocabulary == known:
            continue
        differ = sorted(name for name in vocabulary.keys() | known.keys() if vocabulary.get(name) != known.get(name))
        raise ModelError(
            f"the vocabularies differ: {differ[0]!r} is {known.get(differ[0])} and {vocabulary.get(differ[0])}",
            where=f"{first} and {folder}",
            why=f"{len(differ)} entries in all; a row of the embeddings would mean two tokens",
            fix="merge models of one vocabulary",
        )


def _vocabulary(folder: Path) -> dict[str, Any]:
    """Return the id of every token, and what decides how texts are cut: by files, where it is not in JSON."""
    data = read_json(folder / TOKENIZER)
    if data is None:
        files = [folder / name for name in TOKENIZER_FILES[4:10]]
        return {file.name: file_digest(file) for file in files if file.is_file()}
    model = data.get("model") or {}
    vocabulary = model.get("vocab") or {}
    if isinstance(vocabulary, list):  # of a unigram model: pairs of a token and its score
        vocabulary = {row[0]: number for number, row in enumerate(vocabulary)}
    added = {token["content"]: token["id"] for token in data.get("added_tokens") or ()}
    return {**vocabulary, **added, "the merges": model.get("merges")}


def _check_rules(folders: Sequence[Path]) -> None:
    """Refuse tokenizers that would cut or frame a text in different ways."""
    for folder in folders[1:]:
        for name, read in ((TOKENIZER, _rules), (SETTINGS, _settings)):
            one, other = read(folders[0]), read(folder)
            differ = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
            if differ:
                raise ModelError(
                    f"the experts' tokenizers differ in '{differ[0]}'",
                    where=f"{folders[0] / name} and {folder / name}",
                    fix="say whose to take: tokenizer_source: base, or one of the models",
                )


def _rules(folder: Path) -> dict[str, Any]:
    data = read_json(folder / TOKENIZER) or {}
    return {key: data.get(key) for key in RULES}


def _settings(folder: Path) -> dict[str, Any]:
    settings = read_json(folder / SETTINGS) or {}
    return {key: value for key, value in settings.items() if key not in PASSING}


def _check_templates(folders: Sequence[Path]) -> None:
    for folder in folders[1:]:
        if _template(folder) != _template(folders[0]):
            raise ModelError(
                "the experts' chat templates differ",
                where=f"{folders[0]} and {folder}",
                fix="say whose to take: chat_template: base, one of the models, or a template in Jinja",
            )


def _template(folder: Path) -> Any:
    """Return the chat template of a folder; None when it has none."""
    if (folder / TEMPLATE).is_file():
        return (folder / TEMPLATE).read_text(encoding="utf-8")
    for name in ("chat_template.json", SETTINGS):
        if found := (read_json(folder / name) or {}).get("chat_template"):
            return found
    return None
