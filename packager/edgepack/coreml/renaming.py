"""Packages whose inputs and outputs are called and laid out as other programs want them.

Apple's StableDiffusion wants its own names, two rows at a time, ids as floats and texts with the tokens last; our loop
feeds all formats what ONNX pipelines take.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.arrays import Array
from edgepack.documents import parse_json
from edgepack.errors import InputError, PackageDamaged
from edgepack.records import TensorSpec

RENAMING = "edgepack.renaming"  # user-defined metadata, written by ``told``


@dataclass(frozen=True)
class Renaming:
    """The usual name of each input and output by the package's; the inputs [rows, width, 1, tokens] of it."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    tokens_last: Sequence[str] = ()

    def told(self) -> str:
        """Return it as metadata."""
        facts = {"inputs": dict(self.inputs), "outputs": dict(self.outputs), "tokens_last": list(self.tokens_last)}
        return json.dumps(facts)

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

    def named(self, calls: Sequence[Mapping[str, Array]], rows: int) -> dict[str, Array]:
        """Return the first ``rows`` of all calls' outputs by their usual names, float32."""
        return {
            usual: np.concatenate([np.asarray(made[name], np.float32) for made in calls])[:rows]
            for name, usual in self.outputs.items()
        }

    def rows(self, feeds: Mapping[str, Array]) -> int:
        """Return the number of rows in ``feeds``."""
        return max((len(array) for array in map(np.asarray, feeds.values()) if array.ndim), default=1)

    def _laid_out(self, spec: TensorSpec, feeds: Mapping[str, Array]) -> Array:
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
        return Renaming(inputs, outputs, [str(name) for name in facts["tokens_last"]])
    except (KeyError, TypeError, AttributeError) as error:
        raise PackageDamaged(f"the metadata {RENAMING} cannot be read", hint="build the bundle again") from error
