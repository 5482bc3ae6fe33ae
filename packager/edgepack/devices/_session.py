"""A bundle on a device: the Runner whose questions runtime/service.py answers there."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from edgepack import errors
from edgepack.arrays import Array, Outputs, Runs, TaskModel
from edgepack.devices._answers import answers
from edgepack.devices._device import Device
from edgepack.devices._link import LONGEST, Link
from edgepack.devices._stopped import stopped
from edgepack.devices._target import own
from edgepack.documents import Json, JsonDict
from edgepack.errors import BundleError, DeviceAnswerWrong, DeviceError, EdgepackError
from edgepack.progress import Say, silent
from edgepack.records import NotMeasured, Timing, Where
from edgepack.runtime import measurements, model, record_json, wire
from edgepack.runtime.generation import Statistics
from edgepack.runtime.golden import GoldenResult
from edgepack.runtime.image import pixels
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.quiet import Rules
from edgepack.runtime.schema import Mismatch
from edgepack.runtime.service import CALLS

_ARRAYS = 1 << 29  # bytes of a line that holds arrays
_MOST = 100_000  # lines of one answer
_HINT = "edgepack devices --clear ADDRESS deletes what edgepack keeps there"
_PLAIN = ("UnknownName", "MissingExtra")  # whose messages are made of other things


@dataclass(frozen=True)
class RemoteRun:
    """A submodel on a device, or of a language model what gives the logits of every token: a ``Runs``."""

    session: Session
    name: str
    scoring: bool

    @property
    def threads(self) -> int:
        """Number of threads that it computes with."""
        return self.session.where(self.name).threads

    @property
    def runtime(self) -> str:
        """Name of what computes it there, with its version."""
        return self.session.where(self.name).runtime

    def __call__(self, feeds: Mapping[str, Array], names: Sequence[str] | None = None) -> Outputs:
        """Return the outputs for ``feeds``, all of them or those that are named."""
        made = self.session.run(self.name, feeds, scoring=self.scoring)
        return {name: made[name] for name in names} if names is not None else made

    def each(self, feeds: Sequence[Mapping[str, Array]]) -> Iterator[Outputs]:
        """Return the outputs for each of ``feeds``, in order."""
        return (self(feed) for feed in feeds)


class RemoteModel:
    """A task's object, whose work is done on a device: ``local`` makes inputs and compares answers here."""

    def __init__(self, local: TaskModel, session: Session) -> None:
        self._local, self._session = local, session
        self.last: Statistics | None = None  # what the last generation took there

    def __getattr__(self, name: str) -> Any:  # a call, or whatever else the object here has
        """Return a call that is made there, or what the object here has."""
        if name not in CALLS or not hasattr(self._local, name):
            return getattr(self._local, name)
        return lambda examples, *given, **named: self._called(name, examples, given, named)

    def _called(self, name: str, examples: Json, given: Sequence[Json], named: Mapping[str, Json]) -> Json:
        made = self._session.call(name, (self._sent(examples), *given), named)
        if not answers(getattr(self._local, name), made, examples):
            raise self._session.wrong(f"the call {name!r}")
        return made

    def _sent(self, examples: Json) -> Json:
        """Return ``examples``; of images and sounds, whose files lie here, their pixels and samples."""
        image, text, audio = (getattr(self._session.manifest.processing, name) for name in ("image", "text", "audio"))
        if audio is not None:
            read = self._local.audio.samples
            return [read(one) for one in examples] if isinstance(examples, list | tuple) else read(examples)
        if image is None or (text is not None and not hasattr(self._local, "classify")):
            return examples
        return [pixels(one, image.alpha) for one in examples] if isinstance(examples, list | tuple) else examples

    def generate(self, prompt: Json, **options: Json) -> Generator[str, None, None]:
        """Return the pieces of a text as the device makes them."""
        last = yield from self._session.pieces("generate", (prompt,), options)
        try:
            self.last = record_json.read(Statistics, last["last"], "last")
        except (TypeError, KeyError, BundleError) as error:
            raise self._session.wrong("a request for a text's figures") from error


