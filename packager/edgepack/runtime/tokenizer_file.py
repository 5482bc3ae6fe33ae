"""Look into tokenizer.json before the library tokenizers opens it: what could make a short text take for ever.

Normalizers run over each other's output, so that "a" to "aa" thirty times over makes a gigabyte of a letter, and over
every added token while the file is opened. Regular expressions that repeat a repetition try exponentially many ways.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from edgepack.documents import Json, JsonDict, parse_json, read_bytes
from edgepack.errors import BundleDamaged, BundleUnsafe

_LARGEST = 64_000_000  # bytes; Gemma 3's has 33 million
_SECTIONS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
_STEPS = 64  # of a section
_ADDED = "added_tokens"  # over which the normalizer runs while the file is opened
_READ = (*_SECTIONS, _ADDED)
_GROWTH = 1024.0  # times that a section may lengthen a text; at worst ALBERT's may 544 times, by one letter in Unicode
_FORMS = {"NFC": 3.0, "NFD": 3.0, "NFKC": 11.0, "NFKD": 11.0}  # UTF-8, Unicode Annex 15, section 9
# of the other steps that lengthen: one letter's bytes; what may be put before, between or around pieces
_WORST = {
    **_FORMS,
    "BertNormalizer": 3.0,  # a Hangul syllable as three letters
    "Lowercase": 1.5,
    "ByteLevel": 4.0,  # a character of two bytes for each byte, and for a space before each piece
    "WordPiece": 2.0,
    "BPEDecoder": 3.0,
    "CTC": 3.0,
}
# patterns that surely match one character or more
_ATOM = r"(?:[ \w]|\\[sSdDwWnrt]|\[(?:[\w .,;:!?-]|\\[sdwnrt])+\])(?:\+|\{[1-9]\d{0,3}(?:,\d{0,4})?\})?"
_SOLID = re.compile(rf"(?:{_ATOM})+(?:\|(?:{_ATOM})+)*")
_TEXT = 10_000  # characters of a pattern or of what replaces it
_TRUST = "--trust opens it all the same"
_ESCAPE = b"\\u00"
_LETTERS = (b"\\u005", b"\\u006", b"\\u007")  # escapes of what sections' names are made of


def check(file: Path) -> None:
    """Raises BundleUnsafe for sections that could take for ever, BundleDamaged for what is no tokenizer."""
    sections = _sections(read_bytes(file, BundleDamaged, hint="copy the bundle again", largest=_LARGEST), file)
    added = len(json.dumps(sections.get(_ADDED)))
    for name in _SECTIONS:
        steps = list(_steps(sections.get(name)))
        if len(steps) > _STEPS:
            raise BundleUnsafe(f"{file.name}: {name} has more than {_STEPS} steps", hint=_TRUST)
        for step in steps:
            pattern = step.get("pattern")
            said = pattern.get("Regex") if isinstance(pattern, dict) else None
            if isinstance(said, str) and (len(said) > _TEXT or _explodes(said)):
                raise BundleUnsafe(f"{file.name}: the {name}'s pattern {said[:60]!r} repeats repetitions", hint=_TRUST)
        growth = _times(steps)
        if growth > _GROWTH:
            raise BundleUnsafe(f"{file.name}: the {name} makes texts {growth:,.0f} times as long", hint=_TRUST)
        if growth * added > _LARGEST:
            raise BundleUnsafe(f"{file.name}: the {name} makes the added tokens too long", hint=_TRUST)


def _sections(raw: bytes, file: Path) -> JsonDict:
    """Return the sections and the added tokens; the vocabulary, nearly all of the file, is left unread where it
    comes last.
    """
    stated = [list(_places(raw, name)) for name in _READ]
    if max(map(len, stated)) <= 1 and not (_ESCAPE in raw and any(letter in raw for letter in _LETTERS)):
        last = max((place for places in stated for place in places), default=0)
        end = raw.find(b'"model"', last)
        try:
            return _head(raw[: end if end > 0 else len(raw)].decode("utf-8"), sum(map(len, stated)))
        except (ValueError, IndexError, RecursionError):
            pass  # in another order, or broken: the whole of it tells
    return _object(parse_json(raw, str(file), BundleDamaged), file)


def _places(raw: bytes, name: str) -> Iterator[int]:
    """Yield where ``name`` is a key of something else than a number, as which vocabularies have it too."""
    key = b'"%s"' % name.encode()
    place = raw.find(key)
    while place >= 0:
        after = raw[place + len(key) : place + len(key) + 32].lstrip()
        if after.startswith(b":") and not after[1:].lstrip()[:1].isdigit():
            yield place
        place = raw.find(key, place + 1)


def _head(text: str, stated: int) -> JsonDict:
    """Return the keys up to the last of the sections, of which so many are stated. Raises ValueError, IndexError."""
    decoder, found = json.JSONDecoder(), JsonDict()
    place = _skip(text, 0, "{")
    while sum(name in found for name in _READ) < stated:
        key, place = decoder.raw_decode(text, place)
        found[key], place = decoder.raw_decode(text, _skip(text, place, ":"))
        place = _skip(text, place, ",") if stated > sum(name in found for name in _READ) else place
    return found


def _skip(text: str, place: int, mark: str) -> int:
    """Return the place behind ``mark`` and the space around it. Raises ValueError."""
    found = re.compile(rf"[ \t\r\n]*{re.escape(mark)}[ \t\r\n]*").match(text, place)
    if found is None:
        raise ValueError(f"no {mark} at {place}")
    return found.end()


def _object(value: Json, file: Path) -> JsonDict:
    if not isinstance(value, dict):
        raise BundleDamaged(f"{file} does not hold an object", hint="copy the bundle again")
    return value


def _steps(section: Json) -> Iterator[JsonDict]:
    """Yield the section's steps, those inside sequences too; at most a few more than are allowed."""
    todo, count = [section], 0
    while todo and count <= _STEPS:
        one = todo.pop()
        if isinstance(one, dict):
            count += 1
            yield one
            todo += [inner for value in one.values() if isinstance(value, list) for inner in value[: _STEPS + 1]]


