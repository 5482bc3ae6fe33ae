"""Text a token at a time is the text at once: characters of several tokens, spaces, stop strings."""

from __future__ import annotations

import random

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from edgepack.runtime.stream import Pieces, Stops

BROKEN = "\ufffd"
TEXTS = [
    "plain words, and then  two spaces",
    "naïve café, Straße",
    "寿司 と 日本語 を 混ぜる",
    "🙂🎂👩‍👩‍👧‍👦 family 🇪🇺 flags 🏳️‍🌈",
    " leading and trailing ",
    "lines\n\n\tand tabs",
    "a",
]


def byte_level() -> Tokenizer:
    """As GPT-2: every byte is a token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


def byte_fallback() -> Tokenizer:
    """As Llama 2: a few letters are tokens, all else is bytes, and a text's first space is not shown."""
    pieces = ["<unk>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256)), *"abcdefghijklmnopqrstuvwxyz,▁"]
    made = Tokenizer(
        models.BPE({piece: i for i, piece in enumerate(pieces)}, [], unk_token="<unk>", byte_fallback=True)
    )
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.add_special_tokens(["<s>"])
    return made


TOKENIZERS = {"byte level": byte_level, "byte fallback": byte_fallback}


def streamed(tokenizer: Tokenizer, prompt: list[int], new: list[int]) -> list[str]:
    pieces = Pieces(tokenizer, prompt)
    return [*(pieces.add(token) for token in new), pieces.rest()]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("before", ["", "see ", "寿", "🎂"])
@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_the_text(kind: str, before: str, text: str) -> None:
    tokenizer = TOKENIZERS[kind]()
    ids = tokenizer.encode(before + text).ids
    cut = next(n for n in range(len(ids) + 1) if tokenizer.decode(ids[:n]).startswith(before))
    pieces = streamed(tokenizer, ids[:cut], ids[cut:])
    assert tokenizer.decode(ids[:cut]) + "".join(pieces) == tokenizer.decode(ids) == before + text
    assert not any(BROKEN in piece for piece in pieces)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_long_prompts_of_long_characters(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]()
    for before in ("é" * 9, "x" + "寿" * 20, "🎂" * 50, "ab🎂" * 3):
        ids, cut = tokenizer.encode(before + "寿司 a").ids, len(tokenizer.encode(before).ids)
        assert "".join(streamed(tokenizer, ids[:cut], ids[cut:])) == "寿司 a"


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_bytes_that_are_no_text(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]()
    half = tokenizer.encode("🎂").ids[:-1]
    letter = tokenizer.encode("a").ids[-1:]
    for new in (half, letter + half, half + letter, half * 9 + letter, [*half[:1]] * 30):
        start = tokenizer.encode("b").ids
        whole = tokenizer.decode(start + new)[len(tokenizer.decode(start)) :]
        pieces = streamed(tokenizer, start, new)
        assert "".join(pieces).replace(BROKEN, "") == whole.replace(BROKEN, "")
        assert sum(map(len, pieces)) > 0
    assert sum(bool(piece) for piece in streamed(tokenizer, letter, half[:1] * 40)) > 2  # it does not wait for ever


def test_special_tokens_are_not_shown() -> None:
    tokenizer = byte_fallback()
    bos = tokenizer.token_to_id("<s>")
    word = tokenizer.encode(" ab").ids
    assert "".join(streamed(tokenizer, [bos], [bos, *word, bos, *word])) == tokenizer.decode(word + word)


def test_random_cuts() -> None:
    chance = random.Random(0)
    letters = "ab ,é寿🎂\n"
    for _ in range(300):
        text = "".join(chance.choices(letters, k=12))
        for make in TOKENIZERS.values():
            tokenizer = make()
            ids = tokenizer.encode("a" + text).ids
            cut = len(tokenizer.encode("a").ids)
            assert "".join(streamed(tokenizer, ids[:cut], ids[cut:])) == text


@pytest.mark.parametrize(
    ("stops", "text", "left"),
    [
        (["\n\n"], "one\n\ntwo", "one"),
        (["\n\n"], "one\ntwo\n", "one\ntwo\n"),
        (["STOP"], "STSTOP it", "ST"),
        (["aab"], "aaab", "a"),
        (["later", "now"], "do it now or later", "do it "),
        (["b", "abc"], "xabc", "xa"),
        (["x"], "", ""),
        ([], "all of it", "all of it"),
        (["🎂"], "cake 🎂!", "cake "),
    ],
)
def test_stops(stops: list[str], text: str, left: str) -> None:
    for size in (1, 2, 3, 50):
        held, shown = Stops(stops), ""
        for start in range(0, len(text), size):
            shown += held.add(text[start : start + size])
            assert left.startswith(shown)
            if held.found:
                break
        assert shown + held.rest() == left
        assert held.found == (left != text)


def test_a_beginning_of_a_stop_waits() -> None:
    held = Stops(["<end>"])
    assert held.add("a <en") == "a "
    assert held.add("try> <e") == "<entry> "
    assert held.add("nd> and more") == ""
    assert held.found
    assert held.rest() == ""
