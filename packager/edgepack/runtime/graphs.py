"""Graphs beside a model's own, over the same weights.

Of a language model there is one for any client, and beside it one that is fastest at generating.

``model.onnx`` takes any attention mask and gives the logits of every token. ``model_last.onnx``, over the same
weights, takes sequences that begin at the first place and gives those of the last token. A bundle for transformers.js
has one graph, which is told how many logits are wanted (NUM_LOGITS); so have bundles of earlier versions (FIRST).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from edgepack.arrays import Array, Outputs
from edgepack.errors import InputError

FORMAT = "onnx"  # of the bundles that have several
LOGITS, PAST = "logits", "past_key_values"
FIRST = "logits_from"  # int64 [1], as we feed it: the first token whose logits are wanted, -1 for the last
NUM_LOGITS = "num_logits_to_keep"  # int64, as transformers.js feeds it: so many of the last tokens, 0 for all
_LAST, _PART = "_last", "_part_"


def last(model: Path) -> Path:
    """Return where the graph that gives the last token's logits lies, if there is one."""
    return model.with_stem(f"{model.stem}{_LAST}")


def generating(model: Path) -> Path:
    """Return the graph that generates fastest: ``model`` itself where it is alone."""
    return last(model) if last(model).is_file() else model


def scoring(model: Path) -> Path:
    """Return the graph that gives every token's logits, from the path of either."""
    return model.with_stem(model.stem.removesuffix(_LAST))


def part(model: Path, index: int) -> Path:
    """Return where the graph ``index`` of those that a decoder is cut into lies (runtime/diffusion/bands.py)."""
    return model.with_stem(f"{model.stem}{_PART}{index:02}")


def parts(model: Path, files: Iterable[Path]) -> tuple[Path, ...]:
    """Return those of ``files`` that ``model`` is cut into, in order."""
    own = (file for file in files if is_part(file) and file.name.startswith(f"{model.stem}{_PART}"))
    return tuple(sorted(file for file in own if file.parent == model.parent))


def files(model: Path) -> list[Path]:
    """Return the files of a package or of packages; of a graph itself, its weights and the graphs that share them."""
    if model.is_dir():
        return [file for file in model.rglob("*") if file.is_file()]
    beside = [*model.parent.glob(f"{model.name}*"), *model.parent.glob(last(model).name)]
    return [*beside, *parts(model, model.parent.iterdir())]


def is_part(file: Path) -> bool:
    """Return whether ``file`` is named as a part of a model."""
    return re.search(_PART + r"\d\d$", file.stem) is not None


def is_large(file: Path) -> bool:
    """Return whether a graph's weights lie beside it and it keeps no cache: memory is what it may lack."""
    return file.with_name(f"{file.name}_data").is_file() and PAST.encode() not in file.read_bytes()


def completed(feeds: Mapping[str, Array], inputs: Collection[str]) -> Mapping[str, Array]:
    """Return ``feeds`` with what FIRST says in the terms of a graph with these ``inputs``."""
    return {**feeds, NUM_LOGITS: np.array(_wanted(feeds), np.int64)} if NUM_LOGITS in inputs else feeds


def cut(outputs: Outputs, feeds: Mapping[str, Array]) -> Outputs:
    """Return the logits that ``feeds`` ask for, of a graph that may give all. Raises InputError where it gave fewer."""
    if LOGITS not in outputs:
        return outputs
    wanted, given = _wanted(feeds), outputs[LOGITS].shape[1]
    if wanted > given:
        raise InputError(f"the logits of {wanted} tokens are wanted; this graph gives {given}", hint="open model.onnx")
    return {**outputs, LOGITS: outputs[LOGITS][:, -wanted:]}


def _wanted(feeds: Mapping[str, Array]) -> int:
    """Return how many of the last tokens; the very last where nothing is said."""
    first = int(feeds[FIRST][0]) if FIRST in feeds else -1
    return -first if first < 0 else int(feeds["input_ids"].shape[1]) - first
