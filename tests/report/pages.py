"""What must hold for the page of every study."""

from __future__ import annotations

import re

from test_markup import Reader


def assert_inert(page: str) -> None:
    """Assert that nothing on a page can run or leave it."""
    seen = Reader(page)
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
