"""General text: of Python's manual, or of a file."""

from __future__ import annotations

import pytest

from superalign.errors import ConfigError, DataError
from superalign.prose import FIRST, LONG, SHORT, SPARED, check_apart, fingerprint, passages, spared
from superalign.studies.loop import Loop


def test_the_manual_that_comes_with_python_has_enough_of_it():
    found = passages(40)
    assert len(set(found)) == 40
    for one in found:
        text = f"{one.opening} {one.rest}"
        assert SHORT <= len(text) <= LONG
        assert len(one.opening.split()) == FIRST
        assert text[0].isupper()
        assert text.endswith(".")
    assert passages(20) == found[:20]


def test_of_a_file_paragraphs_of_a_fitting_length_are_taken_whatever_their_order(tmp_path):
    good = [f"Paragraph {n} " + "of plain words " * 16 for n in range(5)]
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(["too short", *good, "long " * 200]), encoding="utf-8")
    found = passages(9, str(path))
    assert sorted(f"{one.opening} {one.rest}" for one in found) == [" ".join(text.split()) for text in good]
    before = fingerprint(9, str(path))
    path.write_text("\n \n".join(reversed(good)), encoding="utf-8")
    assert passages(9, str(path)) == found
    assert fingerprint(9, str(path)) == before


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00bad", b"short"])
def test_a_file_without_text_is_refused_by_name(tmp_path, content):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        passages(4, str(path))
    assert str(path) in str(caught.value.where)


def test_what_adapters_spare_is_asked_of_nobody():
    everything = passages(10_000)
    assert spared() == everything[-SPARED:]
    left = len(everything) - SPARED
    assert left >= 32  # of the loop's gate and exam
    check_apart(left)
    with pytest.raises(ConfigError, match=f"{left + 1} passages"):
        check_apart(left + 1)
    asked = f"fit=lora,read=policy,keep=true,spare=2 texts={left // 2 + 1}"
    with pytest.raises(ConfigError, match="passages"):
        Loop.parse(dict(one.split("=", 1) for one in asked.split()))
    Loop.parse({"fit": "lora,read=policy,keep=true", "texts": left})
    Loop.parse({"fit": "lora,read=policy,keep=true,spare=2", "texts": left, "text": __file__})
