"""edgepack run on a bundle that makes images, as a process of its own."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from tests import pipelines

import edgepack as library

PROMPT = "a red sofa by the window"


@pytest.fixture(scope="module")
def bundle(build, tmp_path_factory):
    tiny = pipelines.Tiny(tmp_path_factory.mktemp("tiny"))
    folder = tmp_path_factory.mktemp("model") / "rooms"
    tiny.diffusers("StableDiffusionPipeline").save_pretrained(folder)
    return build(folder, "rpi", recipes=("fp32",))[0]


def test_the_command_makes_the_library_s_image(edgepack, bundle, tmp_path):
    file = tmp_path / "sofa.png"
    done = edgepack("run", bundle.path, PROMPT, "-o", file, "--steps", 3, "--seed", 5, "--size", "96x64", "--json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert (told["file"], told["width"], told["height"], told["seed"]) == (str(file), 96, 64, 5)
    wanted = library.load(bundle.path).generate(PROMPT, steps=3, seed=5, width=96, height=64)
    np.testing.assert_array_equal(np.asarray(Image.open(file)), wanted[0].pixels)


def test_an_image_is_repainted(edgepack, bundle, tmp_path):
    Image.fromarray(pipelines.photo()).save(tmp_path / "room.png")
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    options = ("--image", tmp_path / "room.png", "--mask", tmp_path / "mask.png", "--steps", 3, "--seed", 5)
    done = edgepack("run", bundle.path, PROMPT, "-o", tmp_path / "made.png", *options)
    assert done.returncode == 0, done.stderr
    wanted = library.load(bundle.path).generate(PROMPT, image=pipelines.photo(), mask=mask, steps=3, seed=5)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "made.png")), wanted[0].pixels)


def test_submodels_that_the_task_does_not_know(edgepack, bundle, tmp_path):
    table = json.loads((bundle.path / "edgepack.json").read_text())
    for index, (name, other) in enumerate([("unet", None), ("unet", "transformer"), ("text_encoder", None)]):
        copy = shutil.copytree(bundle.path, tmp_path / str(index))
        models = dict(table["models"])
        entry = models.pop(name)
        if other:
            models[other] = entry
        (copy / "edgepack.json").write_text(json.dumps({**table, "models": models}))
        for command in (["run", copy, PROMPT, "-o", tmp_path / "x.png"], ["validate", copy], ["inspect", copy]):
            done = edgepack(*command)
            assert done.returncode == 30, done.stderr
            assert f"lacks the submodel '{name}'" in done.stderr
    copy = shutil.copytree(bundle.path, tmp_path / "fewer")
    models = {name: entry for name, entry in table["models"].items() if name != "vae_encoder"}
    (copy / "edgepack.json").write_text(json.dumps({**table, "models": models}))
    assert edgepack("inspect", copy).returncode == 0, "a bundle may lack what only images to begin with need"


def test_what_is_wrong_is_told_in_a_line(edgepack, bundle, tmp_path):
    file = ("-o", tmp_path / "it.png")
    (tmp_path / "text.png").write_text("no image")
    cases = [
        ((PROMPT,), 2, "no output file given"),
        ((*file,), 2, "needs an input"),
        (("", *file), 40, "the prompt is empty"),
        ((PROMPT, *file, "--size", "100"), 2, "height is 100"),
        ((PROMPT, *file, "--steps", 0), 2, "steps is 0"),
        ((PROMPT, *file, "--strength", 0.5), 2, "a strength and no image"),
        ((PROMPT, *file, "--image", tmp_path / "text.png"), 40, "not an image"),
        ((PROMPT, *file, "--scheduler", "heun"), 3, "no scheduler named 'heun'"),
        ((PROMPT, *file, "--temperature", 1), 2, "--temperature is for language models"),
    ]
    for arguments, code, said in cases:
        done = edgepack("run", bundle.path, *arguments)
        assert done.returncode == code, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "it.png").exists()
