"""Golden vectors: inputs with the original model's outputs, by which a bundle proves itself on a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.arrays import Array, Example, Feeds, Outputs, Run, cosine
from edgepack.containment import contained
from edgepack.documents import parse_json, read_bytes
from edgepack.errors import BundleDamaged
from edgepack.runtime.audio.input import CLOSE
from edgepack.runtime.image import LEVELS, levels_apart
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.processing import Processing
from edgepack.runtime.submodel import MODEL

_AGAIN = "copy the bundle again, or build it again"
_DTYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}
# By what an example is; bundles of schema 1 say picture
_EXAMPLES = {"text": ("text",), "image": ("image", "picture"), "audio": ("audio",)}
_STORED = {"text": "u1", "image": "u1", "audio": "f4"}  # a sound is uint8 too, a WAV file's bytes

Make = Callable[[Sequence[Example]], Feeds]  # a batch of examples to the model's inputs


@dataclass(frozen=True)
class GoldenResult:
    """The cosine of each vector's output to the original's, the least that is allowed, and inputs that differ."""

    cosines: tuple[float, ...]
    least: float
    inputs: tuple[str, ...] = ()  # of each vector whose example leads to other inputs: which, and how

    @property
    def passed(self) -> bool:
        """True if every vector is close enough; NaN is not."""
        return bool(self.cosines) and not self.inputs and all(cosine >= self.least for cosine in self.cosines)

    @property
    def worst(self) -> float:
        """The least of the cosines; NaN where one is NaN, or there is none."""
        return float(np.min(self.cosines)) if self.cosines else float("nan")


def check(run: Run, manifest: Manifest, make: Make | None = None, *, name: str = MODEL) -> GoldenResult:
    """Run the golden vectors of the submodel ``name`` through ``run``; with ``make``, from texts, images and sounds on.

    Without ``make``, the inputs are taken as stored. Raises BundleDamaged.
    """
    facts = manifest.models[name].golden
    tensors, output = read(contained(manifest.folder, facts.file)), facts.output
    count = sum(key.endswith(f".output.{output}") for key in tensors)
    if not all(f"{index}.output.{output}" in tensors for index in range(count)):
        raise BundleDamaged(f"{facts.file} lacks some of its {count} golden vectors", hint=_AGAIN)
    pairs, wrong = [], []
    for index in range(count):
        start = f"{index}.input."
        feeds = {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}
        if make is not None:
            processing = manifest.processing
            made = make([_example(tensors, index, _kind(processing, feeds))])
            wrong += _differences(made, feeds, processing)
            feeds = {key: made.get(key, value) for key, value in feeds.items()}
        pairs.append((_output(run(feeds), output), tensors[f"{index}.output.{output}"]))
    cosines = [_cosine(*pair) for pair in _together(pairs)]
    return GoldenResult(tuple(cosines), facts.least_cosine, tuple(wrong))


def _together(pairs: Sequence[tuple[Array, Array]]) -> Sequence[tuple[Array, Array]]:
    """Return outputs of one number, as a reranker's scores, as one vector of all of them: the cosine of two numbers is
    their sign.
    """
    if any(made.size != 1 or true.size != 1 for made, true in pairs):
        return pairs
    return [(np.concatenate([made.ravel() for made, _ in pairs]), np.concatenate([true.ravel() for _, true in pairs]))]


def _kind(processing: Processing, feeds: Feeds) -> str:
    """Return what the example of such inputs is."""
    if processing.audio is not None and processing.audio.input in feeds:
        return "audio"
    return "image" if processing.image is not None and processing.image.input in feeds else "text"


def _example(tensors: Mapping[str, Array], index: int, kind: str) -> Example:
    """Return a vector's text, pair of texts, image or sound. Raises BundleDamaged where it holds none."""
    stored = next((tensors[key] for name in _EXAMPLES[kind] if (key := f"{index}.{name}") in tensors), None)
    if stored is None or stored.dtype.str[1:] not in ("u1", _STORED[kind]):
        raise BundleDamaged(f"golden vector {index} holds no {kind}", hint=_AGAIN)
    if kind == "image":
        return stored
    if kind == "audio":
        return stored.tobytes() if stored.dtype == np.uint8 else stored
    text = parse_json(stored.tobytes(), f"golden vector {index}", BundleDamaged)
    texts = text if isinstance(text, list) else [text]
    if len(texts) not in (1, 2) or not all(isinstance(each, str) for each in texts):
        raise BundleDamaged(f"golden vector {index} holds no text and no pair of texts", hint=_AGAIN)
    return tuple(text) if isinstance(text, list) else text


def _output(outputs: Outputs, name: str) -> Array:
    if name not in outputs:
        raise BundleDamaged(f"the model does not give {name!r}, which its golden vectors hold", hint=_AGAIN)
    return outputs[name]


def _differences(made: Feeds, stored: Feeds, processing: Processing) -> list[str]:
    """Return where what was made is not what was stored: pixels are within LEVELS, sounds within CLOSE, all else is
    equal, of one kind.
    """
    found, image, audio = [], processing.image, processing.audio
    for name, true in stored.items():
        mine = made.get(name, true)
        if mine.shape != true.shape:
            found.append(f"{name} has the shape {list(mine.shape)}, not {list(true.shape)}")
        elif mine.dtype.kind != true.dtype.kind:
            found.append(f"{name} is {mine.dtype}, not {true.dtype}")
        elif image is not None and name == image.input and true.ndim == 4:
            apart = levels_apart(mine, true, image)
            found += [] if apart <= LEVELS else [f"pixels differ by {apart:.1f} levels of 255"]  # NaN is not within
        elif audio is not None and name == audio.input:
            worst = float(np.abs(mine - true).max(initial=0))
            found += [] if worst <= CLOSE else [f"{name} differs by {worst:.1e}"]  # NaN is not within
        elif not np.array_equal(mine, true):
            found.append(f"{name} differs")
    return found


def read(file: Path) -> dict[str, Array]:
    """Return the tensors of a safetensors file: 8 bytes header length, a JSON header, the data."""
    raw = read_bytes(file, BundleDamaged, hint=_AGAIN)
    length = int.from_bytes(raw[:8], "little")
    header = parse_json(raw[8 : 8 + length], f"the header of {file}", BundleDamaged, hint=_AGAIN)
    data = memoryview(raw)[8 + length :]
    try:
        return {
            name: np.frombuffer(data[slice(*entry["data_offsets"])], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise BundleDamaged(f"{file} cannot be read", hint=_AGAIN) from error


def _cosine(a: Array, b: Array) -> float:
    if a.shape != b.shape:
        raise BundleDamaged(f"the model gives {list(a.shape)}; its golden vectors hold {list(b.shape)}", hint=_AGAIN)
    with np.errstate(over="ignore", invalid="ignore"):  # a cosine of what is not finite is NaN, which does not pass
        return cosine(a, b)
