"""Stable Diffusion 1.5 in its real shape, with random weights: what a build, an image and a step cost.

    python benchmarks/diffusion.py --write --tokenizer FOLDER    # the model (random_diffusion.py)
    python benchmarks/diffusion.py --build                       # seconds, peak memory and bytes of builds
    python benchmarks/diffusion.py --run                         # peak memory and seconds of images of 512 x 512
    python benchmarks/diffusion.py --steps                       # a step of the UNet, int8 beside fp32, interleaved
    python benchmarks/diffusion.py --recipes                     # PSNR by recipe for ONNX: samples/decor

Everything lies in --work: the model, the bundles of --build, which the others use, and the cache. A build begins with
an empty cache. Memory is the largest resident size of the command's process, Python and libraries included.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import peers
import random_diffusion

from edgepack.arrays import Array, Run
from edgepack.formats.onnx._graph import Graph
from edgepack.original import open_originals, recorders
from edgepack.plans import Subject
from edgepack.records import NotMeasured
from edgepack.runtime import golden, machine, measurements
from edgepack.runtime import model as task_model
from edgepack.runtime.engines import open_session
from edgepack.runtime.manifest import Manifest, read
from edgepack.stages import resolve

EDGEPACK = Path(sys.executable).with_name("edgepack")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
DECOR = Path(__file__).parents[1] / "samples" / "decor" / "model"
BUILDS = (("rpi", "int8"), ("iphone", "palette6"))
RECIPES = ("int8", "int8-fast", "int4")
LEVERS: Mapping[str, tuple[str, ...]] = {
    "as it is": (),
    "--tile 256": ("--tile", "256"),
    "--memory 1.2GB": ("--memory", "1.2GB"),
}
PROMPT = "a red sofa by a window"
FIGURES = ("one_step_psnr", "latents_psnr", "image_psnr")
ROUNDS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description="what Stable Diffusion costs")
    for name in ("write", "build", "run", "steps", "recipes"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--work", type=Path, default=CACHE / "edgepack-benchmarks" / "diffusion")
    parser.add_argument("--tokenizer", type=Path, help="of --write: a folder with CLIP's vocab.json and merges.txt")
    parser.add_argument("--half", action="store_true", help="of --write: float16 weights")
    parser.add_argument("--target", help="of --build: one alone")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    print(f"{machine.processor()}, {arguments.threads} threads, {platform.platform()}")
    if arguments.write:
        if arguments.tokenizer is None:
            parser.error("--write needs --tokenizer")
        random_diffusion.write(arguments.work / "model", arguments.tokenizer, half=arguments.half)
    if arguments.build:
        show_builds(arguments.work, arguments.target)
    if arguments.run:
        show_images(arguments.work, arguments.threads)
    if arguments.steps:
        show_steps(arguments.work, arguments.threads)
    if arguments.recipes:
        show_recipes(arguments.work)


def show_builds(work: Path, target: str | None) -> None:
    """Build each bundle from an empty cache; its submodels' bytes."""
    print(f"{'build':20}{'seconds':>9}{'peak GB':>9}{'model files GB':>16}")
    for name, recipe in BUILDS:
        if target in (None, name):
            shutil.rmtree(work / "cache" / name, ignore_errors=True)
            cost, listed = built(work / "model", name, recipe, work)
            files = {part.name: part.bytes for part in listed.models.values()}
            print(f"{name} {recipe:15}{cost.seconds:9.1f}{cost.peak / 1e9:9.2f}{sum(files.values()) / 1e9:16.3f}")
            print("  " + ", ".join(f"{part} {size / 1e6:.0f} MB" for part, size in files.items()), flush=True)


def built(model: Path, target: str, recipe: str, work: Path) -> tuple[peers.Cost, Manifest]:
    """What the command took, and its bundle. Random weights may miss the floor, which is for real ones."""
    out = work / "dist" / target / recipe
    options: list[str | Path] = ["--target", target, "--recipe", recipe, "--allow-loss", "--force", "--out", out]
    work.mkdir(parents=True, exist_ok=True)
    log = work / f"build-{target}-{recipe}.log"
    cost = peers.cost([EDGEPACK, "build", model, *options], log, {"EDGEPACK_CACHE": str(work / "cache" / target)})
    return cost, read(next(out.glob("*/edgepack.json")).parent)


def bundle(work: Path) -> Path:
    """The bundle of the first of BUILDS."""
    found = sorted((work / "dist").joinpath(*BUILDS[0]).glob("*/edgepack.json"))
    if not found:
        raise SystemExit("run --build first")
    return found[0].parent


def show_images(work: Path, threads: int) -> None:
    """Let `edgepack run` make an image in a fresh process, with each of LEVERS."""
    print(f"{'edgepack run, 2 steps':24}{'seconds':>9}{'peak GB':>9}")
    for label, options in LEVERS.items():
        command: list[str | Path] = [
            EDGEPACK,
            "run",
            bundle(work),
            PROMPT,
            "-o",
            work / "image.png",
            "--steps",
            "2",
            "--seed",
            "1",
        ]
        command += ["--threads", str(threads), *options]
        cost = peers.cost(command, work / "run.log", {})
        print(f"{label:24}{cost.seconds:9.1f}{cost.peak / 1e9:9.2f}", flush=True)


