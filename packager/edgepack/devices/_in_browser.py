"""A bundle in a browser: the Runner whose models onnxruntime-web computes on a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from edgepack.arrays import Array, Example, Feeds, Outputs, Runs, TaskModel
from edgepack.devices._browsing import BrowserFacts, Browsing, Place
from edgepack.devices._page_decoding import PageDecoding, carry, whole
from edgepack.devices._target import own
from edgepack.errors import InputError
from edgepack.progress import Say, silent
from edgepack.records import NotMeasured, TensorSpec, Timing, Where
from edgepack.runtime import clock, conditions, golden, graphs, machine, meter, model, submodel
from edgepack.runtime.conditions import Counters
from edgepack.runtime.golden import GoldenResult, Make
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.quiet import Rules
from edgepack.runtime.rounds import Round
from edgepack.runtime.shapes import feeds
from edgepack.runtime.submodel import Submodel

_COLD = NotMeasured(reason="a page takes its files from its server, not from a disk")
_SOFTWARE = ("swiftshader", "llvmpipe", "lavapipe")
_ISA = "wasm32"


class BrowserRun:
    """A submodel on a page: an engine's Session. ``open`` opens it there."""

    def __init__(self, browsing: Browsing, listed: Submodel, open: Callable[[Submodel], float], where: Where) -> None:
        self._browsing, self._listed, self._open = browsing, listed, open
        self.inputs, self.outputs = listed.inputs, listed.outputs
        self.optional: tuple[TensorSpec, ...] = ()
        self.path, self.threads, self.runtime = listed.path, where.threads, where.runtime
        self.decodes = any(spec.name.startswith(graphs.PAST) for spec in self.inputs)

    def __call__(self, feeds: Mapping[str, Array], names: Sequence[str] | None = None) -> Outputs:
        """Return the outputs, all of them or ``names``. Raises InputError where an input is missing, DeviceError."""
        self._ready()
        given = graphs.completed(feeds, [spec.name for spec in self.inputs])
        made = self._browsing.run(self._listed.name, fitting(given, self.inputs), names)
        if not set(names or [spec.name for spec in self.outputs]) <= set(made):
            raise self._browsing.wrong("run")
        return graphs.cut(made, feeds) if self.decodes else made

    def each(self, feeds: Sequence[Mapping[str, Array]]) -> Iterator[Outputs]:
        """Return the outputs for each of ``feeds``, in order."""
        return map(self, feeds)

    def decoding(self, longest: int) -> PageDecoding:
        """Return a language model's tokens, one by one."""
        self._ready()
        return PageDecoding(self._browsing, self._listed.name, self.inputs, longest)

    def _ready(self) -> None:
        """Open it where that was not done, or the browser is another one since."""
        if self._listed.name not in self._browsing.opened:
            self._open(self._listed)


