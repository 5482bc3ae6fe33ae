"""What it takes to write a model of experts in the shape of Qwen3-30B-A3B: wall seconds and peak memory by layers.

    python benchmarks/experts.py FOLDER [--layers 1 2 4 48] [--recipe int4]

Weights are random, in bf16. FOLDER gets the tables and one layer (2.5 GB), whose bytes every layer of a run reads: 61
GB of input beside 17 GB of output are more than many disks have free. The graph and its weights are written as a build
writes them, without its comparison with the original, in a process of its own, and weighed and removed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgepack import targets, weights
from edgepack.decoders import describe
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.formats.onnx.builder import Described
from edgepack.original.decoder import Reference
from edgepack.weights import Stored

CONFIG = {
    "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "vocab_size": 151_936, "hidden_size": 2048,
    "intermediate_size": 6144, "moe_intermediate_size": 768, "num_experts": 128, "num_experts_per_tok": 8,
    "norm_topk_prob": True, "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4,
    "head_dim": 128, "max_position_embeddings": 40_960, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
    "eos_token_id": 151_645,
}  # fmt: skip
DEVIATION, POOL = 0.02, 16_777_213
EXPERT = (("gate_proj", (768, 2048)), ("up_proj", (768, 2048)), ("down_proj", (2048, 768)))


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of a model of one layer."""
    attention = {"q_proj": (4096, 2048), "k_proj": (512, 2048), "v_proj": (512, 2048), "o_proj": (2048, 4096)}
    norms = {"self_attn.q_norm": (128,), "self_attn.k_norm": (128,)} | dict.fromkeys(
        ("input_layernorm", "post_attention_layernorm"), (2048,)
    )
    layer = {f"self_attn.{name}": shape for name, shape in attention.items()} | norms | {"mlp.gate": (128, 2048)}
    layer |= {f"mlp.experts.{e}.{name}": shape for e in range(128) for name, shape in EXPERT}
    tables = {"model.embed_tokens": (151_936, 2048), "lm_head": (151_936, 2048), "model.norm": (2048,)}
    found = tables | {f"model.layers.0.{name}": shape for name, shape in layer.items()}
    return {f"{name}.weight": shape for name, shape in found.items()}


def write(folder: Path) -> None:
    """Random weights in bf16, a piece at a time; config.json comes last, so a folder that has one is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).standard_normal(POOL, np.float32) * np.float32(DEVIATION)
    pool = (noise.view(np.uint32) >> 16).astype("<u2")
    header, end = {}, 0
    for name, shape in shapes().items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes().values():
            left = int(np.prod(shape))
            while left:
                left -= stream.write(pool[:left].data) // 2
    (folder / "config.json").write_text(json.dumps(CONFIG))


def repeated(layers: int, file: Path) -> list[Stored]:
    """The tensors of ``file``, those of its layer once for each of ``layers``."""
    found = []
    for tensor in weights.tensors(file):
        count = layers if ".layers.0." in tensor.name else 1
        names = [re.sub(r"\.layers\.0\.", f".layers.{i}.", tensor.name) for i in range(count)]
        found += [replace(tensor, name=name) for name in names]
    return found


class Repeated(Checkpoint):
    """A checkpoint each of whose layers is the first."""

    def __init__(self, folder: Path, layers: int) -> None:
        decoder = describe({**CONFIG, "num_hidden_layers": layers})
        super().__init__(folder, replace(decoder, layers=1))
        self._stored = {tensor.name: tensor for tensor in repeated(layers, folder / "model.safetensors")}
        self.decoder = decoder


def pack(folder: Path, out: Path, layers: int, recipe: str) -> None:
    """Write the graphs and their weights to ``out``."""
    chosen = targets.recipe(targets.load("desktop"), recipe, "text-generation")
    reference = Reference(Repeated(folder, layers))
    described = Described(reference=reference, model=folder, layout="flat", context=4096, opset=21, ir_version=10)
    described.compress(out / "model.onnx", chosen, [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 2, 4, 48])
    parser.add_argument("--recipe", default="int4")
    parser.add_argument("--pack", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.pack:
        pack(arguments.folder, arguments.pack, arguments.layers[0], arguments.recipe)
        return
    if not (arguments.folder / "config.json").is_file():
        write(arguments.folder)
    for layers in arguments.layers:
        out = arguments.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        command = [sys.executable, __file__, str(arguments.folder), "--pack", str(out), "--layers", str(layers)]
        began = time.perf_counter()
        process = subprocess.Popen([*command, "--recipe", arguments.recipe])
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit("failed")
        written = sum(file.stat().st_size for file in out.iterdir())
        seconds, spent = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
        print(f"{layers} layers: {written / 1e9:.2f} GB, {seconds:.0f} s ({spent:.0f} s of processor time), "
              f"{usage.ru_maxrss / 1024:.0f} MiB at most", flush=True)  # fmt: skip
        shutil.rmtree(out)


if __name__ == "__main__":
    main()
