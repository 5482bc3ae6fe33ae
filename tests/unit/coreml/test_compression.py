"""Every way to compress weights: what the evaluator makes of the saved bytes is what coremltools decompresses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import Block, types

from edgepack.coreml import Package

from .conftest import Array, save, values

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

_16, _18 = ct.target.iOS16, ct.target.iOS18
WEIGHT, KERNEL = values(32, 64, seed=1), values(16, 8, 3, 3, seed=2)


def linear(**options: Any) -> Any:
    return cto.OpLinearQuantizerConfig(weight_threshold=1, **{"mode": "linear_symmetric", **options})


def palette(**options: Any) -> Any:
    return cto.OpPalettizerConfig(weight_threshold=1, **{"mode": "uniform", **options})


def sparse(share: float) -> Any:
    return cto.OpMagnitudePrunerConfig(target_sparsity=share, weight_threshold=1)


# name -> (deployment target, the steps, the scheme that is told, bits)
SCHEMES: dict[str, tuple[Any, list[Any], str, int]] = {
    "int8 per channel, iOS 16": (_16, [linear()], "linear", 8),
    "uint8 with zero points, iOS 16": (_16, [linear(mode="linear", dtype="uint8")], "linear", 8),
    "int8 per tensor": (_16, [linear(granularity="per_tensor")], "linear", 8),
    "int8 per channel": (_18, [linear()], "linear", 8),
    "uint8 with zero points": (_18, [linear(mode="linear", dtype="uint8")], "linear", 8),
    "int4 per block": (_18, [linear(dtype="int4", granularity="per_block", block_size=8)], "linear", 4),
    "uint4 with zero points": (_18, [linear(mode="linear", dtype="uint4", granularity="per_channel")], "linear", 4),
    **{f"{bits} bits, iOS 16": (_16, [palette(nbits=bits)], "palettized", bits) for bits in (1, 2, 4, 6, 8)},
    **{f"{bits} bits": (_18, [palette(nbits=bits)], "palettized", bits) for bits in (1, 2, 3, 4, 6, 8)},
    "4 bits by groups of channels": (
        _18, [palette(nbits=4, granularity="per_grouped_channel", group_size=4)], "palettized", 4),
    "2 bits by channel and a scale": (
        _18, [palette(nbits=2, mode="kmeans", enable_per_channel_scale=True)], "palettized+linear", 2),
    "4 bits of pairs": (_18, [palette(nbits=4, mode="kmeans", cluster_dim=2)], "palettized", 4),
    "sparse, iOS 16": (_16, [sparse(0.5)], "sparse", 16),
    "sparse": (_18, [sparse(0.5)], "sparse", 16),
    "sparse and palettized": (_18, [sparse(0.5), palette(nbits=4)], "sparse+palettized", 4),
    "sparse and int8": (_18, [sparse(0.4), linear()], "sparse+linear", 8),
    "a table of int8": (_18, [palette(nbits=4), linear(granularity="per_tensor")], "palettized+linear", 4),
}  # fmt: skip


def dense(target: Any) -> Any:
    @mb.program(
        input_specs=[mb.TensorSpec((2, 64), types.fp16), mb.TensorSpec((1, 8, 5, 5), types.fp16)], opset_version=target
    )
    def program(x: Any, picture: Any) -> Any:
        first = mb.linear(x=x, weight=WEIGHT.astype(np.float16), bias=np.zeros(32, np.float16), name="first")
        return first, mb.conv(x=picture, weight=KERNEL.astype(np.float16), name="second")

    return ct.convert(program, minimum_deployment_target=target, skip_model_load=True)


def compressed(target: Any, steps: list[Any]) -> Any:
    model = dense(target)
    for place, step in enumerate(steps):
        config = cto.OptimizationConfig(global_config=step)
        joint = {"joint_compression": True} if place else {}
        if isinstance(step, cto.OpMagnitudePrunerConfig):
            model = cto.prune_weights(model, config)
        elif isinstance(step, cto.OpPalettizerConfig):
            model = cto.palettize_weights(model, config, **joint)
        else:
            model = cto.linear_quantize_weights(model, config, **joint)
    return model


def decompressed(model: Any) -> dict[str, Array]:
    """The weights of ``model`` as coremltools makes them dense, by the op that reads them."""
    plain = cto.decompress_weights(model)
    found: dict[str, Array] = {}
    block: Block = plain._mil_program.functions["main"]
    for op in block.operations:
        if op.op_type in ("linear", "conv"):
            found[op.op_type] = op.weight.val
    return found


@pytest.mark.parametrize("name", SCHEMES)
def test_weights_are_what_coremltools_decompresses(name: str, tmp_path: Path) -> None:
    target, steps, scheme, bits = SCHEMES[name]
    model = compressed(target, steps)
    model.save(str(tmp_path / "packed.mlpackage"))
    package, wanted = Package(tmp_path / "packed.mlpackage", native=False), decompressed(model)
    weights = {one.readers: one for one in package.constants() if one.parameters > 100}
    for kind, dense_weight in wanted.items():
        weight = weights[(kind,)]
        assert (weight.scheme, weight.bits, weight.dtype) == (scheme, bits, "float16")
        found = package.weight(weight.name)
        assert found.shape == dense_weight.shape
        np.testing.assert_array_equal(found, dense_weight.astype(np.float16))
    x, picture = values(2, 64).astype(np.float16), values(1, 8, 5, 5).astype(np.float16)
    out = package({"x": x, "picture": picture}, precision="float32")
    np.testing.assert_allclose(out["first"], x.astype(np.float32) @ wanted["linear"].T.astype(np.float32), atol=1e-3)


def test_bytes_are_those_that_are_stored(tmp_path: Path) -> None:
    compressed(*SCHEMES["int4 per block"][:2]).save(str(tmp_path / "packed.mlpackage"))
    weights = {one.shape: one for one in Package(tmp_path / "packed.mlpackage").constants()}
    assert weights[WEIGHT.shape].bytes == WEIGHT.size // 2 + WEIGHT.size // 8 * 2


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6])
def test_packed_types_of_every_width(bits: int, tmp_path: Path) -> None:
    from coremltools.converters.mil.mil.types import nptype_from_builtin, string_to_builtin

    indices = np.random.default_rng(bits).integers(0, 2**bits, (5, 7))
    kind = nptype_from_builtin(string_to_builtin(f"uint{bits}"))
    lut = np.arange(2**bits, dtype=np.float32).reshape(1, 1, -1, 1)

    @mb.program(input_specs=[mb.TensorSpec((5, 7))], opset_version=_18)
    def program(x: Any) -> Any:
        return mb.add(x=x, y=mb.constexpr_lut_to_dense(indices=indices.astype(kind), lut=lut), name="out")

    package = Package(save(program, tmp_path / "lut.mlpackage", _18), native=False)
    np.testing.assert_array_equal(package({"x": np.zeros((5, 7), np.float32)})["out"], indices)


def test_vectors_and_masks_of_vectors(tmp_path: Path) -> None:
    from coremltools.converters.mil.mil.types import np_uint1_dtype

    mask = np.random.default_rng(0).integers(0, 2, (4, 6)).astype(np_uint1_dtype)
    kept = np.random.default_rng(1).integers(0, 2, int(mask.sum())).astype(np_uint1_dtype)
    lut = values(1, 1, 2, 2)

    @mb.program(input_specs=[mb.TensorSpec((8, 6))], opset_version=_18)
    def program(x: Any) -> Any:
        where, data = mb.constexpr_lut_to_sparse(
            indices_mask=mask, indices_nonzero_data=kept, lut=lut, vector_axis=np.int32(0)
        )
        return mb.add(x=x, y=mb.constexpr_sparse_to_dense(nonzero_data=data, mask=where), name="out")

    found = Package(save(program, tmp_path / "sparse.mlpackage", _18), native=False)(
        {"x": np.zeros((8, 6), np.float32)}
    )
    wanted, places = np.zeros((8, 6), np.float32), list(zip(*np.nonzero(mask), strict=True))
    for (row, column), index in zip(places, kept, strict=True):
        wanted[2 * row : 2 * row + 2, column] = lut[0, 0, index]
    np.testing.assert_array_equal(found["out"], wanted)


def test_functions_share_their_weights(tmp_path: Path) -> None:
    compressed(*SCHEMES["4 bits"][:2]).save(str(tmp_path / "one.mlpackage"))
    both = ct.utils.MultiFunctionDescriptor()
    for name in ("first", "second"):
        both.add_function(str(tmp_path / "one.mlpackage"), src_function_name="main", target_function_name=name)
    both.default_function_name = "first"
    ct.utils.save_multifunction(both, str(tmp_path / "both.mlpackage"))
    package = Package(tmp_path / "both.mlpackage", native=False)
    feeds = {"x": values(2, 64).astype(np.float16), "picture": values(1, 8, 5, 5).astype(np.float16)}
    first, second = (package(feeds, function=name)["first"] for name in package.functions)
    np.testing.assert_array_equal(first, second)
    keys = [package._constants[name].key(package.constants(name)[0].name) for name in package.functions]
    assert keys[0] == keys[1]
