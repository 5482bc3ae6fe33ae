"""A llama-like model folder as a GGUF file for llama.cpp, quantized by llama.cpp itself.

    python benchmarks/gguf_of.py MODEL OUT.gguf --type Q4_K_M

Runs where gguf and llama-cpp-python are installed. The weights and the settings are what llama.cpp's own
convert_hf_to_gguf.py writes; the tokenizer is only a list of tokens, enough to load the file and feed it ids.
"""

from __future__ import annotations

import argparse
import ctypes
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np
from gguf.utility import LocalTensor, SafetensorsLocal

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}
TYPES = {
    "F32": llama_cpp.LLAMA_FTYPE_ALL_F32,
    "F16": llama_cpp.LLAMA_FTYPE_MOSTLY_F16,
    "Q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
    "Q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0,
    "Q4_K_M": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
}
STORED = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}


def main() -> None:
    parser = argparse.ArgumentParser(description="a model folder as a GGUF file")
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--type", choices=TYPES, default="Q4_K_M")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.type in ("F32", "F16"):
        convert(arguments.model, arguments.out, arguments.type)
        return
    plain = arguments.out.with_suffix(".plain.gguf")
    convert(arguments.model, plain, "F32" if of_float32(arguments.model) else "F16")
    quantize(plain, arguments.out, TYPES[arguments.type], arguments.threads)
    plain.unlink()


def convert(folder: Path, out: Path, kind: str) -> None:
    """Matrices of ``kind`` (F32 or F16), vectors in float32; one tensor is in memory at a time."""
    config = json.loads((folder / "config.json").read_text())
    if config.get("rope_scaling"):
        raise SystemExit("scaled rotary embeddings are not converted here")
    arch = ARCHITECTURES[config["model_type"]]
    writer = gguf.GGUFWriter(out, gguf.MODEL_ARCH_NAMES[arch])
    add_settings(writer, config, kind)
    add_tokens(writer, folder, config)
    found = sorted(stored(folder).items())
    names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    for name, tensor in found:
        dtype = np.dtype(np.float16 if kind == "F16" and len(tensor.shape) > 1 else np.float32)
        size = dtype.itemsize * int(np.prod(tensor.shape))
        writer.add_tensor_info(names.get_name(name, (".weight", ".bias")), tensor.shape, dtype, size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, tensor in found:
        values = turned(name, read(tensor), config) if arch == gguf.MODEL_ARCH.LLAMA else read(tensor)
        half = kind == "F16" and values.ndim > 1
        writer.write_tensor_data(np.ascontiguousarray(values, np.float16 if half else np.float32))
    writer.close()


def stored(folder: Path) -> dict[str, LocalTensor]:
    """The tensors of every safetensors file, unread; a head that is tied is not there twice."""
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= SafetensorsLocal(file).tensors
    return {name: tensor for name, tensor in found.items() if not name.endswith("rotary_emb.inv_freq")}


def of_float32(folder: Path) -> bool:
    """Whether any weight is float32, so that float16 would lose some of it."""
    return any(tensor.dtype == "F32" for tensor in stored(folder).values())


def read(tensor: LocalTensor) -> np.ndarray:
    """The values; bfloat16 as float32."""
    values = tensor.mmap_bytes().view(STORED[tensor.dtype]).reshape(tensor.shape)
    return (values.astype(np.uint32) << 16).view(np.float32) if tensor.dtype == "BF16" else values


def turned(name: str, values: np.ndarray, config: dict[str, Any]) -> np.ndarray:
    """Queries and keys with the pairs (i, i + n/2) of a head side by side, as llama.cpp rotates them."""
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config.get("num_key_value_heads")}
    count = heads.get(name.split(".")[-2]) or heads["q_proj"]
    if name.split(".")[-2] not in heads:
        return values
    return values.reshape(count, 2, -1, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def add_settings(writer: gguf.GGUFWriter, config: dict[str, Any], kind: str) -> None:
    """What llama.cpp must know of config.json."""
    heads = config["num_attention_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    rotary = config.get("rope_parameters") or config
    writer.add_name("benchmark")
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(rotary.get("rope_theta", 10000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_file_type(TYPES[kind])


def add_tokens(writer: gguf.GGUFWriter, folder: Path, config: dict[str, Any]) -> None:
    """The tokens' texts in order, as a SentencePiece list without scores; places that no token has are unused."""
    texts = [f"[unused {index}]" for index in range(config["vocab_size"])]
    kinds = [gguf.TokenType.UNUSED] * len(texts)
    for index, text, kind in tokens(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))):
        texts[index], kinds[index] = text, kind
    writer.add_tokenizer_model("llama")
    writer.add_token_list(texts)
    writer.add_token_scores([0.0] * len(texts))
    writer.add_token_types(kinds)
    for add, key in ((writer.add_bos_token_id, "bos_token_id"), (writer.add_eos_token_id, "eos_token_id")):
        if isinstance(config.get(key), int):
            add(config[key])


def tokens(tokenizer: dict[str, Any]) -> Iterator[tuple[int, str, gguf.TokenType]]:
    """Id, text and kind of each token of a tokenizer.json."""
    vocabulary = tokenizer["model"]["vocab"]
    pairs = vocabulary.items() if isinstance(vocabulary, dict) else ((text[0], i) for i, text in enumerate(vocabulary))
    for text, index in pairs:
        byte = len(text) == 6 and text.startswith("<0x")
        yield index, text, gguf.TokenType.BYTE if byte else gguf.TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        yield added["id"], added["content"], gguf.TokenType.CONTROL


def quantize(plain: Path, out: Path, kind: int, threads: int) -> None:
    """llama.cpp's own quantization, without an importance matrix."""
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = kind, threads
    if llama_cpp.llama_model_quantize(str(plain).encode(), str(out).encode(), ctypes.byref(params)):
        raise SystemExit(f"llama.cpp could not quantize {plain}")


if __name__ == "__main__":
    main()
