"""Fuse a transformer's graph with ONNX Runtime's own fusions: attention, skip layer norm, bias GELU.

Embedding lookups stay Gather nodes, so that their tables can be compressed, and attention takes the
two-dimensional mask, so that padding on either side and any batch size give the right result.
"""

from __future__ import annotations

import logging
import math
import mmap
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_model, set_external_data, uses_external_data
from onnxruntime.transformers.fusion_options import AttentionMaskFormat, FusionOptions
from onnxruntime.transformers.optimizer import optimize_by_fusion

from edgepack import memory
from edgepack.arrays import Array
from edgepack.errors import ConversionError
from edgepack.formats.onnx.export import aside, attention_nodes, eager
from edgepack.formats.onnx.export.quiet import quiet

logging.getLogger("onnxruntime.transformers").setLevel(logging.ERROR)
logging.getLogger("symbolic_shape_infer").setLevel(logging.ERROR)  # of lengths rounded up, which it cannot compare
for _name in ("fusion_base", "fusion_skiplayernorm", "fusion_skip_group_norm"):
    logging.getLogger(_name).setLevel(logging.ERROR)

# Hugging Face's model_type -> the optimizer's; the rest are encoders in BERT's shape, or match nothing
_OPTIMIZERS = {"vit": "vit", "deit": "vit", "swin": "swin", "bart": "bart", "clip": "clip"}
WEIGHTS = "weights.bin"  # beside the fused model: mapped or read one at a time, never parsed as a whole
_ALIGNED_KINDS = {"MatMul", "Gemm", "Gather", "Conv"}


def fuse(
    model: Path,
    out: Path,
    *,
    model_type: str,
    heads: int,
    hidden: int,
    ir_version: int,
    tables: dict[str, Array],
    shapes: Mapping[str, Sequence[tuple[int, ...]]] | None = None,
    join_eager: bool = True,
    patterns: bool = True,
) -> None:
    """Write ``model`` (float32 ONNX) with its attention, normalisation and activation fused to ``out`` and WEIGHTS.

    ``heads`` and ``hidden`` are the attention's head count and width; 0 lets the fusion find them.
    ``ir_version`` is what the target's runtime reads; ``tables`` are the weights that export() set aside, by name, to
    which those that are joined are added. ``shapes`` are those that the module gives of each output, for several
    inputs: a size that is the same in all becomes a number in the graph, where the tracer left a name of its own. A
    graph without such patterns (a convolutional network) comes out as it was, and any does without ``patterns``.
    With ``join_eager`` attention that the model's code writes out becomes one operator too.
    Raises ConversionError when the fused graph has other inputs or outputs.
    """
    if not heads or hidden % heads:
        heads = hidden = 0  # stages of several widths (Swin): onnxruntime wants both numbers or neither
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        light = _set_weights_aside(model, Path(folder), tables)
        memory.release()  # the rest of it
        before = _interface(light)
        if join_eager:
            eager.gather(light)
        attention_nodes.join(light, tables)
        if heads and hidden:
            _join_scales(light, (hidden / heads) ** -0.5)
        fused: ModelProto = light
        if patterns:
            fused = _by_patterns(light, model_type, heads, hidden)
        _import_contrib(fused)
        fused.ir_version = ir_version
        _name_weights(fused)
        if _interface(fused) != before:
            raise ConversionError(f"fusing changed the interface: {before} became {_interface(fused)}")
        _size_outputs(fused, shapes or {})
        del light
        memory.release()
        _write(fused, Path(folder), out, tables)


def _size_outputs(model: ModelProto, shapes: Mapping[str, Sequence[tuple[int, ...]]]) -> None:
    """Write the sizes of outputs that no input has a name for, and that are always the same, as numbers."""
    varying = {side.dim_param for value in model.graph.input for side in value.type.tensor_type.shape.dim}
    for output in model.graph.output:
        for axis, side in enumerate(output.type.tensor_type.shape.dim):
            found = {shape[axis] for shape in shapes.get(output.name, ())}
            if side.dim_param and side.dim_param not in varying and len(found) == 1:
                side.dim_value = found.pop()


def _by_patterns(model: ModelProto, model_type: str, heads: int, hidden: int) -> ModelProto:
    """Apply ONNX Runtime's own fusions. Raises ConversionError where they fail on the graph."""
    try:
        with quiet():
            fused: ModelProto = optimize_by_fusion(
                model, _OPTIMIZERS.get(model_type, "bert"), heads, hidden, _options()
            ).model
    except Exception as error:  # assertions and look-ups of its pattern matching
        raise ConversionError(f"ONNX Runtime's fusion fails ({type(error).__name__})") from error
    return fused


def _options() -> FusionOptions:
    options = FusionOptions("bert")
    options.use_raw_attention_mask(True)  # a mask of lengths would be wrong for padding on the left
    options.enable_embed_layer_norm = False
    options.attention_mask_format = AttentionMaskFormat.AttentionMask
    return options


