"""Core ML packages: the same feeds as for other formats, a row at a time, images as bytes again.

Computed by Core ML on a Mac, elsewhere by edgepack.coreml's evaluator.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgepack.arrays import Array, Outputs
from edgepack.coreml import chain, padding, renaming
from edgepack.coreml.text import IDS, LOGITS, Model, Text
from edgepack.documents import Json, JsonDict, JsonObject, parse_json
from edgepack.errors import InputError, PackageDamaged
from edgepack.records import NotMeasured, TensorSpec
from edgepack.runtime import machine
from edgepack.runtime.decoding import Decoding

EXTRA = "coreml"
IMAGE = "edgepack.image"  # user-defined metadata: how images are prepared inside
_PIXELS = "pixel_values"
_HELD = 1 << 31  # bytes of weights that stay in memory decompressed; of a larger model few do


class Session:
    """``session(feeds)`` computes the package, with fp16 rounded as it is declared; ``held`` as Package has it."""

    def __init__(self, path: Path, threads: int, *, held: int = _HELD) -> None:
        self._package: Any = chain.opened(path, threads=threads, held=held)  # whose states differ in type
        self.inputs: tuple[TensorSpec, ...] = self._package.inputs()
        self.outputs: tuple[TensorSpec, ...] = self._package.outputs()
        self.optional: tuple[TensorSpec, ...] = ()
        self.path, self.threads = path, threads
        self.runtime = f"Core ML of macOS {platform.mac_ver()[0]}" if sys.platform == "darwin" else machine.EVALUATOR
        self.decodes = any(spec.name == IDS for spec in self.inputs)
        self._text = Text(self._package)
        said = self._package.metadata.get("user_defined", {})
        self._image: JsonObject | None = _image(said[IMAGE]) if IMAGE in said else None
        self._padding = padding.read(said[padding.PADDING]) if padding.PADDING in said else None
        self._renaming: renaming.Renaming | None = None
        if renaming.RENAMING in said:
            self._renaming, self._specs = renaming.read(said[renaming.RENAMING]), self.inputs
            self.inputs, self.outputs = (self._renaming.usual(specs) for specs in (self.inputs, self.outputs))

    def __call__(self, feeds: Mapping[str, Array], names: Sequence[str] | None = None) -> Outputs:
        """Return the outputs (all, or ``names``), float32. Raises InputError."""
        if self.decodes:
            start = int(feeds.get("logits_from", [-1])[0])
            return {LOGITS: np.stack([self._text(ids, 0, self._package.state())[start:] for ids in feeds["input_ids"]])}
        if self._renaming is not None:
            calls = [self._computed(call) for call in self._renaming.fed(feeds, self._specs)]
            made = self._renaming.named(calls, self._renaming.rows(feeds))
            return {name: made[name] for name in names or made}
        wanted = names or [spec.name for spec in self.outputs if spec.dtype.startswith("float")]
        rows = [self._computed(row) for row in self._rows(feeds)]
        return {name: np.concatenate([np.asarray(row[name], np.float32) for row in rows]) for name in wanted}

    def decoding(self, longest: int) -> Decoding:
        """Return a language model's tokens, one by one."""
        return StateDecoding(self._package, longest)

    def each(self, feeds: Sequence[Mapping[str, Array]]) -> Iterator[Outputs]:
        """Return the outputs for each of ``feeds``."""
        return map(self, feeds)

    def _computed(self, row: Mapping[str, Array]) -> Outputs:
        if self._padding is None:
            made: Outputs = self._package(row, state=self._package.state())
            return made
        tokens = next(iter(row.values())).shape[1]
        return self._padding.cut(self._package(self._padding.fitted(row)), tokens)

    def _rows(self, feeds: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
        """Yield the inputs of one row after the other."""
        if self._image is not None and _PIXELS in feeds:
            yield from ({self.inputs[0].name: _on_levels(pixels, self._image)} for pixels in feeds[_PIXELS])
            return
        missing = [spec.name for spec in self.inputs if spec.name not in feeds]
        if missing:
            raise InputError(f"the model also needs the input {missing[0]!r}")
        for row in range(len(feeds[self.inputs[0].name])):
            yield {spec.name: feeds[spec.name][row : row + 1].astype(spec.dtype) for spec in self.inputs}


class StateDecoding(Decoding):
    """A package token by token, its keys and values in the package's state.

    Each call tells the package where the new tokens lie, so that forgetting some costs nothing.
    """

    def __init__(self, model: Model, longest: int) -> None:
        super().__init__(longest)
        self._text, self._state = Text(model), model.state()

    def _run(self, tokens: Sequence[int]) -> Array:
        logits: Array = self._text(np.array(tokens), len(self.ids), self._state)[-1]
        self.ids += tokens
        return logits


def open_session(path: Path, threads: int) -> Session:
    """Open the package at ``path``, or the packages in that folder. Raises PackageError, MissingExtra."""
    return Session(path, threads)


def untimed() -> NotMeasured | None:
    """Return the reason why this machine cannot time packages; None on a Mac."""
    if sys.platform == "darwin":
        return None
    return NotMeasured(reason="Core ML runs only on Apple's systems; on a Mac: edgepack bench BUNDLE")


def _image(told: str) -> JsonDict:
    """Return how images are prepared inside, as the package's metadata say it. Raises PackageDamaged."""
    facts = parse_json(told, f"the metadata {IMAGE}", PackageDamaged)
    known = isinstance(facts, dict) and {"mean", "std", "scale", "offset"} <= facts.keys()
    if not known or not all(_numbers(facts[part]) for part in ("mean", "std", "scale", "offset")) or not facts["scale"]:
        raise PackageDamaged(f"the metadata {IMAGE} cannot be read", hint="build the bundle again")
    return dict(facts)


def _numbers(value: Json) -> bool:
    listed = value if isinstance(value, list) else [value]
    return all(isinstance(one, int | float) for one in listed)


def _on_levels(pixels: Array, facts: JsonObject) -> Array:
    """Return uint8 [height, width, channels] of normalised float32 [channels, height, width]."""
    mean, std = (np.array(facts[part], np.float32)[:, None, None] for part in ("mean", "std"))
    values = (pixels * std + mean - np.float32(facts["offset"])) / np.float32(facts["scale"])
    values = values[::-1] if facts.get("reverse") else values
    image: Array = np.clip(np.rint(values), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return image
