"""The nodes that use rounded weights compute with exactly the numbers that rounding gave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from edgepack import weights
from edgepack.decoders.matrix import Matrix
from edgepack.formats.onnx.builder.builder import Builder
from edgepack.formats.onnx.builder.store import Store
from edgepack.formats.onnx.builder.weights import Weights
from edgepack.formats.onnx.builder.writer import Rounded, Writer
from edgepack.quantization.rounding import blocks, blockwise
from edgepack.records import Recipe
from edgepack.runtime.engines import open_session

ROWS = 37
_HALF = 2.0**-10  # float16 keeps 11 bits


def made(tmp_path: Path, width: int, bits: int) -> tuple[dict[str, np.ndarray], Rounded, np.ndarray, np.ndarray]:
    """A product and a look-up of one random matrix: what they give, how it is stored, the input and the matrix."""
    random = np.random.default_rng(width)
    weight = random.normal(size=(ROWS, width)).astype(np.float32)
    bias = random.normal(size=ROWS).astype(np.float32)
    x, ids = random.normal(size=(3, width)).astype(np.float32), np.array([0, ROWS - 1, 5, 5])
    file = tmp_path / "w.safetensors"
    file.write_bytes(weights.encode({"w": weight}))
    matrix = Matrix("w", tuple(weights.tensors(file)), bias)
    recipe = Recipe(name="r", scheme="blocks", weight_bits=bits, embedding_bits=bits, block_size=128)
    builder = Builder()
    with Store(tmp_path / "m.onnx_data") as store:
        used = Weights(builder, Writer(store, recipe, None, tied=False))
        product = used.linear(builder.input("x", ir.DataType.FLOAT, ("n", width)), matrix, "out")
        rows = used.gather(builder.input("ids", ir.DataType.INT64, ("n",)), matrix, "embedding")
        stored = used.writer.matrix(matrix, "out")
    builder.output(product, "product", ir.DataType.FLOAT, ("n", ROWS))
    builder.output(rows, "rows", ir.DataType.FLOAT, ("n", width))
    ir.save(builder.model("m", opset=17, ir_version=9, producer="0"), tmp_path / "m.onnx")
    assert isinstance(stored, Rounded)
    outputs = open_session(tmp_path / "m.onnx", "onnx", 1)({"x": x, "ids": ids})
    return {**outputs, "bias": bias, "ids": ids}, stored, x, weight


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("width", [16, 48, 72, 100, 128, 200, 384])
def test_products_and_rows_are_those_of_the_rounded_matrix(tmp_path: Path, width: int, bits: int) -> None:
    found, stored, x, weight = made(tmp_path, width, bits)
    rounded = blocks(weight, bits, stored.size)
    restored = rounded.restored()
    assert stored.padded % stored.size == 0
    assert stored.values.shape == (ROWS, stored.padded // stored.size, stored.size * bits // 8)
    # the scales lose bits to float16 on their way; the activation is rounded by blocks inside the product
    wanted = blockwise(x, stored.size) @ restored.T + found["bias"]
    assert np.abs(found["product"] - wanted).max() < 2 * _HALF * np.abs(wanted).max()
    assert found["rows"].shape == (len(found["ids"]), width)
    assert np.abs(found["rows"] - restored[found["ids"]]).max() <= 2 * _HALF * np.abs(restored).max()
