"""Text to token ids, as the model's tokenizer.json and the manifest's Text record say."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tokenizers import Encoding, Tokenizer

from edgepack.arrays import Example, Feeds
from edgepack.documents import JsonDict
from edgepack.errors import BundleDamaged, BundleFileMissing, EdgepackError, InputError
from edgepack.runtime import frame as frames
from edgepack.runtime.processing import Frame, Text

_ROOM = 2  # tokens of the context that a window must hold
_REFUSED = "the model's tokenizer cannot take this text"


class TextInput:
    """Batches of int64 ids [batch, longest], padded to the longest text of the batch, as ``text`` says."""

    def __init__(self, folder: Path, text: Text) -> None:
        self.tokenizer = tokenizer(folder)
        self.names, self.max_length, self.frame = text.inputs, text.max_length, text.frame
        self._single = text.pairs is False
        self._cut: JsonDict = {"max_length": text.max_length, "direction": text.truncation_side}
        self._pad: JsonDict = {
            "pad_id": text.pad_id,
            "pad_type_id": text.pad_type_id,
            "pad_token": text.pad_token,
            "direction": text.padding_side,
        }
        self._windowing = threading.Lock()  # a window's truncation is set in the tokenizer, which threads share
        with telling("the manifest's numbers do not suit the tokenizer", BundleDamaged):
            self.tokenizer.enable_truncation(**self._cut)
            self.tokenizer.enable_padding(**self._pad, length=text.fixed_length)

    def encode(self, texts: Sequence[str | tuple[str, str]], prompt: str = "") -> tuple[Feeds, list[Encoding]]:
        """Return the feeds of one batch, each text behind the ``prompt``, and the encodings with their offsets.

        With a frame, each pair in it. Raises InputError, UsageError for a prompt that the frame has no place for.
        """
        if self.frame is not None:
            return self._framed(self.frame, texts, prompt)
        given = [_behind(prompt, _each(text)) for text in texts]
        if self._single and not all(isinstance(text, str) for text in given):
            raise InputError(
                "this model takes a text, not a pair: it knows one kind of texts alone (type_vocab_size 1)",
                hint="join the two into one text, as the model was trained",
            )
        with telling(_REFUSED):
            encodings = self.tokenizer.encode_batch(given)
        return self.feeds(encodings), encodings

    def _framed(self, frame: Frame, texts: Sequence[Example], prompt: str) -> tuple[Feeds, list[Encoding]]:
        given = [frames.framed(frame, _each(text), prompt) for text in texts]
        with telling(_REFUSED):
            encodings = self.tokenizer.encode_batch(given, add_special_tokens=False)
        made = self.feeds(encodings)
        lengths = [sum(encoding.attention_mask) for encoding in encodings]
        left = self._pad["direction"] == "left"
        frames.close(frame, made["input_ids"], lengths, longest=self.max_length, left=left)
        return made, encodings

    def feeds(self, encodings: Sequence[Encoding]) -> Feeds:
        """Return the arrays that the model takes, of encodings of one length."""
        arrays = {
            "input_ids": [encoding.ids for encoding in encodings],
            "attention_mask": [encoding.attention_mask for encoding in encodings],
            "token_type_ids": [encoding.type_ids for encoding in encodings],
        }
        return {name: np.array(arrays[name], np.int64).reshape(len(encodings), -1) for name in self.names}

    def windows(self, question: str, context: str, stride: int) -> list[Encoding]:
        """Return a question with each overlapping window of a long context (only the context is cut).

        Windows have ``stride`` tokens in common, or as many as the question leaves. Raises InputError where it leaves
        hardly any.
        """
        question, context = checked(question), checked(context)
        with self._windowing, telling(_REFUSED):
            self.tokenizer.no_truncation()
            self.tokenizer.no_padding()  # of windows beside each other: each is run alone, or padded to its batch
            try:
                asked = len(self.tokenizer.encode(question, add_special_tokens=False).ids)
                room = self.max_length - asked - self.tokenizer.num_special_tokens_to_add(is_pair=True)
                if room < _ROOM:
                    raise InputError(
                        f"the question has {asked:,} tokens; the model takes {self.max_length:,}, with the context"
                    )
                self.tokenizer.enable_truncation(**self._cut, stride=min(stride, room - 1), strategy="only_second")
                first = self.tokenizer.encode(question, context)
            finally:
                self.tokenizer.enable_truncation(**self._cut)
                self.tokenizer.enable_padding(**self._pad)
            return [first, *first.overflowing]

    def padded(self, encodings: Sequence[Encoding]) -> Feeds:
        """Return the arrays of encodings that may differ in length."""
        longest = max(len(encoding.ids) for encoding in encodings)
        for encoding in encodings:
            encoding.pad(longest, **self._pad)
        return self.feeds(encodings)


def tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of a bundle. Raises BundleFileMissing."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise BundleFileMissing(f"{folder} lacks tokenizer.json")
    with telling(f"tokenizer.json of {folder} cannot be used", BundleDamaged):
        return Tokenizer.from_file(str(file))


@contextmanager
def telling(what: str, failure: type[EdgepackError] = InputError) -> Iterator[None]:
    """Raises ``failure`` with ``what`` where the library tokenizers gives up: it has no classes of its own for that."""
    try:
        yield
    except EdgepackError:
        raise
    except BaseException as error:
        # a panic of Rust's is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise failure(f"{what}: {(str(error).splitlines() or [type(error).__name__])[0][:200]}") from error


def encoded(words: Tokenizer, text: str, *, special: bool = True) -> Encoding:
    """Return ``text`` as ``words`` encodes it, with or without the special tokens that it adds. Raises InputError."""
    with telling(_REFUSED):
        return words.encode(text, add_special_tokens=special)


def checked(text: Example) -> str:
    """Return ``text`` with lone surrogates replaced, which have no UTF-8 form.

    Raises InputError for anything but a str.
    """
    if isinstance(text, str):
        return text.encode("utf-8", "replace").decode("utf-8")
    raise InputError(f"a text must be a str, not {type(text).__name__}")


def _behind(prompt: str, text: Example) -> Example:
    """Return the text, or a pair whose first text it is, with ``prompt`` in front."""
    return prompt + text if isinstance(text, str) else (prompt + text[0], text[1])


def _each(text: Example) -> str | tuple[str, ...]:
    """Return a text, or a pair of texts, checked."""
    if isinstance(text, tuple | list) and len(text) == 2:
        return tuple(checked(part) for part in text)
    return checked(text)
