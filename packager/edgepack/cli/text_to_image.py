"""edgepack run, for models that make images: prompts to PNG files."""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgepack.arrays import TaskModel
from edgepack.cli import show
from edgepack.documents import JsonDict
from edgepack.errors import FileTrouble, UsageError
from edgepack.runtime import png
from edgepack.runtime.archive import check_outside
from edgepack.runtime.diffusion.denoising import Step
from edgepack.runtime.diffusion.image_values import GeneratedImage
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.processing import Diffusion

TASK = "text-to-image"
_SIZE = re.compile(r"(\d{1,5})(?:x(\d{1,5}))?")
_SUFFIX = ".png"


def options(stated: JsonDict, size: str | None) -> JsonDict:
    """Return what ``generate`` is called with, of the command's options. Raises UsageError."""
    found = {name: value for name, value in stated.items() if value is not None}
    if size is not None:
        parsed = _SIZE.fullmatch(size)
        if parsed is None:
            raise UsageError(f"--size is {size!r}", hint="it must be width x height in pixels: 512x768")
        found |= {"width": int(parsed[1]), "height": int(parsed[2] or parsed[1])}
    return found


def check(output: Path | None, listed: Manifest, option: str = "output") -> Path:
    """Return the file to write, beside the bundle. Raises UsageError, FileTrouble, before the model is opened."""
    if output is None or output.suffix.lower() != _SUFFIX:
        raise UsageError(
            "no output file given" if output is None else f"--{option} is {output}, which is not a PNG file",
            hint='edgepack run BUNDLE "a red sofa" -o sofa.png',
        )
    if not output.parent.is_dir():
        raise FileTrouble(f"there is no folder {output.parent}", hint="make it first")
    if output.is_dir():
        raise FileTrouble(f"{output} is a folder", hint=f"choose a file in it: {output / 'image.png'}")
    if not os.access(output.parent, os.W_OK):
        raise FileTrouble(f"nothing can be written into {output.parent}", hint="choose another place")
    check_outside(listed.folder, output)
    return output


def check_preview(file: Path, listed: Manifest, output: Path) -> None:
    """Raises UsageError, FileTrouble, for a file that cannot be, and for a bundle that has no colours for latents."""
    if check(file, listed, "preview").resolve() == output.resolve():
        raise UsageError("--preview and --output are the same file", hint="give the preview a name of its own")
    if not listed.processing.section(Diffusion).preview:
        raise UsageError(
            f"--preview: {listed.name} does not hold the colours of its latents, which previews need",
            hint="build it again with this edgepack",
        )


def make(
    model: TaskModel,
    prompts: Sequence[str],
    asked: JsonDict,
    output: Path,
    json: bool,
    *,
    preview: Path | None = None,
) -> None:
    """Write a file for each image of each prompt: ``output``, or where there are several with -1, -2, … in its name.

    ``preview`` shows the first of those that are being made. Tells seeds, and what of a prompt was cut.
    """
    results: list[JsonDict] = []
    for prompt in prompts:
        began = time.perf_counter()
        for image in _made(model, prompt, asked, preview):
            many = len(prompts) * int(asked.get("images", 1)) > 1
            file = output.with_stem(f"{output.stem}-{len(results) + 1}") if many else output
            image.save(file)
            results.append(_row(prompt, image, file, time.perf_counter() - began))
    if json:
        show.as_json(results)
        return
    for row in results:
        show.line(f"{row['file']}  {row['width']} x {row['height']}, seed {row['seed']}, {row['seconds']:.1f} s")


def _made(model: TaskModel, prompt: str, asked: JsonDict, preview: Path | None) -> Iterator[GeneratedImage]:
    """Yield the images of a prompt, with a bar while they are made."""

    def progress(step: Step) -> None:
        bar.step(f"step {step.index + 1} of {step.count}")
        if preview is not None and (shown := step.preview()) is not None:
            png.write(preview, shown[0])

    with warnings.catch_warnings(record=True) as told, show.Steps() as bar:
        warnings.simplefilter("always", UserWarning)
        images: list[GeneratedImage] = model.generate(prompt, progress=progress, **asked)
    for one in told:
        show.note(str(one.message))
    yield from images


def _row(prompt: str, image: GeneratedImage, file: Path, seconds: float) -> JsonDict:
    height, width = image.pixels.shape[:2]
    return {
        "prompt": prompt, "file": str(file), "width": width, "height": height, "seed": image.seed,
        "index": image.index, "seconds": round(seconds, 3),
    }  # fmt: skip
