"""Bundles that are whole, damaged, hostile or from the future."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

import edgepack
from edgepack.errors import (
    BundleDamaged,
    BundleError,
    BundleFileMissing,
    BundleTooNew,
    BundleUnsafe,
    EdgepackError,
    InputError,
)
from edgepack.records import Bundle
from edgepack.runtime import archive, manifest, measurements

SCHEMA = json.loads((files("edgepack") / "schemas" / "bundle-2.json").read_text("utf-8"))


def test_the_manifest_keeps_the_published_schema(minilm: Bundle) -> None:
    table = json.loads((minilm.path / "edgepack.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(table, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**table, "surprise": 1}, SCHEMA)


def test_measurements_are_read_back(minilm: Bundle) -> None:
    accuracy, timings = measurements.read(minilm.path)
    assert accuracy == minilm.accuracy
    assert timings == minilm.timings


def change(folder: Path, **values: object) -> None:
    file = folder / "edgepack.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **values}), "utf-8")


def flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


def list_file(folder: Path, name: str) -> None:
    table = json.loads((folder / "edgepack.json").read_text("utf-8"))
    change(folder, files={**table["files"], name: {"sha256": "0" * 64, "bytes": 1}})


def link_out(folder: Path) -> None:
    (folder / "vocab.txt").unlink()
    (folder / "vocab.txt").symlink_to("/etc/hostname")


def model_outside(folder: Path) -> None:
    change_model(folder, file="../model.onnx")


def change_model(folder: Path, **values: object) -> None:
    table = json.loads((folder / "edgepack.json").read_text("utf-8"))
    change(folder, models={"model": {**table["models"]["model"], **values}})


def name_twice(folder: Path) -> None:
    file = folder / "edgepack.json"
    table = json.loads(file.read_text("utf-8"))
    entry = json.dumps(table["models"]["model"])
    text = json.dumps({**table, "models": "HERE"}).replace('"HERE"', f'{{"model": {entry}, "model": {entry}}}')
    file.write_text(text, "utf-8")


DAMAGE: dict[str, tuple[Callable[[Path], object], type[EdgepackError], str]] = {
    "flipped byte": (lambda f: flip(f / "model.onnx"), BundleDamaged, "model.onnx"),
    "flipped in the tokenizer": (lambda f: flip(f / "tokenizer.json"), BundleDamaged, "tokenizer.json"),
    "longer file": (lambda f: (f / "NOTICE").write_text("x" * 9999), BundleDamaged, "NOTICE"),
    "missing model": (lambda f: (f / "model.onnx").unlink(), BundleFileMissing, "model.onnx"),
    "missing licence": (lambda f: (f / "LICENSE").unlink(), BundleFileMissing, "LICENSE"),
    "climbing path": (lambda f: list_file(f, "../secret"), BundleUnsafe, "../secret"),
    "absolute path": (lambda f: list_file(f, "/etc/passwd"), BundleUnsafe, "/etc/passwd"),
    "backslashes": (lambda f: list_file(f, "..\\secret"), BundleUnsafe, "secret"),
    "link out": (link_out, BundleUnsafe, "vocab.txt"),
    "model outside": (model_outside, BundleUnsafe, "../model.onnx"),
    "newer schema": (lambda f: change(f, schema=3), BundleTooNew, "schema 3"),
    "schema 1 with submodels": (lambda f: change(f, schema=1), BundleError, "lacks 'golden'"),
    "schema of another kind": (lambda f: change(f, schema="x"), BundleError, 'schema "x"'),
    "schema that is true": (lambda f: change(f, schema=True), BundleError, "schema true"),
    "schema from before the first": (lambda f: change(f, schema=0), BundleError, "schema 0"),
    "no manifest": (lambda f: (f / "edgepack.json").unlink(), BundleError, "not a bundle"),
    "broken manifest": (lambda f: (f / "edgepack.json").write_text("{"), BundleError, "not valid JSON"),
    "manifest of a list": (lambda f: (f / "edgepack.json").write_text("[]"), BundleError, "object"),
    "manifest without files": (lambda f: change(f, files=None), BundleError, "files is null"),
    "processing of an unknown kind": (
        lambda f: change(f, processing={"video": {}}),
        BundleError,
        "edgepack.json: processing has 'video', which this edgepack does not know",
    ),
    "processing of another task": (
        lambda f: change(f, processing={"answer": {"kind": "mask", "mask_token": "x", "mask_id": 1}}),
        BundleError,
        "processing.answer.kind is 'mask', not 'embedding'",
    ),
    "no processing": (lambda f: change(f, processing=None), BundleError, "processing is null, not an object"),
    "manifest without task": (lambda f: change(f, task=None), BundleError, "task is null"),
    "no submodels": (lambda f: change(f, models={}), BundleError, "models is empty"),
    "no list of submodels": (lambda f: change(f, models=None), BundleError, "models is null"),
    "two submodels of one name": (name_twice, BundleError, "the key 'model' occurs twice"),
    "model that is not listed": (lambda f: change_model(f, file="other.onnx"), BundleError, "other.onnx"),
    "weights that are not listed": (
        lambda f: change_model(f, files=["model.onnx", "model.onnx_data"]),
        BundleError,
        "model.onnx_data",
    ),
    "engine that is not known": (lambda f: change_model(f, format="tflite"), BundleError, "tflite"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told(copied: Path, name: str) -> None:
    spoil, kind, said = DAMAGE[name]
    spoil(copied)
    with pytest.raises(kind) as error:
        edgepack.load(copied)
    assert type(error.value) is kind
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_unlisted_files_are_told_not_refused(copied: Path) -> None:
    (copied / "extra.txt").write_text("x")
    assert manifest.verify(manifest.read(copied)) == ["extra.txt"]
    assert edgepack.load(copied).embed("x").shape == (384,)


def test_no_such_bundle() -> None:
    with pytest.raises(BundleError):
        edgepack.load("no/such/bundle")


@pytest.fixture
def packed(minilm: Bundle, tmp_path: Path) -> Path:
    return archive.zip_folder(minilm.path, tmp_path / "m.edgepack")


def rewritten(packed: Path, change: Callable[[str, bytes], tuple[str, bytes]]) -> Path:
    """A copy of the archive with some entries changed."""
    out = packed.with_name("changed.edgepack")
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as sink:
        for info in source.infolist():
            sink.writestr(*change(info.filename, source.read(info)))
    return out


def test_one_file_works_like_the_folder(packed: Path, minilm: Bundle) -> None:
    again = archive.zip_folder(minilm.path, packed.with_name("again.edgepack"))
    assert again.read_bytes() == packed.read_bytes()
    assert (edgepack.load(packed).embed("x") == edgepack.load(minilm.path).embed("x")).all()


def test_an_entry_that_climbs_out(packed: Path, tmp_path: Path) -> None:
    bad = rewritten(packed, lambda name, raw: ("../escaped" if name == "NOTICE" else name, raw))
    with pytest.raises(BundleUnsafe):
        archive.unpack(bad, tmp_path / "out")
    assert not (tmp_path / "escaped").exists()


def test_an_entry_that_is_not_listed(packed: Path, tmp_path: Path) -> None:
    bad = rewritten(packed, lambda name, raw: ("virus.exe" if name == "NOTICE" else name, raw))
    with pytest.raises(BundleUnsafe, match=r"virus\.exe"):
        archive.unpack(bad, tmp_path / "out")


def test_a_zip_bomb(packed: Path, minilm: Bundle, tmp_path: Path) -> None:
    size = (minilm.path / "NOTICE").stat().st_size
    bad = rewritten(packed, lambda name, raw: (name, b"\0" * 50_000_000 if name == "NOTICE" else raw))
    assert bad.stat().st_size < packed.stat().st_size + 100_000
    with pytest.raises(BundleUnsafe, match=f"unpacks to more than the {size} bytes"):
        archive.unpack(bad, tmp_path / "out")
    written = sum(file.stat().st_size for file in (tmp_path / "out").rglob("*") if file.is_file())
    assert written < 60_000_000


def test_a_bomb_in_the_manifest(tmp_path: Path) -> None:
    bad = tmp_path / "bomb.edgepack"
    with zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as sink:
        sink.writestr("edgepack.json", b" " * 30_000_000)
    with pytest.raises(BundleError):
        archive.unpack(bad, tmp_path / "out")


def test_too_many_files(tmp_path: Path) -> None:
    bad = tmp_path / "many.edgepack"
    with zipfile.ZipFile(bad, "w") as sink:
        sink.writestr("edgepack.json", json.dumps({"files": {}}))
        for number in range(1100):
            sink.writestr(f"{number}", b"")
    with pytest.raises(BundleUnsafe, match="1101 files"):
        archive.unpack(bad, tmp_path / "out")


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04 not really", b"\0" * 1000])
def test_no_zip(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x.edgepack").write_bytes(raw)
    with pytest.raises(BundleError):
        edgepack.load(tmp_path / "x.edgepack")


def test_a_zip_cut_short(packed: Path) -> None:
    packed.write_bytes(packed.read_bytes()[:-5000])
    with pytest.raises(BundleError):
        edgepack.load(packed)


def test_two_processes_unpack_at_once(packed: Path) -> None:
    program = f"import edgepack; print(edgepack.load({str(packed)!r}).embed('x').shape)"
    both = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in both] == ["(384,)", "(384,)"]


@pytest.mark.parametrize("wrong", [None, 5, [None], ["a", 3], {"a": 1}])
def test_wrong_inputs(minilm: Bundle, wrong: object) -> None:
    with pytest.raises(InputError):
        edgepack.load(minilm.path).embed(wrong)
