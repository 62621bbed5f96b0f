"""Every format, every kind of broken row, with true line numbers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from superalign.errors import DataError
from superalign.task import Dropped, tasks
from superalign.tasks import _read
from superalign.tasks._lines import MAX_LINE
from superalign.tasks._read import Row, read
from superalign.tasks.file import File

PLAIN = st.text(st.characters(codec="utf-8", exclude_characters='"\r\n\x00'), max_size=30)
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=30)
BROKEN_JSON = (b"{", b"[1, 2]", b'"text"', b'{"text": "\xff"}', b"{'text': 1}", b"nonsense", b"[" * 100_000)
BROKEN_CSV = (b"one", b"a,b,c", b'"never closed,1', b'"closed" badly,1', b"caf\xe9,1")
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def outcomes(path: Path) -> tuple[list[Row], list[int]]:
    """Return the good rows and the line numbers of the bad ones."""
    found = list(read(path, path.name))
    bad = [int(row.where.rpartition(":")[2]) for row in found if isinstance(row, Dropped)]
    return [row for row in found if isinstance(row, Row)], bad


@MANY
@given(
    rows=st.lists(
        st.one_of(
            st.dictionaries(st.sampled_from(["text", "label"]), CELLS, min_size=1),
            st.sampled_from(BROKEN_JSON),
            st.sampled_from([b"", b"   "]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_jsonl_names_every_broken_line(rows: list[dict[str, str] | bytes], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows]
    path.write_bytes(b'{"text": "first"}\n' * 20 + b"\n".join(lines) + b"\n")
    good, bad = outcomes(path)
    assert bad == [n for n, row in enumerate(rows, 21) if isinstance(row, bytes) and row.strip()]
    assert [row.values for row in good[20:]] == [row for row in rows if isinstance(row, dict)]
    assert [row.where for row in good[20:]] == [
        f"rows.jsonl:{n}" for n, row in enumerate(rows, 21) if isinstance(row, dict)
    ]


@MANY
@given(
    rows=st.lists(st.one_of(st.tuples(PLAIN, PLAIN), st.sampled_from(BROKEN_CSV)), min_size=1, max_size=20),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_csv_names_every_broken_line(rows: list[tuple[str, str] | bytes], ending: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    lines = []
    for row in rows:
        buffer = io.StringIO()
        if not isinstance(row, bytes):
            csv.writer(buffer, lineterminator="").writerow(("x" + row[0], row[1]))
        lines.append(row if isinstance(row, bytes) else buffer.getvalue().encode())
    opened = [
        n for n, row in enumerate(rows) if row == b'"never closed,1'
    ]  # a good row's quote may close it: one record
    quoted = [n for n, row in enumerate(rows) if not isinstance(row, bytes) and b'"' in lines[n]]
    assume(not (opened and quoted and opened[0] < quoted[-1]))
    path.write_bytes(ending.encode().join([b"text,label", *[b"fine,1"] * 100, *lines]) + ending.encode())
    good, bad = outcomes(path)
    assert bad == [n for n, row in enumerate(rows, 102) if isinstance(row, bytes)]
    expected = [{"text": "x" + row[0], "label": row[1]} for row in rows if not isinstance(row, bytes)]
    assert [row.values for row in good[100:]] == expected


@MANY
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=20))
def test_csv_fields_may_span_lines_and_hold_quotes(rows: list[tuple[str, str]], tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    expected, line = [], 2
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(("text", "label"))
        for row in rows:
            writer.writerow(row)
            expected.append((f"rows.csv:{line}", {"text": row[0], "label": row[1]}))
            line += 1 + "".join(row).count("\n")
    good, bad = outcomes(path)
    assert not bad
    assert [(row.where, row.values) for row in good] == expected


@MANY
@given(rows=st.lists(st.dictionaries(st.text(max_size=3), st.one_of(CELLS, st.integers())), min_size=1, max_size=10))
def test_json_arrays_tell_their_lines(rows: list[dict[str, object]], tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    for text, first in ((json.dumps(rows, indent=None), 1), ("[\n" + ",\n".join(map(json.dumps, rows)) + "]", 2)):
        path.write_text(text, encoding="utf-8")
        good, bad = outcomes(path)
        assert not bad
        assert [row.values for row in good] == rows
        assert good[-1].where == f"rows.json:{first if first == 1 else len(rows) + 1}"


def test_other_forms_of_json(tmp_path: Path) -> None:
    rows = [{"text": "a"}, {"text": "b"}]
    for text in (
        json.dumps({"data": rows, "version": 1}),
        "\n".join(map(json.dumps, rows)),
        "\ufeff" + json.dumps(rows),
    ):
        (tmp_path / "a.json").write_text(text, encoding="utf-8")
        assert [row.values for row in outcomes(tmp_path / "a.json")[0]] == rows
    (tmp_path / "a.json").write_text('[{"text": "a"},\n{"text": }]')
    with pytest.raises(DataError, match=r"a\.json:2"):
        outcomes(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('[{"text": "a"} {"text": "b"}]')
    with pytest.raises(DataError, match="no ',' or ']'"):
        outcomes(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('["text", {"text": "b"}]')
    assert outcomes(tmp_path / "a.json")[1] == [1]


def test_csv_dialects(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbftext;label\r\none, two;1\r\n\r\nthree;0\r\n")
    good, bad = outcomes(tmp_path / "a.csv")
    assert [(row.where, row.values["text"]) for row in good] == [("a.csv:2", "one, two"), ("a.csv:4", "three")]
    (tmp_path / "a.tsv").write_text(
        'text\tlabel\n"quoted ""so"""\t1\n"he said" and left\t0\nno tab\n', encoding="utf-8"
    )
    good, bad = outcomes(tmp_path / "a.tsv")
    assert [row.values["text"] for row in good] == ['quoted "so"', '"he said" and left']
    assert bad == [4]
    (tmp_path / "a.csv").write_text("text,text\na,b\n")
    with pytest.raises(DataError, match="'text' appears twice"):
        outcomes(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("\n\n")
    with pytest.raises(DataError, match="no header"):
        outcomes(tmp_path / "a.csv")


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv"])
def test_an_endless_line_is_one_bad_row(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"long.{suffix}"
    row = {"jsonl": b'{"text": "a"}', "csv": b"a,1", "tsv": b"a\t1"}[suffix]
    head = {"jsonl": row, "csv": b"text,label", "tsv": b"text\tlabel"}[suffix]
    path.write_bytes(head + b"\n" + b"x" * (MAX_LINE * 2 + 5) + b"\n" + row + b"\n")
    good, bad = outcomes(path)
    assert bad == [2]
    assert good[-1].where == f"long.{suffix}:3"


def test_parquet(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="parquet needs the extra 'data'")
    import pyarrow as pa

    rows = [{"text": f"text {n}", "label": n % 2, "choices": ["a", "b"]} for n in range(3000)]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    good, bad = outcomes(path)
    assert not bad
    assert [row.values for row in good] == rows
    assert good[-1].where == "rows.parquet:3000"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match="damaged"):
        outcomes(path)


def test_a_json_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_read, "MAX_JSON", 10)
    (tmp_path / "a.json").write_text('[{"text": "abc"}]')
    with pytest.raises(DataError, match="write it as JSON lines"):
        outcomes(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b"", "empty"),
        ("a.jsonl", b"\x80\x04\x95\x10\x00", "a pickle"),
        ("a.jsonl", b"\x89PNG\r\n\x1a\n", "a PNG image"),
        ("a.csv", b"PK\x03\x04", "a zip archive"),
        ("a.csv", "text,label\na,1\n".encode("utf-16"), "convert it to UTF-8"),
        ("a.jsonl", bytes(range(256)) * 8, "binary data"),
        ("a.tsv", b"PAR1....", "a parquet file"),
        ("a.parquet", b'{"text": 1}', "not a parquet file"),
        ("a.xlsx", b"PK\x03\x04", "known formats"),
        ("a", b"text", "known formats"),
    ],
)
def test_a_file_that_is_no_table_is_named(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        File(path=tmp_path / name).load()


def test_a_missing_file_has_a_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "statements.jsonl").write_text("{}")
    with pytest.raises(DataError, match=r"did you mean 'statements\.jsonl'"):
        tasks.build(f"file:{tmp_path}/statments.jsonl").load()
    with pytest.raises(DataError, match=r"is a folder\n.*statements\.jsonl"):
        tasks.build(f"file:{tmp_path}").load()
    with pytest.raises(DataError, match="there is no folder"):
        tasks.build(f"file:{tmp_path}/none/a.csv").load()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no data file"):
        tasks.build(f"file:{tmp_path}/empty/a.csv").load()
    (tmp_path / "null.csv").symlink_to("/dev/null")
    with pytest.raises(DataError, match="not a regular file"):
        tasks.build(f"file:{tmp_path}/null.csv").load()
