"""Images judged by their prompts: the cosine of CLIP's vectors of both, by a bundle of CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgepack.arrays import Array, TaskModel, cosine
from edgepack.errors import UsageError
from edgepack.runtime import model as task_model
from edgepack.runtime import open_submodels
from edgepack.runtime.opening import opened

_CLIP = "zero-shot-image-classification"


@dataclass(frozen=True)
class Similarity:
    """Cosines of CLIP's vectors of each image and its prompt: the bundle's, and the original's where it is here."""

    compressed: Sequence[float]
    original: Sequence[float] | None


def open_judge(bundle: Path) -> TaskModel:
    """Open a bundle of CLIP. Raises UsageError, BundleError."""
    listed = opened(bundle)
    if listed.task != _CLIP:
        raise UsageError(f"{bundle} is a bundle for {listed.task}, not of CLIP", hint=f"build one for {_CLIP}")
    return task_model(listed.task, open_submodels(listed), listed.folder, listed.processing)


def cosines(clip: TaskModel, images: Sequence[tuple[str, Array]]) -> list[float]:
    """Return the cosine of each prompt's vector and that of its image, uint8 [height, width, 3]."""
    texts = clip.embed_text([prompt for prompt, _ in images])
    return [cosine(a, b) for a, b in zip(texts, clip.embed_image([image for _, image in images]), strict=True)]
