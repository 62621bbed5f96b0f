"""`superalign export` in a user's hands: files that are whole, and mistakes that are explained."""

from __future__ import annotations

import json
import shutil

from faults import Shell, leftovers


def test_a_finished_run_is_exported(finished: Shell) -> None:
    ended = finished.fork("export", "run", "head", "--method", "logconf", "--seed", 1).exits(0)
    assert ended.out.strip() == "head"
    assert ended.err == ""
    manifest = json.loads((finished.folder / "head" / "superalign.json").read_text())
    assert (manifest["learner"]["method"], manifest["seed"]) == ("logconf", 1)
    finished.fork("export", "run", "labels", "--what", "labels", "--method", "naive").exits(0)
    assert (finished.folder / "labels" / "labels.jsonl").read_text().count("\n") > 100
    words = ("--task", "file:labels/labels.jsonl", "--seeds", 1, "--sweep", 0)
    weak, strong = (
        json.loads((finished.folder / "run" / "results.json").read_text())["config"][r] for r in ("weak", "strong")
    )
    models = ("--weak", f"hf:{weak['path']}", "--strong", f"hf:{strong['path']}")
    finished.fork("run", "weak-to-strong", *words, *models, "--out", "again").exits(0)
    assert not leftovers(finished.folder / "head", finished.folder / "labels")
    assert not list(finished.folder.glob(".head*")) + list(finished.folder.glob(".labels*"))


def test_mistakes_are_explained(finished: Shell) -> None:
    mistakes = (
        (("export", "rnu", "out"), "no run in 'rnu'", "superalign ls runs"),
        (("export", "run", "out"), "2 of --method", "--method 'naive'"),
        (("export", "run", "out", "--method", "logcnof"), "no learner", "did you mean 'logconf'?"),
        (("export", "run", "out", "--method", "naive", "--seed", 7), "no learner", "--seed 7"),
        (("export", "run", "out", "--method", "naive", "--rate", 0.2), "this run knows no --rate", "leave --rate out"),
        (("export", "run", "out", "--what", "lables"), "'lables'", "did you mean 'labels'?"),
        (("export", "run", "run", "--method", "naive"), "'run' is not empty", "give another folder"),
        (("export", "run", "", "--method", "naive"), "OUT names no folder"),
        (("export", "run", "out", "--what", "labels", "--role", "ceiling"), "no labels to export", "truth"),
    )
    for words, *named in mistakes:
        ended = finished.fork(*words).exits(2).says("error: ", *named)
        assert ended.out == ""
        assert "Traceback" not in ended.err
    assert not (finished.folder / "out").exists()


def test_a_damaged_or_missing_learner_is_computed_again_by_resume(finished: Shell) -> None:
    export = ("export", "run", "out", "--method", "naive")
    finished.fork(*export).exits(0)
    before = (finished.folder / "out" / "head.safetensors").read_bytes()
    for record in (finished.home / "store").rglob("record.json"):
        if '"0/weight"' in record.read_text():
            tensors = record.with_name("tensors.safetensors")
            tensors.write_bytes(tensors.read_bytes()[:-10])
    shutil.rmtree(finished.folder / "out")
    finished.fork(*export).exits(2).says("no longer holds", "superalign resume run")
    finished.fork("resume", "run").exits(0)
    finished.fork(*export).exits(0)
    assert (finished.folder / "out" / "head.safetensors").read_bytes() == before