class InBrowser:
    """The bundle of ``manifest`` on the page of ``browsing``."""

    def __init__(self, browsing: Browsing, manifest: Manifest, place: Place) -> None:
        self.manifest, self.threads = manifest, place.threads
        self._browsing, self._place = browsing, place

    @cached_property
    def sessions(self) -> Mapping[str, Runs]:
        """The submodels, opened on the page when they are needed."""
        made = self.manifest.models.items()
        return {name: BrowserRun(self._browsing, listed, self._open, self.where(name)) for name, listed in made}

    @property
    def scorers(self) -> Mapping[str, Runs]:
        """The same: a graph for the web gives as many logits as it is asked for."""
        return self.sessions

    def untimed(self, name: str) -> NotMeasured | None:
        """Return why it cannot be timed there; None where it can."""
        if machine.emulated():
            return NotMeasured(reason="an emulated processor's speed means nothing; run edgepack bench on the device")
        if self._place.provider == "webgpu" and any(sign in self._facts.webgpu.lower() for sign in _SOFTWARE):
            return NotMeasured(reason=f"{self._facts.webgpu} computes WebGPU on the processor: its speed means nothing")
        return None

    def measure(self, name: str, shapes: Sequence[str], rules: Rules, *, say: Say = silent) -> tuple[Timing, ...]:
        """Time a submodel, each round in a browser of its own. Raises InputError, DeviceError."""
        given = {shape: feeds(self.manifest, shape, name) for shape in shapes}
        where, start = self.where(name), conditions.now()

        def attempt(named: Sequence[str]) -> list[tuple[Round, ...]]:
            def one(index: int) -> tuple[Round, ...]:
                asked = [(feeds, rules.runs_of(index)) for feeds in (given[shape] for shape in named)]
                return tuple(self._round(name, asked, rules, where))

            return clock.in_rounds(one, rules, start)

        return clock.repeated(shapes, attempt, rules, say)

    def golden(self, name: str) -> GoldenResult:
        """Run a submodel's golden vectors; transformers.js, where it is there, makes the ids of their texts."""
        part = submodel(self.model(self.sessions), name)
        make = None if part is None else self._make(part.feeds)
        return golden.check(self.sessions[name], self.manifest, make, name=name)

    def model(self, runs: Mapping[str, Runs] | None = None) -> TaskModel:
        """Return the task's object around ``runs``, by default those on the page."""
        chosen = self.sessions if runs is None else runs
        return model(self.manifest.task, chosen, self.manifest.folder, self.manifest.processing)

    def where(self, name: str) -> Where:
        """Return the browser, on this machine."""
        found = machine.where(self.threads, self.manifest.isa, self._runtime)
        used = {"simd", *(["threads"] if self.threads > 1 else []), self._place.provider}
        features = tuple(one for one in self._facts.features if one in used)
        same = self.manifest.isa == _ISA and not machine.emulated()
        return own(
            self._place.device,
            self.manifest,
            Where(**{**vars(found), "isa": _ISA, "target": same, "features": features}),
        )

    def _round(self, name: str, asked: Sequence[tuple[Feeds, int]], rules: Rules, where: Where) -> Iterator[Round]:
        listed, longest = self.manifest.models[name], rules.longest
        self._browsing.renew()
        load, browsing = self._open(listed), self._browsing
        for given, runs in asked:
            tokens = self._prepare(listed, given)
            first, warmup = browsing.warm()
            before, energy, counted = conditions.now(), meter.Reading.now(), _counters(browsing)
            seconds, limit = rules.seconds / rules.count, None if longest is None else longest / rules.count
            times = browsing.time(runs, seconds, limit)
            used = counted.until(_counters(browsing))
            yield Round(
                load=load,
                cold=_COLD,
                first=first,
                warmup=warmup,
                times=times,
                counted=used,
                energy=meter.each(energy, meter.Reading.now(), len(times), used.wall),
                peak_memory=browsing.used().memory,
                tokens=tokens,
                where=where,
                before=before,
                after=conditions.now(),
            )

    def _prepare(self, listed: Submodel, given: Feeds) -> int:
        """Choose what is timed; the tokens that a language model processes in it, 0 of other models."""
        if self.manifest.processing.generation is None:
            self._browsing.prepare(listed.name, fitting(given, listed.inputs), None, {})
            return 0
        past, new = (given[key][0] for key in ("past_ids", "input_ids"))
        before = whole(past, 0, listed.inputs) if len(past) else None
        self._browsing.prepare(listed.name, whole(new, len(past), listed.inputs), before, carry(listed.inputs))
        return len(new)

    def _open(self, listed: Submodel) -> float:
        """Open a submodel on the page; the seconds that it took."""

        def named(file: Path) -> str:
            return file.relative_to(self.manifest.folder).as_posix()

        beside = [named(file) for file in graphs.files(listed.path) if file.suffix != listed.path.suffix]
        return self._browsing.open(listed.name, named(listed.path), beside, list(carry(listed.inputs)), self._place)

    def _make(self, here: Make) -> Make:
        """Return what makes the inputs of golden examples: of texts transformers.js, else edgepack itself."""
        processing = self.manifest.processing
        if not self._place.reads or processing.text is None or processing.image is not None:
            return here

        def there(examples: Sequence[Example]) -> Feeds:
            (text,) = examples
            return self._browsing.tokenize([text] if isinstance(text, str) else list(text))

        return there

    @cached_property
    def _facts(self) -> BrowserFacts:
        return self._browsing.facts()

    @property
    def _runtime(self) -> str:
        return f"onnxruntime-web {self._facts.version} ({self._place.provider}) in {self._facts.browser}"


def fitting(given: Mapping[str, Array], specs: Sequence[TensorSpec]) -> Feeds:
    """Return those of ``given`` that ``specs`` name, in their types. Raises InputError for one that is missing."""
    missing = [spec.name for spec in specs if spec.name not in given]
    if missing:
        raise InputError(f"the model also needs the input {missing[0]!r}")
    return {spec.name: np.asarray(given[spec.name], spec.dtype) for spec in specs}


def _counters(browsing: Browsing) -> Counters:
    """Return this machine's counters, with the browser as what is measured."""
    found, used = Counters.now(), browsing.used().cpu
    own = None if isinstance(used, NotMeasured) else used
    others = None if found.others is None or own is None else found.others - own
    return Counters(wall=found.wall, own=own, others=others, stolen=found.stolen, waited=None)
