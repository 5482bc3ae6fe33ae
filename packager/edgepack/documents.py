"""JSON as it comes from strangers: one reader, whatever the file is.

Files are UTF-8, of a size and a depth that have a limit, with finite numbers and each key once; what is not is an
EdgepackError that names the file. Nothing else of the packager or the runtime parses JSON that others wrote.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgepack.errors import BundleError, EdgepackError, FileTrouble

Json = Any  # a parsed JSON value: null, a number, a string, a list or an object
JsonObject = Mapping[str, Any]
JsonDict = dict[str, Any]  # an object that is being made

LARGEST = 512_000_000  # bytes of a file: tokenizers reach tens of millions
LONGEST_LINE = 10_000_000  # bytes of a line of JSON Lines
AGAIN = "correct the file, or copy it again from where it came from"
DEEPEST = 64  # objects and lists inside each other
_DIGITS = 308  # of a whole number that is a float64 whatever they are
Failure = type[EdgepackError]


def read_json(file: Path, failure: Failure = BundleError, *, hint: str = AGAIN, largest: int = LARGEST) -> Json:
    """Return the JSON value in ``file``. Raises ``failure`` with the file's name."""
    return parse_json(read_text(file, failure, hint=hint, largest=largest), str(file), failure, hint=hint)


def read_object(file: Path, failure: Failure = BundleError, *, hint: str = AGAIN, largest: int = LARGEST) -> JsonDict:
    """Return the JSON object in ``file``. Raises ``failure`` with the file's name."""
    value = read_json(file, failure, hint=hint, largest=largest)
    if not isinstance(value, dict):
        raise failure(f"{file} does not hold an object", hint=hint)
    return value


def read_text(file: Path, failure: Failure = BundleError, *, hint: str = AGAIN, largest: int = LARGEST) -> str:
    """Return the text of ``file``. Raises ``failure``: it is missing, no regular file, too large or not UTF-8."""
    try:
        return read_bytes(file, failure, hint=hint, largest=largest).decode("utf-8")
    except UnicodeDecodeError as error:
        raise failure(f"{file} is not UTF-8 (byte {error.start:,})", hint=hint) from error


def read_bytes(file: Path, failure: Failure = BundleError, *, hint: str = AGAIN, largest: int = LARGEST) -> bytes:
    """Return the bytes of ``file``. Raises ``failure``: it is missing, no regular file, or too large; FileTrouble for
    one that this user may not read.
    """
    try:
        # a FIFO without a writer would be waited for without O_NONBLOCK
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except PermissionError as error:
        raise FileTrouble(
            f"{file} cannot be read: {error.strerror}", hint="change its permissions, for example with chmod u+r"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        said = error.strerror if isinstance(error, OSError) else "not a file's name"
        raise failure(f"{file} cannot be read: {said}", hint=hint) from error
    return read_open(descriptor, file, failure, hint=hint, largest=largest)


def read_open(
    descriptor: int, file: Path, failure: Failure = BundleError, *, hint: str = AGAIN, largest: int = LARGEST
) -> bytes:
    """Return the bytes of ``file``, which is open, and close it. Raises ``failure``: it is no regular file, or too
    large.
    """
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise failure(f"{file} is not a regular file", hint=hint)
        if facts.st_size > largest:
            raise failure(f"{file} has {facts.st_size:,} bytes; {largest:,} are read at most", hint=hint)
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read(facts.st_size)
    finally:
        os.close(descriptor)


def parse_json(text: str | bytes, name: str, failure: Failure = BundleError, *, hint: str = AGAIN) -> Json:
    """Return the JSON value of ``text``, which ``name`` names in errors. Raises ``failure``."""
    try:
        value = json.loads(
            text if isinstance(text, str) else bytes(text).decode("utf-8"),
            parse_float=_finite,
            parse_int=_whole,
            parse_constant=_refused,
            object_pairs_hook=_once,
        )
        _check_depth(value)
        _check_unicode(value, text)
    except RecursionError as error:
        raise failure(f"{name} is not valid JSON: nested too deep", hint=hint) from error
    except ValueError as error:  # broken JSON and broken UTF-8 too
        raise failure(f"{name} is not valid JSON: {_said(error)}", hint=hint) from error
    return value


def read_json_lines(file: Path, failure: Failure = BundleError) -> Iterator[tuple[int, Json]]:
    """Yield the number and the value of each line that is not empty. Raises ``failure`` with the line's number."""
    with file.open("rb") as stream:
        number = 0
        while line := stream.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise failure(f"{file.name} line {number}: longer than {LONGEST_LINE:,} bytes")
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if line.strip():
                yield number, parse_json(line, f"{file.name} line {number}", failure)


def _said(error: ValueError) -> str:
    if isinstance(error, UnicodeError):
        return "not UTF-8"
    return str(error).splitlines()[0][:200]


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large a number")
    return value


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        _finite(text)  # what uses it may need it as a float
    return int(text)


def _refused(name: str) -> float:
    raise ValueError(f"{name} is not a number in JSON")


def _once(pairs: list[tuple[str, Json]]) -> JsonDict:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r} occurs twice in an object")
    return made


def _check_depth(value: Json) -> None:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [child for one in level for child in _children(one) if isinstance(child, list | dict)]
        if not level:
            return
    raise ValueError(f"objects and lists are nested more than {DEEPEST} deep")


def _children(value: Json) -> Json:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _check_unicode(value: Json, text: str | bytes) -> None:
    """Refuse halves of surrogate pairs, which only escapes can bring in and nothing can write out again."""
    escape = "\\ud" if isinstance(text, str) else b"\\ud"
    if escape in text.lower():  # type: ignore[operator]
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError("half of a surrogate pair") from error
