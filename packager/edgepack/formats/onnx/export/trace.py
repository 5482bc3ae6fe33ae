"""Export the original to ONNX by tracing, with pooling and normalisation in the graph."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from edgepack.arrays import Array, Feeds, Outputs
from edgepack.documents import JsonDict, JsonObject
from edgepack.errors import ConversionError
from edgepack.formats.onnx.export import aside, attention
from edgepack.formats.onnx.export.quiet import quiet
from edgepack.original import masks, positions, windows
from edgepack.original.library import PretrainedConfig, PretrainedModel
from edgepack.tasks import Axes

_ROWS = 1024  # of a table that stay while tracing
_WAVES = "input_values"
_TEXT_AXES = {0: "batch_size", 1: "sequence_length"}  # as optimum and transformers.js call them


def export(
    module: nn.Module,
    out: Path,
    *,
    batch: tuple[Feeds, Outputs],
    outputs: Sequence[str],
    opset: int,
    own_attention: bool,
    axes: Axes | None = None,
    weights_aside: bool = False,
) -> dict[str, Array]:
    """Write ``module`` (see original/pytorch.py) to ``out`` with dynamic batch and sequence length, or those ``axes``.

    ``batch`` is what goes in and what comes out, by name. With ``own_attention`` attention becomes one node (see
    attention.py). Large embedding tables are cut to a few rows in ``out`` and returned whole, by name: the exporter
    would copy them three times. With ``weights_aside`` all large weights are left out and returned (see aside.py).
    fuse() puts them back.
    Raises ConversionError where the tracer gives up.
    """
    given = {name: torch.from_numpy(array) for name, array in batch[0].items()}
    with warnings.catch_warnings(), _small_tables(module, given) as tables, _tupled(module, list(given), outputs):
        # the tracer warns of every Python number in the model's code; agreement is measured afterwards
        warnings.simplefilter("ignore")
        spread = aside.numbered(module) if weights_aside else nullcontext()
        steady = masks.broadcast(), positions.fixed(module), windows.blockwise(module)
        with quiet(), steady[0], steady[1], steady[2], _attending(module, own=own_attention), spread:
            try:
                torch.onnx.export(
                    module,
                    tuple(given.values()),
                    str(out),
                    input_names=list(given),
                    output_names=list(outputs),
                    dynamic_axes=_own_axes(axes, *batch) if axes else _axes(*batch),
                    opset_version=opset,
                    dynamo=False,
                    export_params=not weights_aside,
                    do_constant_folding=not weights_aside,
                )
            except OSError:  # a full disk
                raise
            except Exception as error:  # whatever the model's code or the tracer's passes raise
                line = (str(error).splitlines() or [""])[0]
                raise ConversionError(f"PyTorch cannot trace it ({type(error).__name__}: {line})") from error
    return aside.put(module, out) if weights_aside else tables


def _own_axes(axes: Axes, given: Feeds, found: Outputs) -> dict[str, dict[int, str]]:
    """Return the task's names of the dimensions that vary; of outputs that it does not name the first."""
    return {name: dict(axes.get(name, {0: "batch_size"})) for name in (*given, *found)}


def _axes(given: Feeds, found: Outputs) -> dict[str, dict[int, str]]:
    """Return the names of the dimensions that vary, by input and output; of an output as many as it shares with the
    input. Waveforms are of any length, as texts are.
    """
    texts = "input_ids" in given
    along = texts or any(name == _WAVES and array.ndim == 2 for name, array in given.items())
    axes = {name: _TEXT_AXES if along else {0: "batch_size"} for name in given}
    tokens = next(iter(given.values())).shape[1] if texts else -1
    for name, value in found.items():
        by_token = texts and value.ndim > 1 and value.shape[1] == tokens
        axes[name] = _TEXT_AXES if by_token else {0: "batch_size"}
    return axes


@contextmanager
def _tupled(module: nn.Module, inputs: Sequence[str], outputs: Sequence[str]) -> Iterator[None]:
    """Let ``module`` take tensors in the order of ``inputs`` and give a tuple in the order of ``outputs``."""
    named = module.forward

    def forward(self: nn.Module, *tensors: Tensor) -> tuple[Tensor, ...]:
        found = named(**dict(zip(inputs, tensors, strict=True)))
        lacking = [name for name in outputs if found.get(name) is None]
        if lacking:
            raise ConversionError(f"the model gives no {lacking[0]}", hint="the task may be another: --task")
        return tuple(found[name] for name in outputs)

    module.forward = types.MethodType(forward, module)
    try:
        yield
    finally:
        del module.forward


@contextmanager
def _attending(module: nn.Module, *, own: bool) -> Iterator[None]:
    """Let the model inside ``module`` have attention as one node, or else as transformers writes it out ("eager")."""
    model: PretrainedModel | None = next(
        (part for part in module.modules() if hasattr(part, "set_attn_implementation")), None
    )
    if model is None:
        with attention.of_pytorch() if own else nullcontext():
            yield
        return
    before = model.config._attn_implementation
    try:
        model.set_attn_implementation(attention.NAME if own else "eager")
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def _small_tables(module: nn.Module, given: dict[str, Tensor]) -> Iterator[dict[str, Array]]:
    """Leave a few rows of every large embedding table, and ids below them; the whole tables by parameter name."""
    cut: dict[str, nn.Parameter] = {}
    paddings: dict[str, int | None] = {}  # ids that a cut table may lack; they matter in training alone
    owners: JsonDict = dict(module.named_modules())
    try:
        for path in _tables(owners, _vocabulary(module.config)):
            cut[path], paddings[path] = owners[path].weight, owners[path].padding_idx
            owners[path].padding_idx = None
            owners[path].weight = nn.Parameter(cut[path][:_ROWS].detach().clone(), requires_grad=False)
        if cut:  # special tokens, which a model may count, have the first ids
            ids = given["input_ids"]
            given["input_ids"] = torch.where(ids < _ROWS, ids, _ROWS // 2 + ids % (_ROWS // 2))
        yield {f"{path}.weight": weight.detach().numpy() for path, weight in cut.items()}
    finally:
        for path, weight in cut.items():
            owners[path].weight, owners[path].padding_idx = weight, paddings[path]


def _vocabulary(config: PretrainedConfig) -> int | None:
    """Return the words of a model of transformers; None of a component of diffusers."""
    return getattr(config.get_text_config(), "vocab_size", None) if hasattr(config, "get_text_config") else None


def _tables(modules: JsonObject, rows: int | None) -> list[str]:
    """Return the paths of the large tables with a row per word."""
    found = [path for path, part in modules.items() if isinstance(part, nn.Embedding) and part.num_embeddings == rows]
    return found if rows is not None and rows > _ROWS else []
