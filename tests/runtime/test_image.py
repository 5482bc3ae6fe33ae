"""The resize is Pillow's, and images of every kind are taken or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from transformers.image_utils import load_image

from edgepack.errors import InputError
from edgepack.runtime import image
from edgepack.runtime.processing import (
    CenterCrop,
    Image,
    Normalize,
    Resampling,
    Rescale,
    ResizeShortestEdge,
    ReverseChannels,
    Size,
)
from edgepack.runtime.resize import resize

RESAMPLINGS: dict[Resampling, int] = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
SIZES = [
    ((60, 44), (32, 32)), ((20, 30), (50, 41)), ((64, 64), (64, 64)), ((33, 70), (16, 90)), ((90, 12), (20, 12)),
    ((1, 9), (30, 4)), ((200, 40), (20, 20)),
]  # fmt: skip


@pytest.mark.parametrize("name", RESAMPLINGS)
@pytest.mark.parametrize(("size", "wanted"), SIZES)
def test_resize(name: Resampling, size: tuple[int, int], wanted: tuple[int, int]) -> None:
    source = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    (height, width), (new_height, new_width) = size, wanted
    # in two steps, since only Pillow 13 and later goes down first where more is lost in height
    down_first = height - new_height > max(0, 2 * (width - new_width))
    between = (width, new_height) if down_first else (new_width, height)
    theirs = (
        Pillow.fromarray(source).resize(between, RESAMPLINGS[name]).resize((new_width, new_height), RESAMPLINGS[name])
    )
    np.testing.assert_array_equal(resize(source, *wanted, name), np.asarray(theirs))
    part = resize(source, *wanted, name, rows=(2, 11), columns=(1, 3))
    np.testing.assert_array_equal(part, np.asarray(theirs)[2:11, 1:3])


def test_large_images_are_filtered_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    source = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    whole = resize(source, 31, 22, "bicubic")
    monkeypatch.setattr("edgepack.runtime.resize._AT_ONCE", 1000)
    np.testing.assert_array_equal(resize(source, 31, 22, "bicubic"), whole)


IMAGE = Image(
    input="pixel_values",
    channels=3,
    size=Size(height=32, width=32),
    alpha="drop",
    steps=(
        ResizeShortestEdge(resample="bilinear", shortest_edge=40),
        CenterCrop(height=32, width=32),
        Rescale(factor=1 / 255, offset=0.0),
        Normalize(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)),
    ),
)


@pytest.mark.parametrize("shape", [(60, 44, 3), (44, 60, 3), (60, 44), (60, 44, 1), (60, 44, 4)])
def test_every_shape_becomes_one(shape: tuple[int, ...]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert image.ImageInput(IMAGE).feeds([photo])["pixel_values"].shape == (1, 3, 32, 32)


def test_grey_from_colour_is_pillows(photo: np.ndarray) -> None:
    size = Size(height=photo.shape[0], width=photo.shape[1])
    grey = image.ImageInput(replace(IMAGE, channels=1, size=size, steps=(Rescale(factor=1.0, offset=0.0),)))
    theirs = np.asarray(Pillow.fromarray(photo).convert("L"), np.float32)
    np.testing.assert_array_equal(grey.feeds([photo])["pixel_values"][0, 0], theirs)


def test_a_small_image_is_padded() -> None:
    assert image.crop(np.ones((10, 50, 3), np.uint8), 20, 20).shape == (20, 20, 3)


@pytest.mark.parametrize(
    "wrong", [None, "nowhere.png", np.zeros((4, 4, 3)), np.zeros(5, np.uint8), np.zeros((4, 4, 2), np.uint8)]
)
def test_what_is_no_image(wrong: object) -> None:
    with pytest.raises(InputError):
        image.ImageInput(IMAGE).feeds([wrong])


def test_a_file_that_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("no image")
    with pytest.raises(InputError, match="not an image"):
        image.pixels(tmp_path / "x.png")
    with pytest.raises(InputError, match="not an image"):
        image.pixels(b"no image")


def _file(mode: str, path: Path) -> Path:
    """An image of ``mode`` in a format that holds it, turned on its side by EXIF where the format can."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    photo = Pillow.fromarray(noise, "RGBA")
    exif = Pillow.Exif()
    exif[274] = 6
    if mode == "I;16":
        photo = Pillow.fromarray(noise[..., 0].astype(np.uint16) * 300)
    elif mode == "P":
        photo = photo.convert("RGB").quantize(16)
        photo.info["transparency"] = 3
    else:
        photo = photo.convert(mode)
    suffix = ".jpg" if mode in ("CMYK", "RGB", "L") else ".png"
    photo.save(path.with_suffix(suffix), exif=exif)
    return path.with_suffix(suffix)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "RGBA", "LA", "P", "1", "I;16"])
def test_files_are_read_as_transformers_reads_them(mode: str, tmp_path: Path) -> None:
    file = _file(mode, tmp_path / "photo")
    theirs = np.asarray(load_image(str(file)))
    assert theirs.shape == (30, 20, 3)
    for given in (file, str(file), file.read_bytes(), bytearray(file.read_bytes())):
        np.testing.assert_array_equal(image.pixels(given), theirs)


def test_a_truncated_file(tmp_path: Path) -> None:
    for mode in ("RGB", "RGBA"):
        whole = _file(mode, tmp_path / mode).read_bytes()
        for length in (10, 60, len(whole) // 2):
            with pytest.raises(InputError, match="not an image"):
                image.pixels(whole[:length])


def test_a_panorama_is_not_resized_whole() -> None:
    wide = np.random.default_rng(0).integers(0, 256, (2, 9000, 3), np.uint8)
    made = image.ImageInput(IMAGE).feeds([wide])["pixel_values"]
    assert made.shape == (1, 3, 32, 32)


def test_one_formula_for_all_values(photo: np.ndarray) -> None:
    given = replace(
        IMAGE,
        size=Size(height=photo.shape[0], width=photo.shape[1]),
        steps=(
            ReverseChannels(),
            Rescale(factor=2 / 255, offset=-1.0),
            Normalize(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)),
            Normalize(mean=(0.1, 0.2, 0.3), std=(0.2, 0.3, 0.4)),
        ),
    )
    facts = image.affine(given)
    assert facts.reverse
    values = (photo[..., ::-1] * facts.scale + facts.offset - facts.mean) / facts.std
    np.testing.assert_allclose(
        image.ImageInput(given).feeds([photo])["pixel_values"][0].transpose(1, 2, 0), values, rtol=1e-4, atol=1e-5
    )
