"""Models of sounds of every supported type are built, and answer as transformers' pipeline does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import scipy.signal
import transformers
from safetensors.numpy import load_file, save_file
from tests import audio_models

import edgepack
from edgepack.data import DataSpec
from edgepack.errors import UsageError
from edgepack.records import Bundle
from edgepack.runtime.labels import Label
from edgepack.tasks._audio import wav

Build = Callable[..., tuple[Bundle, ...]]
Tiny = Callable[[str], Path]
Command = Callable[..., CompletedProcess[str]]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
TOLERANCE = 1e-4  # of the largest logit: float32 in another order
RATE = 16_000
SECONDS = (0.3, 1.0, 1.705)  # odd and even numbers of frames, which SEW joins in twos


def _sounds() -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [
        (rng.normal(size=int(RATE * length)) * 0.1 + np.sin(np.arange(int(RATE * length)) / (4 + i)) * 0.3).astype(
            np.float32
        )
        for i, length in enumerate(SECONDS)
    ]


def _theirs(folder: Path, sounds: list[np.ndarray]) -> list[dict[str, float]]:
    """The scores of transformers' pipeline, for each sound by label."""
    piped: Any = transformers.pipeline("audio-classification", model=str(folder), top_k=None)
    return [{one["label"]: one["score"] for one in answer} for answer in map(piped, sounds)]


def _check(bundle: Path, folder: Path, tolerance: float) -> None:
    """The bundle's scores are the pipeline's, in the same order."""
    sounds = _sounds()
    made = edgepack.load(bundle).classify(sounds)
    for ours, theirs in zip(made, _theirs(folder, sounds), strict=True):
        assert [label.name for label in ours] == sorted(theirs, key=lambda name: -theirs[name])
        for label in ours:
            assert label.score == pytest.approx(theirs[label.name], abs=tolerance)


@pytest.mark.parametrize("model_type", audio_models.TYPES)
def test_each_model_type_answers_as_transformers_does(model_type: str, build: Build, tmp_path: Path) -> None:
    audio_models.save(model_type, tmp_path)
    (bundle,) = build(tmp_path, "rpi", recipes=("fp32",))
    assert (bundle.source.task, bundle.source.model_type) == ("audio-classification", model_type)
    _check(bundle.path, tmp_path, TOLERANCE)


@pytest.mark.parametrize(
    "changed",
    [
        {"use_weighted_layer_sum": True},
        {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "masks": True},  # as wav2vec 2.0 large has it
        {"classifier_proj_size": 8, "mask_time_prob": 0.0, "num_labels": 1, "id2label": {0: "LABEL_0"}},
    ],
)
def test_settings_of_the_model_are_followed(changed: dict[str, Any], build: Build, tmp_path: Path) -> None:
    audio_models.save("wav2vec2", tmp_path, **changed)
    (bundle,) = build(tmp_path, "rpi", recipes=("fp32",))
    _check(bundle.path, tmp_path, TOLERANCE)


@pytest.mark.parametrize("model_type", [audio_models.AST, "wavlm"])
def test_core_ml_answers_as_transformers_does(model_type: str, build: Build, tmp_path: Path) -> None:
    audio_models.save(model_type, tmp_path)
    (bundle,) = build(tmp_path, "iphone", recipes=("fp32",))
    _check(bundle.path, tmp_path, TOLERANCE)


@pytest.fixture(scope="module")
def bundles(build: Build, tiny: Tiny) -> dict[str, Bundle]:
    """int8 of wav2vec 2.0 for both formats, and with static scales."""
    model = tiny("audio-classification")
    (phone,), boards = build(model, "iphone"), build(model, "rpi", recipes=("int8", "int8-static"))
    return {"iphone": phone, **{bundle.recipe.name: bundle for bundle in boards}}


@pytest.mark.parametrize("kind", ["iphone", "int8", "int8-static"])
def test_8_bits_keep_the_answers(kind: str, bundles: dict[str, Bundle], tiny: Tiny) -> None:
    bundle = bundles[kind]
    figures = {figure.metric: figure.compressed for figure in bundle.accuracy}
    assert figures["audio_max_error"] == 0
    assert figures["cosine_mean"] > 0.98
    (artifact,) = bundle.artifacts.values()
    assert artifact.coverage.share > 0.99
    sounds = _sounds()
    for ours, theirs in zip(
        edgepack.load(bundle.path).classify(sounds), _theirs(tiny("audio-classification"), sounds), strict=True
    ):
        assert max(abs(label.score - theirs[label.name]) for label in ours) < 0.1


def test_a_waveforms_graph_takes_any_length_and_optimums_names(bundles: dict[str, Bundle]) -> None:
    shapes = {kind: next(iter(one.artifacts.values())).inputs[0].shape for kind, one in bundles.items()}
    assert shapes["int8"] == ("batch_size", "sequence_length")
    assert shapes["iphone"] == (1, "85..480000")


