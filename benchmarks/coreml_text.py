"""Language models for the Mac: what recipes and fixed shapes cost, in bytes, seconds and accuracy.

    python benchmarks/coreml_text.py --recipes    # a real small LLaMA in each recipe
    python benchmarks/coreml_text.py --lengths    # any number of tokens beside fixed ones, which share the weights
    python benchmarks/coreml_text.py --large      # a random LLaMA of 1.1 billion weights in palettes

Every bundle is built by the command, from an empty cache; seconds and peak memory are the whole command's, the
comparison with the original on edgepack's sentences included. KL is the mean divergence of the next token's
distribution from the original's, in nats.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import language_models
import peers
from peers import Cost

from edgepack.coreml import chain
from edgepack.records import NotMeasured
from edgepack.runtime import measurements
from edgepack.runtime.manifest import Manifest, read

STORYTELLER = Path(__file__).parents[1] / "samples" / "storyteller" / "model"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
RECIPES = ("fp16", "int8", "palette6", "palette4", "int4")
LENGTHS = ("", "1", "1,64", "1,16,64,256")


def main() -> None:
    parser = argparse.ArgumentParser(description="language models for the Mac")
    for name in ("recipes", "lengths", "large"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--work", type=Path, default=CACHE / "edgepack-benchmarks", help="where random models stay")
    parser.add_argument("--model", type=Path, default=STORYTELLER, help="of --recipes")
    parser.add_argument("--recipe", default="palette4", help="of --large")
    arguments = parser.parse_args()
    if not any((arguments.recipes, arguments.lengths, arguments.large)):
        parser.error("say --recipes, --lengths or --large")
    print(f"{'model':14}{'build':22}{'seconds':>9}{'peak MB':>9}{'MB':>10}{'weights':>10}{'program':>9}{'KL':>10}")
    if arguments.recipes:
        for recipe in RECIPES:
            show(arguments.model, recipe, ("--recipe", recipe))
    if arguments.lengths:
        for model in (STORYTELLER, language_models.random_model(arguments.work, "100m")):
            for lengths in LENGTHS:
                show(model, lengths or "any", ("--lengths", lengths) if lengths else ())
    if arguments.large:
        model = language_models.random_model(arguments.work, "1b")
        show(model, arguments.recipe, ("--recipe", arguments.recipe))


def show(model: Path, label: str, options: Sequence[str]) -> None:
    """Build and print a line; megabytes of all, of the weight files, and of the programs beside them."""
    with tempfile.TemporaryDirectory() as name:
        cost, listed = built(model, Path(name), options)
        sizes = {file: entry["bytes"] for file, entry in listed.table["files"].items() if file.startswith("model")}
        weights = sum(taken for file, taken in sizes.items() if file.endswith("weight.bin"))
        called = next(measured for measured in measurements.read(listed.folder)[0] if measured.metric == "kl_mean")
        chain.opened(listed.model.path)  # it is whole
    kl = called.compressed if isinstance(called.compressed, NotMeasured) else f"{called.compressed:.5f}"
    line = f"{cost.seconds:9.1f}{cost.peak / 1e6:9.0f}{sum(sizes.values()) / 1e6:10.3f}{weights / 1e6:10.3f}"
    where = model.name if model != STORYTELLER else "storyteller"
    print(f"{where:14}{label:22}{line}{(sum(sizes.values()) - weights) / 1e6:9.3f}{kl:>10}", flush=True)


def built(model: Path, out: Path, options: Sequence[str]) -> tuple[Cost, Manifest]:
    """What the command took, and its bundle. Random weights may miss the floor, which is for real ones."""
    edgepack = Path(sys.executable).with_name("edgepack")
    command = [
        edgepack,
        "build",
        model,
        "--target",
        "mac",
        *options,
        "--no-speed",
        "--allow-loss",
        "--out",
        out / "dist",
    ]
    cost = peers.cost(command, out / "log", {"EDGEPACK_CACHE": str(out / "cache")})
    return cost, read(next((out / "dist").glob("*/edgepack.json")).parent)


if __name__ == "__main__":
    main()
