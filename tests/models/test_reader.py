"""Token ids: chat template only where it belongs, cuts at the right end, no text that crashes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoints import bpe_tokenizer, wordpiece_tokenizer
from superalign.errors import ModelError
from superalign.models._reader import Reader
from superalign.task import Text

ASKED, ANSWERED = Text("Is it long?"), Text("Is it long?", "Yes.")


@pytest.fixture(scope="module")
def chatty() -> Any:
    return bpe_tokenizer("llama")


@pytest.fixture(scope="module")
def plain() -> Any:
    return bpe_tokenizer("gpt2")


def decoded(reader: Reader, text: Text) -> str:
    return str(reader.tokenizer.decode(reader([text])[0][0]))


def test_template_goes_on_answered_prompts_only(chatty: Any) -> None:
    reader = Reader(chatty, 100, "auto", "m")
    assert decoded(reader, ASKED) == "Is it long?"
    assert decoded(reader, ANSWERED) == (
        "<|im_start|>user\nIs it long?<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n"
    )


def test_never_and_no_template_join_with_a_newline(chatty: Any, plain: Any) -> None:
    assert decoded(Reader(chatty, 100, "never", "m"), ANSWERED) == "Is it long?\nYes."
    assert decoded(Reader(plain, 100, "auto", "m"), ANSWERED) == "Is it long?\nYes."


def test_always_needs_a_template(chatty: Any, plain: Any) -> None:
    assert decoded(Reader(chatty, 100, "always", "m"), ASKED) == "<|im_start|>user\nIs it long?<|im_end|>\n"
    with pytest.raises(ModelError, match="has no chat template"):
        Reader(plain, 100, "always", "m")


def test_failing_template_is_the_models_fault() -> None:
    tokenizer = bpe_tokenizer("llama")
    tokenizer.chat_template = "{{ raise_exception('system first') }}"
    with pytest.raises(ModelError, match="chat template of m fails") as caught:
        Reader(tokenizer, 100, "auto", "m")([ANSWERED])
    assert "system first" in str(caught.value)


def test_special_tokens_survive_the_cut() -> None:
    reader = Reader(wordpiece_tokenizer(), 6, "auto", "bert")
    words = "one two three four five six seven"
    (start, end), cut = reader([Text(words), Text(words, "eight nine")])
    assert cut == [True, True]
    assert reader.tokenizer.convert_ids_to_tokens(start) == ["[CLS]", "one", "two", "three", "four", "[SEP]"]
    kept = reader.tokenizer.convert_ids_to_tokens(end)
    assert (kept[0], kept[-1], len(kept)) == ("[CLS]", "[SEP]", 6)
    assert reader.tokenizer.decode(end, skip_special_tokens=True).endswith("eight nine")


def test_opening_token_survives_the_cut() -> None:
    reader = Reader(bpe_tokenizer("gemma3"), 5, "auto", "gemma")
    ids, cut = reader([Text("one two three four five six", "seven eight nine ten")])
    assert cut == [True]
    assert ids[0][0] == reader.tokenizer.bos_token_id
    assert reader.tokenizer.decode(ids[0][1:]).endswith("ine ten")


@given(st.lists(st.tuples(st.text(max_size=40), st.none() | st.text(max_size=20)), max_size=6), st.integers(4, 12))
def test_every_text_gets_tokens_within_the_limit(pairs: list[tuple[str, str | None]], limit: int) -> None:
    for tokenizer in TOKENIZERS:
        reader = Reader(tokenizer, limit, "auto", "m")
        texts = [Text(*pair) for pair in pairs]
        ids, cut = reader(texts)
        assert len(ids) == len(cut) == len(texts)
        assert all(1 <= len(row) <= limit for row in ids)
        whole, _ = Reader(tokenizer, 10**6, "auto", "m")(texts)
        assert cut == [len(row) > limit for row in whole]


def test_lone_surrogates_do_not_crash(plain: Any) -> None:
    assert Reader(plain, 10, "auto", "m")([Text("a\ud800b")])[0][0]


TOKENIZERS = [bpe_tokenizer("llama"), bpe_tokenizer("gemma3"), wordpiece_tokenizer()]
