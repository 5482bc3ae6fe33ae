"""Which of the operators that recipes write does the browser's runtime lack? The answer is a target's denied_operators.

    python benchmarks/web_operators.py --modules DIR BUNDLE...

Each kind of node in the bundles' graphs (operator, types, and attributes that choose a kernel) becomes a model of one
node with the weights and inputs that it has there, and runs in headless Chromium, in the build of onnxruntime-web that
transformers.js takes. DIR holds node_modules with @huggingface/transformers (npm install --ignore-scripts). Bundles for
`rpi` and `desktop` show every operator: nothing is denied there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import NodeProto, helper, numpy_helper

from edgepack.runtime import manifest, shapes
from edgepack.runtime.graphs import NUM_LOGITS

_RUNNER = Path(__file__).parents[1] / "tests" / "clients" / "js" / "chromium.mjs"
_KERNELS = ("bits", "to", "do_rotary", "softcap", "local_window_size", "mode")  # attributes that choose a kernel
_PROMPT = 16  # tokens
_APART = 0.05  # of the largest value: what int8 kernels round; more is another answer
Array = np.ndarray[Any, Any]


def main() -> None:
    """Print each kind of operator, and at the end those that fail."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", required=True, type=Path)
    parser.add_argument("bundles", nargs="+", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kinds: dict[str, str] = {}
        for bundle in asked.bundles:
            for kind in _write_models(bundle, Path(folder), kinds):
                kinds[kind] = bundle.name
        found = _run(asked.modules, Path(folder), len(kinds))
    lacking = set()
    for (kind, bundle), answer in sorted(zip(kinds.items(), found["answers"], strict=True), key=lambda item: item[0]):
        fails = "failed" in answer or not answer["difference"] <= _APART
        lacking |= {kind.split("(")[0]} if fails else set()
        said = answer.get("failed") or f"{answer['difference']:.1e} apart"
        print(f"{'FAILS' if fails else 'runs '}  {kind}  [{bundle}]  {said}")
    print(
        f"\ntransformers.js {found['version']}, onnxruntime-web {found['runtime']['web']}, {Path(found['wasm']).name}"
    )
    print(f"compared with onnxruntime {onnxruntime.__version__}; denied: {', '.join(sorted(lacking)) or 'none'}")


def _run(modules: Path, folder: Path, count: int) -> dict[str, Any]:
    request = folder / "request.json"
    request.write_text(json.dumps({"models": [str(number) for number in range(count)]}))
    command = ["node", str(_RUNNER), str(modules), str(folder), str(request), "operators.mjs"]
    answer: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)
    if "error" in answer:
        raise SystemExit(answer["error"])
    return answer


def _write_models(bundle: Path, folder: Path, known: dict[str, str]) -> Iterator[str]:
    """The kinds of a bundle's nodes that are not ``known``, each written as a model with its inputs and outputs."""
    facts = manifest.read(bundle)
    model = onnx.load(facts.model.path)
    feeds = _feeds(facts, model)
    _fold(model, feeds)
    values = _values(model, feeds)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        kind = _kind(
            node, values | {name: numpy_helper.to_array(weights[name]) for name in node.input if name in weights}
        )
        if kind in known or node.op_type == "Constant":
            continue
        _write(model, node, values, weights, folder / str(len(known)))
        yield kind


def _feeds(facts: manifest.Manifest, model: onnx.ModelProto) -> dict[str, Array]:
    """One input: of a language model a whole prompt, nothing cached."""
    if facts.task != "text-generation":
        return dict(shapes.feeds(facts, shapes.shapes(facts)[0]))
    ids = np.arange(3, 3 + _PROMPT)[None]
    known = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": ids - 3, NUM_LOGITS: np.array(0)}
    feeds = {}
    for value in model.graph.input:
        batch, *rest = [side.dim_value for side in value.type.tensor_type.shape.dim] or [0]
        feeds[value.name] = known.get(value.name, np.zeros((batch or 1, *rest), np.float32))
    return feeds


def _kind(node: NodeProto, values: dict[str, Array]) -> str:
    types = ", ".join(str(values[name].dtype) if name else "-" for name in node.input)
    chosen = {a.name: helper.get_attribute_value(a) for a in node.attribute if a.name in _KERNELS}
    return f"{node.op_type}({types}){chosen or ''}"


def _fold(model: onnx.ModelProto, feeds: dict[str, Array]) -> None:
    """Make weights of what follows from weights alone, as runtimes do when they load a model."""
    weights = {tensor.name for tensor in model.graph.initializer}
    folded = []
    for node in model.graph.node:
        if node.op_type != "Constant" and all(name in weights for name in node.input if name):
            folded.append(node)
            weights |= set(node.output)
    values = _values(model, feeds) if folded else {}
    for node in folded:
        model.graph.initializer.extend(numpy_helper.from_array(values[name], name) for name in node.output)
        model.graph.node.remove(node)


def _values(model: onnx.ModelProto, feeds: dict[str, Array]) -> dict[str, Array]:
    """Every value of the graph, as nothing but its nodes make it."""
    names = [name for node in model.graph.node for name in node.output if name]
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    del whole.graph.output[:]
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of each weight that nothing reads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(whole.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, feeds), strict=True)) | feeds


def _write(
    model: onnx.ModelProto, node: NodeProto, values: dict[str, Array], weights: dict[str, Any], place: Path
) -> None:
    inputs = {name: values[name] for name in node.input if name and name not in weights}
    outputs = {name: values[name] for name in node.output if name}

    def typed(name: str, value: Array) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)

    graph = helper.make_graph(
        [node],
        "one",
        [typed(name, value) for name, value in inputs.items()],
        [typed(name, value) for name, value in outputs.items()],
        [weights[name] for name in dict.fromkeys(node.input) if name in weights],
    )
    one = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    place.with_suffix(".onnx").write_bytes(one.SerializeToString())
    bits = {name: value.view(np.uint16) if value.dtype == np.float16 else value for name, value in inputs.items()}
    told = {
        "inputs": {name: _told(inputs[name], bits[name]) for name in inputs},
        "outputs": {name: _told(value, value) for name, value in outputs.items()},
    }
    place.with_suffix(".json").write_text(json.dumps(told, allow_nan=False))


def _told(value: Array, data: Array) -> dict[str, Any]:
    return {"dtype": str(value.dtype), "dims": value.shape, "data": data.ravel().tolist()}


if __name__ == "__main__":
    main()
