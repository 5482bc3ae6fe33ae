"""Calls with wrong numbers, from many threads, with images and vectors that are none."""

from __future__ import annotations

import contextlib
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
from edgepack.errors import BundleDamaged, BundleUnsafe, EdgepackError, InputError, UsageError
from edgepack.records import Bundle
from edgepack.runtime import golden, graphs, image_file, manifest
from edgepack.runtime.engines import open_session


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


@pytest.mark.parametrize("side", [9_500, 100_000])
def test_images_of_too_many_pixels(side: int, tmp_path: Path) -> None:
    head = struct.pack(">II5B", side, side, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13)
    (tmp_path / "bomb.png").write_bytes(
        start + chunk + struct.pack(">I", zlib.crc32(chunk)) + struct.pack(">I", 0) + b"IDAT" + bytes(4)
    )
    with pytest.raises(InputError, match="more pixels"):
        image_file.read(tmp_path / "bomb.png")


def test_golden_vectors_that_hold_nan_fail(copied: Path) -> None:
    listed = manifest.read(copied)
    session, calls = open_session(listed.model.path, listed.model.format), iter(range(9))

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
    "an image": (lambda tensors: tensors.update({"0.image": tensors.pop("0.text")}), "holds no text"),
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
    session = open_session(listed.model.path, listed.model.format)
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
    session = open_session(graphs.generating(listed.model.path), listed.model.format)
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


_STRANGE: list[Any] = [
    "x", b"x", [], {}, object(), True, -1, 2**70, 10**5000, float("nan"), float("inf"), np.array([1, 2]),
    np.array("a"), [None], [["a"]], {"a"},
]  # fmt: skip


def _never_raw(call: Callable[[], Any]) -> None:
    with contextlib.suppress(EdgepackError):
        call()


@pytest.mark.parametrize("value", _STRANGE, ids=range(len(_STRANGE)))
def test_any_argument_is_used_or_named(value: Any, minilm: Bundle, speaker: Callable[[str], Any]) -> None:
    embedding, talking = edgepack.load(minilm.path, verify=False), speaker("llama").model
    for name in ("threads", "trust", "verify", "public_key", "root_certificates"):
        _never_raw(lambda name=name: edgepack.load(minilm.path, **{"verify": False, name: value}))
    _never_raw(lambda: edgepack.load(value))
    _never_raw(lambda: embedding.embed(value))
    _never_raw(lambda: embedding.similarity(value, value))
    for name in ("prompt", "prompt_name", "batch_size", "truncate_dim", "precision"):
        _never_raw(lambda name=name: embedding.embed(["a", "b"], **{name: value}))
    for name in ("embed", "predict"):
        _never_raw(lambda name=name: getattr(embedding, name)([value]))
    _never_raw(lambda: "".join(talking.generate(value, max_tokens=2)))
    for name in ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "stop", "seed", "max_tokens"):
        _never_raw(lambda name=name: next(talking.generate("the", **{name: value}), ""))


def test_paths_of_keys_that_no_system_has(minilm: Bundle) -> None:
    for key in ("~nobody-such/a", "x" * 5000, "a\0b"):
        with pytest.raises(EdgepackError):
            edgepack.load(minilm.path, public_key=key)


@pytest.mark.parametrize("name", ["temperature", "top_k", "top_p", "min_p", "stop", "max_tokens"])
def test_none_is_no_number_and_no_text(name: str, speaker: Callable[[str], Any]) -> None:
    with pytest.raises(UsageError, match=name):
        speaker("llama").model.generate("the", **{name: None})


@pytest.mark.parametrize(
    "name", ["", "\0", "a\0b", "\udc80", "x" * 5000, "/proc/self/mem", "/dev/null", "~nobody-such/a"]
)
def test_paths_that_no_bundle_has(name: str) -> None:
    with pytest.raises(EdgepackError):
        edgepack.load(name)
