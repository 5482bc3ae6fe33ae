"""Data sets of every kind, whole and broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from edgepack import data
from edgepack.data import DataSpec
from edgepack.errors import DataError
from edgepack.metrics import tasks as metrics

ROWS = [{"text": "a, b", "label": "x"}, {"text": "ü", "label": "y"}]


def write(folder: Path, kind: str) -> Path:
    file = folder / f"d.{kind}"
    if kind == "csv":
        file.write_text('text,label\n"a, b",x\nü,y\n', "utf-8")
    elif kind == "tsv":
        file.write_text("text\tlabel\na, b\tx\nü\ty\n", "utf-8")
    elif kind == "jsonl":
        file.write_text('{"text": "a, b", "label": "x", "more": 1}\n\n{"text": "ü", "label": "y"}\n', "utf-8")
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), file)
    return file


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_every_kind_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    spec = DataSpec(path=write(tmp_path, kind))
    assert data.read(spec, ("text", "label")) == ROWS
    assert data.read(DataSpec(path=spec.path, limit=1), ("text",)) == [{"text": "a, b"}]
    renamed = DataSpec(path=spec.path, columns={"answer": "label"})
    assert data.read(renamed, ("answer",)) == [{"answer": "x"}, {"answer": "y"}]


def test_no_header(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("one,two,3\nfour,five,6\n")
    spec = DataSpec(path=tmp_path / "d.csv", columns={"a": 0, "score": 2})
    assert data.read(spec, ("a", "score")) == [{"a": "one", "score": "3"}, {"a": "four", "score": "6"}]


def test_a_folder_of_images(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / label / "1.png")
        (tmp_path / label / "notes.txt").write_text("x")
    found = data.read(DataSpec(path=tmp_path), ("image", "label"))
    assert [row["label"] for row in found] == ["cat", "dog"]
    (tmp_path / "cat" / "song.mp3").write_bytes(b"x")  # what is one of the class, and cannot be read, is not left out
    with pytest.raises(DataError, match=r"song\.mp3 is no WAV file and no image"):
        data.read(DataSpec(path=tmp_path), ("image", "label"))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_text_is_one_row(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / "story.TXT").write_bytes(mark + "Zwölf\n\n寿司 🙂\n".encode())
    assert data.read(DataSpec(path=tmp_path / "story.TXT"), ("text",)) == [{"text": "Zwölf\n\n寿司 🙂\n"}]


BROKEN = {
    "missing.csv": (None, "there is no data set"),
    "kind.xlsx": ("x", "does not read"),
    "empty.csv": ("", "no rows"),
    "header.csv": ("text,label\n", "no rows"),
    "columns.csv": ("txt,label\na,b\n", "no column 'text'"),
    "short.csv": ("text,label\na,b\nc\n", "line 3: 1 fields, not 2"),
    "quote.csv": ('text,label\n"a"b,c\n', "line 2"),
    "latin.csv": (b"text,label\n\xff\xfe,b\n", "latin.csv line"),
    "bad.jsonl": ('{"text": "a", "label": "b"}\n{"text"\n', "line 2"),
    "list.jsonl": ("[1]\n", "line 1: not an object"),
    "lacks.jsonl": ('{"text": "a"}\n', "no column 'label'"),
    "bad.parquet": (b"PAR1 no", "cannot be read"),
    "latin.txt": (b"caf\xe9", "latin.txt is not UTF-8 (byte 3)"),
    "empty.txt": ("", "empty.txt has no rows"),
    "blank.txt": (" \n\t\n", "no rows"),
    "mark.txt": (b"\xef\xbb\xbf", "no rows"),
    "whole.txt": ("a text", "no column 'label'"),
}


LATER = {
    "second.csv": (b"text,label\n" + b"a,b\n" * 5000 + b"\xff,b\n", "second.csv line 5002: not UTF-8"),
    "first.csv": (b"\xff,label\n", "first.csv line 1: not UTF-8"),
}


@pytest.mark.parametrize("name", LATER)
def test_the_line_that_is_not_utf8(tmp_path: Path, name: str) -> None:
    content, said = LATER[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        data.read(DataSpec(path=tmp_path / name), ("text", "label"))


@pytest.mark.parametrize("value", ["nan", "inf", "-Infinity", "1e400", "9" * 400])
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_numbers_are_finite(tmp_path: Path, kind: str, value: str) -> None:
    file = tmp_path / f"d.{kind}"
    mark = "\t" if kind == "tsv" else ","
    if kind == "parquet":
        table = pyarrow.table({"text": ["a", "b"], "score": [1.0, float(value)]})
        pyarrow.parquet.write_table(table, file)
    elif kind == "jsonl":
        file.write_text(f'{{"text": "a", "score": 1}}\n{{"text": "b", "score": "{value}"}}\n')
    else:
        file.write_text(f'text{mark}score\n\n"a\n"{mark}1\nb{mark}{value}\n')
    place = {"parquet": "row 2", "jsonl": "line 2"}.get(kind, "line 5")
    with pytest.raises(DataError, match=rf"{place}.*score.*not a finite number"):
        [metrics.number(row, "score") for row in data.read(DataSpec(path=file), ("text", "score"))]


@pytest.mark.parametrize("name", BROKEN)
def test_broken_data_sets(tmp_path: Path, name: str) -> None:
    content, said = BROKEN[name]
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as error:
        data.read(DataSpec(path=tmp_path / name), ("text", "label"))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_column_suggests(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("txt,label\na,b\n")
    with pytest.raises(DataError) as error:
        data.read(DataSpec(path=tmp_path / "d.csv"), ("text",))
    assert error.value.hint == 'columns = { text = "txt" } names another'


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images"):
        data.read(DataSpec(path=tmp_path), ("image", "label"))
