"""Write a LLaMA of random weights, in the shapes that people run: for what a build costs and how fast it runs.

    python benchmarks/random_llama.py --shape 1b OUT

`1b` is TinyLlama 1.1B (2.2 GB), `7b` is LLaMA-2 7B (13.5 GB); `tiny` is for trying this out. The folder looks like
one from a model hub: config.json, float16 safetensors (several files above 5 GB) and a byte-level tokenizer with
as many tokens as the model. One piece of one tensor is in memory at a time.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

SHAPES = {
    "tiny": {"hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2},
    "100m": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "num_key_value_heads": 4},
    "1b": {"hidden_size": 2048, "num_hidden_layers": 22, "num_attention_heads": 32, "num_key_value_heads": 4},
    "7b": {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32},
}
INNER = {"tiny": 704, "100m": 2048, "1b": 5632, "7b": 11008}
CONTEXT = {"tiny": 512, "100m": 2048, "1b": 2048, "7b": 4096}
VOCABULARY = 32000
SPECIAL = ("<unk>", "<s>", "</s>")
DEVIATION = 0.02  # LLaMA's initializer_range
POOL = 16_777_213  # random numbers that are drawn once; a prime, so that no row of a matrix repeats another
SHARD = 5_000_000_000  # bytes of a file, as model hubs cut them
ITEM = 2  # bytes of a float16

Shapes = dict[str, tuple[int, ...]]


def main() -> None:
    parser = argparse.ArgumentParser(description="a LLaMA of random weights, as a model hub would have it")
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="1b")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write(arguments.out, arguments.shape, arguments.seed)


def write(out: Path, shape: str, seed: int = 0) -> None:
    """The model folder ``out``; config.json comes last, so a folder that has one is whole."""
    out.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **SHAPES[shape],
        "intermediate_size": INNER[shape],
        "max_position_embeddings": CONTEXT[shape],
        "vocab_size": VOCABULARY,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "initializer_range": DEVIATION,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "float16",
        "use_cache": True,
    }
    write_weights(out, tensors(config), seed)
    write_tokenizer(out, CONTEXT[shape])
    (out / "generation_config.json").write_text(json.dumps({"bos_token_id": 1, "eos_token_id": 2}, indent=2))
    (out / "config.json").write_text(json.dumps(config, indent=2))


def tensors(config: dict[str, Any]) -> Shapes:
    """Name and shape of every tensor, in the order of the layers."""
    hidden, inner, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    key = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    found: Shapes = {"model.embed_tokens.weight": (vocabulary, hidden)}
    layer = {
        "input_layernorm": (hidden,),
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (key, hidden),
        "self_attn.v_proj": (key, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "post_attention_layernorm": (hidden,),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    for index in range(config["num_hidden_layers"]):
        found |= {f"model.layers.{index}.{name}.weight": shape for name, shape in layer.items()}
    return found | {"model.norm.weight": (hidden,), "lm_head.weight": (vocabulary, hidden)}


def write_weights(out: Path, shapes: Shapes, seed: int) -> None:
    """The safetensors files, and their index where there are several."""
    random = np.random.default_rng(seed)
    pool = (random.standard_normal(POOL, np.float32) * np.float32(DEVIATION)).astype(np.float16)
    shards, index = list(cut(shapes)), {}
    for number, shard in enumerate(shards, 1):
        several = f"model-{number:05}-of-{len(shards):05}.safetensors"
        file = out / (several if len(shards) > 1 else "model.safetensors")
        with file.open("wb") as stream:
            write_header(stream, shard)
            for shape in shard.values():
                for piece in values(shape, pool, random):
                    stream.write(piece)
        index |= dict.fromkeys(shard, file.name)
    if len(shards) > 1:
        whole = {"metadata": {"total_size": ITEM * sum(map(prod, shapes.values()))}, "weight_map": index}
        (out / "model.safetensors.index.json").write_text(json.dumps(whole, indent=2))


def cut(shapes: Shapes) -> Iterator[Shapes]:
    """The tensors in runs of at most ``SHARD`` bytes."""
    shard: Shapes = {}
    for name, shape in shapes.items():
        if shard and ITEM * (sum(map(prod, shard.values())) + prod(shape)) > SHARD:
            yield shard
            shard = {}
        shard[name] = shape
    yield shard


def write_header(stream: BinaryIO, shard: Shapes) -> None:
    """The length of the header, and the header: https://huggingface.co/docs/safetensors#format."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shard.items():
        start, end = end, end + ITEM * prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    stream.write(len(text).to_bytes(8, "little") + text)


def values(shape: tuple[int, ...], pool: np.ndarray, random: np.random.Generator) -> Iterator[bytes | memoryview]:
    """The bytes of a tensor: ones for a norm, else the pool from a random place on, round and round."""
    if len(shape) == 1:
        yield np.ones(shape, np.float16).tobytes()
        return
    place, left = int(random.integers(POOL)), prod(shape)
    while left:
        piece = pool[place : place + left]
        yield memoryview(piece).cast("B")
        place, left = 0, left - len(piece)


def write_tokenizer(out: Path, context: int) -> None:
    """A byte-level tokenizer: the special tokens, the 256 bytes, and tokens that no text has."""
    names = [*SPECIAL, *bytes_as_characters()]
    names += [f"<filler_{index}>" for index in range(len(names), VOCABULARY)]
    special = [
        {"id": index, "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        | {"special": True}
        for index, name in enumerate(SPECIAL)
    ]
    first = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [first, *({"Sequence": {"id": letter, "type_id": 0}} for letter in "AB")],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {name: index for index, name in enumerate(names)},
            "merges": [],
        },
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
    }
    (out / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))


def bytes_as_characters() -> list[str]:
    """The printable character of each byte, as GPT-2's tokenizer writes it (Radford et al. 2019, encoder.py)."""
    plain = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


if __name__ == "__main__":
    main()
