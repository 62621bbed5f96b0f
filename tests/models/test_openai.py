"""An endpoint that answers late, wrongly, or not at all: every conversation gets its reply or its error, in order."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest

from servers import Asked, Says, completion, serving
from superalign.answers import AnswerBank
from superalign.chat import Message, Messages, Reply, Sampling, asked
from superalign.errors import ConfigError, ModelError
from superalign.model import models
from superalign.models import _http
from superalign.models.openai import OpenAI
from superalign.store import Store
from superalign.task import Text

KEY = "sk-0123456789-abcdefghij"
HOSTILE = "\x1b[31mred\x00 <script>alert(1)</script> {{7*7}} ../../etc \u202e\n\r\ud800"
PREFILL = (Message("user", "Where is Lima?"), Message("assistant", "It is in"))
RETRIES = 2
MEGABYTES = b'"' + b"x" * (17 * 2**20) + b'"'


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "FIRST_WAIT", 0.002)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def ask(model: OpenAI, *prompts: str | Messages, **sampling: Any) -> list[Reply]:
    conversations = [asked(prompt) if isinstance(prompt, str) else prompt for prompt in prompts]
    return model.generate(conversations, Sampling(**sampling), range(len(prompts)))


def good(one: Asked) -> Says:
    return Says(completion(f"You said {one.last}."))


def from_the(nth: int, before: Says) -> Callable[[Asked], Says]:
    """Answer well from the nth try on."""
    return lambda one: good(one) if one.nth >= nth else before


# What the server does to one conversation; the answer, or words of the error; and after how many tries.
FAULTS: dict[str, tuple[Callable[[Asked], Says], str, int]] = {
    "late": (lambda one: Says(completion("You said bad."), late=0.2), "You said bad.", 1),
    "429 once": (from_the(1, Says({"error": "slow down"}, 429)), "You said bad.", 2),
    "500 twice": (from_the(2, Says(b"oh", 500)), "You said bad.", 3),
    "408, 409": (lambda one: good(one) if one.nth > 1 else Says(b"", 408 + one.nth), "You said bad.", 3),
    "always 500": (lambda one: Says({"error": {"message": "out of memory"}}, 500), "HTTP 500 .*out of memory", 3),
    "always 503, a page": (lambda one: Says(b"<html>Sorry</html>", 503), r"HTTP 503 Service Unavailable \(3", 3),
    "400": (lambda one: Says({"error": {"message": "context is 99 tokens"}}, 400), "HTTP 400 .*99 tokens", 1),
    "404": (lambda one: Says({"detail": "no model m"}, 404), "HTTP 404 Not Found: no model m", 1),
    "401": (lambda one: Says({"message": "who?"}, 401), "HTTP 401.*not set.*OPENAI_API_KEY", 1),
    "redirect": (lambda one: Says(b"", 307, {"Location": "http://127.0.0.1:9/v1"}), "HTTP 307", 1),
    "cut-off body once": (from_the(1, Says(completion("x"), more=50)), "You said bad.", 2),
    "cut-off body": (lambda one: Says(completion("x"), more=50), "the connection broke: IncompleteRead", 3),
    "cut-off JSON of unknown length": (lambda one: Says(b'{"choices": [', more=None), "breaks off", 3),
    "cut-off JSON of known length": (lambda one: Says(b'{"choices": ['), "is not JSON: {", 1),
    "no HTTP": (from_the(2, Says(mute=True)), "You said bad.", 3),
    "HTML": (lambda one: Says(b"<!doctype html><h1>Welcome"), "a page of HTML .* is the url right", 1),
    "nothing": (lambda one: Says(b""), "is not JSON: nothing", 1),
    "nested without end": (lambda one: Says(b"[" * 100_000), "is not JSON", 1),
    "huge": (lambda one: Says(MEGABYTES), "more than 16,777,216 bytes", 1),
    "huge, of unknown length": (lambda one: Says(MEGABYTES, more=None), "more than 16,777,216 bytes", 1),
    "slow drip": (lambda one: Says(completion("x"), drip=0.05), "no whole answer within 0.5 s", 3),
    "slow drip of unknown length": (lambda one: Says(completion("x"), drip=0.05, more=None), "no whole answer", 3),
    "too late": (lambda one: Says(completion("x"), late=1.0), "no whole answer within 0.5 s", 3),
    "no choices": (lambda one: Says({"choices": []}), "holds no choices", 1),
    "null content": (lambda one: Says(completion(None)), "holds no text", 1),
    "a number for content": (lambda one: Says(completion(7)), "not a chat completion", 1),
    "a word for choices": (lambda one: Says({"choices": "none"}), "not a chat completion", 1),
    "a choice that is none": (lambda one: Says({"choices": [None]}), "not a chat completion", 1),
    "a number": (lambda one: Says(3), "not a chat completion", 1),
    "an error with status 200": (lambda one: Says({"error": {"message": "no\x1b[0m"}}), r"no\\x1b\[0m", 1),
    "filtered": (lambda one: Says(completion("half", "content_filter")), "content filter", 1),
    "a tool": (lambda one: Says(completion(None, "tool_calls")), "called a tool", 1),
    "an unknown end": (lambda one: Says(completion("half", "abort")), "not known: 'abort'", 1),
    "a refusal": (lambda one: Says(completion(None, refusal="I will not.")), "I will not.", 1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_conversation_gets_its_error_and_harms_no_other(fault: str) -> None:
    behave, expected, tries = FAULTS[fault]
    with serving(lambda one: behave(one) if one.last == "bad" else good(one)) as server:
        timeout = 0.5 if "no whole answer" in expected else 20.0
        model = OpenAI(model="m", url=server.url, retries=RETRIES, timeout=timeout, concurrency=3)
        start = time.monotonic()
        before, bad, after = ask(model, "one", "bad", "two")
        took = time.monotonic() - start
    assert [before.text, after.text] == ["You said one.", "You said two."]
    assert (before.error, before.finish, before.tokens_in, before.tokens_out) == (None, "stop", 7, 3)
    assert server.tries("bad") == tries
    assert took < 0.5 * tries + 4
    if bad.error is None:
        assert (bad.text, bad.finish) == (expected, "stop")
    else:
        assert (bad.text, bad.finish) == ("", "error")
        assert re.search(expected, bad.error), bad.error
        assert bad.error.isprintable()


def test_a_drip_of_headers_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        model = OpenAI(model="m", url=f"http://127.0.0.1:{listener.getsockname()[1]}", retries=0, timeout=0.4)

        def drip() -> None:
            line, _ = listener.accept()
            with line:
                for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100:
                    try:
                        line.sendall(bytes([byte]))
                    except OSError:
                        return
                    time.sleep(0.05)

        thread = Thread(target=drip)
        thread.start()
        start = time.monotonic()
        (reply,) = ask(model, "x")
        assert time.monotonic() - start < 2
        thread.join()
    assert reply.error == "no whole answer within 0.4 s"


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("1", 1, 1),
        ("0.25", 0.25, 0.25),
        ("-1", None, None),
        ("soon", None, None),
        ("nan", None, None),
        ("1e999", 1e9, None),
    ],
)
def test_retry_after_is_read(header: str, least: float | None, most: float | None) -> None:
    found = _http._seconds(header)
    assert (found is None) == (least is None)
    assert least is None or (found is not None and found >= least)
    assert most is None or (found is not None and found <= most)


def test_retry_after_is_honoured_also_as_a_date_and_a_far_one_is_not_waited_for() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    headers = {"seconds": "1", "date": soon, "far": "4000"}
    with serving(lambda one: good(one) if one.nth else Says(b"", 429, {"Retry-After": headers[one.last]})) as server:
        seconds, date, far = ask(OpenAI(model="m", url=server.url), *headers)
    assert (seconds.text, date.text) == ("You said seconds.", "You said date.")
    assert far.error == "HTTP 429 Too Many Requests; it asks for a wait of 4000 s"
    first, second = (one.time for one in server.asked if one.last == "seconds")
    assert 1 <= second - first < 3
    assert server.tries("date") == 2
    assert server.tries("far") == 1


def test_waits_grow_and_are_drawn() -> None:
    waits = [[_http._back_off(tries) for _ in range(50)] for tries in range(1, 8)]
    for tries, drawn in enumerate(waits):
        assert 0.001 * 2**tries <= min(drawn) < max(drawn) <= 0.002 * 2**tries
    assert _http._back_off(60) <= _http.LONGEST_WAIT


def test_concurrency_is_used_and_bounded_and_order_is_kept() -> None:
    width = 4
    together = Barrier(width)

    def behave(one: Asked) -> Says:
        together.wait(10)  # breaks, hence fails, unless so many are under way at once
        return Says(completion(one.last), late=0.05 * (int(one.last) % 3 == 0))

    told: list[tuple[int, int, int]] = []
    with serving(behave) as server:
        model = OpenAI(model="m", url=server.url, concurrency=width, retries=0)
        prompts = [asked(str(number)) for number in range(5 * width)]
        replies = model.generate(prompts, Sampling(), [0] * len(prompts), lambda *facts: told.append(facts))
    assert [reply.text for reply in replies] == [str(number) for number in range(5 * width)]
    assert server.most == width
    assert told == [(done, 20, 10 * done) for done in range(1, 21)]


def test_a_server_that_is_not_there_is_not_waited_for_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    waits: list[int] = []
    monkeypatch.setattr(_http, "_back_off", lambda tries: waits.append(tries) or 0.0)
    model = OpenAI(model="m", url=f"http://127.0.0.1:{port}/v1", retries=3, concurrency=1)
    first, *others = ask(model, *map(str, range(20)))
    assert first.error == f"127.0.0.1:{port} cannot be reached: Connection refused (4 tries)"
    assert {one.error for one in others} == {f"127.0.0.1:{port} cannot be reached: Connection refused"}
    assert waits == [1, 2, 3]


def test_an_interrupt_does_not_wait_for_the_server() -> None:
    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with serving(lambda one: good(one) if one.last == "0" else Says(late=6)) as server:
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            OpenAI(model="m", url=server.url).generate(
                [asked(str(number)) for number in range(40)], Sampling(), [0] * 40, interrupt
            )
        assert time.monotonic() - start < 4
        assert len(server.asked) < 20


def test_what_is_asked_for_is_sent() -> None:
    with serving(good) as server:
        model = OpenAI(model="org/name:tag", url=server.url + "/")
        told = (Message("system", "Be brief."), Message("user", "a\ud800b"))
        model.generate([told], Sampling(max_tokens=9, temperature=0.5, top_p=0.9, stop=("\n", "END")), [2**40 + 5])
        ask(model, "plain")
    full, plain = (one.body for one in server.asked)
    assert server.asked[0].path == "/v1/chat/completions"
    assert full == {
        "model": "org/name:tag",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a?b"}],
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["\n", "END"],
        "seed": 5,
    }
    assert "stop" not in plain


def test_a_prefill_is_gone_on_with() -> None:
    with serving(lambda one: Says(completion("It is in Peru."))) as server:
        (said_again,) = ask(OpenAI(model="m", url=server.url), PREFILL)
        (gone_on,) = ask(OpenAI(model="m", url=server.url, continues=True), PREFILL)
        ask(OpenAI(model="m", url=server.url, continues=True), "no prefill")
    plain, knowing, without = (one.body for one in server.asked)
    assert plain["messages"] == knowing["messages"] == [turn._asdict() for turn in PREFILL]
    assert (knowing["continue_final_message"], knowing["add_generation_prompt"]) == (True, False)
    for body in (plain, without):
        assert not {"continue_final_message", "add_generation_prompt"} & set(body)
    assert (said_again.text, gone_on.text) == (" Peru.", "It is in Peru.")


def test_hostile_text_is_kept_as_text_and_usage_that_is_none_counts_nothing() -> None:
    odd = {**completion(HOSTILE, "length"), "usage": {"prompt_tokens": "many", "completion_tokens": -3}}
    with serving(lambda one: Says(odd)) as server:
        (reply,) = ask(OpenAI(model="m", url=server.url), HOSTILE)
    assert reply == Reply(HOSTILE.replace("\ud800", "?"), "length", 0, 0)


def test_the_bank_asks_once_and_asks_errors_again(tmp_path: Path) -> None:
    prompts = [asked(str(number)) for number in range(5)]
    broken = True
    with serving(lambda one: Says(b"", 500) if broken and one.last == "3" else good(one)) as server:
        model = OpenAI(model="m", url=server.url, retries=1)
        first = AnswerBank(Store(tmp_path), model).generate(prompts, Sampling(), range(5))
        assert [reply.error for reply in first] == [None, None, None, "HTTP 500 Internal Server Error (2 tries)", None]
        assert len(server.asked) == 6
        broken = False
        again = AnswerBank(Store(tmp_path), model).generate(prompts, Sampling(), range(5))
        assert [reply.text for reply in again] == [f"You said {number}." for number in range(5)]
        assert len(server.asked) == 7
    third = AnswerBank(Store(tmp_path), model).generate(prompts, Sampling(), range(5))  # nobody is there any more
    assert third == again


def test_the_key_is_in_one_header_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_KEY", f" {KEY}\n")

    def echo(one: Asked) -> Says:
        words = f"your header was {one.headers['Authorization']}"
        return Says(completion(words)) if one.last == "say it" else Says({"error": {"message": words}}, 401)

    with serving(echo) as server:
        model = OpenAI(model="m", url=server.url, key="LAB_KEY")
        bank = AnswerBank(Store(tmp_path), model)
        said, failed = bank.generate([asked("say it"), asked("fail with it")], Sampling(), [0, 0])
    for one in server.asked:
        assert one.headers["Authorization"] == f"Bearer {KEY}"
        rest = {name: value for name, value in one.headers.items() if name != "Authorization"}
        assert KEY not in json.dumps([one.path, rest, one.body])
    assert said.text == "your header was Bearer ***"
    assert failed.error is not None
    assert failed.error.endswith("Bearer ***; the key is read from the environment variable LAB_KEY")
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(b"say" in one or b"header" in one for one in written)
    assert not any(KEY.encode() in one for one in written)
    assert KEY not in f"{model} {model!r} {model.spec()} {model.identity()} {vars(said)} {vars(failed)}"


def test_no_key_no_header_and_a_key_that_is_none_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(good) as server:
        ask(OpenAI(model="m", url=server.url), "x")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        ask(OpenAI(model="m", url=server.url, key=""), "x")
        monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\r\nX-Other: 1")
        with pytest.raises(ModelError, match="OPENAI_API_KEY holds no key") as caught:
            ask(OpenAI(model="m", url=server.url), "x")
    assert KEY not in str(caught.value)
    assert len(server.asked) == 2
    assert not any("Authorization" in one.headers for one in server.asked)


@pytest.mark.parametrize(
    "setting",
    [f"key={KEY}", "key=abcdef0123456789", "url=http://me:secret@host/v1", "url=https://host/v1?api_key=secret"],
)
def test_a_secret_as_a_setting_is_refused_and_not_shown(setting: str) -> None:
    name, _, value = setting.partition("=")
    with pytest.raises(ConfigError, match=f"setting '{name}' of openai") as caught:
        models.build(f"openai:m,url=http://localhost:1/v1,{setting}")
    assert value not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://x:y/", "http://a b/", "http://ü/v1"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="not a plain address"):
        OpenAI(model="m", url=url)


def test_the_url_has_no_default_but_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="needs the setting 'url'") as caught:
        models.build("openai:m")
    assert "OPENAI_BASE_URL" in str(caught.value)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://lab:8000/v1/")
    model = models.build("openai:m")
    assert str(model) == "openai:m,url=http://lab:8000/v1"  # resolved: a run goes on where it began
    assert models.build(str(model)) == model


def test_the_fingerprint_is_of_what_decides_the_answers() -> None:
    base = OpenAI(model="m", url="http://a/v1")
    same = [base, OpenAI(model="m", url="http://a/v1/", concurrency=2, timeout=1, price_in=1, key="")]
    other = [OpenAI(model="n", url="http://a/v1"), OpenAI(model="m", url="http://b/v1")]
    other += [base.model_copy(update={"revision": "2"}), base.model_copy(update={"continues": True})]
    assert len({one.fingerprint() for one in same}) == 1
    assert len({one.fingerprint() for one in [base, *other]}) == 5


def test_cost_is_in_the_currency_of_the_prices() -> None:
    replies = [Reply("a", tokens_in=1_000_000, tokens_out=10), Reply("", "error", 500_000, 0, "x")]
    priced = OpenAI(model="m", url="http://a/v1", price_in=2, price_out=10)
    assert priced.cost(replies) == pytest.approx(3.0001)
    assert OpenAI(model="m", url="http://a/v1", price_in=2).cost(replies) is None


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.features([Text("x")], [0]),
        lambda model: model.depth(),
        lambda model: model.chosen_layer(),
        lambda model: model.at_layer(1),
        lambda model: model.backbone(),
        lambda model: model.logprobs([asked("x")], [["a"]]),
    ],
)
def test_what_it_cannot_do_is_said(use: Callable[[OpenAI], Any]) -> None:
    with pytest.raises(ModelError, match=r"openai:m,url=http://a/v1 (only writes text|does not say)") as caught:
        use(OpenAI(model="m", url="http://a/v1"))
    assert "hf:FOLDER" in (caught.value.fix or "")


def test_the_environments_proxy_is_taken_for_others_and_never_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(good) as proxy, serving(good) as server:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1").replace("http://", "http://me:pass@"))
        assert ask(OpenAI(model="m", url="http://model.invalid/v1"), "x")[0].error is None
        assert ask(OpenAI(model="m", url=server.url), "x")[0].error is None
    (through,) = proxy.asked
    assert through.path == "http://model.invalid/v1/chat/completions"
    assert through.headers["Proxy-Authorization"] == "Basic bWU6cGFzcw=="
    assert server.asked[0].path == "/v1/chat/completions"
    assert "Proxy-Authorization" not in server.asked[0].headers


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to make a certificate")
def test_a_certificate_that_nobody_signed_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "both.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", made, "-out", tmp_path / "cert.pem"]
    subprocess.run(["openssl", *words.split(), *files], check=True, capture_output=True)
    with made.open("a") as both:
        both.write((tmp_path / "cert.pem").read_text())
    with serving(good, made) as server:
        (refused,) = ask(OpenAI(model="m", url=server.url), "x")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))  # now it is trusted
        (trusted,) = ask(OpenAI(model="m", url=server.url), "x")
    assert refused.error == "the certificate of 127.0.0.1 is not trusted: self-signed certificate"
    assert trusted.text == "You said x."
    assert len(server.asked) == 1


def test_echo_scores_are_those_of_the_model() -> None:
    table = np.log(np.random.default_rng(0).dirichlet(np.ones(256), size=256))  # a model of bytes: log p(next | last)

    def template(body: dict[str, Any]) -> str:
        """Write a conversation as the server's chat template does."""
        text = "".join(f"<{turn['role']}>{turn['content']}</>" for turn in body["messages"])
        if body.get("continue_final_message"):
            text = text.removesuffix("</>")
        return text + ("<assistant>" if body.get("add_generation_prompt", True) else "")

    def behave(one: Asked) -> Says:
        """Answer as vLLM does."""
        body = one.body
        assert body["model"] == "m"
        if one.path == "/v1/completions":
            assert (body["max_tokens"], body["echo"], body["logprobs"]) == (0, True, 1)
            told = [[None, *(table[ids[:-1], ids[1:]])] for ids in body["prompt"]]
            choices = [{"index": place, "logprobs": {"token_logprobs": one}} for place, one in enumerate(told)]
            return Says({"choices": choices[::-1]})
        assert one.path == "/tokenize"
        if "prompt" in body:
            assert body["add_special_tokens"] is False
            return Says({"tokens": list(body["prompt"].encode())})
        if body["messages"][0]["content"] == "fail":
            return Says({"message": "no"}, 400)
        return Says({"tokens": list(template(body).encode()), "max_model_len": 512})

    answers = [["Peru", "France is long"], ["x"], [" Peru!", "?", ""], []]
    prompts = [asked("Where is Lima?"), asked("fail"), PREFILL, asked("x")]
    with serving(behave) as server:
        scored = OpenAI(model="m", url=server.url, scores="echo").logprobs(prompts, answers)
    openings = {0: "<user>Where is Lima?</><assistant>", 2: "<user>Where is Lima?</><assistant>It is in"}
    for which, opening in openings.items():
        assert scored[which].tokens_in == len(opening)
        assert scored[which].tokens.tolist() == [len(answer) for answer in answers[which]]
        for answer, found in zip(answers[which], scored[which].logprobs, strict=True):
            pairs = zip(f"{opening[-1]}{answer}", answer, strict=False)
            assert found == pytest.approx(sum(table[ord(last), ord(following)] for last, following in pairs), rel=1e-5)
    assert scored[1].error == "HTTP 400 Bad Request: no"
    assert np.isnan(scored[1].logprobs).all()
    assert (scored[3].error, scored[3].logprobs.shape) == (None, (0,))


@pytest.mark.parametrize(
    "answer",
    [
        3,
        {"choices": []},
        {"choices": [{"index": 0, "logprobs": None}]},
        {"choices": [{"index": 0, "logprobs": {"token_logprobs": [None, -1.0]}}]},
        {"choices": [{"index": 0, "logprobs": {"token_logprobs": [None, -1.0, None, -1.0]}}]},
    ],
)
def test_a_server_that_does_not_echo_is_an_error_not_a_score(answer: Any) -> None:
    with serving(lambda one: Says({"tokens": [1, 2]} if one.path == "/tokenize" else answer)) as server:
        (scored,) = OpenAI(model="m", url=server.url, scores="echo").logprobs([asked("x")], [["a"]])
    assert scored.error == "what came from /completions does not tell the log-probability of every token"
    assert np.isnan(scored.logprobs).all()
