"""JSON and TOML of strangers: every kind of broken file is an error that names it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgepack import documents
from edgepack.errors import BundleError, DataError, ProjectError
from edgepack.toml_file import read_toml

DEEP = 100_000
BROKEN = {
    "deep": (b"[" * DEEP + b"]" * DEEP, "nested too deep"),
    "deeper than is read": (b"[" * 70 + b"]" * 70, "nested more than"),
    "deep objects": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "nested too deep"),
    "not a number": (b'{"a": NaN}', "NaN"),
    "infinity": (b'{"a": -Infinity}', "Infinity"),
    "too large": (b'{"a": 1e400}', "too large"),
    "many digits": (b'{"a": ' + b"9" * 10_000 + b"}", "too large"),
    "a whole number beyond float64": (b'{"a": -1' + b"0" * 400 + b"}", "too large"),
    "a key twice": (b'{"a": 1, "b": 2, "a": 3}', "'a' occurs twice"),
    "half a pair": (b'{"a": "\\ud800"}', "surrogate"),
    "half a pair as a key": (b'{"\\uDFFF": 1}', "surrogate"),
    "another encoding": ('{"a": "é"}'.encode("latin-1"), "not UTF-8"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    "cut short": (b'{"a": [1, 2', "not valid JSON"),
    "empty": (b"", "not valid JSON"),
    "NUL bytes": (b"\0" * 8, "not valid JSON"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_json_is_told(name: str, tmp_path: Path) -> None:
    content, said = BROKEN[name]
    file = tmp_path / "some.json"
    file.write_bytes(content)
    with pytest.raises(DataError, match=said) as error:
        documents.read_json(file, DataError)
    assert "some.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_whole_pair_is_a_character(tmp_path: Path) -> None:
    assert documents.parse_json('"\\ud83d\\ude00 \\\\ud800"', "a text") == "\N{GRINNING FACE} \\ud800"


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_JSON = st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # other tests may run beside it
@given(_JSON)
def test_what_json_can_say_is_read_as_json_reads_it(value: object) -> None:
    assert documents.parse_json(json.dumps(value), "a value") == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_an_error(raw: bytes) -> None:
    with suppress(BundleError):
        documents.parse_json(raw, "bytes")


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for file in (tmp_path / "fifo", Path("/dev/zero"), tmp_path, tmp_path / "none", tmp_path / "a\0b"):
        with pytest.raises(BundleError):
            documents.read_json(file)


def test_large_files_and_lines_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"text": "a"}\n\n{"text": "' + b"a" * documents.LONGEST_LINE + b'"}\n')
    with pytest.raises(BundleError, match="1,000 are read"):
        documents.read_text(file, largest=1000)
    with pytest.raises(DataError, match="line 3: longer"):
        list(documents.read_json_lines(file, DataError))


TABLES = {
    "deep": (b"a = " + b"[" * DEEP, "nested too deep"),
    "a key twice": (b"a = 1\na = 2", "not valid TOML"),
    "another encoding": ('a = "é"'.encode("latin-1"), "not UTF-8"),
    "no such date": (b"a = 2023-99-99", "not valid TOML"),
}


def test_toml_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "some.toml"
    file.write_bytes(b"\xef\xbb\xbfa = 1\r\n")  # as editors of Windows write it
    assert read_toml(file, ProjectError) == {"a": 1}


@pytest.mark.parametrize("name", TABLES)
def test_broken_toml_is_told(name: str, tmp_path: Path) -> None:
    content, said = TABLES[name]
    file = tmp_path / "some.toml"
    file.write_bytes(content)
    with pytest.raises(ProjectError, match=said) as error:
        read_toml(file, ProjectError)
    assert "some.toml" in str(error.value)
