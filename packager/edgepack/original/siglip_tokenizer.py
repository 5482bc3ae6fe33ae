"""SigLIP's tokenizer, which transformers runs in Python over a sentencepiece model, as a tokenizer.json.

A text is lower-cased, loses its ASCII punctuation, has its whitespace joined, and then is a sentencepiece text with a
space before it (transformers' SiglipTokenizer). What cannot be said there: behind a special token that stands in a text
itself (</s>, <unk>) a word keeps the space before it, and such a text gets another </s> at its end; and the tokenizers
library reads letters with several combining marks otherwise than sentencepiece.
"""

from __future__ import annotations

import string

import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers.convert_slow_tokenizer import import_protobuf

from edgepack.errors import UnsupportedModel
from edgepack.original.library import PretrainedTokenizer

_SPACE = "\u2581"  # in the place of spaces in pieces
_UNIGRAM = 1  # of sentencepiece's kinds of models
_SEPARATORS = "\x1c\x1d\x1e\x1f"  # whitespace to Python, and not to Oniguruma's \s
_PUNCTUATION = "".join(f"\\x{{{ord(mark):x}}}" for mark in string.punctuation)
_LAST_SIGMA = r"(?<=\p{L})\u03a3(?!\p{L})"  # which str.lower makes another letter than a sigma inside a word
_INIT = ("model_max_length", "padding_side", "truncation_side", "model_input_names")


def is_one(tokenizer: PretrainedTokenizer) -> bool:
    """Return whether it is transformers' class that runs in Python."""
    return isinstance(tokenizer, transformers.SiglipTokenizer) and not getattr(tokenizer, "is_fast", False)


def fast(slow: PretrainedTokenizer) -> PretrainedTokenizer:
    """Return the tokenizer that makes the same tokens in the tokenizers library.

    Raises UnsupportedModel for settings of sentencepiece that it has not.
    """
    with open(slow.vocab_file, "rb") as file:
        proto = import_protobuf().ModelProto.FromString(file.read())
    spec = proto.normalizer_spec
    if proto.trainer_spec.model_type != _UNIGRAM or slow.sp_model_kwargs or not spec.escape_whitespaces:
        raise UnsupportedModel(
            f"{slow.vocab_file} is no plain unigram model of sentencepiece, and no tokenizer.json of it is written",
            hint="take a SigLIP with a tokenizer.json, such as google/siglip2-base-patch16-224",
        )
    pieces = [(piece.piece, piece.score) for piece in proto.pieces]
    made = Tokenizer(models.Unigram(pieces, proto.trainer_spec.unk_id, proto.trainer_spec.byte_fallback))
    made.normalizer = _normalizer(spec.precompiled_charsmap, lower=slow.do_lower_case)
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="first", split=False)
    made.decoder = decoders.Metaspace(replacement=_SPACE, prepend_scheme="first")
    end = slow.eos_token
    made.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", pair=f"$A {end} $B {end}", special_tokens=[(end, slow.eos_token_id)]
    )
    made.add_tokens([token for _, token in sorted(slow.added_tokens_decoder.items())])
    added = {str(token): token for token in slow.added_tokens_decoder.values()}  # with the spaces that they take away
    special = {name: added[str(getattr(slow, name))] for name in ("eos_token", "unk_token", "pad_token")}
    settings = {name: getattr(slow, name) for name in _INIT}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, **special, **settings)


def _normalizer(charsmap: bytes, *, lower: bool) -> normalizers.Normalizer:
    """Return what is done to a text before it is cut into pieces, in SiglipTokenizer's order, then sentencepiece's."""
    steps: list[normalizers.Normalizer] = [normalizers.Replace(mark, " ") for mark in (_SPACE, *_SEPARATORS)]
    if lower:
        steps += [normalizers.Replace(Regex(_LAST_SIGMA), "\u03c2"), normalizers.Lowercase()]
    # what is before the first word becomes its space: Metaspace puts one where the text has lost nothing there alone
    steps.append(normalizers.Replace(Regex(rf"\A[{_PUNCTUATION}\s]+"), " "))
    steps.append(normalizers.Replace(Regex(f"[{_PUNCTUATION}]+"), ""))
    steps.append(normalizers.Replace(Regex(r"\s+"), " "))
    if charsmap:
        steps += [normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")]
    return normalizers.Sequence([*steps, normalizers.Replace(Regex(r" +\z"), ""), normalizers.Replace(" ", _SPACE)])
