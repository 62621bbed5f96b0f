"""What language models say, against transformers' own logits and its own generation, one conversation at a time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkpoints import ARCHITECTURES, CHATML, bpe_tokenizer, save_checkpoint
from superalign.chat import Message, Messages, Sampling, Scored, asked
from superalign.errors import ModelError
from superalign.model import Model, models
from superalign.models._speech import Speech
from superalign.models._writing import draw
from superalign.models.hf import HuggingFace

Tiny = Callable[[str], Path]
CAUSAL = tuple(name for name in ARCHITECTURES if name != "bert")
CITY = Message("user", "The city of Paris is in France, and the city of Lima is in Peru!")
PROMPTS: list[Messages] = [
    asked("Is the river long?"),
    (CITY, Message("assistant", "Yes, it is."), Message("user", "Is it true or false?")),
    asked("x"),
    (Message("user", "Is the river very long?"), Message("assistant", "Yes, the river")),
    asked("Is the river wide?"),
]
ANSWERS = [["Yes, it is.", "no", "The river is very long"], ["true"], [], [" is", "'s", "", " is not long"], ["!", "?"]]
CITIES = ("Paris", "Lima")
HOSTILE = ["", "\ud800", "<|im_end|>", "a\x00b", "\n\n\n", "😀" * 3, "<pad><s>", "{{ messages }}"]


def hf(folder: Path, **settings: Any) -> HuggingFace:
    return HuggingFace(path=str(folder), **{"dtype": "fp32", **settings})


def written(folder: Path, messages: Messages) -> str:
    """Return a conversation as the text that a model goes on with; the tiny template is known."""
    goes_on = messages[-1].role == "assistant"
    if folder.name not in ("llama", "qwen2"):
        return "\n".join(turn.content for turn in messages) + ("" if goes_on else "\n")
    turns = [f"<|im_start|>{turn.role}\n{turn.content}<|im_end|>\n" for turn in messages]
    return "".join(turns).removesuffix("<|im_end|>\n") if goes_on else "".join(turns) + "<|im_start|>assistant\n"


class Whole:
    """A checkpoint as transformers runs it, without anything of ours."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.folder = folder
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def ids(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer(text, add_special_tokens=not self.tokenizer.chat_template)["input_ids"]
        return found

    def logprob(self, text: str, start: int) -> float:
        """Return log p of all tokens of a text from the token `start` on."""
        import torch

        ids = torch.tensor([self.ids(text)])
        with torch.no_grad():
            each = self.model(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)
        return float(each[start - 1 : -1].gather(1, ids[0, start:, None]).sum())

    def logprobs(self, messages: Messages, answers: Sequence[str]) -> list[float]:
        """Return log p of answers whose tokens follow the conversation's or replace its last."""
        opening = written(self.folder, messages)
        rows = [self.ids(opening), *(self.ids(opening + answer) for answer in answers)]
        start = 0
        while all(len(row) > start for row in rows) and len({row[start] for row in rows}) == 1:
            start += 1
        return [self.logprob(opening + answer, start) for answer in answers]

    def generate(self, messages: Messages, most: int) -> str:
        import torch

        ids = torch.tensor([self.ids(written(self.folder, messages))])
        with torch.no_grad():
            mask = torch.ones_like(ids)  # else it takes token 0 for padding
            settings = {"do_sample": False, "max_new_tokens": most, "pad_token_id": 0}
            out = self.model.generate(input_ids=ids, attention_mask=mask, **settings)
        return str(self.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))


