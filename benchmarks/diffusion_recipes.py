"""Diffusion pipelines for Core ML: how far their images are from diffusers' by recipe, beside others of equal size.

    python benchmarks/diffusion_recipes.py samples/decor/model [FOLDER …] [--tiny sd xl …] [--target iphone]

``--tiny`` takes the pipelines of random weights that the tests have (tests/diffusion_models.py). PSNR (dB) of the last
latents and of the image of whole runs at equal seeds, mean over edgepack's own prompts that calibrate nothing, against
diffusers in float32; the packages are computed by edgepack.coreml. "coremltools" is its own compression of the float16
program as its guide calls it, one setting for all weights, no data: int8 rounded to nearest by channel, and a k-means
palette for each weight. ``--max-size`` is then asked for those sizes.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as cto

from edgepack import pipeline
from edgepack.errors import DoesNotFit
from edgepack.original import Original, open_originals
from edgepack.original.recorders import diffusion as recorder
from edgepack.plans import Subject
from edgepack.runtime import model as task_model
from edgepack.runtime.engines import open_session
from edgepack.runtime.manifest import read
from edgepack.stages import resolve

logging.getLogger("coremltools").setLevel(logging.CRITICAL)
RECIPES = ("fp16", "int8", "palette6", "palette4")
Packages = Mapping[str, Path]


class Silent:
    """A build that says nothing."""

    def step(self, text: str) -> None:
        """Say nothing."""

    note = step


def main() -> None:
    parser = argparse.ArgumentParser(description="PSNR of diffusion pipelines by recipe, at equal sizes")
    parser.add_argument("models", type=Path, nargs="*", help="folders of diffusers")
    parser.add_argument("--tiny", nargs="*", default=[], metavar="KIND", help="of tests/diffusion_models.py")
    parser.add_argument("--target", default="iphone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        models = [*arguments.models, *tiny(arguments.tiny, Path(name))]
        for model in models:
            print(f"\n{model.resolve().parent.name if model.name == 'model' else model.name}", flush=True)
            show(model, arguments.target, Path(name) / "bundles" / model.name)


def tiny(kinds: list[str], folder: Path) -> list[Path]:
    """Folders of the tests' pipelines."""
    if not kinds:
        return []
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests import diffusion_models

    return [diffusion_models.save(kind, folder / kind) for kind in kinds]


def show(model: Path, target: str, out: Path) -> None:
    """Print a model's table: each build, and coremltools' compression of the first."""
    print(f"{'':28}{'kB':>10}{'latents':>9}{'image':>9}")
    subject = Subject.of(resolve.resolve(str(model)))
    with open_originals(subject) as originals:

        def line(label: str, packages: Packages) -> int:
            size = sum(file.stat().st_size for package in packages.values() for file in files(package))
            print(
                f"{label:28}{size / 1e3:10.1f}" + "".join(f"{figure:9.1f}" for figure in judged(packages)), flush=True
            )
            return size

        def judged(packages: Packages) -> tuple[float, float]:
            return psnr(packages, subject, originals)

        made = {recipe: built(model, target, out, recipes=(recipe,)) for recipe in RECIPES}
        for recipe, packages in made.items():
            line(recipe, packages)
        sizes = {label: line(f"coremltools {label}", packages) for label, packages in plain(made["fp16"], out)}
        for label, size in sizes.items():
            line(f"--max-size of {label}", fitting(model, target, out / label, size))


def built(model: Path, target: str, out: Path, **options: Any) -> dict[str, Path]:
    """The packages of a bundle by submodel."""
    request = pipeline.Request(
        model=str(model), targets=(target,), out=out, allow_loss=True, measure_speed=False,
        overrides={recipe: {"min_coverage": 0.0} for recipe in (*RECIPES, "mixed")}, **options,
    )  # fmt: skip
    (bundle,) = pipeline.build(request, Silent())
    return {name: one.path for name, one in read(bundle.path).models.items()}


def fitting(model: Path, target: str, out: Path, size: int) -> dict[str, Path]:
    """The packages of that size; of one a little larger where nothing smaller is possible."""
    for more in (1.0, 1.02, 1.04):
        with suppress(DoesNotFit):
            return built(model, target, out, max_size=int(more * size))
    return built(model, target, out, max_size=int(1.06 * size))


def plain(packages: Packages, out: Path) -> Iterator[tuple[str, dict[str, Path]]]:
    """The packages as coremltools compresses them, by the setting's name."""
    for label, compress in ways().items():
        made = {name: out / f"coremltools {label}" / f"{name}.mlpackage" for name in packages}
        for name, package in packages.items():
            compress(ct.models.MLModel(str(package), skip_model_load=True)).save(str(made[name]))
        yield label, made


def ways() -> dict[str, Callable[[Any], Any]]:
    """The guide's configurations: https://apple.github.io/coremltools/docs-guides/source/opt-overview.html."""

    def palette(bits: int) -> Callable[[Any], Any]:
        own = cto.OpPalettizerConfig(mode="kmeans", nbits=bits, weight_threshold=512)
        return lambda model: cto.palettize_weights(model, cto.OptimizationConfig(global_config=own))

    linear = cto.OptimizationConfig(global_config=cto.OpLinearQuantizerConfig(weight_threshold=512))
    return {
        "int8": lambda model: cto.linear_quantize_weights(model, linear),
        "palette6": palette(6),
        "palette4": palette(4),
    }


def psnr(packages: Packages, subject: Subject, originals: Mapping[str, Original]) -> tuple[float, float]:
    """Of the last latents and of the image, mean over prompts."""
    runs = {name: open_session(package, "coreml") for name, package in packages.items()}
    model = task_model(subject.source.task, runs, subject.source.path, subject.processing)
    prompts = recorder.own(subject.source.parameters, None)
    pairs = recorder.images(subject, originals, model, prompts)
    return tuple(
        sum(values) / len(values) for values in ([one.by_step[-1] for one in pairs], [one.image_psnr for one in pairs])
    )  # type: ignore[return-value]


def files(package: Path) -> list[Path]:
    return [file for file in package.rglob("*") if file.is_file()]


if __name__ == "__main__":
    main()
