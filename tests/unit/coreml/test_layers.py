"""Products, convolutions, pools, norms, resizing, recurrence and quantization against torch."""

from __future__ import annotations

from math import sqrt
from typing import Any

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb
from torch.nn import functional as F

from .conftest import Case, compare, values

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

_16, _17, _18 = ct.target.iOS16, ct.target.iOS17, ct.target.iOS18
X, LINE, IMAGE, BLOCK = values(2, 3, 4), values(2, 4, 9), values(2, 4, 7, 8), values(1, 2, 4, 5, 6)
BIAS = values(6, seed=9)
RESIZE_MODES = ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "UNALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS")


def conv(name: str, x: Any, kernel: tuple[int, ...], groups: int = 1, **options: Any) -> Case:
    """Against torch on an input that is padded by hand."""
    weight, spatial = values(6, x.shape[1] // groups, *kernel, seed=4), len(kernel)
    strides, dilations = options.get("strides", [1] * spatial), options.get("dilations", [1] * spatial)
    pads = padding(options, x.shape[2:], [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)], strides)

    def expected(v: torch.Tensor) -> torch.Tensor:
        run = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[spatial]
        return run(F.pad(v, pads), torch.from_numpy(weight), torch.from_numpy(BIAS), strides, 0, dilations, groups)

    made = lambda v: mb.conv(x=v, weight=weight, bias=BIAS, groups=groups, **{"pad_type": "valid", **options})  # noqa: E731
    return Case(f"conv_{name}", made, (x,), expected, 1e-4, _16)


