"""The format npz, and the route ``linear`` into it: fit the Protocols edgepack.formats.Format and Route."""

import sys
from dataclasses import dataclass

import numpy as np

from edgepack.plans import Plan
from edgepack.records import Artifact, Component, Coverage, TensorSpec
from lang_id import engine

TITLE = "NPZ"
ROUTES = {"linear": ""}  # its route, and the extra of this package that it takes: none
SUFFIX = ".npz"
LENGTHS = False


def route(name):
    return sys.modules[__name__]  # there is one


def needs(artifact, target):
    return f"{target.runtime} {target.runtime_version}"


TOOLS = ("numpy",)


def check(plan: Plan) -> None:
    """Raises UnsupportedModel for what numpy cannot compute: nothing."""


def unsupported(recipe):
    return "" if recipe.scheme in ("rows", "float") else "the schemes are rows and float"


@dataclass(frozen=True)
class Prepared:
    weight: np.ndarray
    bias: np.ndarray

    def compress(self, out, recipe, calibration):
        """int8 with a scale per row, or float32 as it is."""
        scale = np.abs(self.weight).max(axis=1, keepdims=True) / 127
        rounded = np.rint(self.weight / scale).astype(np.int8)
        tensors = {"weight": rounded, "scale": scale} if recipe.scheme == "rows" else {"weight": self.weight}
        with out.open("wb") as stream:
            np.savez(stream, bias=self.bias, **tensors)
        total = self.weight.size
        return Artifact(
            path=out,
            format="npz",
            opset=1,
            inputs=(TensorSpec(name="counts", dtype="float32", shape=("batch", self.weight.shape[1])),),
            outputs=(TensorSpec(name="logits", dtype="float32", shape=("batch", self.weight.shape[0])),),
            components=(Component(name="head", parameters=total, bytes=sum(t.nbytes for t in tensors.values())),),
            coverage=Coverage(compressed=total if recipe.scheme == "rows" else 0, total=total),
            operators={"matmul": 1, "add": 1},
            bytes=out.stat().st_size,
        )


def prepare(original, plan, calibration):
    return Prepared(original.module["weight"], original.module["bias"])


def open(path, threads):
    return engine.open_session(path, threads)
