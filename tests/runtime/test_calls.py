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
from edgepack.errors import BundleUnsafe, InputError, UsageError
from edgepack.records import Bundle
from edgepack.runtime import golden, manifest, pictures
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


def test_no_file_is_opened_outside(copied: Path) -> None:
    os.mkfifo(copied / "golden2")
    table = json.loads((copied / "edgepack.json").read_text("utf-8"))
    table["files"]["golden2"] = {"sha256": "0" * 64, "bytes": 0}
    (copied / "edgepack.json").write_text(json.dumps(table), "utf-8")
    with pytest.raises(BundleUnsafe, match="regular"):
        edgepack.load(copied)
