"""ONNX Runtime's transformer fusions: attention, layer normalisation and GELU become one operator each."""

from __future__ import annotations

import logging
from pathlib import Path

import onnx
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from edgepack.errors import ConversionError

logging.getLogger("onnxruntime.transformers").setLevel(logging.ERROR)
for _name in ("fusion_base", "onnx_model", "onnx_model_bert", "fusion_attention", "fusion_utils", "optimizer"):
    logging.getLogger(_name).setLevel(logging.ERROR)

# onnxruntime's optimizer knows graphs by the family they were traced from
_FAMILIES = {"vit": "vit", "deit": "vit", "dinov2": "vit", "clip_vision_model": "clip", "swin": "swin"}


def fuse(model: Path, out: Path, *, model_type: str, heads: int, hidden: int) -> None:
    """Write the fused graph of ``model`` to ``out``; what no fusion knows stays as it is.

    Raises ConversionError when inputs or outputs have changed.
    """
    family = _FAMILIES.get(model_type, "bert")
    options = FusionOptions(family)
    options.enable_embed_layer_norm = False  # it would hold the tables, which are to be compressed
    optimized = optimize_model(
        str(model),
        model_type=family,
        num_heads=heads,
        hidden_size=hidden,
        optimization_options=options,
        opt_level=0,
        verbose=False,
    ).model
    _check(onnx.load(model, load_external_data=False), optimized)
    onnx.save(optimized, out)


def _check(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    for kind in ("input", "output"):
        was = [(v.name, v.type.tensor_type.elem_type) for v in getattr(before.graph, kind)]
        now = [(v.name, v.type.tensor_type.elem_type) for v in getattr(after.graph, kind)]
        if was != now:
            raise ConversionError(f"the fusion changed the {kind}s from {was} to {now}")
