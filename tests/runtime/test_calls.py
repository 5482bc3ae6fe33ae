"""Calls with wrong numbers, from many threads, with pictures and vectors that are none."""

from __future__ import annotations

import json
import os
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgepack
from edgepack import weights
from edgepack.errors import BundleDamaged, BundleUnsafe, InputError, UsageError
from edgepack.records import Bundle
from edgepack.runtime import golden, graphs, manifest, pictures
from edgepack.runtime.session import open_session


def test_calls_with_wrong_numbers(minilm: Bundle) -> None:
    for threads in ("x", 0, -1, True, 1.5):
        with pytest.raises(UsageError):
            edgepack.load(minilm.path, threads=threads)  # type: ignore[arg-type]
    model = edgepack.load(minilm.path)
    for size in (0, -1, None, "8"):
        with pytest.raises(UsageError):
            model.embed(["a", "b"], batch_size=size)
    with pytest.raises(UsageError):
        edgepack.load(7)  # type: ignore[arg-type]


def test_threads_that_share_a_language_model(speaker: Callable[[str], Any]) -> None:
    model = speaker("llama").model
    prompts = ["Once upon a time", "She went", "The café", "Then it rained"]
    true = ["".join(model.generate(prompt, max_tokens=12)) for prompt in prompts]
    made: dict[str, str] = {}

    def work(prompt: str) -> None:
        made[prompt] = "".join(model.generate(prompt, max_tokens=12))

    workers = [threading.Thread(target=work, args=(prompt,)) for prompt in prompts * 2]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [made[prompt] for prompt in prompts] == true


def test_pictures_of_too_many_pixels(tmp_path: Path) -> None:
    head = struct.pack(">II5B", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13)
    (tmp_path / "bomb.png").write_bytes(
        start + chunk + struct.pack(">I", zlib.crc32(chunk)) + struct.pack(">I", 0) + b"IDAT" + bytes(4)
    )
    with pytest.raises(InputError, match="more pixels"):
        pictures.read(tmp_path / "bomb.png")


def test_golden_vectors_that_hold_nan_fail(copied: Path) -> None:
    listed = manifest.read(copied)
    session, calls = open_session(listed.model_file), iter(range(9))

    def spoiled(feeds: Any) -> Any:
        outputs = session(feeds)
        return {k: v * np.nan if next(calls) == 1 else v for k, v in outputs.items() if k == "sentence_embedding"}

    found = golden.check(spoiled, listed)
    assert not found.passed
    assert np.isnan(found.worst)


def ids_as(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, np.ndarray]], None]:
    def spoil(tensors: dict[str, np.ndarray]) -> None:
        tensors["1.input.input_ids"] = change(tensors["1.input.input_ids"])

    return spoil


SPOILED: dict[str, tuple[Callable[[dict[str, np.ndarray]], None], str]] = {
    "NaN for ids": (ids_as(lambda ids: np.full(ids.shape, np.nan, np.float32)), "input_ids is int64, not float32"),
    "ids and a bit": (ids_as(lambda ids: (ids + 0.4).astype(np.float32)), "input_ids is int64, not float32"),
    "ids as floats": (ids_as(lambda ids: ids.astype(np.float32)), "input_ids is int64, not float32"),
    "other ids": (ids_as(lambda ids: ids + 1), "input_ids differs"),
    "true and false": (ids_as(lambda ids: ids > 0), "input_ids is int64, not bool"),
    "no text": (lambda tensors: tensors.pop("0.text"), "golden vector 0 holds no text"),
    "no texts": (lambda tensors: [tensors.pop(f"{n}.text") for n in range(4)], "golden vector 0 holds no text"),
    "a picture": (lambda tensors: tensors.update({"0.picture": tensors.pop("0.text")}), "holds no text"),
    "null": (lambda tensors: tensors.update({"2.text": np.frombuffer(b"null", np.uint8)}), "vector 2 holds no text"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_golden_vectors_are_held_to_their_examples(copied: Path, name: str) -> None:
    spoil, said = SPOILED[name]
    listed, model = manifest.read(copied), edgepack.load(copied)
    file = copied / "golden.safetensors"
    tensors = golden.read(file)
    spoil(tensors)
    file.write_bytes(weights.encode(tensors))
    session = open_session(listed.model_file)
    if "holds no" in said:
        with pytest.raises(BundleDamaged, match=said):
            golden.check(session, listed, model.feeds)
        return
    found = golden.check(session, listed, model.feeds)
    assert said in found.inputs[0]
    assert not found.passed


def test_golden_vectors_of_a_language_model_begin_with_their_text(speaker: Callable[[str], Any]) -> None:
    told = speaker("llama")
    listed = manifest.read(told.bundle.path)
    session = open_session(graphs.generating(listed.model_file))
    assert golden.check(session, listed, told.model.feeds).passed
    found = golden.check(session, listed, lambda texts: told.model.feeds([f"{text} x" for text in texts]))
    assert found.inputs


def test_no_file_is_opened_outside(copied: Path) -> None:
    os.mkfifo(copied / "golden2")
    table = json.loads((copied / "edgepack.json").read_text("utf-8"))
    table["files"]["golden2"] = {"sha256": "0" * 64, "bytes": 0}
    (copied / "edgepack.json").write_text(json.dumps(table), "utf-8")
    with pytest.raises(BundleUnsafe, match="regular"):
        edgepack.load(copied)
