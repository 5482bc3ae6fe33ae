"""edgepack run on a model that makes images: options, files and what is told."""

import errno
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tests.pipelines import Tiny

from edgepack.cli import text_to_image as command
from edgepack.errors import DiskFull, FileTrouble, UsageError
from edgepack.runtime import png


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Tiny(tmp_path_factory.mktemp("tiny")).ours()


def test_options_are_those_of_generate():
    stated = {"steps": 3, "guidance": None, "negative_prompt": "grey"}
    assert command.options(stated, "512x768") == {
        "steps": 3,
        "negative_prompt": "grey",
        "width": 512,
        "height": 768,
    }
    assert command.options({}, "64") == {"width": 64, "height": 64}
    for size in ("512*512", "x512", "-1x3", "512x", ""):
        with pytest.raises(UsageError, match="--size"):
            command.options({}, size)


def test_a_file_is_asked_for_before_anything_is_opened(tmp_path):
    listed = SimpleNamespace(folder=tmp_path / "bundle")
    assert command.check(tmp_path / "sofa.PNG", listed) == tmp_path / "sofa.PNG"
    with pytest.raises(UsageError, match="no output file given"):
        command.check(None, listed)
    with pytest.raises(UsageError, match=r"sofa\.jpg, which is not a PNG file"):
        command.check(tmp_path / "sofa.jpg", listed)
    with pytest.raises(FileTrouble, match="no folder"):
        command.check(tmp_path / "none" / "sofa.png", listed)
    (tmp_path / "bundle" / "sofa.png").mkdir(parents=True)
    with pytest.raises(FileTrouble, match=r"sofa\.png is a folder"):
        command.check(tmp_path / "bundle" / "sofa.png", listed)
    with pytest.raises(UsageError, match="lies in the bundle"):
        command.check(tmp_path / "bundle" / "chair.png", listed)
    with pytest.raises(UsageError, match="the same file"):
        command.check_preview(tmp_path / "sofa.png", listed, tmp_path / "sofa.png")


def test_a_png_is_whole_or_not_there(tmp_path, monkeypatch):
    file, link = tmp_path / "sofa.png", tmp_path / "link.png"
    link.symlink_to(file)
    png.write(link, np.zeros((2, 2, 3), np.uint8))
    before = file.read_bytes()

    def full(place, data):
        place.open("wb").close()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFull, match="no space left on the disk of"):
        png.write(link, np.ones((2, 2, 3), np.uint8))
    assert (file.read_bytes(), sorted(tmp_path.iterdir())) == (before, [link, file])
    with pytest.raises(FileTrouble, match="cannot be written"):
        png.write(tmp_path / "none" / "sofa.png", np.ones((2, 2, 3), np.uint8))


def test_one_image_has_the_name_that_is_given(model, tmp_path, capsys):
    command.make(model, ["a red sofa"], {"seed": 4, "steps": 2}, tmp_path / "sofa.png", json=False)
    wanted = model.generate("a red sofa", seed=4, steps=2)[0].pixels
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "sofa.png")), wanted)
    assert "sofa.png  64 x 64, seed 4, " in capsys.readouterr().out


def test_several_are_numbered(model, tmp_path, capsys):
    command.make(model, ["a sofa", "the sofa"], {"images": 2, "steps": 1, "seed": 1}, tmp_path / "it.png", json=True)
    told = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in told] == [str(tmp_path / f"it-{number}.png") for number in (1, 2, 3, 4)]
    assert [(row["prompt"], row["index"]) for row in told] == [
        ("a sofa", 0), ("a sofa", 1), ("the sofa", 0), ("the sofa", 1)
    ]  # fmt: skip
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_what_is_cut_is_told_beside_the_results(model, tmp_path, capsys):
    asked = {"steps": 1, "negative_prompt": "bed " * 80, "guidance": 2}
    command.make(model, ["sofa " * 80], asked, tmp_path / "sofa.png", json=True)
    told = capsys.readouterr()
    assert "note: the prompt is longer than the 77 tokens" in " ".join(told.err.split())
    assert "note: the negative prompt is longer than the 77 tokens" in " ".join(told.err.split())
    assert len(json.loads(told.out)) == 1