class Session:
    """The bundle of ``manifest`` on ``device``, opened there by the process at the other end of ``link``."""

    def __init__(self, device: Device, link: Link, manifest: Manifest, threads: int, facts: JsonDict) -> None:
        self.device, self.manifest, self.threads, self.facts = device, manifest, threads, facts
        self._link = link

    def begin(self) -> None:
        """Wait until the service there is ready. Raises its error, DeviceError."""
        for told in self._answers(LONGEST):
            if told.get("result") is not True:
                raise self.wrong("a request for the start of a text")

    @cached_property
    def sessions(self) -> Mapping[str, Runs]:
        """The submodels, opened there."""
        return {name: RemoteRun(self, name, False) for name in self._places}

    @cached_property
    def scorers(self) -> Mapping[str, Runs]:
        """The submodels; of a language model what gives the logits of every token, not of the last one alone."""
        return {name: RemoteRun(self, name, True) for name in self._places}

    def untimed(self, name: str) -> NotMeasured | None:
        """Return why a submodel cannot be timed there; None where it can."""
        told = self.ask("untimed", name=name)
        return None if told is None else NotMeasured(reason=self._text(told, "reason"))

    def measure(self, name: str, shapes: Sequence[str], rules: Rules, *, say: Say = silent) -> tuple[Timing, ...]:
        """Time a submodel there. Raises InputError, BundleError, DeviceError."""
        told = self.ask("measure", say=say, name=name, shapes=list(shapes), rules=asdict(rules))
        made = measurements.checked_timings(told, DeviceAnswerWrong, who=self.device.name, hint=_HINT)
        if [timing.what for timing in made] != list(shapes):
            raise DeviceAnswerWrong(f"{self.device.name} returned figures for other inputs", hint=_HINT)
        if not all(timing.p50 > 0 for timing in made):
            raise DeviceAnswerWrong(f"{self.device.name} states that an inference takes no time", hint=_HINT)
        return tuple(replace(timing, where=own(self.device, self.manifest, timing.where)) for timing in made)

    def golden(self, name: str) -> GoldenResult:
        """Run a submodel's golden vectors there, from their texts and images on."""
        told = wire.read(self.ask("golden", name=name))
        try:
            cosines = tuple(float(value) for value in told["cosines"])
            inputs = tuple(str(value)[:200] for value in told["inputs"])
        except (TypeError, KeyError, ValueError) as error:
            raise self.wrong("a request to check golden vectors") from error
        return GoldenResult(cosines, self.manifest.models[name].golden.least_cosine, inputs)

    def model(self, runs: Mapping[str, Runs] | None = None) -> TaskModel:
        """Return the task's object, whose calls are made there.

        Around some of the submodels, and of a model that makes images, its loop runs here and they there.
        """
        chosen = self.scorers if runs is None else runs
        made = model(self.manifest.task, chosen, self.manifest.folder, self.manifest.processing)
        whole = set(chosen) == set(self.scorers) and self.manifest.processing.diffusion is None
        return RemoteModel(made, self) if whole else made

    def where(self, name: str) -> Where:
        """Return on what a submodel computes."""
        return self._places[name]

    def run(self, name: str, feeds: Mapping[str, Array], *, scoring: bool) -> Outputs:
        """Run a submodel there."""
        sent = wire.write({key: np.asarray(value) for key, value in feeds.items()})
        made = wire.arrays(self.ask("run", most=_ARRAYS, name=name, scoring=scoring, feeds=sent))
        if not {spec.name for spec in self.manifest.models[name].outputs} & set(made):
            raise self.wrong("a request to run the model")
        return made

    def call(self, method: str, given: Sequence[Json], named: Mapping[str, Json]) -> Json:
        """Make a call of the task's object there."""
        sent = {"method": method, "given": wire.write(list(given)), "named": wire.write(dict(named))}
        return wire.read(self.ask("call", most=_ARRAYS, **sent))

    def pieces(self, method: str, given: Sequence[Json], named: Mapping[str, Json]) -> Generator[str, None, Json]:
        """Make a call there that answers piece by piece; yields them, and returns what it took."""
        sent = {"method": method, "given": wire.write(list(given)), "named": wire.write(dict(named))}
        self._send("call", sent)
        for told in self._answers(_ARRAYS):
            if "piece" in told:
                yield self._text(told, "piece")
            else:
                return wire.read(told["result"])

    def ask(self, what: str, *, most: int = LONGEST, say: Say = silent, **named: Json) -> Json:
        """Ask the service there; ``say`` gets what it tells meanwhile. Raises its error, DeviceError."""
        self._send(what, named)
        for told in self._answers(most):
            if "piece" in told:
                say(self._text(told, "piece"))
            if "result" in told:
                return told["result"]
        raise self.wrong(what)

    def _send(self, what: str, named: Mapping[str, Json]) -> None:
        self._link.send_object({"ask": what, **named})

    def _answers(self, most: int) -> Iterator[JsonDict]:
        """Yield the pieces of an answer, and the result at its end."""
        for _ in range(_MOST):
            told = self._link.receive(most=most)
            if "ended" in told:
                raise stopped(self.device, told["ended"], self._link.words(), self.facts)
            if "error" in told:
                raise self._error(told["error"])
            if "result" in told or "piece" in told:
                yield told
                if "result" in told:
                    return
            elif told != {"alive": True}:
                raise self.wrong("a request")
        raise DeviceAnswerWrong(f"{self.device.name} does not stop sending", hint=_HINT)

    def _error(self, told: Json) -> EdgepackError:
        """Return the error that was raised there, as one of this machine's."""
        said, hint, kind = (self._text(told, key) for key in ("said", "hint", "kind"))
        known = getattr(errors, kind, None) if kind in errors.__all__ and kind not in _PLAIN else None
        if isinstance(known, type) and issubclass(known, EdgepackError):
            return known(f"{self.device.name}: {said}", hint=hint)
        return DeviceError(f"{self.device.name}: {said}", hint=hint)

    def _text(self, told: Json, key: str) -> str:
        if not isinstance(told, dict) or not isinstance(told.get(key), str):
            raise self.wrong(key)
        return str(told[key])[:1000]

    @cached_property
    def _places(self) -> dict[str, Where]:
        told = self.ask("open")
        if not isinstance(told, dict) or set(told) != set(self.manifest.models):
            raise self.wrong("a request to open the bundle")
        try:
            checked = {name: measurements.checked_where(one) for name, one in told.items()}
            return {name: own(self.device, self.manifest, where) for name, where in checked.items()}
        except Mismatch as error:
            raise self.wrong("a request to open the bundle") from error

    def wrong(self, what: str) -> DeviceAnswerWrong:
        """Return the error for an answer to ``what`` that is none."""
        return DeviceAnswerWrong(f"{self.device.name} gave an invalid answer to {what}", hint=_HINT)