def padding(options: dict[str, Any], sizes: Any, kernel: list[int], strides: list[int]) -> list[int]:
    """As torch's pad takes it."""
    kind = options.get("pad_type", "valid")
    if kind == "custom":
        pairs = list(zip(options["pad"][::2], options["pad"][1::2], strict=True))
    else:
        pairs = []
        for size, window, stride in zip(sizes, kernel, strides, strict=True):
            total = max((int(np.ceil(size / stride)) - 1) * stride + window - size, 0) if kind != "valid" else 0
            pair = (total // 2, total - total // 2)
            pairs.append(pair[::-1] if kind == "same_lower" else pair)
    return [amount for pair in reversed(pairs) for amount in pair]


def pool(kind: str, name: str, x: Any, expected: Any, **options: Any) -> Case:
    made = lambda v: getattr(mb, f"{kind}_pool")(x=v, **{"pad_type": "valid", **options})  # noqa: E731
    return Case(f"{kind}_pool_{name}", made, (x,), expected, target=_16)


def transposed(
    name: str, kernel: tuple[int, ...], expected: Any, x: Any = IMAGE, groups: int = 1, **options: Any
) -> Case:
    weight = values(x.shape[1], 6 // groups, *kernel, seed=5)
    made = lambda v: mb.conv_transpose(x=v, weight=weight, bias=BIAS, groups=groups, **options)  # noqa: E731
    run = F.conv_transpose1d if len(kernel) == 1 else F.conv_transpose2d
    parts = torch.from_numpy(weight), torch.from_numpy(BIAS)
    return Case(f"conv_transpose_{name}", made, (x,), lambda v: expected(run, v, *parts), 1e-4)


def resized(mode: str) -> list[Case]:
    """By the grid that MIL's definition of resize_bilinear gives."""

    def points(size: int, wanted: int) -> np.ndarray[Any, Any]:
        i = np.arange(wanted)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = {
                "STRICT_ALIGN_CORNERS": i * ((size - 1) / (wanted - 1)),
                "ALIGN_CORNERS": i * ((size - 1) / (wanted - 1)),
                "UNALIGN_CORNERS": i * (size / wanted) + 0.5 * size / wanted - 0.5,
                "DEFAULT": i * ((size - size / wanted) / (wanted - 1)),
                "OFFSET_CORNERS": 0.5 * max(1, size - 1) / wanted + i * (max(1, size - 1) / wanted),
            }[mode]
        return np.clip(found, 0, size - 1)

    def expected(x: torch.Tensor) -> Any:
        made = x.numpy()
        for axis, wanted in ((2, 5), (3, 11)):
            at = points(made.shape[axis], wanted)
            made = np.apply_along_axis(lambda row, at=at: np.interp(at, np.arange(len(row)), row), axis, made)
        return made

    sizes = {"target_size_height": 5, "target_size_width": 11}
    return [
        Case(f"resize_bilinear_{mode}", lambda v: mb.resize_bilinear(x=v, sampling_mode=mode, **sizes), (IMAGE,), expected),  # noqa: E501
        Case(f"resize_{mode}", lambda v: mb.resize(
            x=v, shape=[5, 11], resized_dims=np.uint32(2), sampling_mode=mode), (IMAGE,), expected, target=_17),
    ]  # fmt: skip


def lstm(direction: str, sequence: bool) -> Case:
    """Torch's gates lie in the order i, f, cell, o; Core ML's i, f, o, cell."""
    both = direction == "bidirectional"
    torch.manual_seed(0)
    layer = torch.nn.LSTM(3, 4, bidirectional=both)
    order = np.r_[0:8, 12:16, 8:12]

    def weights(tag: str) -> list[Any]:
        found = {name: value.detach().numpy() for name, value in layer.named_parameters()}
        bias = found[f"bias_ih_l0{tag}"] + found[f"bias_hh_l0{tag}"]
        return [found[f"weight_ih_l0{tag}"][order], found[f"weight_hh_l0{tag}"][order], bias[order]]

    ahead = dict(zip(("weight_ih", "weight_hh", "bias"), weights(""), strict=True))
    behind = weights("_reverse") if both else []
    options = ahead | dict(zip(("weight_ih_back", "weight_hh_back", "bias_back"), behind, strict=False))

    def expected(x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> Any:
        count, x = (2 if both else 1), x.flip(0) if direction == "reverse" else x
        with torch.no_grad():
            every, (last, cell) = layer(x, tuple(one.reshape(2, count, 4).transpose(0, 1) for one in (h, c)))
        last, cell = (one.transpose(0, 1).reshape(2, -1) for one in (last, cell))
        every = every.flip(0) if direction == "reverse" else every
        return (every if sequence else last[None]), last, cell

    wide = 8 if both else 4
    return Case(
        f"lstm_{direction}_{sequence}",
        lambda x, h, c: mb.lstm(
            x=x, initial_h=h, initial_c=c, direction=direction, output_sequence=sequence, **options
        ),
        (values(5, 2, 3), values(2, wide, seed=1), values(2, wide, seed=2)),
        expected,
    )


def rnn(x: torch.Tensor, h: torch.Tensor) -> Any:
    w, u, b = (torch.from_numpy(one) for one in (W_IH, W_HH, values(4, seed=7)))
    every = []
    for step in x:
        h = torch.tanh(step @ w.T + h @ u.T + b)
        every.append(h)
    return torch.stack(every), h


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | float = 0.0) -> torch.Tensor:
    if isinstance(mask, torch.Tensor) and mask.dtype == torch.bool:
        mask = torch.where(mask, 0.0, -torch.inf)
    return torch.softmax(q @ k.mT / sqrt(q.shape[-1]) + mask, -1) @ v


W_IH, W_HH = values(4, 3, seed=5), values(4, 4, seed=6)
QKV = values(1, 2, 3, 8), values(1, 2, 5, 8, seed=1), values(1, 2, 5, 6, seed=2)
GAMMA, BETA = values(4, seed=3), values(4, seed=4)
AXIS = np.array([1.0, 0.5, 0.1], np.float32), np.array([3, -2, 0], np.int8)

CASES = [
    Case("linear", lambda v: mb.linear(x=v, weight=values(5, 4), bias=values(5)), (X,)),
    Case("linear_no_bias", lambda v: mb.linear(x=v, weight=values(5, 4)), (X,)),
    Case("matmul", lambda v, w: mb.matmul(x=v, y=w), (X, values(2, 4, 5))),
    Case("matmul_transposed", lambda v, w: mb.matmul(x=v, y=w, transpose_x=True, transpose_y=True),
         (values(2, 4, 3), values(5, 4)), lambda x, y: x.mT @ y.mT),
    Case("einsum", lambda v, w: mb.einsum(values=(v, w), equation="nchw,nwhu->nchu"),
         (values(1, 2, 3, 4), values(1, 4, 3, 5)), lambda x, y: torch.einsum("nchw,nwhu->nchu", x, y)),
    conv("1d", LINE, (3,), pad_type="custom", pad=[1, 2]),
    conv("2d", IMAGE, (3, 2), strides=[2, 1], pad_type="custom", pad=[1, 1, 0, 2]),
    conv("symmetric", IMAGE, (3, 3), pad_type="custom", pad=[1, 1, 1, 1]),
    conv("dilated", IMAGE, (2, 3), dilations=[2, 2]),
    conv("same", IMAGE, (3, 4), strides=[2, 2], pad_type="same"),
    conv("same_lower", IMAGE, (3, 4), strides=[2, 2], pad_type="same_lower"),
    conv("grouped", IMAGE, (3, 3), groups=2),
    conv("3d", BLOCK, (2, 3, 3), pad_type="same"),
    Case("conv_depthwise", lambda v: mb.conv(x=v, weight=values(4, 1, 3, 3), groups=4, pad_type="same"), (IMAGE,),
         lambda x: F.conv2d(x, torch.from_numpy(values(4, 1, 3, 3)), padding=1, groups=4)),
    Case("conv_dynamic", lambda v, w: mb.conv(x=v, weight=w), (IMAGE, values(3, 4, 3, 3)), F.conv2d, 1e-4),
    transposed("valid", (3, 3), lambda f, x, w, b: f(x, w, b, stride=2), strides=[2, 2], pad_type="valid"),
    transposed("custom", (3, 3), lambda f, x, w, b: f(x, w, b, stride=2, padding=1), strides=[2, 2],
               pad_type="custom", pad=[1, 1, 1, 1]),
    transposed("same", (2, 2), lambda f, x, w, b: f(x, w, b, stride=2), strides=[2, 2], pad_type="same"),
    transposed("same_odd", (3, 3), lambda f, x, w, b: f(x, w, b, stride=2)[:, :, :14, :16], strides=[2, 2],
               pad_type="same"),
    transposed("output_shape", (3, 3), lambda f, x, w, b: f(x, w, b, stride=2, padding=1, output_padding=1),
               strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1], output_shape=[2, 6, 14, 16]),
    transposed("grouped", (2, 3), lambda f, x, w, b: f(x, w, b, groups=2, dilation=2), groups=2, dilations=[2, 2]),
    transposed("1d", (4,), lambda f, x, w, b: f(x, w, b, stride=3), x=LINE, strides=[3]),
    pool("max", "valid", IMAGE, lambda x: F.max_pool2d(x, (2, 3), (2, 1)), kernel_sizes=[2, 3], strides=[2, 1]),
    pool("max", "custom", IMAGE, lambda x: F.max_pool2d(x, 3, 2, 1), kernel_sizes=[3, 3], strides=[2, 2],
         pad_type="custom", pad=[1, 1, 1, 1]),
    pool("max", "ceil", IMAGE, lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), kernel_sizes=[3, 3], strides=[2, 2],
         pad_type="custom", pad=[1, 1, 1, 1], ceil_mode=True),
    pool("max", "same", LINE, lambda x: F.max_pool1d(F.pad(x, (0, 1), value=-torch.inf), 2, 1), kernel_sizes=[2],
         strides=[1], pad_type="same"),
    pool("max", "3d", BLOCK, lambda x: F.max_pool3d(x, 2), kernel_sizes=[2, 2, 2], strides=[2, 2, 2]),
    pool("avg", "valid", IMAGE, lambda x: F.avg_pool2d(x, 3, 2), kernel_sizes=[3, 3], strides=[2, 2]),
    pool("avg", "padded", IMAGE, lambda x: F.avg_pool2d(x, 3, 2, 1), kernel_sizes=[3, 3], strides=[2, 2],
         pad_type="custom", pad=[1, 1, 1, 1]),
    pool("avg", "excluded", IMAGE, lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), kernel_sizes=[3, 3],
         strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1], exclude_padding_from_average=True),
    pool("avg", "ceil", IMAGE, lambda x: F.avg_pool2d(x, 3, 2, 1, True), kernel_sizes=[3, 3], strides=[2, 2],
         pad_type="custom", pad=[1, 1, 1, 1], ceil_mode=True),
    pool("avg", "1d", LINE, lambda x: F.avg_pool1d(x, 3), kernel_sizes=[3], strides=[3]),
    pool("l2", "valid", IMAGE, lambda x: F.lp_pool2d(x, 2, 3, 2), kernel_sizes=[3, 3], strides=[2, 2]),
    Case("batch_norm", lambda v: mb.batch_norm(
        x=v, mean=GAMMA, variance=BETA**2 + 0.1, gamma=BETA, beta=GAMMA, epsilon=1e-3), (IMAGE,),
        lambda x: F.batch_norm(x, *map(torch.from_numpy, (GAMMA, BETA**2 + 0.1, BETA, GAMMA)), eps=1e-3)),
    Case("batch_norm_plain", lambda v: mb.batch_norm(x=v, mean=GAMMA, variance=BETA**2 + 0.1), (LINE,),
         lambda x: F.batch_norm(x, torch.from_numpy(GAMMA), torch.from_numpy(BETA**2 + 0.1))),
    Case("instance_norm", lambda v: mb.instance_norm(x=v, gamma=GAMMA, beta=BETA, epsilon=1e-4), (IMAGE,),
         lambda x: F.instance_norm(x, weight=torch.from_numpy(GAMMA), bias=torch.from_numpy(BETA), eps=1e-4)),
    Case("instance_norm_plain", lambda v: mb.instance_norm(x=v), (LINE,), F.instance_norm),
    Case("l2_norm", lambda v: mb.l2_norm(x=v, epsilon=1e-3), (IMAGE,),
         lambda x: x / (x.square().sum((1, 2, 3), keepdim=True) + 1e-3).sqrt()),
    Case("layer_norm", lambda v: mb.layer_norm(x=v, axes=[-1], gamma=GAMMA, beta=BETA, epsilon=1e-4), (X,),
         lambda x: F.layer_norm(x, (4,), torch.from_numpy(GAMMA), torch.from_numpy(BETA), 1e-4)),
    Case("layer_norm_middle", lambda v: mb.layer_norm(x=v, axes=[1], gamma=GAMMA, beta=BETA), (IMAGE,),
         lambda x: F.layer_norm(x.movedim(1, -1), (4,), torch.from_numpy(GAMMA), torch.from_numpy(BETA)).movedim(-1, 1)),  # noqa: E501
    Case("layer_norm_plain", lambda v: mb.layer_norm(x=v, axes=[1, 2]), (X,), lambda x: F.layer_norm(x, (3, 4))),
    Case("local_response_norm", lambda v: mb.local_response_norm(x=v, size=3, alpha=0.1, beta=0.5, k=2.0), (IMAGE,),
         lambda x: F.local_response_norm(x, 3, 0.1, 0.5, 2.0)),
    Case("attention", lambda q, k, v: mb.scaled_dot_product_attention(query=q, key=k, value=v), QKV, attention, target=_18),  # noqa: E501
    Case("attention_mask", lambda q, k, v, m: mb.scaled_dot_product_attention(query=q, key=k, value=v, attn_mask=m),
         (*QKV, values(3, 5, seed=3)), attention, target=_18),
    Case("attention_bool", lambda q, k, v, m: mb.scaled_dot_product_attention(query=q, key=k, value=v, attn_mask=m),
         (*QKV, values(3, 5, seed=3) > -1), attention, target=_18),
    Case("upsample_nearest", lambda v: mb.upsample_nearest_neighbor(x=v, scale_factor_height=2, scale_factor_width=3),
         (IMAGE,), lambda x: F.interpolate(x, scale_factor=(2, 3))),
    Case("resize_nearest", lambda v: mb.resize_nearest_neighbor(x=v, target_size_height=10, target_size_width=5),
         (IMAGE,), lambda x: F.interpolate(x, (10, 5))),
    Case("resize_nearest_17", lambda v: mb.resize(
        x=v, shape=[0, 5], resized_dims=np.uint32(2), interpolation_mode="NEAREST_NEIGHBOR"), (IMAGE,),
        lambda x: F.interpolate(x, (7, 5)), target=_17),
    Case("upsample_bilinear", lambda v: mb.upsample_bilinear(
        x=v, scale_factor_height=2, scale_factor_width=3, align_corners=True), (IMAGE,),
        lambda x: F.interpolate(x, scale_factor=(2, 3), mode="bilinear", align_corners=True)),
    Case("upsample_bilinear_half", lambda v: mb.upsample_bilinear(
        x=v, scale_factor_height=1.5, scale_factor_width=2.0, align_corners=False), (IMAGE,),
        lambda x: F.interpolate(x, (10, 16), mode="bilinear", align_corners=False)),
    *(case for mode in RESIZE_MODES for case in resized(mode)),
    *(Case(f"resample_{mode}_{pad}", lambda v, c, mode=mode, pad=pad: mb.resample(
        x=v, coordinates=c, sampling_mode=mode, padding_mode=pad, padding_value=0.0,
        coordinates_mode="normalized_minus_one_to_one", align_corners=False), (IMAGE, values(2, 3, 5, 2, low=-1.5, high=1.5)),  # noqa: E501
        lambda x, c, mode=mode, pad=pad: F.grid_sample(
            x, c, mode, {"constant": "zeros", "border": "border", "reflection": "reflection"}[pad], align_corners=False))  # noqa: E501
      for mode, pad in (("bilinear", "constant"), ("nearest", "border"), ("bilinear", "reflection"))),
    Case("resample_pixels", lambda v, c: mb.resample(
        x=v, coordinates=c, sampling_mode="bilinear", padding_mode="constant", padding_value=0.0,
        coordinates_mode="unnormalized", align_corners=True), (IMAGE, np.full((2, 1, 1, 2), 2.0, np.float32)),
        lambda x, c: x[:, :, 2:3, 2:3]),
    *(lstm(direction, sequence) for direction in ("forward", "reverse", "bidirectional") for sequence in (True, False)),
    Case("rnn", lambda x, h: mb.rnn(x=x, initial_h=h, weight_ih=W_IH, weight_hh=W_HH, bias=values(4, seed=7),
                                    output_sequence=True), (values(5, 2, 3), values(2, 4)), rnn),
    Case("quantize", lambda v: mb.quantize(input=v, zero_point=np.int8(3), scale=0.1, output_dtype="int8"), (X,),
         lambda x: (torch.round(x / 0.1) + 3).clamp(-128, 127).int(), target=_17),
    Case("dequantize", lambda v: mb.dequantize(
        input=mb.quantize(input=v, zero_point=AXIS[1], scale=AXIS[0], axis=1, output_dtype="int8"),
        zero_point=AXIS[1], scale=AXIS[0], axis=1), (X,),
        lambda x: torch.round(x / torch.from_numpy(AXIS[0])[:, None]) * torch.from_numpy(AXIS[0])[:, None], target=_17),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_op(case: Case, computed: dict[str, Any]) -> None:
    compare(case, computed[case.name])