def show_steps(work: Path, threads: int) -> None:
    """Run the UNet of the bundle and its float32 export in turn, on what the original's was fed in a guided step."""
    folder = bundle(work)
    opened = {
        "fp32": open_session(float_export(work / "cache" / BUILDS[0][0], "unet"), "onnx", threads),
        BUILDS[0][1]: open_session(folder / "unet" / "model.onnx", "onnx", threads),
    }
    tensors = golden.read(folder / "golden_unet.safetensors")
    feeds = {name.removeprefix("0.input."): value for name, value in tensors.items() if name.startswith("0.input.")}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in opened}
    found: dict[str, Array] = {}

    def step(name: str, session: Run) -> None:
        (found[name],) = session(feeds).values()

    for _ in range(ROUNDS + 1):
        for name, session in opened.items():
            times[name].append(timed(partial(step, name, session)))
    print(f"{'UNet, batch of ' + str(len(feeds['sample'])):24}{'seconds':>9}{'CPU seconds':>13}")
    middle = {name: np.median(taken[1:], axis=0) for name, taken in times.items()}
    for name, (seconds, processor) in middle.items():
        print(f"{name:24}{seconds:9.2f}{processor:13.2f}")
    (wall, processor) = middle[BUILDS[0][1]] / middle["fp32"]
    print(f"{BUILDS[0][1]} / fp32{'':12}{wall:9.2f}{processor:13.2f}   (medians of {ROUNDS}, interleaved)")
    noise = np.square(found[BUILDS[0][1]] - found["fp32"]).sum() / np.square(found["fp32"]).sum()
    print(f"signal to noise: {-10 * np.log10(noise):.1f} dB")


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def float_export(cache: Path, task: str) -> Path:
    """The float32 graph of a submodel that a build has left in the cache."""
    for record in cache.glob("exports/*/facts.json"):
        if json.loads(record.read_text())["facts"]["task"] == task:
            return record.with_name("model.onnx")
    raise SystemExit("run --build first")


def show_recipes(work: Path) -> None:
    """PSNR of whole runs, of edgepack's recipes and of plain rounding of all weights, beside diffusers in float32."""
    print(f"{'recipe':28}{'MB':>8}{'one step dB':>13}{'latents dB':>12}{'image dB':>10}")
    for recipe in RECIPES:
        _, listed = built(DECOR, "rpi", recipe, work / "decor")
        found = {figure.metric: figure.compressed for figure in measurements.read(listed.folder)[0]}
        show(recipe, sum(part.bytes for part in listed.models.values()), [found[name] for name in FIGURES])
    _, listed = built(DECOR, "rpi", "fp32", work / "decor")
    show("plain int8, per channel", None, plain(listed.folder, by_channel, work / "decor" / "plain"))


def show(label: str, size: int | None, figures: list[float | NotMeasured]) -> None:
    megabytes = "" if size is None else f"{size / 1e6:.2f}"
    values = "".join(f"{'–' if isinstance(value, NotMeasured) else f'{value:.1f}':>11}" for value in figures)
    print(f"{label:28}{megabytes:>8}{values}", flush=True)


def plain(folder: Path, rounded: Callable[[Array], Array], out: Path) -> list[float | NotMeasured]:
    """The figures of a float32 bundle whose matrices and kernels are what rounding leaves of them."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(folder, out)
    listed = read(folder)
    runs = {}
    for name, part in listed.models.items():
        graph = Graph(part.path)
        for node in graph.nodes:
            for weight in node.input[1:2]:
                shape = graph.shape(weight)
                if shape is not None and len(shape) in (2, 4) and graph.is_float(weight):
                    graph.add(weight, rounded(np.array(graph.weight(weight))).astype(np.float32))
        file = out / part.path.relative_to(folder)
        graph.save(file)
        runs[name] = open_session(file, "onnx")
    subject = Subject.of(resolve.arrange(resolve.find(str(DECOR))))
    recorder = recorders.recorder(subject.task)
    assert recorder is not None
    with open_originals(subject) as originals:
        recording = recorder.record(subject, originals)
    found = recorder.judge(recording, task_model(subject.source.task, runs, out, listed.processing), {})
    figures = {figure.metric: figure.compressed for figure in found.accuracy}
    return [figures[name] for name in FIGURES]


def by_channel(weight: Array) -> Array:
    """Rounding to nearest in int8, one scale for each output channel: a kernel's first axis, a matrix's last."""
    axis = tuple(range(1, weight.ndim)) if weight.ndim > 2 else (0,)
    scale = np.maximum(np.abs(weight).max(axis, keepdims=True) / 127, 1e-12)
    return np.asarray(np.round(weight / scale) * scale)


if __name__ == "__main__":
    main()
