"""Reductions, shapes, slices, indices and order against coremltools' own numbers and torch."""

from __future__ import annotations

from typing import Any

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb
from torch.nn import functional as F

from .conftest import Case, compare, values

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

X, SQUARE, POSITIVE = values(2, 3, 4), values(1, 2, 4, 6, seed=1), values(2, 3, 4, low=0.1)
INTS = np.array([[3, -1, 2], [0, 5, -4]], np.int32)
TIES = np.array([[1, 3, 3, 0], [2, 2, 5, 2]], np.float32)
ROWS, FIRST = np.array([2, 0, -1], np.int32), np.array([[0, 2, 1], [-1, 0, 0]], np.int32)
PAIRS = np.array([[[0, 1], [1, 2]], [[1, 0], [-1, -1]]], np.int32)
UPDATES = values(3, 3, 4, seed=5, low=0.5)
MODES = ("add", "sub", "mul", "div", "max", "min", "update")
REDUCE = ("l1_norm", "l2_norm", "max", "mean", "min", "prod", "sum", "sum_square")
_16, _17, _18 = ct.target.iOS16, ct.target.iOS17, ct.target.iOS18


def reduced(kind: str, x: Any = X) -> list[Case]:
    def make(**options: Any) -> Any:
        return lambda v: getattr(mb, f"reduce_{kind}")(x=v, **options)

    return [
        Case(f"{kind}_one", make(axes=[1], keep_dims=False), (x,)),
        Case(f"{kind}_two", make(axes=[0, -1], keep_dims=True), (x,)),
        Case(f"{kind}_all", make(keep_dims=True), (x,)),
    ]


def sliced(name: str, begin: list[int], end: list[int], **masks: Any) -> Case:
    return Case(f"slice_{name}", lambda v: mb.slice_by_index(x=v, begin=begin, end=end, **masks), (X,))


def numpy_scatter(data: torch.Tensor, index: Any, updates: torch.Tensor, mode: str) -> Any:
    made = data.numpy().copy()
    step = {
        "add": np.add,
        "sub": np.subtract,
        "mul": np.multiply,
        "div": np.divide,
        "max": np.maximum,
        "min": np.minimum,
    }
    if mode == "update":
        made[index] = updates.numpy()
    else:
        step[mode].at(made, index, updates.numpy())
    return made


def scatters(mode: str) -> list[Case]:
    twice = np.array([1, 0, 1], np.int32) if mode != "update" else np.array([1, 0, 2], np.int32)
    data, two = values(4, 3, 4, seed=6, low=0.5), np.array([[0, 1], [3, 2], [0, 0]], np.int32)
    along, small = values(2, 3, 4, seed=8, low=0.5), values(2, 2, 4, seed=7, low=0.5)
    where = np.random.default_rng(3).permuted(np.tile(np.arange(3)[None, :, None], (2, 1, 4)), axis=1)[:, :2]
    return [
        Case(f"scatter_{mode}", lambda d, i, u: mb.scatter(data=d, indices=i, updates=u, axis=0, mode=mode),
             (data, twice, UPDATES), lambda d, i, u: numpy_scatter(d, i.numpy(), u, mode)),
        Case(f"scatter_nd_{mode}", lambda d, i, u: mb.scatter_nd(data=d, indices=i, updates=u, mode=mode),
             (data, two, values(3, 4, low=0.5)),
             lambda d, i, u: numpy_scatter(d, tuple(i.numpy().T), u, mode)),
        Case(f"scatter_along_axis_{mode}",
             lambda d, i, u: mb.scatter_along_axis(data=d, indices=i, updates=u, axis=1, mode=mode),
             (along, where.astype(np.int32), small),
             lambda d, i, u: numpy_scatter(d, (np.arange(2)[:, None, None], i.numpy(), np.arange(4)), u, mode)),
    ]  # fmt: skip


