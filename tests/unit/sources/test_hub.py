"""The hub, spoken to over HTTP on this machine: a server that answers as the hub does, with a tiny model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub.errors import OfflineModeIsEnabled

from edgepack.errors import NetworkError
from edgepack.sources import hub as place

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``ask(endpoint, reference)``: a dry run in a process of its own, for huggingface_hub reads its settings once."""

    def run(endpoint: str, reference: str) -> subprocess.CompletedProcess[str]:
        settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
        command = [
            str(Path(sys.executable).parent / "edgepack"),
            "build",
            reference,
            "-t",
            "rpi",
            "--dry-run",
            "--json",
        ]
        environment = {**os.environ, **settings}
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)

    return run


Ask = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def hub(serve: Callable[[dict[str, Path]], str], tiny: Callable[[str], Path]) -> str:
    return serve({"org/tiny": tiny("text-classification")})


def test_a_model_is_downloaded_and_then_found_without_a_network(hub: str, ask: Ask, tmp_path: Path) -> None:
    done = ask(hub, "org/tiny")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["bundle"] == "tiny-rpi"
    assert [path.name for path in (tmp_path / "hf" / "hub" / "models--org--tiny" / "snapshots").iterdir()] == [COMMIT]
    assert ask("http://127.0.0.1:9", f"org/tiny@{COMMIT}").returncode == 0


@pytest.mark.parametrize(
    ("reference", "code", "said"),
    [
        ("org/unknown", 11, "the hub has no model 'org/unknown'"),
        ("org/tiny@nope", 11, "org/tiny has no revision 'nope'"),
        ("org/pickled", 13, "only pickled weights"),
    ],
)
def test_what_the_hub_refuses(hub: str, ask: Ask, reference: str, code: int, said: str) -> None:
    done = ask(hub, reference)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_no_network(ask: Ask) -> None:
    done = ask("http://127.0.0.1:9", "org/tiny")
    assert done.returncode == 12
    assert done.stderr.startswith("error: the hub cannot be reached for org/tiny")


def test_gguf_is_named_before_it_is_downloaded(
    serve: Callable[[dict[str, Path]], str], ask: Ask, tmp_path: Path
) -> None:
    (tmp_path / "gguf").mkdir()
    (tmp_path / "gguf" / "model-q4.gguf").write_bytes(b"GGUF")
    done = ask(serve({"org/gguf": tmp_path / "gguf"}), "org/gguf")
    assert (done.returncode, "holds GGUF (model-q4.gguf)" in done.stderr) == (15, True), done.stderr


def test_copies_of_the_weights_stay_on_the_hub(
    serve: Callable[[dict[str, Path]], str], tiny: Callable[[str], Path], ask: Ask, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny("text-classification"), tmp_path / "tiny"))
    copies = ["consolidated.safetensors", "model.fp16.safetensors", "model-00001-of-00002.safetensors"]
    for name in copies:
        (folder / name).write_bytes(b"x")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    done = ask(serve({"org/tiny": folder}), "org/tiny")
    assert done.returncode == 0, done.stderr
    fetched = {file.name for file in (tmp_path / "hf").rglob("snapshots/*/*")}
    assert not fetched & set(copies)
    assert {"model.safetensors", "chat_template.jinja"} <= fetched


def test_offline_mode_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(NetworkError, match="HF_HUB_OFFLINE is set") as error:
        place._cached("nobody/nothing", None, "nothing", OfflineModeIsEnabled("offline"))
    assert "unset HF_HUB_OFFLINE" in error.value.hint
    with pytest.raises(NetworkError, match="cannot be reached"):
        place._cached("nobody/nothing", None, "nothing", ConnectionError())
