"""A user's mistake ends with exit code 2 and a message that names the thing and the nearest valid name."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from faults import Shell

W2S = ("run", "weak-to-strong")
ENDPOINT = "openai:m,url=http://localhost:9/v1"
NOT_YAML = "is not YAML"
NO_MAPPING = "must be a mapping of settings"

WORDS = {
    "sub-command": (["rnu"], "'rnu'", "did you mean 'run'?"),
    "sub-command of models": (["models", "ftech", "minilm"], "'ftech'", "did you mean 'fetch'?"),
    "flag": ([*W2S, "--sedes", "3"], "'--sedes'", "did you mean '--seeds'?"),
    "flag with a value": ([*W2S, "--sedes=3"], "'--sedes'", "did you mean '--seeds'?"),
    "flag of show": (["show", "run", "--jsn"], "'--jsn' for 'superalign show'", "did you mean '--json'?"),
    "flag of models list": (["models", "list", "--jsn"], "'--jsn'", "did you mean '--json'?"),
    "flag before the study": (["run", "--seeds", "3", *W2S[1:]], "'--seeds'", "settings come after STUDY"),
    "word too many": ([*W2S, "now"], "unknown argument 'now'", "superalign run weak-to-strong --help"),
    "no run": (["show"], "the following arguments are required: RUN", "superalign show --help"),
    "study": (["run", "weak-to-strnog"], "unknown study 'weak-to-strnog'", "did you mean 'weak-to-strong'?"),
    "what to list": (["ls", "modles"], "'modles'", "did you mean 'models'?"),
    "embedded model to fetch": (["models", "fetch", "minilmm"], "'minilmm'", "did you mean 'minilm'?"),
    "embedded model to remove": (["models", "remove", "minilmm"], "'minilmm'", "did you mean 'minilm'?"),
    "model scheme": ([*W2S, "--weak", "hff:x"], "unknown model 'hff'", "did you mean 'hf'?"),
    "embedded model": ([*W2S, "--weak", "embedded:smolm2"], "'smolm2'", "did you mean 'smollm2'?"),
    "model parameter": ([*W2S, "--strong", "embedded:smollm2,leyer=3"], "'leyer'", "did you mean 'layer'?"),
    "model without a name": ([*W2S, "--weak", "hf"], "hf needs the setting 'path'", "write hf:PATH"),
    "model without its scheme": ([*W2S, "--weak", "minilm"], "'minilm'", "did you mean 'embedded:minilm'?"),
    "model that only writes": (
        [*W2S, "--strong", ENDPOINT],
        f"{ENDPOINT} only writes text",
        "setting 'strong'",
        "hf:FOLDER",
    ),
    "helper that only writes": ([*W2S, "--helpers", "embedded:vader", ENDPOINT], "only writes text", "'helpers'"),
    "model of noise that only writes": (["run", "label-noise", "--model", ENDPOINT], "only writes text", "'model'"),
    "model of an audit that only writes": (
        ["audit-labels", "films.csv", "--model", ENDPOINT],
        "only writes text",
        "--model learns",
    ),
    "key as a setting": ([*W2S, "--strong", f"{ENDPOINT},key=sk-1"], "'key' of openai is not the name", "export"),
    "model folder": ([*W2S, "--weak", "hf:./nowhere"], "there is no folder './nowhere'"),
    "objective": ([*W2S, "--methods", "naive", "logcnof"], "'logcnof'", "did you mean 'logconf'?"),
    "objective parameter": ([*W2S, "--methods", "logconf,alhpa=1"], "'alhpa'", "did you mean 'alpha'?"),
    "objective value": ([*W2S, "--methods", "logconf,alpha=2"], "'alpha' of logconf", "less than or equal to 1"),
    "objective twice": ([*W2S, "--methods", "naive", "naive"], "'naive' is given twice"),
    "fit": ([*W2S, "--fit", "prbe"], "unknown fit 'prbe'", "did you mean 'probe'?"),
    "fit parameter": ([*W2S, "--fit", "lora,epohcs=1"], "'epohcs'", "did you mean 'epochs'?"),
    "task": ([*W2S, "--task", "fatcs"], "unknown task 'fatcs'", "did you mean 'facts'?"),
    "task parameter": ([*W2S, "--task", "facts,citeis=9"], "'citeis'", "did you mean 'cities'?"),
    "task value": ([*W2S, "--task", "facts,cities=many"], "'cities' of facts", "got 'many'"),
    "file": ([*W2S, "--task", "file:flims.csv"], "there is no file 'flims.csv'", "did you mean 'films.csv'?"),
    "executor": ([*W2S, "--executor", "poool"], "unknown executor 'poool'", "did you mean 'pool'?"),
    "executor parameter": ([*W2S, "--executor", "pool,worker=2"], "'worker'", "did you mean 'workers'?"),
    "seeds, a word": ([*W2S, "--seeds", "many"], "'seeds' of weak-to-strong", "valid integer", "got 'many'"),
    "seeds, none": ([*W2S, "--seeds", "0"], "'seeds' of weak-to-strong", "greater than or equal to 1", "got '0'"),
    "seeds, nothing": ([*W2S, "--seeds"], "argument --seeds: expected one argument"),
    "empty share": ([*W2S, "--shares", "1", "0", "1"], "(1, 0, 1)", "every part needs a share above 0"),
    "two shares": ([*W2S, "--shares", "1", "1"], "'shares.2' of weak-to-strong", "required"),
    "letter": ([*W2S, "-s", "3"], "unknown argument '-s'", "superalign run weak-to-strong --help"),
    "empty task": ([*W2S, "--task", ""], "unknown task ''", "one of: chess, facts, file"),
    "empty folder": ([*W2S, "--out", ""], "--out names no folder"),
    "threads, none": ([*W2S, "--threads", "0"], "--threads 0: at least 1"),
    "threads, a word": ([*W2S, "--threads", "many"], "argument --threads", "'many'"),
    "merge without OUT": (["merge", "merge.yaml"], "the following arguments are required: OUT"),
    "flag of merge": (["merge", "merge.yaml", "out", "--dry-rnu"], "'--dry-rnu'", "did you mean '--dry-run'?"),
    "config of a merge": (["merge", "merge.yaml", "out"], "there is no config 'merge.yaml'"),
    "merge method to list": (["ls", "merge-method"], "did you mean 'merge-methods'?"),
    "run that is not there": (["show", "rnu"], "no results in 'rnu'", "superalign ls runs"),
    "run to resume": (["resume", "rnu"], "no run in 'rnu'", "config.yaml"),
    "config that is not there": (["run", "study.yaml"], "there is no config 'study.yaml'"),
}
CONFIGS: dict[str, tuple[str | bytes, *tuple[str, ...]]] = {
    "key": ("study: weak-to-strong\nsedes: 3\n", "unknown setting 'sedes'", "did you mean 'seeds'?", "study.yaml"),
    "key of a part": (
        "study: weak-to-strong\ntask: {name: facts, citeis: 9}\n",
        "'citeis'",
        "where: study.yaml, key 'task'",
        "did you mean 'cities'?",
    ),
    "part in one line": ("study: weak-to-strong\nweak: minilm\n", "key 'weak'", "did you mean 'embedded:minilm'?"),
    "value of a part": (
        "study: weak-to-strong\nmethods: [naive, 'logconf,alpha=2']\n",
        "'alpha' of logconf",
        "where: study.yaml, key 'methods': logconf,alpha=2",
    ),
    "study": ("study: weak-to-strnog\n", "'weak-to-strnog'", "did you mean 'weak-to-strong'?"),
    "no study": ("seeds: 3\n", "needs the key 'study'", "weak-to-strong"),
    "type": ("study: weak-to-strong\nseeds: many\n", "'seeds'", "got 'many'"),
    "number for a part": ("study: weak-to-strong\ntask: 3\n", "task must be a name", "got 3"),
    "list": ("- weak-to-strong\n", NO_MAPPING),
    "number": ("3\n", NO_MAPPING),
    "key that is a number": ("1: weak-to-strong\n", NO_MAPPING),
    "empty": ("", NO_MAPPING),
    "key twice": ("study: weak-to-strong\nseeds: 2\nseeds: 3\n", "'seeds' is given twice", "where: study.yaml:3"),
    "key of a part twice": ("study: weak-to-strong\ntask: {name: facts, seed: 1, seed: 2}\n", "'seed' is given twice"),
    "part without a name": ("study: weak-to-strong\nweak: {nme: x}\n", "key 'name'", "for example: {name: embedded}"),
    "UTF-16": ("study: weak-to-strong\n".encode("utf-16"), "cannot read 'study.yaml'", "save it as UTF-8"),
    "open bracket": ("study: [\n", NOT_YAML, "line 2"),
    "tab": ("study: weak-to-strong\n\tseeds: 3\n", NOT_YAML, "'\\t'"),
    "date that is none": ("study: weak-to-strong\nseeds: 2024-13-45\n", NOT_YAML),
    "nested without end": ("[" * 20_000, NOT_YAML),
    "python object": ("study: !!python/object/apply:os.getcwd []\n", NOT_YAML),
    "holds itself": ("study: weak-to-strong\nweak: &a [*a]\n", "model must be a name"),
    "binary": (random.Random(1).randbytes(4000), "cannot read 'study.yaml'"),
}


@pytest.fixture
def place(shell: Shell) -> Shell:
    """Return a shell with a file of data in its folder."""
    (shell.folder / "films.csv").write_text("text,label\n", encoding="utf-8")
    return shell


@pytest.mark.parametrize("mistake", WORDS)
def test_on_the_command_line(place: Shell, mistake: str) -> None:
    words, *named = WORDS[mistake]
    ended = place.fork(*words).exits(2).says("error: ", *named)
    assert ended.out == ""
    assert len(ended.err.splitlines()) <= 6


@pytest.mark.parametrize("mistake", CONFIGS)
def test_in_a_config(place: Shell, mistake: str) -> None:
    content, *named = CONFIGS[mistake]
    (place.folder / "study.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    ended = place.fork("run", "study.yaml").exits(2).says("error: ", *named)
    assert ended.out == ""


def test_a_config_with_a_byte_order_mark_and_merged_keys_is_read(place: Shell) -> None:
    text = "study: weak-to-strong\nweak: &part {name: vader_, layer: 1}\nstrong: {<<: *part, layer: 2}\n"
    (place.folder / "study.yaml").write_text(text, encoding="utf-8-sig")
    place.fork("run", "study.yaml").exits(2).says("unknown model 'vader_'", "study.yaml, key 'weak'")


def test_a_mistaken_flag_is_not_blamed_on_the_file(place: Shell) -> None:
    (place.folder / "study.yaml").write_text("study: weak-to-strong\ntask: fatcs\n")
    ended = place.fork("run", "study.yaml", "--task", "facts,citeis=9").exits(2)
    assert "where: facts,citeis=9\n" in ended.err
    assert "study.yaml" not in ended.err


def test_missing_data_is_told_before_models_are_fetched(place: Shell) -> None:
    place.fork(*W2S, "--task", "file:nowhere.csv").exits(2).says("there is no file 'nowhere.csv'")
    assert not (place.home / "models").exists()


def test_layer_and_length_beyond_the_model(place: Shell, study: list[str]) -> None:
    weak = study[study.index("--weak") + 1]
    place.fork(*study, "--weak", f"{weak},layer=9").exits(2).says("has layers 0 to 3, not 9")
    place.fork(*study, "--weak", f"{weak},max_tokens=999").exits(2).says("at most 128 tokens, not 999")


def test_a_folder_that_is_no_model(place: Shell, study: list[str]) -> None:
    empty = place.folder / "empty"
    empty.mkdir()
    place.fork(*study, "--weak", f"hf:{empty}").exits(2).says("not a model's folder", "config.json", str(empty))


@pytest.mark.parametrize("words", [["show", "run-\udcff"], [*W2S, "--task", "file:\udcff.csv"]])
def test_names_that_are_not_utf8(place: Shell, words: list[str]) -> None:
    place.fork(*words).exits(2).says("is not valid UTF-8", "\\udcff", "rename the file or folder")


def test_the_real_script_says_the_same(place: Shell) -> None:
    ended = place.run("run", "weak-to-strong", "--sedes", 3).exits(2)
    assert ended == place.fork("run", "weak-to-strong", "--sedes", 3)
    assert Path(place.folder / "runs").exists() is False
