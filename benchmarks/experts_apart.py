"""What calls of experts that no token is sent to cost: processor seconds of opening a model, and of a token.

    python benchmarks/experts_apart.py [--layers 30] [--experts 128]

A Gemma 4 with experts of random weights and small widths, so that little else is measured: its gates are GELU, each
expert a product of its own, or silu, all in one QMoE. One thread.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import transformers

from edgepack import targets
from edgepack.decoders import describe
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.formats.onnx.builder import Described
from edgepack.original.decoder import Reference
from edgepack.runtime import graphs
from edgepack.runtime.engines import open_session

STEPS, CONTEXT = 60, 128


def measured(layers: int, experts: int, activation: str, folder: Path) -> dict[str, float]:
    """Nodes of the graph, seconds to open it, and milliseconds of a token, the first decile."""
    config = transformers.Gemma4TextConfig(
        vocab_size=256, vocab_size_per_layer_input=256, hidden_size=64, intermediate_size=64, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, head_dim=64, global_head_dim=64, hidden_size_per_layer_input=0,
        enable_moe_block=True, num_experts=experts, top_k_experts=8, moe_intermediate_size=32,
        hidden_activation=activation, layer_types=["full_attention"] * layers,
    )  # fmt: skip
    transformers.Gemma4ForCausalLM(config).save_pretrained(folder)
    decoder = describe(json.loads((folder / "config.json").read_text()))
    recipe = targets.recipe(targets.load("rpi"), "int4", "text-generation")
    made = Described(
        reference=Reference(Checkpoint(folder, decoder)), model=folder, layout="flat", context=CONTEXT, opset=17,
        ir_version=9,
    ).compress(folder / "model.onnx", recipe, ())  # fmt: skip
    begin = time.process_time()
    session = open_session(graphs.last(made.path), "onnx", 1)
    opened = time.process_time() - begin
    decoding = session.decoding(CONTEXT)
    decoding.prefill([5, 6, 7])
    taken = []
    for token in range(STEPS):
        begin = time.process_time()
        decoding.step(token)
        taken.append(time.process_time() - begin)
    return {
        "nodes": sum(made.operators.values()),
        "opened": round(opened, 1),
        "token": round(1e3 * float(np.quantile(taken, 0.1)), 1),
    }


def main() -> None:
    """Print a line for each activation."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--experts", type=int, default=128)
    asked = parser.parse_args()
    for activation in ("gelu_pytorch_tanh", "silu"):
        with tempfile.TemporaryDirectory() as folder:
            print(activation, json.dumps(measured(asked.layers, asked.experts, activation, Path(folder))))


if __name__ == "__main__":
    main()
