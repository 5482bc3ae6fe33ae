"""What computes an .npz on the device, with numpy: fits the Protocol edgepack.runtime.engines.Engine."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgepack.arrays import Array, Outputs
from edgepack.errors import BundleError, InputError
from edgepack.records import NotMeasured, TensorSpec
from edgepack.runtime.decoding import Decoding

EXTRA = ""  # of this package: none is needed


class Session:
    decodes = False
    inputs: tuple[TensorSpec, ...]
    optional: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...]

    def __init__(self, path: Path, threads: int) -> None:
        try:
            with np.load(path) as stored:
                tensors = dict(stored)
            self._weight = tensors["weight"] * tensors.get("scale", np.float32(1))
            self._bias = tensors["bias"]
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(f"{path} cannot be opened: {error}") from error
        classes, buckets = self._weight.shape
        self.path, self.threads, self.runtime = path, 1, f"numpy {np.__version__}"
        self.inputs = (TensorSpec(name="counts", dtype="float32", shape=("batch", buckets)),)
        self.outputs = (TensorSpec(name="logits", dtype="float32", shape=("batch", classes)),)

    def __call__(self, feeds: Mapping[str, Array], names: Sequence[str] | None = None, /) -> Outputs:
        if "counts" not in feeds:
            raise InputError("the model also needs the input 'counts'")
        return {"logits": feeds["counts"] @ self._weight.T + self._bias}

    def each(self, feeds: Sequence[Mapping[str, Array]], /) -> Iterator[Outputs]:
        return map(self, feeds)

    def decoding(self, longest: int) -> Decoding:
        raise InputError("this is no language model")


def open_session(path: Path, threads: int) -> Session:
    return Session(path, threads)


def untimed() -> NotMeasured | None:
    return None  # any machine can time it
