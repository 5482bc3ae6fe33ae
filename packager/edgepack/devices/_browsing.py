"""The requests to a page in a browser, and its answers, each held to what it may be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from edgepack.arrays import Array, Outputs
from edgepack.devices._chromium import Chromium, Used
from edgepack.devices._device import Device
from edgepack.devices._link import LONGEST
from edgepack.devices._page import Page
from edgepack.documents import Json, JsonDict
from edgepack.errors import DeviceAnswerWrong
from edgepack.printable import printable
from edgepack.runtime import wire
from edgepack.runtime.schema import Mismatch, Schema, check

_ARRAYS = 1 << 29  # bytes of an answer that holds arrays
_HINT = "another onnxruntime-web may answer otherwise: docs/devices.md"
_BROWSER = re.compile(r"(\w*(?:Chrome|Chromium|Edg|Firefox|Version)/[\d.]+)")
_TEXT = {"type": "string", "maxLength": 1000}
_SECONDS = {"type": "number", "minimum": 0, "maximum": 1e6}
_FACTS: Schema = {
    "type": "object",
    "properties": {
        "agent": _TEXT,
        "cores": {"type": "integer", "minimum": 1},
        "threads": {"type": "boolean"},
        "simd": {"type": "boolean"},
        "webgpu": _TEXT,
        "version": _TEXT,
    },
    "required": ["agent", "cores", "threads", "simd", "webgpu", "version"],
    "additionalProperties": False,
}
_WARM: Schema = {
    "type": "object",
    "properties": {"first": _SECONDS, "warmup": {"type": "integer", "minimum": 0, "maximum": 1000}},
    "required": ["first", "warmup"],
    "additionalProperties": False,
}
_TIMES: Schema = {"type": "array", "minItems": 1, "maxItems": 1_000_000, "items": _SECONDS}


@dataclass(frozen=True, kw_only=True)
class Place:
    """The way in which a bundle is computed in a browser."""

    device: Device
    provider: str  # wasm or webgpu
    threads: int
    reads: bool  # whether transformers.js is there, to make ids of texts


@dataclass(frozen=True, kw_only=True)
class BrowserFacts:
    """A browser as its page describes it."""

    agent: str
    cores: int
    threads: bool  # whether memory may be shared between threads
    simd: bool
    webgpu: str  # the adapter; "" where there is none
    version: str  # of onnxruntime-web

    @property
    def browser(self) -> str:
        """The name and version, such as ``HeadlessChrome/156.0.0.0``."""
        found = _BROWSER.search(self.agent)
        return found[1] if found else self.agent[:100]

    @property
    def features(self) -> tuple[str, ...]:
        """The features that decide on the kernels and their speed."""
        told = {"simd": self.simd, "threads": self.threads, "webgpu": bool(self.webgpu)}
        return tuple(name for name, there in told.items() if there)


class Browsing:
    """The ``page`` in the browser ``program``; ``opened`` are the models that are open there."""

    def __init__(self, page: Page, program: str) -> None:
        self._page, self._program = page, program
        self._browser = Chromium(program, page.address)
        self.opened: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._browser.close()

    def renew(self) -> None:
        """Show the page in a new process of the browser, in which nothing is open."""
        self._browser.close()
        self._page.begin()
        self.opened.clear()
        self._browser = Chromium(self._program, self._page.address)

    def facts(self) -> BrowserFacts:
        """Ask what the browser is."""
        told = self._checked("facts", _FACTS)
        texts = {key: printable(told[key]) for key in ("agent", "webgpu", "version")}
        return BrowserFacts(cores=told["cores"], threads=told["threads"], simd=told["simd"], **texts)

    def open(self, name: str, model: str, beside: Sequence[str], kept: Sequence[str], place: Place) -> float:
        """Open a model with the files ``beside`` it, whose outputs ``kept`` become inputs; the seconds that it took."""
        sent: JsonDict = {"name": name, "model": f"bundle/{model}", "beside": [f"bundle/{one}" for one in beside]}
        sent |= {"threads": place.threads, "provider": place.provider, "kept": list(kept)}
        seconds = float(self._checked("open", _SECONDS, **sent))
        self.opened.add(name)
        return seconds

    def run(self, name: str, feeds: Mapping[str, Array], outputs: Sequence[str] | None) -> Outputs:
        """Run a model."""
        return self._arrays("run", name=name, feeds=wire.write(dict(feeds)), outputs=outputs and list(outputs))

    def step(self, name: str, feeds: Mapping[str, Array], carry: Mapping[str, str], length: int) -> Array:
        """Run a language model after the first ``length`` cached tokens; the logits of the last, float32."""
        sent = {"feeds": wire.write(dict(feeds)), "carry": dict(carry), "length": length}
        made = self._arrays("step", name=name, **sent)["logits"]
        return np.asarray(made, np.float32).reshape(-1)

    def tokenize(self, texts: Sequence[str]) -> dict[str, Array]:
        """Let transformers.js make the inputs of a text, or of a pair."""
        return self._arrays("tokenize", texts=list(texts))

    def prepare(self, name: str, feeds: Mapping[str, Array], before: Mapping[str, Array] | None, carry: Json) -> None:
        """Choose what is timed: ``feeds``, with the keys and values that ``before`` leaves."""
        earlier = None if before is None else wire.write(dict(before))
        self._ask("prepare", name=name, feeds=wire.write(dict(feeds)), before=earlier, carry=carry)

    def warm(self) -> tuple[float, int]:
        """Run until the later half is as fast as the earlier one: seconds of the first run, and how many that were."""
        told = self._checked("warm", _WARM)
        return float(told["first"]), int(told["warmup"])

    def time(self, runs: int, seconds: float, longest: float | None) -> tuple[float, ...]:
        """Return the seconds of each run."""
        told = self._checked("time", _TIMES, most=_ARRAYS, runs=runs, seconds=seconds, longest=longest)
        return tuple(map(float, told))

    def used(self) -> Used:
        """Return what the browser used so far."""
        return self._browser.used()

    def wrong(self, what: str) -> DeviceAnswerWrong:
        """Return the error for an answer to ``what`` that is none."""
        return DeviceAnswerWrong(f"{self._page.name} gave an invalid answer to {what!r}", hint=_HINT)

    def _arrays(self, what: str, **named: Json) -> dict[str, Array]:
        told = self._ask(what, most=_ARRAYS, **named)
        if what == "step":
            told = {"logits": told}
        return wire.arrays(told)

    def _checked(self, what: str, schema: Schema, *, most: int = LONGEST, **named: Json) -> Json:
        told = self._ask(what, most=most, **named)
        try:
            check(told, schema)
        except Mismatch as error:
            raise self.wrong(what) from error
        return told

    def _ask(self, what: str, *, most: int = LONGEST, **named: Json) -> Json:
        return self._page.ask(what, gone=lambda: self._browser.ended, most=most, **named)
