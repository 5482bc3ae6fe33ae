"""POST /v1/chat/completions and /v1/completions, as OpenAI has them: a whole answer, or its pieces as they are made."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgepack.arrays import TaskModel
from edgepack.documents import Json, JsonDict
from edgepack.runtime.generation import Statistics
from edgepack.runtime.serving.exchange import Refused
from edgepack.runtime.serving.fields import Fields, wrong
from edgepack.runtime.serving.limits import Limits

_FEW = 16  # tokens of a completion where nothing is said, as OpenAI has it
_STOPS = 4
_ROLES = ("system", "developer", "user", "assistant")
_ENDS = {"eos": "stop", "stop": "stop", "length": "length", "context": "length"}
# of OpenAI's fields: those that this service has in one way alone, and that a client may send so
_FIXED: Mapping[str, tuple[Json, ...]] = {
    "n": (1,), "best_of": (1,), "echo": (False,), "suffix": ("",), "logprobs": (False,), "top_logprobs": (0,),
    "frequency_penalty": (0, 0.0), "presence_penalty": (0, 0.0), "logit_bias": ({},), "tools": ([],),
    "tool_choice": ("none", "auto"), "response_format": ({"type": "text"},), "store": (False,), "metadata": ({},),
    "modalities": (["text"],), "service_tier": ("auto", "default"), "parallel_tool_calls": (True, False),
}  # fmt: skip


@dataclass(frozen=True)
class Completion:
    """A request for a text after ``prompt``, a text or a conversation."""

    prompt: Any
    options: JsonDict
    streams: bool
    usage: bool  # whether a stream ends with the numbers of tokens
    chat: bool

    @classmethod
    def read_chat(cls, fields: Fields, limits: Limits) -> Completion:
        """Return what ``fields`` of a chat ask for. Raises Refused."""
        messages = fields.take("messages")
        if not isinstance(messages, list) or not messages:
            raise wrong("messages", "a list of messages, each with a role and a content")
        prompt = [_message(message, f"messages[{index}]") for index, message in enumerate(messages)]
        longest = fields.whole("max_tokens", None, 1, limits.tokens)
        most = fields.whole("max_completion_tokens", longest or limits.tokens, 1, limits.tokens)
        return cls._read(fields, prompt, most, chat=True)

    @classmethod
    def read_text(cls, fields: Fields, limits: Limits) -> Completion:
        """Return what ``fields`` of a completion ask for. Raises Refused."""
        given = fields.take("prompt")
        prompt = given[0] if isinstance(given, list) and len(given) == 1 else given
        if not isinstance(prompt, str):
            raise wrong("prompt", "a text (several at once, and token ids, are not taken)")
        return cls._read(fields, prompt, fields.whole("max_tokens", _FEW, 1, limits.tokens), chat=False)

    @classmethod
    def _read(cls, fields: Fields, prompt: Any, tokens: int | None, *, chat: bool) -> Completion:
        stop = fields.take("stop", [])
        stops = [stop] if isinstance(stop, str) else stop
        if not isinstance(stops, list) or len(stops) > _STOPS or not all(isinstance(s, str) and s for s in stops):
            raise wrong("stop", f"a text, or a list of {_STOPS} at most, none of them empty")
        options: JsonDict = {
            "max_tokens": tokens,
            "temperature": fields.number("temperature", 1.0, lambda value: 0 <= value <= 2, "a number from 0 to 2"),
            "top_p": fields.number("top_p", 1.0, lambda value: 0 < value <= 1, "a number above 0, 1 at most"),
            "min_p": fields.number("min_p", 0.0, lambda value: 0 <= value <= 1, "a number from 0 to 1"),
            "top_k": fields.whole("top_k", 0, 0, 1_000_000),
            "seed": fields.whole("seed", None, 0, 1 << 63),
            "stop": stops,
        }
        streams = fields.switch("stream")
        told = fields.take("stream_options", {})
        if not isinstance(told, dict) or set(told) - {"include_usage", "include_obfuscation"}:
            raise wrong("stream_options", '{"include_usage": true}')
        for name, values in _FIXED.items():
            fields.only(name, values)
        fields.take("user")  # who asks: nothing is kept of it
        fields.done()
        return cls(prompt, options, streams, bool(told.get("include_usage")), chat)

    def run(self, model: TaskModel, stopped: Callable[[], bool]) -> Iterator[str | Statistics]:
        """Yield the pieces of the text, and at the end what it took."""
        if self.chat and not model.chats:
            raise Refused(400, "this model has no chat template: it takes /v1/completions alone")
        pieces = model.generate(self.prompt, **self.options)
        try:
            for piece in pieces:
                if stopped():
                    return
                yield piece
        finally:
            pieces.close()
        yield model.last

    def whole(self, parts: list[str | Statistics], name: str) -> Json:
        """Return the answer."""
        statistics = next(part for part in parts if isinstance(part, Statistics))
        text = "".join(part for part in parts if isinstance(part, str))
        said = {"message": {"role": "assistant", "content": text, "refusal": None}} if self.chat else {"text": text}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": _ENDS[statistics.ended]}
        kind = "chat.completion" if self.chat else "text_completion"
        return {**_head(kind, name, self.chat), "choices": [choice], "usage": _usage(statistics)}

    def chunks(self, name: str) -> Callable[[str | Statistics], list[Json]]:
        """Return what makes the events of a stream of each part."""
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        head = _head(kind, name, self.chat)
        begun = not self.chat

        def made(part: str | Statistics) -> list[Json]:
            nonlocal begun
            first = [] if begun else [{**head, "choices": [_choice({"role": "assistant", "content": ""}, None)]}]
            begun = True
            if isinstance(part, str):
                return [*first, {**head, "choices": [self._piece(part)]}]
            end = {**head, "choices": [self._piece("", _ENDS[part.ended])]}
            return [*first, end, *([{**head, "choices": [], "usage": _usage(part)}] if self.usage else [])]

        return made

    def _piece(self, text: str, ended: str | None = None) -> JsonDict:
        if self.chat:
            return _choice({"content": text} if text else {}, ended)
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": ended}


def _choice(delta: JsonDict, ended: str | None) -> JsonDict:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": ended}


def _head(kind: str, name: str, chat: bool) -> JsonDict:
    mark = f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}"
    return {"id": mark, "object": kind, "created": int(time.time()), "model": name}


def _usage(statistics: Statistics) -> JsonDict:
    return {
        "prompt_tokens": statistics.prompt,
        "completion_tokens": statistics.new,
        "total_tokens": statistics.prompt + statistics.new,
    }


def _message(value: Json, place: str) -> dict[str, str]:
    """Return a message; a content in parts is joined, where all of them are texts. Raises Refused."""
    if not isinstance(value, dict) or value.get("role") not in _ROLES:
        raise wrong(f"{place}.role", f"one of {', '.join(_ROLES)}")
    strange = sorted(set(value) - {"role", "content", "refusal", "annotations"})
    if strange:
        raise Refused(400, f"messages with {strange[0]!r} are not taken", field=f"{place}.{strange[0]}")
    role = "system" if value["role"] == "developer" else value["role"]
    return {"role": role, "content": _content(value.get("content"), place)}


def _content(content: Json, place: str) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    typed = [part for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    texts = [part["text"] for part in typed if isinstance(part.get("text"), str)]
    if not parts or len(texts) != len(parts):
        raise wrong(f"{place}.content", "a text, or a list of parts of the type text")
    return "".join(texts)