def _set_weights_aside(model: Path, folder: Path, tables: Mapping[str, Array]) -> ModelProto:
    """Return ``model`` with the large weights that no fusion reads in a file of ``folder``, or among ``tables``.

    The fusions copy the whole graph many times for shape inference; without the weights, that is far faster.
    Square matrices stay, because fusing attention joins those of query, key and value.
    """
    proto = onnx.load(model, load_external_data=False)
    if not {tensor.name for tensor in proto.graph.initializer if uses_external_data(tensor)} <= tables.keys():
        load_external_data_for_model(proto, str(model.parent))
    square = {i.name for i in proto.graph.initializer if len(i.dims) == 2 and i.dims[0] == i.dims[1]}
    readers: dict[str, set[str]] = {}
    for node in proto.graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    for tensor in proto.graph.initializer:
        movable = readers.get(tensor.name, set()) <= _ALIGNED_KINDS and tensor.name not in square
        if movable and len(tensor.raw_data) >= aside.LEAST:
            set_external_data(tensor, "weights")
    onnx.save(proto, folder / "light.onnx")
    return onnx.load(folder / "light.onnx", load_external_data=False)


def _write(model: ModelProto, folder: Path, out: Path, tables: Mapping[str, Array]) -> None:
    """Write ``model`` to ``out`` and its large weights to a file beside it, one at a time."""
    with (out.parent / WEIGHTS).open("wb") as file:
        for tensor in model.graph.initializer:
            value = _value(tensor, folder, tables)
            if value.nbytes >= aside.LEAST:
                file.write(b"\0" * (-file.tell() % mmap.ALLOCATIONGRANULARITY))  # so that it can be mapped
                tensor.CopyFrom(aside.point(tensor.name, value, WEIGHTS, file.tell()))
                file.write(np.ascontiguousarray(value).data)
            elif tensor.data_location == TensorProto.EXTERNAL:
                tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    out.write_bytes(model.SerializeToString(deterministic=True))


def _value(tensor: TensorProto, folder: Path, tables: Mapping[str, Array]) -> Array:
    if tensor.name in tables:
        return tables[tensor.name]
    return numpy_helper.to_array(tensor, str(folder))


def _join_scales(model: ModelProto, usual: float) -> None:
    """Rewrite softmax((a q)(b k)), PyTorch's export of attention without a mask, as softmax(q k / c), which fuses.

    Done where a * b is ``usual``, 1 / sqrt(head width): the fused operator scales by that.
    """
    values = {node.output[0]: node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"}
    makers = {node.output[0]: node for node in model.graph.node}
    nodes = list(model.graph.node)
    for place, softmax in reversed(list(enumerate(nodes))):
        product = makers.get(softmax.input[0]) if softmax.op_type == "Softmax" else None
        if product is None or product.op_type != "MatMul":
            continue
        scaled = [makers[name] for name in product.input if name in makers]
        factor = math.prod(_factor(node, values) for node in scaled)
        if len(scaled) < 2 or not math.isclose(factor, usual, rel_tol=1e-4):
            continue
        product.input[:] = [node.input[0] for node in scaled]
        name = f"{product.output[0]}_scaled"
        divisor = numpy_helper.from_array(np.array(1 / usual, np.float32), f"{name}_divisor")
        model.graph.initializer.append(divisor)
        nodes.insert(place, helper.make_node("Div", [softmax.input[0], divisor.name], [name], name=name))
        softmax.input[0] = name
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _factor(node: NodeProto, values: dict[str, TensorProto]) -> float:
    """Return the constant that ``node`` multiplies its first input by; 0 when it does something else."""
    if node.op_type != "Mul" or node.input[1] not in values:
        return 0.0
    value = numpy_helper.to_array(values[node.input[1]])
    return float(value.item()) if value.size == 1 else 0.0


def _interface(model: ModelProto) -> list[tuple[str, int]]:
    """Return names and element types of the inputs and outputs."""
    values = [*model.graph.input, *model.graph.output]
    return [(value.name, value.type.tensor_type.elem_type) for value in values]


def _import_contrib(model: ModelProto) -> None:
    if not any(imported.domain == "com.microsoft" for imported in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))


def _name_weights(model: ModelProto) -> None:
    """Name the exporter's anonymous weights (``onnx::MatMul_774``) after the first layer that uses them."""
    names = {tensor.name for tensor in model.graph.initializer}
    anonymous = {name for name in names if name.startswith("onnx::")}
    renamed: dict[str, str] = {}
    for node in model.graph.node:
        layer = node.output[0].rsplit("/", 1)[0].strip("/").replace("/", ".")
        fresh = f"{layer}.weight"
        for name in node.input:
            if name in anonymous and name not in renamed and fresh not in names and layer:
                renamed[name] = fresh
                names.add(fresh)
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    for tensor in model.graph.initializer:
        tensor.name = renamed.get(tensor.name, tensor.name)
