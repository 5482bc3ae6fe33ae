"""Packages whose inputs and outputs are called and laid out as other programs want them.

Apple's StableDiffusion wants its own names, two rows at a time, ids as floats and texts with the tokens last; our loop
feeds all formats what ONNX pipelines take.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgepack.arrays import Array
from edgepack.documents import parse_json
from edgepack.errors import InputError, PackageDamaged
from edgepack.records import TensorSpec

RENAMING = "edgepack.renaming"  # user-defined metadata, written by ``told``
_RANK = 4  # of what has its tokens last
_AGAIN = "build the bundle again"


@dataclass(frozen=True)
class Renaming:
    """The usual name of each input and output by the package's; the inputs [rows, width, 1, tokens] of it.

    What is of no use to anybody is fed ``zeros``.
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    tokens_last: Sequence[str] = ()
    zeros: Sequence[str] = ()

    def told(self) -> str:
        """Return it as metadata."""
        parts = {"tokens_last": list(self.tokens_last), "zeros": list(self.zeros)}
        return json.dumps({"inputs": dict(self.inputs), "outputs": dict(self.outputs), **parts})

    def fed(self, feeds: Mapping[str, Array], specs: Sequence[TensorSpec]) -> list[dict[str, Array]]:
        """Return the package's inputs, as many calls as the rows of ``feeds`` make.

        The last row is repeated where rows lack; a value without rows is every row's. Raises InputError.
        """
        given = {spec.name: self._laid_out(spec, feeds) for spec in specs}
        counts = {len(array) for array in given.values() if array.ndim} or {1}
        if len(counts) > 1:
            raise InputError(f"the inputs have {' and '.join(map(str, sorted(counts)))} rows")
        count, rows = counts.pop(), int(specs[0].shape[0])
        calls = [np.minimum(np.arange(start, start + rows), count - 1) for start in range(0, count, rows)]
        return [
            {
                spec.name: np.full(spec.shape, given[spec.name]) if not given[spec.name].ndim else given[spec.name][one]
                for spec in specs
            }
            for one in calls
        ]

    def usual(self, specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
        """Return what callers know the package's inputs or outputs as.

        Raises PackageDamaged where they are others than are renamed.
        """
        names, specs = {**self.inputs, **self.outputs}, [spec for spec in specs if spec.name not in self.zeros]
        if any(
            spec.name not in names or (spec.name in self.tokens_last and len(spec.shape) != _RANK) for spec in specs
        ):
            raise PackageDamaged(f"the metadata {RENAMING} is about other inputs and outputs", hint=_AGAIN)
        return tuple(replace(spec, name=names[spec.name], shape=self._usual_shape(spec)) for spec in specs)

    def named(self, calls: Sequence[Mapping[str, Array]], rows: int) -> dict[str, Array]:
        """Return the first ``rows`` of all calls' outputs by their usual names, float32."""
        return {
            usual: np.concatenate([np.asarray(made[name], np.float32) for made in calls])[:rows]
            for name, usual in self.outputs.items()
        }

    def rows(self, feeds: Mapping[str, Array]) -> int:
        """Return the number of rows in ``feeds``."""
        return max((len(array) for array in map(np.asarray, feeds.values()) if array.ndim), default=1)

    def _usual_shape(self, spec: TensorSpec) -> tuple[int | str, ...]:
        if spec.name not in self.tokens_last:
            return spec.shape
        rows, width, _, tokens = spec.shape
        return rows, tokens, width

    def _laid_out(self, spec: TensorSpec, feeds: Mapping[str, Array]) -> Array:
        if spec.name in self.zeros:
            return np.zeros((), spec.dtype)
        usual = self.inputs[spec.name]
        if usual not in feeds:
            raise InputError(f"the model also needs the input {usual!r}")
        array = np.asarray(feeds[usual]).astype(spec.dtype)
        return array.transpose(0, 2, 1)[:, :, None] if spec.name in self.tokens_last else array


def read(told: str) -> Renaming:
    """Return what ``told`` says."""
    facts = parse_json(told, RENAMING, PackageDamaged)
    try:
        inputs, outputs = ({str(key): str(name) for key, name in facts[part].items()} for part in ("inputs", "outputs"))
        tokens_last, zeros = ([str(name) for name in facts[part]] for part in ("tokens_last", "zeros"))
        return Renaming(inputs, outputs, tokens_last, zeros)
    except (KeyError, TypeError, AttributeError) as error:
        raise PackageDamaged(f"the metadata {RENAMING} cannot be read", hint=_AGAIN) from error
