"""Checkpoints that another tool has quantized, named for what they are: by config.json, by files, by tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgepack.documents import JsonObject
from edgepack.errors import UnsupportedModel
from edgepack.weights import Stored

_FILES = {
    "quantize_config.json": "GPTQ (quantize_config.json)",
    "quant_config.json": "AWQ (quant_config.json)",
    "hf_quant_config.json": "NVIDIA ModelOpt (hf_quant_config.json)",
    "quanto_qmap.json": "optimum-quanto (quanto_qmap.json)",
}
_METHODS = {
    "gptq": "GPTQ", "awq": "AWQ", "bitsandbytes": "bitsandbytes", "fp8": "fp8", "fbgemm_fp8": "fp8 (FBGEMM)",
    "compressed-tensors": "compressed-tensors", "torchao": "torchao", "hqq": "HQQ", "quanto": "optimum-quanto",
    "aqlm": "AQLM", "mxfp4": "MXFP4", "bitnet": "BitNet", "modelopt": "NVIDIA ModelOpt", "exl2": "ExLlamaV2",
    "exl3": "ExLlamaV3", "auto-round": "AutoRound", "eetq": "EETQ", "vptq": "VPTQ", "higgs": "HIGGS",
}  # fmt: skip
# model_type -> the method that its checkpoints are published in, which edgepack reads (decoders/stack.py)
_READ = {"gpt_oss": "MXFP4"}
# The first that fits a tensor's name counts; what a method leaves beside (or in place of) each weight.
_TENSORS = (
    (r"\.g_idx$", "GPTQ"),
    (r"\.qzeros$", "GPTQ or AWQ"),
    (r"\.q_(weight|scale|perm|group_size)$", "ExLlamaV2"),
    (r"\.(trellis|suh|svh)$", "ExLlamaV3"),
    (r"\.quant_state\.|\.(absmax|quant_map|nested_absmax|SCB|weight_format)$", "bitsandbytes"),
    (r"\.weight_scale_inv$", "fp8 in blocks"),
    (r"\.weight_(packed|shape|zero_point|global_scale)$", "compressed-tensors"),
    (r"\.weight_scale(_2)?$|\.input_scale$", "fp8 or int8 with scales (compressed-tensors, ModelOpt)"),
    (r"\.(W_q|meta)$", "HQQ"),
    (r"\.weight(\._data|\._scale|_qtype)$", "optimum-quanto"),
    (r":_?(data|scale|qdata|zero_point)$|\.weight_(qdata|tensor_impl)", "torchao"),
    (r"\.codebooks$", "AQLM"),
    (r"_proj_(blocks|scales)$", "MXFP4"),
    (r"\.qweight$", "GPTQ or AWQ"),
)
_HINT = "start from the original weights (bf16, fp16 or fp32): edgepack quantizes them itself, with --recipe"


def check(folder: Path, config: JsonObject, stored: Sequence[Stored]) -> None:
    """Raises UnsupportedModel, naming the method, for weights that were quantized before."""
    read = _READ.get(str(config.get("model_type", "")))
    found = (_configured(config), _listed(folder), _stored(stored))
    method = next((one for one in found if one and one.partition(" ")[0] != read), "")
    if method:
        raise UnsupportedModel(f"{folder.name} is already quantized: {method}", hint=_hint(folder))


def _configured(config: JsonObject) -> str:
    text = config.get("text_config")
    for table in (config, text if isinstance(text, Mapping) else {}):
        found = table.get("quantization_config") or table.get("compression_config")
        if found:
            method = str(found.get("quant_method", "") if isinstance(found, Mapping) else "")
            return f"{_METHODS.get(method, method) or 'an unnamed method'} (config.json)"
        if isinstance(table.get("quantization"), Mapping):
            return "MLX (config.json's quantization)"
    return ""


def _listed(folder: Path) -> str:
    return next((method for name, method in _FILES.items() if (folder / name).is_file()), "")


def _stored(stored: Sequence[Stored]) -> str:
    """Return what the names and dtypes of the tensors tell."""
    by_name = {tensor.name: tensor for tensor in stored}
    for tensor in stored:
        beside = by_name.get(tensor.name.removesuffix("weight") + "scales")
        if tensor.dtype == "U32" and beside is not None:
            return f"MLX ({tensor.name} in U32 with scales)"
    for pattern, method in _TENSORS:
        name = next((name for name in by_name if re.search(pattern, name)), None)
        if name:
            return f"{method} ({name})"
    for tensor in stored:
        if tensor.dtype.startswith(("F8_", "F6_", "F4")):
            return f"fp{tensor.dtype[1]} ({tensor.name} in {tensor.dtype})"
        if tensor.name.endswith("weight") and len(tensor.shape) > 1 and tensor.dtype.startswith(("I", "U")):
            return f"integers ({tensor.name} in {tensor.dtype})"
    return ""


def _hint(folder: Path) -> str:
    """Return the way on, with the base model where the model card names it."""
    card = folder / "README.md"
    text = card.read_text("utf-8", errors="replace") if card.is_file() else ""
    front = re.match(r"\A---\n(.*?)\n---", text, re.DOTALL)
    base = re.search(r"^base_model:\s*(?:-\s*)?['\"]?([\w.-]+/[\w.-]+)", front[1], re.MULTILINE) if front else None
    return f"{_HINT}: edgepack build {base[1]}" if base else _HINT