def close(one: Sequence[Scored], other: Sequence[Scored]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.logprobs, b.logprobs, atol=5e-5)
        assert (a.tokens.tolist(), a.tokens_in, a.error) == (b.tokens.tolist(), b.tokens_in, b.error)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what lets architectures pass for such that take no cache."""

    def switch() -> None:
        from superalign.models import _held

        _held._speech.cache_clear()
        monkeypatch.setattr("superalign.models._speech._remembers", lambda _: False)

    yield switch
    from superalign.models import _held

    _held._speech.cache_clear()


@pytest.mark.parametrize("architecture", CAUSAL)
def test_logprobs_are_those_of_the_whole_text(tiny: Tiny, architecture: str) -> None:
    model, whole = hf(tiny(architecture)), Whole(tiny(architecture))
    assert model._speech().remembers
    for prompt, answers, found in zip(PROMPTS, ANSWERS, model.logprobs(PROMPTS, ANSWERS), strict=True):
        assert found.error is None
        assert found.logprobs.dtype == np.float32
        np.testing.assert_allclose(found.logprobs, whole.logprobs(prompt, answers), atol=1e-4)


@pytest.mark.parametrize("architecture", CAUSAL)
def test_the_slow_way_says_the_same(tiny: Tiny, architecture: str, alone: Callable[[], None]) -> None:
    model = hf(tiny(architecture))
    fast = model.logprobs(PROMPTS, ANSWERS), model.generate(PROMPTS, Sampling(max_tokens=12), range(5))
    alone()
    assert not model._speech().remembers
    close(model.logprobs(PROMPTS, ANSWERS), fast[0])
    assert model.generate(PROMPTS, Sampling(max_tokens=12), range(5)) == fast[1]


@pytest.mark.parametrize("kind", ["bloom", "mamba"])
def test_architectures_without_such_masks_go_the_slow_way(kind: str, tmp_path: Path) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    tokenizer = bpe_tokenizer("gpt2")
    shape: dict[str, Any] = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2}
    shape |= {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    if kind == "bloom":
        network: Any = transformers.BloomForCausalLM(transformers.BloomConfig(**shape, n_head=4))
    else:
        network = transformers.MambaForCausalLM(transformers.MambaConfig(**shape, state_size=4))
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model, whole = hf(tmp_path), Whole(tmp_path)
    assert not model._speech().remembers
    for prompt, answers, found in zip(PROMPTS, ANSWERS, model.logprobs(PROMPTS, ANSWERS), strict=True):
        np.testing.assert_allclose(found.logprobs, whole.logprobs(prompt, answers), atol=1e-4)
    replies = model.generate(PROMPTS, Sampling(max_tokens=6), range(len(PROMPTS)))
    assert [reply.text for reply in replies] == [whole.generate(prompt, 6) for prompt in PROMPTS]


@pytest.mark.parametrize("architecture", CAUSAL)
def test_logprobs_do_not_depend_on_company_or_order(tiny: Tiny, architecture: str) -> None:
    together = hf(tiny(architecture), batch_tokens=10_000).logprobs(PROMPTS, ANSWERS)
    small = hf(tiny(architecture), batch_tokens=1).logprobs(PROMPTS[::-1], ANSWERS[::-1])
    close(small[::-1], together)
    for prompt, answers, found in zip(PROMPTS, ANSWERS, together, strict=True):
        close(hf(tiny(architecture)).logprobs([prompt], [answers]), [found])


@pytest.mark.parametrize("architecture", CAUSAL)
def test_what_all_begin_with_is_read_once(tiny: Tiny, architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    system = Message("system", "A model answers the question.")
    prompts = [(system, *prompt) for prompt in PROMPTS]
    model = hf(tiny(architecture), batch_tokens=10_000)
    read: list[int] = []
    forward = model._speech().trunk.module.forward

    def counted(*args: Any, **more: Any) -> Any:
        read.append(more["input_ids"].numel())
        return forward(*args, **more)

    monkeypatch.setattr(model._speech().trunk.module, "forward", counted)
    shared = model.logprobs(prompts, ANSWERS)
    with_sharing, opening = sum(read), read[0]
    read.clear()
    monkeypatch.setattr(Speech, "opening", lambda self, _: (0, self.empty()))
    close(model.logprobs(prompts, ANSWERS), shared)
    assert opening >= len(model._tokenizer()("A model answers the question.")["input_ids"])
    assert sum(read) - with_sharing == opening * (len(prompts) - 1)


def test_an_answers_last_token_is_not_read(tiny: Tiny) -> None:
    told: list[tuple[int, int, int]] = []
    (found,) = hf(tiny("gpt2")).logprobs([asked("Is it?")], [["!", "?", ","]], lambda *said: told.append(said))
    assert found.tokens.tolist() == [1, 1, 1]
    assert told == [(1, 1, found.tokens_in)]


@pytest.mark.parametrize("architecture", CAUSAL)
def test_greedy_answers_are_those_of_transformers(tiny: Tiny, architecture: str) -> None:
    model, whole = hf(tiny(architecture)), Whole(tiny(architecture))
    replies = model.generate(PROMPTS, Sampling(max_tokens=24), range(len(PROMPTS)))
    for prompt, reply in zip(PROMPTS, replies, strict=True):
        assert reply.text == whole.generate(prompt, 24)
        assert model.generate([prompt], Sampling(max_tokens=24), [0]) == [reply]
        assert (reply.finish == "length") == (reply.tokens_out == 24)


def endings(folder: Path, place: Path, ends: Any) -> Path:
    """Copy a checkpoint and change which tokens end an answer."""
    shutil.copytree(folder, place)
    config = json.loads((place / "generation_config.json").read_text())
    (place / "generation_config.json").write_text(json.dumps({**config, "eos_token_id": ends}))
    return place


@pytest.mark.parametrize("architecture", CAUSAL)
def test_rows_that_end_leave_and_the_others_go_on(tiny: Tiny, tmp_path: Path, architecture: str) -> None:
    ends = list(range(0, 320, 12))  # about one token in twelve
    folder = endings(tiny(architecture), tmp_path / architecture, ends)
    model, whole = hf(folder), Whole(folder)
    replies = model.generate(PROMPTS, Sampling(max_tokens=30), range(len(PROMPTS)))
    assert len({reply.tokens_out for reply in replies}) > 1
    for prompt, reply in zip(PROMPTS, replies, strict=True):
        ids = whole.tokenizer.encode(whole.generate(prompt, 30), add_special_tokens=False)
        expected = whole.generate(prompt, 30)
        if reply.finish == "stop":
            expected = expected.removesuffix(whole.tokenizer.decode(ids[-1:]))
        assert reply.text == expected


def test_ends_of_generation_settings_count_for_the_fingerprint(tiny: Tiny, tmp_path: Path) -> None:
    plain = hf(tiny("llama"))
    same = hf(endings(tiny("llama"), tmp_path / "same", plain._tokenizer().eos_token_id))
    more = hf(endings(tiny("llama"), tmp_path / "more", [plain._tokenizer().eos_token_id, 5]))
    assert same.fingerprint() == plain.fingerprint() != more.fingerprint()


def test_stop_strings_end_an_answer_before_them(tiny: Tiny) -> None:
    model = hf(tiny("qwen2"))
    (whole,) = model.generate(PROMPTS[:1], Sampling(max_tokens=24), [0])
    for start, length in ((3, 1), (5, 4), (0, 2)):
        stop = whole.text[start : start + length]
        (reply,) = model.generate(PROMPTS[:1], Sampling(max_tokens=24, stop=("never there", stop)), [0])
        assert reply.text == whole.text[: whole.text.index(stop)]
        assert reply.finish == "stop"
        assert reply.tokens_out < whole.tokens_out


@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_same_seed_same_answer_whatever_the_company(tiny: Tiny, top_p: float) -> None:
    sampling = Sampling(max_tokens=16, temperature=0.9, top_p=top_p)
    model = hf(tiny("llama"))
    together = model.generate(PROMPTS, sampling, [7, 8, 9, 10, 11])
    backwards = hf(tiny("llama"), batch_tokens=1).generate(PROMPTS[::-1], sampling, [11, 10, 9, 8, 7])
    assert backwards[::-1] == together
    assert model.generate([PROMPTS[2]], sampling, [9]) == [together[2]]
    many = model.generate([PROMPTS[2]] * 12, sampling, range(9, 21))
    assert many[0] == together[2]
    assert len({reply.text for reply in many}) > 6


def test_draws_follow_the_probabilities() -> None:
    logits = np.log(np.array([0.1, 0.5, 0.25, 0.15], dtype=np.float32))
    grid = (np.arange(2000) + 0.5) / 2000

    def shares(**settings: float) -> list[float]:
        drawn = [draw(logits, Sampling(**{"temperature": 1.0, **settings}), u) for u in grid]
        return [round(drawn.count(token) / 2000, 2) for token in range(4)]

    assert shares() == [0.1, 0.5, 0.25, 0.15]
    assert shares(top_p=0.7) == [0, 0.67, 0.33, 0]
    assert shares(top_p=0.5) == [0, 1, 0, 0]
    cooled = np.array([0.1, 0.5, 0.25, 0.15]) ** 2
    assert shares(temperature=0.5) == [round(p, 2) for p in cooled / cooled.sum()]


def test_a_prefill_is_gone_on_with(tiny: Tiny) -> None:
    model, whole = hf(tiny("llama")), Whole(tiny("llama"))
    start = whole.generate(PROMPTS[0], 6)
    for prefill in (start, "", " ", "Yes "):
        prompt = (*PROMPTS[0], Message("assistant", prefill))
        (reply,) = model.generate([prompt], Sampling(max_tokens=8), [0])
        assert reply.text == whole.generate(prompt, 8)
        assert reply.tokens_in == len(whole.ids(written(tiny("llama"), prompt)))


def test_too_long_is_an_error_and_the_others_are_answered(tiny: Tiny) -> None:
    model = hf(tiny("gpt2"), max_tokens=16)  # which holds for features alone
    room = 128 - len(model._tokenizer()("Is it?\n")["input_ids"])
    long, fits = asked("one two three " * 80), asked("Is it?")
    first, second, third = model.generate([long, fits, long], Sampling(max_tokens=room), [0, 0, 0])
    assert first == third
    assert (first.finish, first.text) == ("error", "")
    assert "too long" in str(first.error)
    assert "128 at most" in str(first.error)
    assert second.tokens_out == room
    (refused,) = model.generate([fits], Sampling(max_tokens=room + 1), [0])
    assert "too long" in str(refused.error)
    scored, other = model.logprobs([long, fits], [["a", "b"], ["a", "b"]])
    assert "too long" in str(scored.error)
    assert np.isnan(scored.logprobs).tolist() == [True, True]
    close([other], model.logprobs([fits], [["a", "b"]]))


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma3"])
@pytest.mark.parametrize("chat", ["auto", "never"])
def test_no_text_crashes(tiny: Tiny, architecture: str, chat: str) -> None:
    model = hf(tiny(architecture), chat=chat)
    prompts = [asked(text) for text in HOSTILE] + [(*asked("Is it?"), Message("assistant", text)) for text in HOSTILE]
    replies = model.generate(prompts, Sampling(max_tokens=3, stop=("x",)), [0] * len(prompts))
    scored = model.logprobs(prompts, [HOSTILE] * len(prompts))
    assert [one.error for one in replies] == [one.error for one in scored] == [None] * len(prompts)
    assert all(np.isfinite(one.logprobs).all() and (one.logprobs <= 0).all() for one in scored)


def test_a_conversation_its_template_refuses_is_an_error_of_its_own(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny("llama"), tmp_path / "strict")
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
    (tmp_path / "strict" / "chat_template.jinja").write_text(refusing)
    prompts = [(Message("system", "Be brief."), *PROMPTS[0]), PROMPTS[0], ()]
    model = hf(tmp_path / "strict")
    bad, good, empty = model.generate(prompts, Sampling(max_tokens=4), [0, 0, 0])
    assert "no system" in str(bad.error)
    assert "no turn" in str(empty.error)
    assert [good] == hf(tiny("llama")).generate(PROMPTS[:1], Sampling(max_tokens=4), [0])
    assert [one.error is None for one in model.logprobs(prompts, [["a"], ["a"], ["a"]])] == [False, True, False]
    assert [one.error for one in hf(tmp_path / "strict", chat="never").logprobs(prompts[:1], [["a"]])] == [None]


def test_broken_weights_give_an_error_instead_of_a_number(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    save_checkpoint("gpt2", tmp_path)
    broken = AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        broken.transformer.ln_f.bias.fill_(float("nan"))
    broken.save_pretrained(tmp_path)
    (found,) = hf(tmp_path).logprobs([asked("x")], [["a", "b"]])
    assert "no number" in str(found.error)
    assert np.isnan(found.logprobs).all()
    (reply,) = hf(tmp_path).generate([asked("x")], Sampling(), [0])
    assert "no number" in str(reply.error)


def test_nothing_asked_nothing_said(tiny: Tiny) -> None:
    assert hf(tiny("llama")).generate([], Sampling(), []) == []
    assert hf(tiny("llama")).logprobs([], []) == []
    (none,) = hf(tiny("llama")).logprobs([asked("x")], [[]])
    assert (none.logprobs.shape, none.error) == ((0,), None)


def test_who_does_not_talk_says_who_does(tiny: Tiny) -> None:
    bert = hf(tiny("bert"))
    with pytest.raises(ModelError, match="writes no text") as caught:
        bert.generate([asked("x")], Sampling(), [0])
    assert "embedded:smollm2" in str(caught.value)
    with pytest.raises(ModelError, match="does not say how likely") as caught:
        bert.logprobs([asked("x")], [["a"]])
    assert "embedded:smollm2" in str(caught.value)


@pytest.mark.model
@pytest.mark.parametrize("name", ["vader", "wordllama"])
def test_embedded_models_that_do_not_talk(name: str, embedded_home: Path) -> None:
    model: Model = models.build(f"embedded:{name}")
    with pytest.raises(ModelError, match=f"embedded:{name} writes no text"):
        model.generate([asked("x")], Sampling(), [0])
    with pytest.raises(ModelError, match="does not say"):
        model.logprobs([asked("x")], [["a"]])


@pytest.mark.model
def test_smollm2_talks(embedded_home: Path) -> None:
    model = models.build("embedded:smollm2")
    question = "What is the capital of France?"
    prompts = [asked(question), (Message("user", question), Message("assistant", "The capital of France is"))]
    (reply,) = model.generate(prompts[1:], Sampling(max_tokens=8), [0])
    assert (reply.text, reply.finish) == (" Paris.", "stop")  # by <|im_end|>
    whole, rest = model.logprobs(
        prompts, [[f"The capital of France is {city}." for city in CITIES], [" Paris", " Lima"]]
    )
    assert whole.logprobs[0] > whole.logprobs[1] + 3
    assert rest.logprobs[0] > rest.logprobs[1] + 3
