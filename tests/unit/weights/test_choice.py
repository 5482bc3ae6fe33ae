"""Which files of a folder are the weights: transformers' own choice in every arrangement, or why there are none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from transformers.modeling_utils import _get_resolved_checkpoint_files

from edgepack import weights
from edgepack.errors import DamagedWeights, EdgepackError, ModelError, UnsafeModel, UnsupportedModel

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def save(folder: Path, *names: str) -> None:
    for name in names:
        save_file({name: np.ones(2, np.float32)}, folder / name)


def index(folder: Path, *names: str, file: str = INDEX) -> None:
    (folder / file).write_text(json.dumps({"metadata": {}, "weight_map": {name: name for name in names}}))


def newer(folder: Path, name: str) -> None:
    later = (folder / name).stat().st_mtime + 100
    os.utime(folder / name, (later, later))


def asked(folder: Path, name: str) -> None:
    (folder / "config.json").write_text(json.dumps({"transformers_weights": name}))


ARRANGEMENTS: dict[str, Callable[[Path], object]] = {
    "whole": lambda f: save(f, WHOLE),
    "shards": lambda f: (save(f, ONE, TWO), index(f, ONE, TWO)),
    "complete older shards beside": lambda f: (save(f, ONE, TWO, WHOLE), index(f, ONE, TWO), newer(f, WHOLE)),
    "complete newer shards beside": lambda f: (save(f, WHOLE, ONE, TWO), index(f, ONE, TWO), newer(f, ONE)),
    "an index with missing shards beside a whole file": lambda f: (save(f, ONE, WHOLE), index(f, ONE, TWO)),
    "a broken index beside a whole file": lambda f: (save(f, WHOLE), (f / INDEX).write_text("[")),
    "a variant beside the whole file": lambda f: save(f, WHOLE, "model.fp16.safetensors"),
    "an index of a variant beside shards": lambda f: (
        save(f, ONE, TWO),
        index(f, ONE, TWO),
        index(f, "x", file="model.safetensors.index.fp16.json"),
    ),
    "consolidated beside shards": lambda f: (save(f, ONE, TWO, "consolidated.safetensors"), index(f, ONE, TWO)),
    "shards of another number beside": lambda f: (
        save(f, ONE, TWO, "model-00001-of-00003.safetensors"),
        index(f, ONE, TWO),
    ),
    "pickled beside": lambda f: (save(f, WHOLE), (f / "pytorch_model.bin").write_bytes(b"x")),
    "a file that config.json names": lambda f: (save(f, WHOLE, "other.safetensors"), asked(f, "other.safetensors")),
    "an index that config.json names": lambda f: (
        save(f, WHOLE, ONE, TWO),
        index(f, ONE, TWO, file="own.safetensors.index.json"),
        asked(f, "own.safetensors.index.json"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_the_choice_is_transformers_own(name: str, tmp_path: Path) -> None:
    ARRANGEMENTS[name](tmp_path)
    config = tmp_path / "config.json"
    explicit = json.loads(config.read_text())["transformers_weights"] if config.is_file() else None
    theirs, _ = _get_resolved_checkpoint_files(
        str(tmp_path), None, None, True, {}, False, transformers_explicit_filename=explicit
    )
    assert [str(file) for file in weights.files(tmp_path)] == theirs


def pickle(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"x")


def adapter(folder: Path) -> None:
    save(folder, "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/base"}))


def parts(folder: Path) -> None:
    for name in ("unet", "vae"):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text("{}")


REFUSED: dict[str, tuple[Callable[[Path], object], type[EdgepackError], str]] = {
    "nothing": (lambda f: None, ModelError, r"has no model\.safetensors"),
    "a missing shard": (lambda f: (save(f, ONE), index(f, ONE, TWO)), DamagedWeights, TWO),
    "a broken index": (lambda f: (f / INDEX).write_text("[]"), DamagedWeights, INDEX),
    "an index that leads out": (lambda f: index(f, "../x.safetensors"), DamagedWeights, "outside its folder"),
    "shards without an index": (lambda f: save(f, ONE, TWO), ModelError, f"and no {INDEX}"),
    "a variant alone": (lambda f: save(f, "model.fp16.safetensors"), ModelError, "variant 'fp16'"),
    "a sharded variant": (lambda f: save(f, "model-00001-of-00002.bf16.safetensors"), ModelError, "variant 'bf16'"),
    "consolidated": (lambda f: save(f, "consolidated.safetensors"), ModelError, "authors' own names"),
    "parts of a pipeline": (parts, ModelError, r"\(unet, vae\) and lacks model_index\.json"),
    "ONNX": (lambda f: (f / "model.onnx").write_bytes(b"x"), UnsupportedModel, "exported to ONNX"),
    "GGUF": (lambda f: (f / "model-q4.gguf").write_bytes(b"GGUF"), UnsupportedModel, "GGUF"),
    "MLX": (lambda f: (f / "weights.npz").write_bytes(b"PK"), UnsupportedModel, "MLX"),
    "another name": (lambda f: save(f, "pytorch_model.safetensors"), ModelError, "pytorch_model"),
    "two other names": (lambda f: save(f, "a.safetensors", "b.safetensors"), ModelError, "a.safetensors and others"),
    "an adapter alone": (adapter, ModelError, "adapter alone"),
    "pickled": (pickle, UnsafeModel, "run code"),
    "TensorFlow": (lambda f: (f / "tf_model.h5").write_bytes(b"x"), UnsupportedModel, "only TensorFlow's weights"),
    "Flax": (lambda f: (f / "flax_model.msgpack").write_bytes(b"x"), UnsupportedModel, "only Flax's weights"),
    "Keras": (lambda f: (f / "model.weights.h5").write_bytes(b"x"), UnsupportedModel, "only Keras' weights"),
    "OpenVINO": (
        lambda f: [(f / f"openvino_model.{end}").write_bytes(b"x") for end in ("bin", "xml")], UnsupportedModel,
        "exported to OpenVINO",
    ),
    "a trainer's": (lambda f: (f / "training_args.bin").write_bytes(b"x"), ModelError, r"has no model\.safetensors"),
    "open_clip": (
        lambda f: (save(f, "open_clip_model.safetensors"), (f / "open_clip_config.json").write_text("{}")),
        UnsupportedModel, "open_clip checkpoint",
    ),
    "a named file that is not there": (lambda f: asked(f, "x.safetensors"), ModelError, "x.safetensors"),
    "a named file of another kind": (lambda f: (pickle(f), asked(f, "pytorch_model.bin")), ModelError, "pytorch_model"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_else_lies_there_is_named(name: str, tmp_path: Path) -> None:
    arrange, kind, said = REFUSED[name]
    arrange(tmp_path)
    with pytest.raises(kind, match=said) as raised:
        weights.files(tmp_path)
    assert type(raised.value) is kind


def test_an_adapter_alone_says_what_to_build(tmp_path: Path) -> None:
    adapter(tmp_path)
    with pytest.raises(ModelError) as raised:
        weights.files(tmp_path)
    assert raised.value.hint == f"edgepack build org/base --adapter {tmp_path}"


def test_the_index_that_the_hint_writes_is_read(tmp_path: Path) -> None:
    save(tmp_path, ONE, TWO)
    with pytest.raises(ModelError) as raised:
        weights.files(tmp_path)
    script = raised.value.hint.split('python -c "')[1].removesuffix('"')
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    assert [file.name for file in weights.files(tmp_path)] == [ONE, TWO]
