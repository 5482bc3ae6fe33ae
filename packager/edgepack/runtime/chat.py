"""Conversations as the text that a model was trained on: the chat template of its tokenizer.

Templates are Jinja programs by others, so they run in Jinja's sandbox, with what transformers' apply_chat_template
gives them: loop controls, ``generation`` blocks, ``tojson``, ``raise_exception`` and ``strftime_now``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edgepack.errors import BundleDamaged, BundleError, InputError
from edgepack.runtime.text import checked

Messages = Sequence[Mapping[str, str]]
_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_EXAMPLE = '{"role": "user", "content": "Hello"}'


class ChatTemplate:
    """``render(messages)``: the conversation as one text, up to where the assistant answers."""

    def __init__(self, text: str, special: Mapping[str, str]) -> None:
        self._special = dict(special)
        try:
            self._template = _environment().from_string(text)
        except TemplateSyntaxError as error:
            raise BundleError(f"the chat template has an error in line {error.lineno}: {error.message}") from error

    def render(self, messages: Messages) -> str:
        """The text for ``messages``, each with a role and a content. Raises InputError, also in the template's name."""
        given = _checked(messages)
        try:
            return self._template.render(
                messages=given, tools=None, documents=None, add_generation_prompt=True, **self._special
            )
        except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise InputError(f"the model's chat template refuses this conversation: {error}") from error


def template(folder: Path) -> ChatTemplate | None:
    """The chat template in a bundle's folder: chat_template.jinja, else tokenizer_config.json's; None without one."""
    config = _config(folder / "tokenizer_config.json")
    file = folder / "chat_template.jinja"
    text = file.read_text("utf-8") if file.is_file() else _default(config.get("chat_template"))
    return ChatTemplate(text, special(config)) if text else None


def special(config: Mapping[str, Any]) -> dict[str, str]:
    """The special tokens' texts in tokenizer_config.json, such as bos_token."""
    found = {name: config.get(name) for name in _SPECIAL}
    texts = {name: value.get("content") if isinstance(value, dict) else value for name, value in found.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _config(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return dict(json.loads(file.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise BundleDamaged(f"{file} cannot be read", hint="copy the bundle again") from error


def _default(stated: Any) -> str:
    """One template, or the one of several that is named "default"."""
    if isinstance(stated, list):
        return next((str(entry["template"]) for entry in stated if entry.get("name") == "default"), "")
    return str(stated or "")


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
        """What stands in the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    made.filters["tojson"] = _as_json
    made.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    return made


def _as_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own filter would escape what means something in HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _refuse(message: str) -> None:
    raise TemplateError(message)
