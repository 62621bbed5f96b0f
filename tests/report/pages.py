"""What must hold for the page of every study."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from importlib.resources import files

from test_markup import Reader

OURS = files("superalign.report").joinpath("search.js").read_text(encoding="utf-8")
SEARCH = f"<script>{OURS}</script>"


def assert_inert(page: str) -> None:
    """Assert that nothing can leave a page, and that nothing but our search runs, where there is what to search."""
    may_run = 'class="filtered"' in page
    assert page.count(SEARCH) == may_run
    page = page.replace(SEARCH, "")
    seen = Reader(page)
    if page.startswith("<!doctype"):  # else it is a part of one
        metas = [attributes for _, attributes in seen.elements if "http-equiv" in attributes]
        rules = str(metas[0]["content"]).split("; ")
        allowed = f"script-src 'sha256-{b64encode(hashlib.sha256(OURS.encode()).digest()).decode()}'"
        assert rules[0] == "default-src 'none'"
        assert [rule for rule in rules if rule.startswith("script-src")] == [allowed] * may_run
    assert not {"script", "img", "iframe", "object", "form"} & {name for name, _ in seen.elements}
    for _, attributes in seen.elements:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "src", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,"))
    assert not re.search(r"https?://|//[a-z]", page.replace("http://evil.example", "").replace("file:///", ""))


def assert_links_lead_somewhere(page: str) -> None:
    """Assert that ids are unique, and that whatever points into the page finds its place."""
    elements = Reader(page).elements
    ids = [attrs["id"] for _, attrs in elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = [str(attrs["href"])[1:] for name, attrs in elements if name == "a"]
    targets += [str(attrs["for"]) for name, attrs in elements if name == "label"]
    targets += re.findall(r"url\(#([\w-]+)\)", page)
    assert targets
    assert set(targets) <= set(ids)
