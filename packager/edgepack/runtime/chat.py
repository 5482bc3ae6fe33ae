"""Conversations as the text that a model was trained on: the chat template of its tokenizer.

Templates are Jinja programs by others, so they run in Jinja's sandbox and within limits (bounded_jinja.py), with what
transformers' apply_chat_template gives them: loop controls, ``generation`` blocks, ``tojson``, ``raise_exception`` and
``strftime_now``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from jinja2 import TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser

from edgepack.documents import Json, JsonDict, JsonObject, read_object, read_text
from edgepack.errors import BundleDamaged, BundleError, BundleUnsafe, InputError
from edgepack.runtime.bounded_jinja import BoundedEnvironment, LimitReached
from edgepack.runtime.text import checked

Messages = Sequence[Mapping[str, str]]
_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_LONGEST = 200_000  # characters of a template, of which the longest in use have 30,000
_INDENT = 16  # spaces of a level in JSON
_JSON = 4_000_000  # characters of it
_EXAMPLE = '{"role": "user", "content": "Hello"}'


class ChatTemplate:
    """``render(messages)``: the conversation as one text, up to where the assistant answers."""

    def __init__(self, text: str, special: Mapping[str, str]) -> None:
        self._special, self._environment = dict(special), _environment()
        self._rendering = threading.Lock()  # the limits are counted in the environment
        if len(text) > _LONGEST:
            raise BundleError(f"the chat template has {len(text):,} characters; {_LONGEST:,} are read at most")
        try:
            self._template = self._environment.compiled(text)
        except TemplateSyntaxError as error:
            raise BundleError(f"the chat template has an error in line {error.lineno}: {error.message}") from error
        except LimitReached as error:
            raise BundleUnsafe(f"the chat template is too large: {error}", hint="do not use this bundle") from error
        except Exception as error:  # Jinja's parser and Python's compiler have many
            raise BundleError(f"the chat template cannot be read: {_said(error)}") from error

    def render(self, messages: Messages) -> str:
        """Return the text for ``messages``, each with a role and a content.

        Raises InputError, also in the template's name.
        """
        given = {**self._special, "messages": _checked(messages), "tools": None, "documents": None}
        try:
            with self._rendering, self._environment.limited():
                pieces = self._template.generate(**given, add_generation_prompt=True)
                return checked(self._environment.joined(pieces))
        except (LimitReached, MemoryError) as error:
            raise BundleUnsafe(
                f"the model's chat template was stopped: {_said(error)}", hint="do not use this bundle"
            ) from error
        except Exception as error:  # whatever a program by others raises
            raise InputError(f"the model's chat template refuses this conversation: {_said(error)}") from error


def template(folder: Path) -> ChatTemplate | None:
    """Return the chat template in a bundle's folder: chat_template.jinja, else tokenizer_config.json's; None
    without one.
    """
    config = _config(folder / "tokenizer_config.json")
    file = folder / "chat_template.jinja"
    text = (
        read_text(file, BundleDamaged, largest=4 * _LONGEST)
        if file.is_file()
        else _default(config.get("chat_template"))
    )
    return ChatTemplate(text, special(config)) if text else None


def special(config: JsonObject) -> dict[str, str]:
    """Return the special tokens' texts in tokenizer_config.json, such as bos_token."""
    found = {name: config.get(name) for name in _SPECIAL}
    texts = {name: value.get("content") if isinstance(value, dict) else value for name, value in found.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _config(file: Path) -> JsonDict:
    if not file.is_file():
        return {}
    return read_object(file, BundleDamaged, hint="copy the bundle again")


def _said(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _default(stated: Json) -> str:
    """Return one template, or the one of several that is named "default"."""
    if isinstance(stated, list):
        named = [entry for entry in stated if isinstance(entry, dict)]
        stated = next((entry.get("template") for entry in named if entry.get("name") == "default"), None)
    return stated if isinstance(stated, str) else ""


def _checked(messages: Messages) -> list[dict[str, str]]:
    if not isinstance(messages, list | tuple):
        raise InputError(f"a prompt is a str or a list of messages, not {type(messages).__name__}")
    if not messages:
        raise InputError("the conversation is empty", hint=f"[{_EXAMPLE}]")
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str) or "content" not in message:
            raise InputError("a message needs a role and a content", hint=_EXAMPLE)
    return [{**message, "content": checked(message["content"])} for message in messages]


class _Generation(Extension):
    """``{% generation %}`` marks what an assistant said, for training; here it is only its content."""

    tags = {"generation"}  # noqa: RUF012 (Jinja's own way)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return what stands in the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> BoundedEnvironment:
    made = BoundedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    made.add_filter("tojson", _as_json)
    made.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    return made


def _as_json(
    value: Json,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Write JSON; Jinja's own filter would escape what means something in HTML."""
    if indent is not None and (not isinstance(indent, int) or not 0 <= indent <= _INDENT):
        raise TemplateError(f"tojson's indent is a whole number from 0 to {_INDENT}, or none")
    if separators is not None and sum(map(len, separators)) > _INDENT:
        raise TemplateError(f"tojson's separators have more than {_INDENT} characters")
    encoder = json.JSONEncoder(ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    if indent is None:
        return encoder.encode(value)
    parts, length = [], 0
    for part in encoder.iterencode(value):  # a level's spaces stand before each of its entries
        parts.append(part)
        length += len(part)
        if length > _JSON:
            raise LimitReached(f"it makes JSON of more than {_JSON:,} characters")
    return "".join(parts)


def _refuse(message: str) -> None:
    raise TemplateError(message)
