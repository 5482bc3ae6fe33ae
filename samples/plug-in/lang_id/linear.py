"""The route ``linear`` into an .npz: fits the Protocol edgepack.formats.Route."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepack.arrays import Array, Feeds, Runs
from edgepack.original import Original
from edgepack.plans import Plan
from edgepack.records import Artifact, Component, Coverage, Recipe, TensorSpec
from lang_id import engine

TOOLS = ("numpy",)


def check(plan: Plan) -> None:
    """Raises UnsupportedModel for what numpy cannot compute: nothing."""


def unsupported(recipe: Recipe) -> str:
    return "" if recipe.scheme in ("rows", "float") else "the schemes are rows and float"


@dataclass(frozen=True)
class Prepared:
    weight: Array
    bias: Array

    def compress(self, out: Path, recipe: Recipe, calibration: Sequence[Feeds]) -> Artifact:
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


def prepare(original: Original, plan: Plan, calibration: Sequence[Feeds]) -> Prepared:
    return Prepared(original.module["weight"], original.module["bias"])


def open(path: Path, threads: int) -> Runs:
    return engine.open_session(path, threads)
