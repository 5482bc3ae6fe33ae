"""Text a token at a time is the text at once: characters of several tokens, spaces, stop strings."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from edgepack.runtime.detokenizer import Detokenizer, StopSequences

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
    """As GPT-2: every byte is a token, and so are some pairs, of one character or of two."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters = "".join(part for part, _ in split.pre_tokenize_str("🎂寿🎂é"))
    pairs = list(zip(letters[1::2], letters[2::2], strict=False))
    pieces = [*alphabet, *("".join(pair) for pair in pairs)]
    made = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, pairs))
    made.pre_tokenizer = split
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<s>"])
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
READY = {kind: make() for kind, make in TOKENIZERS.items()}
CAKE = {kind: tokenizer.encode("🎂").ids[-4:] for kind, tokenizer in READY.items()}


def streamed(tokenizer: Tokenizer, prompt: list[int], new: list[int]) -> list[str]:
    pieces = Detokenizer(tokenizer, prompt)
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


@settings(max_examples=400, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(TOKENIZERS)))
def test_the_stream_is_what_the_tokenizer_decodes(data: st.DataObject, kind: str) -> None:
    """Of any ids: broken bytes, runs of bytes, special tokens, ids that do not exist."""
    tokenizer = READY[kind]
    known = [*CAKE[kind], *tokenizer.encode(" a").ids]
    tokens = st.one_of(st.integers(0, tokenizer.get_vocab_size() + 1), st.sampled_from(known))
    prompt, new = data.draw(st.lists(tokens, max_size=14)), data.draw(st.lists(tokens, max_size=30))
    assert "".join(streamed(tokenizer, prompt, new)) == tokenizer.decode(prompt + new)[len(tokenizer.decode(prompt)) :]


def test_broken_bytes_do_not_hold_up_the_stream() -> None:
    half = CAKE["byte level"][:1]
    assert sum(bool(piece) for piece in streamed(READY["byte level"], [], half * 40)) == 40
    tokenizer = READY["byte fallback"]
    letter, byte = tokenizer.encode("a").ids[-1:], CAKE["byte fallback"][:1]
    assert streamed(tokenizer, letter, (byte * 3 + letter) * 2) == ["", "", "", BROKEN * 3 + "a"] * 2 + [""]


def test_a_bad_byte_changes_the_characters_before_it() -> None:
    tokenizer = READY["byte fallback"]
    bad, letter = CAKE["byte fallback"][:1], tokenizer.encode("a").ids[-1:]
    assert tokenizer.decode(letter + CAKE["byte fallback"] + bad) == "a" + BROKEN * 5  # why bytes have to wait
    assert "".join(streamed(tokenizer, letter, CAKE["byte fallback"] + bad)) == BROKEN * 5


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
        held, shown = StopSequences(stops), ""
        for start in range(0, len(text), size):
            shown += held.add(text[start : start + size])
            assert left.startswith(shown)
            if held.found:
                break
        assert shown + held.rest() == left
        assert held.found == (left != text)


def test_a_beginning_of_a_stop_waits() -> None:
    held = StopSequences(["<end>"])
    assert held.add("a <en") == "a "
    assert held.add("try> <e") == "<entry> "
    assert held.add("nd> and more") == ""
    assert held.found
    assert held.rest() == ""