CASES = [
    *(case for kind in REDUCE for case in reduced(kind)),
    *(case for kind in ("log_sum", "log_sum_exp") for case in reduced(kind, POSITIVE)),
    Case("sum_int", lambda v: mb.reduce_sum(x=v, axes=[1]), (INTS,)),
    Case("argmax", lambda v: mb.reduce_argmax(x=v, axis=1), (TIES,)),
    Case("argmin", lambda v: mb.reduce_argmin(x=v, axis=1, keep_dims=True), (TIES,)),
    Case("reshape", lambda v: mb.reshape(x=v, shape=[4, -1]), (X,)),
    Case("reshape_0", lambda v: mb.reshape(x=v, shape=[0, -1, 2]), (X,), lambda x: x.reshape(2, -1, 2)),
    Case("reshape_like", lambda v, r: mb.reshape_like(
        x=v, ref_tensors=(r, r), begins=(0, 2), ends=(2, 0), end_masks=(False, True)),
        (X, values(2, 3, 4)), lambda x, r: x, target=_16),
    Case("flatten2d", lambda v: mb.flatten2d(x=v, axis=2), (X,)),
    Case("transpose", lambda v: mb.transpose(x=v, perm=[-1, 0, 1]), (X,)),
    Case("expand_dims", lambda v: mb.expand_dims(x=v, axes=[0, -1]), (X,)),
    Case("squeeze", lambda v: mb.squeeze(x=v, axes=[0]), (SQUARE,)),
    Case("squeeze_all", lambda v: mb.squeeze(x=v), (SQUARE,)),
    Case("shape", lambda v: mb.shape(x=v), (X,)),
    Case("concat", lambda v, w: mb.concat(values=[v, w], axis=-1), (X, values(2, 3, 2))),
    Case("interleave", lambda v, w: mb.concat(values=[v, w], axis=1, interleave=True), (X, X + 1),
         lambda x, y: torch.stack([x, y], 2).reshape(2, 6, 4)),
    Case("stack", lambda v, w: mb.stack(values=[v, w], axis=1), (X, X + 1)),
    Case("split", lambda v: mb.split(x=v, num_splits=2, axis=-1), (X,)),
    Case("split_sizes", lambda v: mb.split(x=v, split_sizes=[1, 2], axis=1), (X,)),
    Case("tile", lambda v: mb.tile(x=v, reps=[2, 1, 3]), (X,)),
    Case("pixel_shuffle", lambda v: mb.pixel_shuffle(x=v, upscale_factor=2), (values(1, 8, 2, 3),),
         lambda x: F.pixel_shuffle(x, 2)),
    Case("pixel_unshuffle", lambda v: mb.pixel_unshuffle(x=v, downscale_factor=np.uint32(2)), (SQUARE,),
         lambda x: F.pixel_unshuffle(x, 2), target=_16),
    Case("space_to_depth", lambda v: mb.space_to_depth(x=v, block_size=2), (SQUARE,),
         lambda x: x.reshape(1, 2, 2, 2, 3, 2).permute(0, 3, 5, 1, 2, 4).reshape(1, 8, 2, 3)),
    Case("depth_to_space", lambda v: mb.depth_to_space(x=mb.space_to_depth(x=v, block_size=2), block_size=2),
         (SQUARE,), lambda x: x),
    Case("space_to_batch", lambda v: mb.space_to_batch(x=v, block_shape=[2, 3], paddings=[[1, 1], [0, 0]]), (SQUARE,),
         lambda x: F.pad(x, (0, 0, 1, 1)).reshape(1, 2, 3, 2, 2, 3).permute(3, 5, 0, 1, 2, 4).reshape(6, 2, 3, 2)),
    Case("batch_to_space", lambda v: mb.batch_to_space(
        x=mb.space_to_batch(x=v, block_shape=[2, 3], paddings=[[1, 1], [0, 0]]), block_shape=[2, 3],
        crops=[[1, 1], [0, 0]]), (SQUARE,), lambda x: x),
    sliced("plain", [0, 1, 1], [1, 3, 3]),
    sliced("negative", [-1, -3, 0], [2, -1, -1]),
    sliced("stride", [0, 0, 0], [2, 3, 4], stride=[1, 2, 3]),
    sliced("backwards", [0, 0, -1], [2, 3, -5], stride=[1, 1, -2]),
    sliced("masked", [5, 1, 0], [0, 9, 9], begin_mask=[True, False, False], end_mask=[True, True, True]),
    sliced("back_mask", [0, 0, 0], [0, 0, 0], stride=[-1, -1, 1], begin_mask=[True] * 3, end_mask=[True] * 3),
    sliced("squeeze", [1, 0, 2], [2, 3, 3], squeeze_mask=[True, False, True]),
    sliced("beyond", [0, 0, 0], [9, 9, 9]),
    Case("slice_by_size", lambda v: mb.slice_by_size(x=v, begin=[0, 1, -2], size=[2, -1, 2]), (X,)),
    Case("slice_update", lambda v, u: mb.slice_update(x=v, update=u, begin=[0, 1, 0], end=[2, 2, 3], stride=[1, 1, 2]),
         (X, values(2, 1, 2, seed=9)), target=_18),
    Case("slice_update_squeeze", lambda v, u: mb.slice_update(
        x=v, update=u, begin=[1, 0, 0], end=[2, 3, 4], squeeze_mask=[True, False, False], end_mask=[False, True, True]),
        (X, values(3, 4, seed=9)), target=_18),
    Case("crop", lambda v: mb.crop(x=v, crop_height=[1, 0], crop_width=[2, 1]), (SQUARE,), lambda x: x[..., 1:, 2:5]),
    Case("sliding_windows", lambda v: mb.sliding_windows(x=v, axis=1, size=2, stride=1), (X,),
         lambda x: torch.stack([x[:, 0:2], x[:, 1:3]], 1)),
    Case("reverse", lambda v: mb.reverse(x=v, axes=[0, 2]), (X,)),
    Case("reverse_all", lambda v: mb.reverse(x=v), (X,)),
    Case("reverse_sequence", lambda v: mb.reverse_sequence(x=v, lengths=[2, 3], seq_axis=1, batch_axis=0), (X,),
         lambda x: torch.stack([x[0, [1, 0, 2]], x[1, [2, 1, 0]]])),
    Case("fill", lambda v: mb.fill(shape=mb.shape(x=v), value=2.5), (X,), lambda x: torch.full_like(x, 2.5)),
    Case("fill_like", lambda v: mb.fill_like(ref_tensor=v, value=1.5), (X,), lambda x: torch.full_like(x, 1.5), target=_16),  # noqa: E501
    Case("range", lambda v: mb.range_1d(start=1.0, end=4.0, step=0.5), (X,), lambda x: torch.arange(1, 4, 0.5)),
    Case("range_dynamic", lambda v: mb.range_1d(
        start=0, end=mb.gather(x=mb.shape(x=v), indices=2), step=1), (X,), lambda x: torch.arange(4)),
    Case("one_hot", lambda v: mb.one_hot(indices=v, one_hot_vector_size=4, axis=1, on_value=2.0, off_value=-1.0),
         (np.array([[0, 3], [1, -1]], np.int32),),
         lambda i: torch.where(i[:, None] == torch.arange(4)[None, :, None], 2.0, -1.0)),
    Case("one_hot_int", lambda v: mb.one_hot(indices=v, one_hot_vector_size=3), (np.array([0, 2], np.int32),),
         lambda i: F.one_hot(i.long(), 3)),
    *(Case(f"band_{low}_{high}".replace("-", "m"), lambda v, low=low, high=high: mb.band_part(x=v, lower=low, upper=high),  # noqa: E501
           (values(2, 4, 5),)) for low, high in ((-1, 0), (0, -1), (1, 2))),
    Case("pad", lambda v: mb.pad(x=v, pad=[1, 0, 2, 1], mode="constant", constant_val=3.0), (X,)),
    Case("pad_reflect", lambda v: mb.pad(x=v, pad=[1, 2, 3, 1], mode="reflect"), (X,)),
    Case("pad_replicate", lambda v: mb.pad(x=v, pad=[1, 2, 2, 1], mode="replicate"), (X,)),
    Case("cumsum", lambda v: mb.cumsum(x=v, axis=1), (X,)),
    Case("cumsum_reverse", lambda v: mb.cumsum(x=v, axis=-1, reverse=True), (X,)),
    Case("cumsum_exclusive", lambda v: mb.cumsum(x=v, axis=1, exclusive=True), (X,), lambda x: x.cumsum(1) - x),
    Case("non_zero", lambda v: mb.non_zero(x=v), (INTS,)),
    Case("argsort", lambda v: mb.argsort(x=v, axis=-1), (X,)),
    Case("argsort_up", lambda v: mb.argsort(x=v, axis=1, ascending=True), (X,)),
    Case("topk", lambda v: mb.topk(x=v, k=2, axis=1), (X,)),
    Case("topk_up", lambda v: mb.topk(x=v, k=3, axis=-1, ascending=True), (X,)),
    Case("topk_values", lambda v: mb.topk(x=v, k=1, return_indices=False), (X,),
         lambda x: x.amax(-1, keepdim=True), target=_16),
    Case("gather", lambda v, i: mb.gather(x=v, indices=i, axis=1), (X, ROWS)),
    Case("gather_square", lambda v, i: mb.gather(x=v, indices=i, axis=-1), (X, FIRST)),
    Case("gather_scalar", lambda v: mb.gather(x=v, indices=1, axis=0), (X,)),
    Case("gather_batch", lambda v, i: mb.gather(x=v, indices=i, axis=1, batch_dims=1), (X, FIRST), target=_16),
    Case("gather_batch_inner", lambda v, i: mb.gather(x=v, indices=i, axis=2, batch_dims=1), (X, FIRST), target=_16),
    Case("gather_along_axis", lambda v, i: mb.gather_along_axis(x=v, indices=i, axis=1),
         (values(2, 3), FIRST), lambda x, i: torch.take_along_dim(x, i.long() % 3, 1)),
    Case("gather_nd", lambda v, i: mb.gather_nd(x=v, indices=i), (X, PAIRS), lambda x, i: x[i[..., 0], i[..., 1]]),
    Case("gather_nd_batch", lambda v, i: mb.gather_nd(x=v, indices=i, batch_dims=1),
         (X, np.array([[[0], [2]], [[1], [1]]], np.int32)),
         lambda x, i: torch.stack([x[0, [0, 2]], x[1, [1, 1]]]), target=_16),
    *(case for mode in MODES for case in scatters(mode)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_op(case: Case, computed: dict[str, Any]) -> None:
    compare(case, computed[case.name])
