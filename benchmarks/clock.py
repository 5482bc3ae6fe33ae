"""What edgepack's protocol for speed adds, and whether its medians come again: beside onnxruntime's own loop.

    python benchmarks/clock.py [--times 3] [--seconds 10]

A model of about a millisecond is timed in turn by a loop around onnxruntime's own session, in a process of its own, and
by the protocol of runtime/clock.py, on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from edgepack.runtime import clock, machine
from edgepack.runtime.quiet import Rules

WIDTH, LAYERS, ROWS = 512, 4, 128
FEEDS = {"x": np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)}
AGREED = 0.05
OWN = """
import json, statistics, sys, time
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
feeds = {"x": numpy.load(sys.argv[2])}
for _ in range(50):
    session.run(None, feeds)
times, end = [], time.perf_counter() + float(sys.argv[3])
while time.perf_counter() < end:
    started = time.perf_counter()
    session.run(None, feeds)
    times.append(time.perf_counter() - started)
print(json.dumps(statistics.median(times)))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"{machine.processor()} ({' '.join(machine.features())}), {os.cpu_count()} processors, {platform.platform()}")
    print(f"onnxruntime {onnxruntime.__version__}, 1 thread, load average {load}")
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), arguments.times, arguments.seconds)


def compare(folder: Path, times: int, seconds: float) -> None:
    model, feeds = folder / "model.onnx", folder / "x.npy"
    onnx.save(made(), model)
    np.save(feeds, FEEDS["x"])
    rules, timings, ratios = Rules(seconds=seconds), [], []
    for _ in range(times):
        command = [sys.executable, "-c", OWN, str(model), str(feeds), str(seconds)]
        own = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        (timing,) = clock.measure(model, "onnx", [("x", FEEDS)], rules, threads=1, target_isa=machine.isa())
        ratios.append(timing.p50 / own)
        rounds = " ".join(f"{median * 1e3:.4f}" for median in timing.rounds)
        print(
            f"onnxruntime's own loop {own * 1e3:.4f} ms, the protocol {timing.p50 * 1e3:.4f} ms ({rounds}), "
            f"ratio {ratios[-1]:.3f}, attempts {timing.attempts}, {timing.verdict}"
        )
        timings.append(timing)
    ratio, valid = statistics.median(ratios), [timing.p50 for timing in timings if timing.valid]
    print(f"ratio, median of {times}: {ratio:.3f}")
    print(f"all medians are {apart([timing.p50 for timing in timings]):.1%} apart")
    print(f"{len(valid)} of {times} are not marked, and {apart(valid):.1%} apart")
    raise SystemExit(max(abs(ratio - 1), apart(valid)) > AGREED)


def apart(medians: list[float]) -> float:
    return max(medians) / min(medians) - 1 if medians else 0.0


def made() -> onnx.ModelProto:
    """A perceptron of ``LAYERS`` layers."""
    rng = np.random.default_rng(1)
    weights = [
        onnx.numpy_helper.from_array((rng.standard_normal((WIDTH, WIDTH)) / WIDTH**0.5).astype(np.float32), f"w{i}")
        for i in range(LAYERS)
    ]
    nodes = []
    for i in range(LAYERS):
        nodes.append(helper.make_node("MatMul", ["x" if i == 0 else f"r{i - 1}", f"w{i}"], [f"m{i}"]))
        nodes.append(helper.make_node("Relu", [f"m{i}"], [f"r{i}" if i < LAYERS - 1 else "y"]))
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [ROWS, WIDTH]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "perceptron", shapes[:1], shapes[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


if __name__ == "__main__":
    main()
