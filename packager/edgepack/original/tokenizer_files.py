"""The file of a tokenizer at which transformers fails: missing beside another, cut short, of another form."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import BPE

from edgepack.documents import JsonObject, read_object, read_text
from edgepack.errors import ModelError
from edgepack.original import configs

FILE, VOCABULARY, MERGES = "tokenizer.json", "vocab.json", "merges.txt"
_OBJECTS = (FILE, VOCABULARY, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_AGAIN = "download the tokenizer's files again"
_WORD_END = "</w>"  # on a token at the end of a word, in BPE of CLIP's kind


def check_pair(folder: Path) -> None:
    """Raises ModelError where ``folder`` has no tokenizer.json, and one half of a BPE vocabulary or no merges in it:
    transformers would read words letter by letter.
    """
    words, merges = folder / VOCABULARY, folder / MERGES
    if (folder / FILE).is_file() or not merges.is_file():
        return
    if not words.is_file():
        raise ModelError(f"{folder} has a {MERGES} and lacks {VOCABULARY}", hint=_AGAIN)
    lines = [line for line in read_text(merges, ModelError).splitlines() if line.strip()]
    if all(line.startswith("#version") for line in lines) and _has_words(read_object(words, ModelError, hint=_AGAIN)):
        raise ModelError(f"{merges} holds no merges, from which the words of {VOCABULARY} are made", hint=_AGAIN)


def check(folder: Path) -> None:
    """Raises ModelError for the first file of a tokenizer that cannot be read as what it is."""
    for name in _OBJECTS:
        if (folder / name).is_file():
            read_object(folder / name, ModelError, hint=_AGAIN)
    words, merges = folder / VOCABULARY, folder / MERGES
    if (folder / FILE).is_file():
        with _naming(f"{folder / FILE} is no tokenizer"):
            Tokenizer.from_file(str(folder / FILE))
    elif words.is_file() and merges.is_file():
        with _naming(f"{merges} does not go with {VOCABULARY}"):
            BPE.from_file(str(words), str(merges))
    elif words.is_file() and not any(folder.glob("*.model")):
        raise ModelError(f"{folder} has a {VOCABULARY} and lacks {MERGES}", hint=_AGAIN)


@contextmanager
def _naming(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the tokenizers library raises no class of its own
        raise ModelError(f"{what}: {configs.line(error)}", hint=_AGAIN) from error


def _has_words(vocabulary: JsonObject) -> bool:
    """Return whether it has tokens of several letters, beside the special ones in angle brackets."""
    plain = (token for token in vocabulary if not (token.startswith("<") and token.endswith(">")))
    return any(len(token.removesuffix(_WORD_END)) > 1 for token in plain)
