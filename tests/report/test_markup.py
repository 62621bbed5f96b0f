from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample import HOSTILE

from superalign.report.markup import Column, Markup, clean, cut, join, passage, table, tag

ANY_TEXT = st.text(st.characters(codec=None), max_size=80)


class Reader(HTMLParser):
    """Collects what a browser would see: elements with attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(ANY_TEXT, ANY_TEXT)
def test_text_stays_text_and_attributes_stay_attributes(text: str, value: str) -> None:
    seen = Reader(tag("p", text, title=value))
    assert [name for name, _ in seen.elements] == ["p"]
    assert seen.elements[0][1] == {"title": clean(value)}
    assert seen.text == clean(text)


@given(ANY_TEXT)
def test_cleaned_text_can_be_written_and_holds_no_control_character(text: str) -> None:
    safe = clean(text)
    safe.encode("utf-8")
    assert not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 for c in safe)
    assert clean(safe) == safe


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_make_no_element(text: str) -> None:
    assert [name for name, _ in Reader(passage(text)).elements] == ["bdi"]


def test_direction_overrides_and_hidden_characters_become_visible() -> None:
    assert clean("abc\u202egnp.exe\u200b\U000e0041") == "abc[U+202E]gnp.exe[U+200B][U+E0041]"
    assert clean("a\u200db é العربية 漢字") == "a\u200db é العربية 漢字"


def test_terminal_escapes_lose_their_escape() -> None:
    assert clean("\x1b[31mred\x9b0m\x07") == "[31mred0m"


def test_line_ends_are_kept() -> None:
    assert clean("a\r\nb\rc\n\td") == "a\nb\nc\n\td"


@given(ANY_TEXT, st.integers(2, 40))
def test_cut_keeps_to_its_limit(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert len(short) <= limit
    assert short == clean(text) or short.endswith("…")


def test_long_passages_show_their_start_and_keep_the_rest_in_the_title() -> None:
    seen = Reader(passage("word " * 200))
    assert len(seen.text) <= 280
    assert seen.elements[0][1]["title"] == clean("word " * 200)


def test_markup_is_not_escaped_twice_and_none_is_left_out() -> None:
    assert join(tag("b", "1 < 2"), None, " & ", 3) == "<b>1 &lt; 2</b> &amp; 3"
    assert tag("input", type="radio", checked=True, disabled=False, id=None) == '<input type="radio" checked>'
    assert isinstance(tag("p"), Markup)


def test_tables_name_their_rows_and_columns() -> None:
    seen = Reader(table([Column("Seed"), Column("Accuracy", number=True)], [["0", "71.2%"]], "by seed"))
    scopes = [attrs.get("scope") for name, attrs in seen.elements if name == "th"]
    assert scopes == ["col", "col", "row"]
    with pytest.raises(ValueError, match="zip"):
        table([Column("one")], [["1", "2"]], "too many cells")