def test_weights_in_the_names_of_earlier_checkpoints(build: Build, tmp_path: Path) -> None:
    audio_models.save("hubert", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    for new, earlier in old.items():
        (name,) = (name for name in tensors if name.endswith(new))
        tensors[name.replace(new, earlier)] = tensors.pop(name)
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    (bundle,) = build(tmp_path, "rpi", recipes=("fp32",))
    _check(bundle.path, tmp_path, TOLERANCE)


def test_a_file_at_another_rate_answers_as_transformers_does_on_scipys_samples(
    bundles: dict[str, Bundle], tiny: Tiny, tmp_path: Path
) -> None:
    at_44 = np.stack([np.sin(np.arange(30_000) / (9 + c)) * 0.5 for c in range(2)], axis=1)
    (tmp_path / "tone.wav").write_bytes(wav(at_44, 44_100))
    read = np.rint(at_44 * 32767).mean(axis=1) / 32768
    at_16 = scipy.signal.resample_poly(read, 160, 441).astype(np.float32)
    model = edgepack.load(bundles["int8"].path)
    from_file, from_array = model.classify([str(tmp_path / "tone.wav"), at_16])
    assert [label.name for label in from_file] == [label.name for label in from_array]
    assert from_file[0].score == pytest.approx(from_array[0].score, abs=1e-3)
    (again,) = model.classify([read.astype(np.float32)], sampling_rate=44_100)
    assert again == from_file
    assert isinstance(model.classify(at_16)[0], Label)


def _listed(folder: Path) -> list[tuple[str, str]]:
    """WAV files in a folder for each label, the label that transformers' pipeline gives."""
    found = []
    for index, sound in enumerate(_sounds()):
        label = audio_models.NAMES[index % 2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        file = folder / label / f"{index}.wav"
        file.write_bytes(wav(sound[:, None], RATE))
        found.append((str(file), label))
    return found


@pytest.mark.parametrize("kind", ["folder", "csv", "jsonl"])
def test_accuracy_on_a_data_set_of_wav_files(kind: str, build: Build, tiny: Tiny, tmp_path: Path) -> None:
    listed = _listed(tmp_path / "sounds")
    if kind == "csv":
        lines = ["audio,label", *(f"{file},{label}" for file, label in listed)]
        (tmp_path / "sounds.csv").write_text("\n".join(lines))
    if kind == "jsonl":
        rows = [json.dumps({"audio": file, "label": label}) for file, label in listed]
        (tmp_path / "sounds.jsonl").write_text("\n".join(rows))
    place = tmp_path / ("sounds" if kind == "folder" else f"sounds.{kind}")
    spec = DataSpec(path=place, name=place.name)
    (bundle,) = build(tiny("audio-classification"), "rpi", evaluation=spec, calibration=spec)
    figures = {figure.metric: figure for figure in bundle.accuracy}
    theirs = _theirs(tiny("audio-classification"), [np.rint(x * 32767).astype(np.float32) / 32768 for x in _sounds()])
    best = [max(scores, key=lambda name: scores[name]) for scores in theirs]
    right = [name == label for name, (_, label) in zip(best, listed, strict=True)]
    assert figures["accuracy"].original == pytest.approx(np.mean(right))
    assert figures["accuracy"].samples == len(listed)
    assert figures["top5"].compressed == 1


def test_the_command_names_a_sound(bundles: dict[str, Bundle], edgepack: Command, tmp_path: Path) -> None:
    file = tmp_path / "tone.wav"
    file.write_bytes(wav(_sounds()[0][:, None], RATE))
    said = edgepack("run", bundles["int8"].path, file)
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines()[0].endswith("tone.wav")
    assert {line.split()[0] for line in said.stdout.splitlines()[1:]} == {"bark", "meow", "silence"}
    (answer,) = json.loads(edgepack("run", bundles["int8"].path, file, "--json").stdout)
    assert sum(label["score"] for label in answer["result"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "there is no sound"), (b"", "is not a WAV file"), (b"\0" * 99, "is not a WAV file")]
)
def test_the_command_refuses_what_is_no_sound_in_a_line(
    content: bytes | None, said: str, bundles: dict[str, Bundle], edgepack: Command, tmp_path: Path
) -> None:
    file = tmp_path / "broken.wav"
    if content is not None:
        file.write_bytes(content)
    done = edgepack("run", bundles["int8"].path, file)
    assert done.returncode == 40
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_golden_vectors_begin_with_the_sound(bundles: dict[str, Bundle], edgepack: Command) -> None:
    folder = bundles["int8"].path
    assert edgepack("validate", folder).returncode == 0
    tensors = load_file(folder / "golden.safetensors")
    assert tensors["0.audio"].dtype == np.float32
    assert tensors["3.audio"].tobytes()[:4] == b"RIFF"


def test_another_way_to_prepare_sounds_is_seen(bundles: dict[str, Bundle], edgepack: Command) -> None:
    manifest = bundles["int8-static"].path / "edgepack.json"
    table = json.loads(manifest.read_text("utf-8"))
    table["processing"]["audio"]["features"]["normalize"] = False
    manifest.write_text(json.dumps(table), "utf-8")
    done = edgepack("validate", manifest.parent)
    assert done.returncode == 1
    assert "input_values differs by" in " ".join((done.stdout + done.stderr).split())


def test_sounds_have_no_context(build: Build, tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="sounds have no context to choose"):
        build(tiny("audio-classification"), "rpi", context=64)
    with pytest.raises(UsageError, match="sounds have no length in tokens"):
        build(tiny("audio-classification"), "iphone", lengths=(64,))