def _times(steps: Iterable[JsonDict]) -> float:
    """Return how many times as many bytes a text may have after all steps."""
    times = form = 1.0
    for step in steps:
        growth = _growth(step)
        if str(step.get("type")) in _FORMS:
            # of a text that has one of Unicode's forms, another is no longer than of the text
            growth, form = max(1.0, growth / form), max(form, growth)
        elif growth > 1:
            form = 1.0
        times *= growth
    return times


def _growth(step: JsonDict) -> float:
    """Return how many times as many bytes as before a text may have after this step."""
    kind = step.get("type")
    if kind == "Prepend":
        return 1.0 + _bytes(step.get("prepend"))
    if kind == "Metaspace":
        return 1.0 + _bytes(step.get("replacement"))
    if kind == "Precompiled":
        return _longest_mapped(step.get("precompiled_charsmap"))
    content, pattern = step.get("content"), step.get("pattern")
    if isinstance(content, str) and isinstance(pattern, dict):
        plain, said = pattern.get("String"), pattern.get("Regex")
        if isinstance(plain, str) and plain:
            return max(1.0, _bytes(content) / _bytes(plain))
        solid = isinstance(said, str) and _SOLID.fullmatch(said)
        return float(max(1, _bytes(content))) if solid else 1.0 + _bytes(content)  # what matches nothing only adds
    return _WORST.get(str(kind), 1.0)


def _bytes(text: Json) -> int:
    return len(text.encode("utf-8", "replace")) if isinstance(text, str) else 1


def _longest_mapped(charsmap: Json) -> float:
    """Return the bytes of the longest text in a SentencePiece map: its trie's size, the trie, texts that end with a
    zero.
    """
    try:
        raw = base64.b64decode(charsmap)
    except (TypeError, ValueError):
        return 1.0  # which the library refuses
    return float(max(1, *map(len, raw[4 + int.from_bytes(raw[:4], "little") :].split(b"\0"))))


_ITEM = re.compile(r"\\.|[()]|\[|(?P<many>[*+]|\{(?P<low>\d*)(?P<open>,?)(?P<high>\d*)\})[?+]?|.", re.DOTALL)
_MANY = 16  # repetitions that count as repeating


def _explodes(pattern: str) -> bool:
    """Return whether a group that repeats, without end or many times, has something in it that does: (a+)+."""
    inside = [False]  # of each open group: whether something in it repeats
    closed = False  # whether the item before is a group in which something repeats
    place = 0
    while place < len(pattern):
        item = _ITEM.match(pattern, place)
        assert item is not None  # the last alternative takes anything
        place = _behind_class(pattern, place) if item[0] == "[" else item.end()
        if item["many"]:
            if _many(item) and closed:
                return True
            inside[-1] = inside[-1] or _many(item)
        closed = False
        if item[0] == "(":
            inside.append(False)
        elif item[0] == ")" and len(inside) > 1:
            closed = inside.pop()
            inside[-1] = inside[-1] or closed
    return False


def _many(item: re.Match[str]) -> bool:
    if item["low"] is None:
        return True
    bounded = item["high"] if item["open"] else item["low"]
    return not bounded or int(bounded[:9]) > _MANY


def _behind_class(pattern: str, place: int) -> int:
    """Return the place behind the character class that begins at ``place``; classes may hold classes."""
    depth = 0
    while place < len(pattern):
        if pattern[place] == "\\":
            place += 1
        elif pattern[place] == "[":
            depth += 1
        elif pattern[place] == "]":
            depth -= 1
            if not depth:
                return place + 1
        place += 1
    return place
