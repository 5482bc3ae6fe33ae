"""A prompt to images, by @bundle@."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgepack.runtime import load
from edgepack.runtime.diffusion.denoising import Step
from edgepack_model._bundle import BUNDLE, check


@dataclass(frozen=True)
class Image:
    """An image: uint8 [height, width, 3], red, green, blue; ``seed`` makes the same one again."""

    pixels: NDArray[np.uint8]
    seed: int


class TextToImage:
    """@model@: images of @image_width@ × @image_height@ pixels in @steps@ steps, where nothing else is asked for.

    Opening it checks the bundle; ``memory``, bytes or "900 MB", is what it may take: submodels are then opened one at
    a time. Raises BundleDamaged where a file is not the bundle's, DoesNotFit.
    """

    def __init__(self, bundle: Path = BUNDLE, *, threads: int | None = None, memory: int | str | None = None) -> None:
        check(bundle)
        self._model = load(bundle, threads=threads, memory=memory, verify=False)

    def generate(
        self,
        prompt: str,
        *,
        negative_prompt: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int | None = None,
        progress: Callable[[Step], object] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> list[Image]:
        """Return the image of a prompt; none where ``stop``, asked before each step, says so.

        ``progress`` is told each step. Raises InputError for a prompt that is empty.
        """
        made = self._model.generate(
            prompt,
            negative_prompt=negative_prompt,
            steps=steps,
            guidance=guidance,
            seed=seed,
            progress=progress,
            stop=stop,
        )
        return [Image(one.pixels, one.seed) for one in made]
