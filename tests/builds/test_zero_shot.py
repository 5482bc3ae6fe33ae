"""A bundle of two submodels: CLIP's encoders for ONNX Runtime, transformers.js and Core ML, beside transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

import edgepack
from edgepack import suites
from edgepack.cli.app import app
from edgepack.data import DataSpec
from edgepack.errors import BundleDamaged, BundleError, BundleFileMissing, DamagedWeights, InputError, UsageError
from edgepack.original import open_originals
from edgepack.plans import Subject
from edgepack.records import Bundle, NotMeasured
from edgepack.runtime import golden, manifest, measurements
from edgepack.runtime.engines import open_session
from edgepack.runtime.runner import Here
from edgepack.stages import validate

pytestmark = pytest.mark.filterwarnings("ignore")  # coremltools and transformers warn of torch and torchvision

TASK = "zero-shot-image-classification"
LABELS = ["a cat", "a dog", "the phone", "nothing at all"]
BOTH = {"text_model", "vision_model"}
Build = Callable[..., tuple[Bundle, ...]]


@pytest.fixture(scope="module")
def folder(tiny: Callable[[str], Path]) -> Path:
    return tiny(TASK)


@pytest.fixture(scope="module")
def plain(build: Build, folder: Path) -> Bundle:
    return build(folder, "rpi", recipes=("fp32",))[0]


@pytest.fixture(scope="module")
def apple(build: Build, folder: Path) -> Bundle:
    return build(folder, "iphone", recipes=("fp16",))[0]


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    coarse = [rng.integers(0, 256, (6, 5, 3), np.uint8) for _ in range(3)]
    return [np.kron(part, np.ones((12, 14, 1), np.uint8)) for part in coarse]


def scores(found: list[Any]) -> dict[str, float]:
    return {label.name: label.score for label in found}


@pytest.mark.parametrize("template", [None, "a drawing of {}"])
def test_answers_are_those_of_transformers(
    plain: Bundle, folder: Path, photos: list[np.ndarray], template: str | None
) -> None:
    pipeline = transformers.pipeline(TASK, model=str(folder))
    options = {"hypothesis_template": template} if template else {}
    model = edgepack.load(plain.path)
    for image in photos:
        wanted = pipeline(Image.fromarray(image), candidate_labels=LABELS, **options)
        found = model.classify(image, LABELS, template=template)
        assert [label.name for label in found] == [entry["label"] for entry in wanted]
        assert [label.score for label in found] == pytest.approx([entry["score"] for entry in wanted], abs=1e-5)
    together = model.classify(photos, LABELS, template=template)
    assert scores(together[0]) == pytest.approx(scores(model.classify(photos[0], LABELS, template=template)))


def test_vectors_are_those_of_transformers(plain: Bundle, folder: Path, photos: list[np.ndarray]) -> None:
    processor, model = transformers.AutoProcessor.from_pretrained(folder), edgepack.load(plain.path)
    texts = ["a cat", "The PHONE of the dog, on the mat", "x"]
    made = processor(text=texts, images=[Image.fromarray(one) for one in photos], return_tensors="pt", padding=True)
    with torch.no_grad():
        wanted = transformers.CLIPModel.from_pretrained(folder)(**made, return_dict=True)

    def unit(vectors: np.ndarray) -> np.ndarray:
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    np.testing.assert_allclose(unit(model.embed_text(texts)), wanted.text_embeds, atol=1e-5)
    np.testing.assert_allclose(unit(model.embed_image(photos)), wanted.image_embeds, atol=1e-5)
    assert model.embed_text("one").shape == model.embed_image(photos[0]).shape == (24,)


def test_each_submodel_is_told_apart(plain: Bundle) -> None:
    listed = manifest.read(plain.path)
    assert set(listed.models) == set(plain.artifacts) == BOTH
    assert listed.models["text_model"].files == ("text_model.onnx",)
    assert {spec.shape for model in listed.models.values() for spec in model.outputs} == {("batch_size", 24)}
    assert listed.model_bytes == sum(submodel.bytes for submodel in listed.models.values())
    accuracy, _ = measurements.read(plain.path)
    cosines = {figure.submodel: figure.compressed for figure in accuracy if figure.metric == "cosine_min"}
    assert cosines == {"text_model": pytest.approx(1, abs=1e-6), "vision_model": pytest.approx(1, abs=1e-6)}
    inputs = {figure.label: figure.compressed for figure in accuracy if figure.metric.endswith("s_max_error")}
    assert inputs == {"text_model token_ids_max_error": 0, "vision_model pixels_max_error": 0}
    (whole,) = [figure for figure in accuracy if not figure.submodel]
    assert whole.metric == "accuracy"
    assert isinstance(whole.compressed, NotMeasured)


def test_accuracy_is_measured_on_images_with_labels(
    build: Build, folder: Path, plain: Bundle, photos: list[np.ndarray], tmp_path: Path
) -> None:
    model = edgepack.load(plain.path)
    for index, image in enumerate(photos):
        best = model.classify(image, LABELS[:2])[0].name
        (tmp_path / "set" / best).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "set" / best / f"{index}.png")
    (tmp_path / "set" / "a dog").mkdir(exist_ok=True)
    (tmp_path / "set" / "a cat").mkdir(exist_ok=True)
    Image.fromarray(photos[0][::-1].copy()).save(tmp_path / "set" / "a dog" / "extra.png")
    Image.fromarray(photos[0][::-1].copy()).save(tmp_path / "set" / "a cat" / "extra.png")
    made = build(folder, "rpi", recipes=("fp32",), evaluation=DataSpec(path=tmp_path / "set"))[0]
    (found,) = [figure for figure in made.accuracy if figure.metric == "accuracy"]
    assert found.samples == len(photos) + 2
    assert found.original == pytest.approx((len(photos) + 1) / found.samples)
    assert isinstance(found.compressed, float)


def test_core_ml(apple: Bundle, plain: Bundle, photos: list[np.ndarray]) -> None:
    listed = manifest.read(apple.path)
    assert {name: one.path.name for name, one in listed.models.items()} == {name: f"{name}.mlpackage" for name in BOTH}
    for name, submodel in listed.models.items():
        assert golden.check(open_session(submodel.path, submodel.format), listed, name=name).passed
    near = scores(edgepack.load(apple.path).classify(photos[1], LABELS))
    assert near == pytest.approx(scores(edgepack.load(plain.path).classify(photos[1], LABELS)), abs=5e-3)


def test_web(build: Build, folder: Path, plain: Bundle, photos: list[np.ndarray]) -> None:
    made = build(folder, "web", recipes=("fp32",))[0].path
    assert {file.name for file in (made / "onnx").iterdir()} == {"text_model.onnx", "vision_model.onnx"}
    wanted = scores(edgepack.load(plain.path).classify(photos[0], LABELS))
    assert scores(edgepack.load(made).classify(photos[0], LABELS)) == pytest.approx(wanted, abs=1e-5)


def test_commands(plain: Bundle, photos: list[np.ndarray], tmp_path: Path) -> None:
    def invoke(*line: object) -> Any:
        return CliRunner().invoke(app, list(map(str, line)), env={"COLUMNS": "200"})

    image, packed = tmp_path / "p.png", tmp_path / "clip.edgepack"
    Image.fromarray(photos[0]).save(image)
    assert invoke("pack", plain.path, "--zip", "--out", packed).exit_code == 0
    told = json.loads(invoke("run", packed, image, "--labels", "a cat,a dog", "--labels", "the phone", "--json").output)
    found = {entry["name"]: entry["score"] for entry in told[0]["result"]}
    assert found == pytest.approx(scores(edgepack.load(plain.path).classify(str(image), LABELS[:3])))
    assert "text_model: inputs and outputs" in invoke("inspect", plain.path).output
    timed = invoke("bench", plain.path, "--runs", 2, "--seconds", 0).output
    assert "text_model 1x32" in timed
    assert "vision_model 1 image" in timed
    assert "vision" not in invoke("bench", plain.path, "--input", "1x8", "--runs", 2, "--seconds", 0).output
    told = json.loads(invoke("compare", plain.path, packed, "--json").output)
    assert ("vision_model", "cosine_min") in {(one["submodel"], one["metric"]) for one in told[0]["accuracy"]}
    for line in (["run", plain.path, image], ["run", plain.path, image, "--labels", ","]):
        assert "no labels given" in str(invoke(*line).exception)


def test_a_suite_names_the_submodel(plain: Bundle, folder: Path, tmp_path: Path) -> None:
    listed = manifest.read(plain.path)

    def run(check: str) -> Any:
        (tmp_path / "suite.toml").write_text(f"[[check]]\n{check}\n", "utf-8")
        suite = suites.read(tmp_path / "suite.toml")
        with open_originals(Subject.of(plain.source)) as originals:
            return validate.validate(Here(listed), suite, originals=originals).results[0]

    agreement = 'kind = "agreement"\nmetric = "cosine"\nstatistic = "min"\nat_least = 0.999\n'
    assert all(run(agreement + extra).passed for extra in ("", 'submodel = "text_model"', 'submodel = "vision_model"'))
    assert run('kind = "golden"').passed
    whole, part = (run(f'kind = "size"\nat_most = "1 MB"\n{extra}') for extra in ("", 'submodel = "text_model"'))
    assert whole.value == listed.model_bytes > part.value == listed.models["text_model"].bytes
    timed = run('kind = "latency"\nsubmodel = "vision_model"\nat_most = "10 s"\nat_most_share = 1000')
    assert timed.passed
    assert timed.original > 0
    with pytest.raises(UsageError, match="one by one"):
        run('kind = "load"\nat_most = "10 s"')
    with pytest.raises(UsageError, match="no submodel 'audio_model'"):
        run(agreement + 'submodel = "audio_model"')


def test_what_cannot_be_used_is_told(plain: Bundle, build: Build, folder: Path, tmp_path: Path) -> None:
    model = edgepack.load(plain.path)
    for labels, said in (
        ([], "labels"),
        (["a", ""], r"labels\[1\] is ''"),
        (3, "labels is 3"),
        ([1], r"labels\[0\] is 1"),
    ):
        with pytest.raises(UsageError, match=said):
            model.classify(np.zeros((9, 9, 3), np.uint8), labels)
    with pytest.raises(UsageError, match="no place for the label"):
        model.classify(np.zeros((9, 9, 3), np.uint8), ["a"], template="a photo")
    with pytest.raises(InputError):
        model.embed_text([3])
    assert model.classify([], ["a"]) == []
    broken = Path(shutil.copytree(plain.path, tmp_path / "bundle"))
    (broken / "vision_model.onnx").unlink()
    with pytest.raises(BundleFileMissing, match=r"vision_model\.onnx"):
        edgepack.load(broken)
    with pytest.raises(UsageError, match="--max-size"):
        build(folder, "rpi", max_size=10_000)


def _spoiled(plain: Bundle, place: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    copy = Path(shutil.copytree(plain.path, place))
    table = json.loads((copy / "edgepack.json").read_text("utf-8"))
    change(table)
    (copy / "edgepack.json").write_text(json.dumps(table), "utf-8")
    return copy


@pytest.mark.parametrize("wrong", ["missing", "renamed", "one more"])
def test_other_submodels_than_the_task_has(plain: Bundle, photos: list[np.ndarray], tmp_path: Path, wrong: str) -> None:
    changes: dict[str, Callable[[dict[str, Any]], object]] = {
        "missing": lambda models: models.pop("vision_model"),
        "renamed": lambda models: models.update(audio=models.pop("vision_model")),
        "one more": lambda models: models.update(third=models["text_model"]),
    }
    copy = _spoiled(plain, tmp_path / "bundle", lambda table: changes[wrong](table["models"]))
    Image.fromarray(photos[0]).save(tmp_path / "p.png")
    lines: list[list[object]] = [
        ["run", copy, tmp_path / "p.png", "--labels", "a,b"], ["validate", copy], ["inspect", copy], ["pack", copy],
        ["pack", copy, "--zip"], ["bench", copy, "--runs", 2, "--seconds", 0], ["compare", plain.path, copy],
    ]  # fmt: skip
    for line in lines:
        error = CliRunner().invoke(app, list(map(str, line))).exception
        assert isinstance(error, BundleError), line
        assert "a bundle for zero-shot-image-classification has text_model, vision_model" in str(error)


@pytest.mark.parametrize("kind", ["inputs", "outputs"])
@pytest.mark.parametrize("name", sorted(BOTH))
def test_inputs_and_outputs_are_those_of_the_graph(plain: Bundle, tmp_path: Path, kind: str, name: str) -> None:
    for index, change in enumerate(
        (lambda specs: specs[0].update(name="other"), lambda specs: specs.append({**specs[0], "name": "one_more"}))
    ):
        copy = _spoiled(plain, tmp_path / str(index), lambda table, change=change: change(table["models"][name][kind]))
        with pytest.raises(BundleDamaged, match=f"{name}.onnx.*has no {kind[:-1]} 'o.*the manifest lists"):
            edgepack.load(copy)


CONTRADICTIONS: dict[str, tuple[Callable[[Any], object], str]] = {
    "text_output": (lambda t: t["processing"]["answer"].update(text_output="x"), "text_model.onnx .* not give 'x'"),
    "image_output": (lambda t: t["processing"]["answer"].update(image_output="x"), "vision_model.onnx .* not give 'x'"),
    "width": (lambda t: t["processing"]["answer"].update(width=25), "vectors of 24 numbers, and .*width is 25"),
    "template": (lambda t: t["processing"]["answer"].update(template="a photo"), "'a photo' has no {}"),
    "dtype": (
        lambda t: t["models"]["text_model"]["inputs"][0].update(dtype="int32"),
        "is int64 .*the manifest lists int32",
    ),
    "size": (
        lambda t: t["models"]["vision_model"]["inputs"][0]["shape"].__setitem__(2, 64),
        r"3, 32, 32\], and .* 3, 64, 32\]",
    ),
    "rank": (
        lambda t: t["models"]["vision_model"]["outputs"][0]["shape"].append(2),
        "image_embeds.* the manifest lists",
    ),
}


@pytest.mark.parametrize("wrong", CONTRADICTIONS)
def test_a_manifest_that_contradicts_its_graphs(plain: Bundle, tmp_path: Path, wrong: str) -> None:
    change, said = CONTRADICTIONS[wrong]
    copy = _spoiled(plain, tmp_path / "bundle", change)
    with pytest.raises(BundleDamaged, match=said):
        edgepack.load(copy)
    error = CliRunner().invoke(app, ["validate", str(copy)]).exception
    assert isinstance(error, BundleDamaged)


@pytest.mark.parametrize("change", ["no scale", "a stranger", "half of the projection"])
def test_weights_that_do_not_belong(build: Build, folder: Path, tmp_path: Path, change: str) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "model"))
    tensors = load_file(copy / "model.safetensors")
    if change == "no scale":
        del tensors["logit_scale"]
    elif change == "a stranger":
        tensors["audio_model.weight"] = np.zeros((2, 2), np.float32)
    else:
        tensors["text_projection.weight"] = tensors["text_projection.weight"][:12].copy()
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        DamagedWeights, match={"no scale": "logit_scale", "a stranger": "audio_model"}.get(change, "text_p")
    ):
        build(copy, "rpi", recipes=("fp32",))


def test_a_budget_is_shared(build: Build, folder: Path) -> None:
    made = build(folder, "iphone", max_size=160_000, allow_loss=True)[0]
    sizes = [artifact.bytes for artifact in made.artifacts.values()]
    assert 130_000 < sum(sizes) <= 160_000
    assert max(sizes) < 90_000


def test_the_real_tokenizer(build: Build, folder: Path, data: Path, tmp_path: Path) -> None:
    """A build compares every id with those of transformers; this one has CLIP's own vocabulary."""
    files = data / "clip-tokenizer"
    if not files.is_dir():
        pytest.skip("CLIP's vocabulary is not here")
    vocabulary = json.loads((files / "vocab.json").read_text("utf-8"))
    lines = (files / "merges.txt").read_text("utf-8").splitlines()
    merges = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
    copy = Path(shutil.copytree(folder, tmp_path / "model"))
    config = transformers.CLIPConfig.from_pretrained(copy)
    config.text_config.vocab_size, config.text_config.hidden_size = len(vocabulary), 8
    config.text_config.num_attention_heads, config.text_config.max_position_embeddings = 2, 77
    config.text_config.eos_token_id = 2  # as OpenAI's own configs say, where the largest id marks the end
    torch.manual_seed(1)
    transformers.CLIPModel(config).save_pretrained(copy)
    (copy / "tokenizer.json").unlink()
    transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77).save_pretrained(copy)
    made = build(copy, "rpi", recipes=("fp32",))[0]
    found = {figure.metric: figure for figure in made.accuracy if figure.submodel == "text_model"}
    assert found["token_ids_max_error"].passed
    assert found["cosine_min"].compressed == pytest.approx(1, abs=1e-5)
    ids = edgepack.load(made.path).submodels["text_model"].feeds(["A photo of  a café, don't you think?"])["input_ids"]
    assert (
        ids.tolist()
        == transformers.AutoTokenizer.from_pretrained(copy)(["A photo of  a café, don't you think?"]).input_ids
    )
