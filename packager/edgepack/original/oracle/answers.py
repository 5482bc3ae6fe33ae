"""Where a text ends, and a conversation's text and tokens: transformers' beside those of a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jinja2
from transformers import GenerationConfig

from edgepack.errors import EdgepackError, ReadingDiffers
from edgepack.original import tokenizers
from edgepack.original.library import PretrainedTokenizer
from edgepack.runtime import chat
from edgepack.runtime.text import tokenizer
from edgepack.tasks import read_config
from edgepack.tasks.text_generation import eos_ids

_USER, _ANSWER = {"role": "user", "content": "What is 2+2?\nSay  why."}, {"role": "assistant", "content": "4"}
_SYSTEM = {"role": "system", "content": "Answer shortly."}
_CONVERSATIONS: tuple[list[dict[str, str]], ...] = (
    [_USER], [_SYSTEM, _USER], [_USER, _ANSWER, _USER], [_SYSTEM, _USER, _ANSWER, _USER],
)  # fmt: skip


def check(origin: Path, folder: Path) -> None:
    """Compare what transformers makes of ``origin`` with what a bundle of ``folder`` makes. Raises ReadingDiffers.

    The tokens that end a text; the text and the token ids of conversations, where there is a chat template.
    """
    _ends(origin, folder)
    if chat.template(folder) is not None:
        _conversations(origin, folder)


def _ends(origin: Path, folder: Path) -> None:
    theirs, ours = ends(settings(origin)), eos_ids(folder, read_config(folder / "config.json"))
    if sorted(set(theirs)) != sorted(set(ours)):
        raise ReadingDiffers(
            f"transformers' generate ends a text at the tokens {theirs}, the bundle at {ours}",
            hint="write eos_token_id into the model's generation_config.json",
        )


def settings(folder: Path) -> GenerationConfig:
    """Return the settings of ``generate`` as PreTrainedModel.from_pretrained finds them."""
    try:
        return GenerationConfig.from_pretrained(folder, local_files_only=True)
    except OSError:
        return GenerationConfig.from_pretrained(
            folder, config_file_name="config.json", _from_model_config=True, local_files_only=True
        )


def ends(found: GenerationConfig) -> list[int]:
    """Return the tokens that ``generate`` ends a text at."""
    stated = found.eos_token_id
    listed = [] if stated is None else list(stated) if isinstance(stated, list) else [stated]
    return [token for token in listed if token >= 0]  # no token has a number below 0


def _conversations(origin: Path, folder: Path) -> None:
    theirs, ours = tokenizers.opened(origin), tokenizer(folder)
    template = chat.template(folder)
    assert template is not None  # the caller has looked
    for messages in _CONVERSATIONS:
        wanted, made = _theirs(theirs, messages), _ours(template, messages)
        if wanted != made:
            raise ReadingDiffers(
                f"the chat template gives {_near(wanted, made)} in transformers and {_near(made, wanted)} in a bundle",
                hint="for the conversation " + " ".join(message["role"] for message in messages),
            )
        if wanted is None:
            continue
        ids = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        if ids != ours.encode(wanted, add_special_tokens=False).ids:
            raise ReadingDiffers(
                "a conversation has other token ids in transformers than in a bundle",
                hint="save the tokenizer again: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
            )


def _theirs(tokenizer: PretrainedTokenizer, messages: Sequence[dict[str, str]]) -> str | None:
    """Return the text; None where the template refuses the conversation."""
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    except (jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError):
        return None


def _ours(template: chat.ChatTemplate, messages: Sequence[dict[str, str]]) -> str | None:
    try:
        return template.render(messages)
    except EdgepackError:
        return None


def _near(text: str | None, other: str | None) -> str:
    """Return ``text`` around the first place where it is not ``other``."""
    if text is None:
        return "an error"
    place = next((i for i, (a, b) in enumerate(zip(text, other or "", strict=False)) if a != b), len(other or ""))
    return repr(text[max(place - 20, 0) : place + 20])
