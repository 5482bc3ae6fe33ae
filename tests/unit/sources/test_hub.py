"""The hub, spoken to over HTTP on this machine: a server that answers as the hub does, with a tiny model."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """One repository, ``org/tiny``, of the files in ``folder``; ``org/pickled`` has pickled weights alone."""

    folder: Path

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith(("/api/models/org/tiny/revision/nope", "/org/tiny/resolve/nope")):
            self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif path.startswith("/api/models/org/tiny"):
            self.info("org/tiny", sorted(file.name for file in self.folder.iterdir()))
        elif path.startswith("/api/models/org/pickled"):
            self.info("org/pickled", ["config.json", "pytorch_model.bin"])
        elif path.startswith(f"/org/tiny/resolve/{COMMIT}/"):
            content = (self.folder / path.rsplit("/", 1)[1]).read_bytes()
            tag = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
            self.answer(200, content, tag)
        else:
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def info(self, name: str, files: list[str]) -> None:
        siblings = [{"rfilename": file} for file in files]
        self.answer(200, json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode(), {})

    def answer(self, code: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def hub(tiny: Callable[[str], Path]) -> Iterator[str]:
    handler = type("Handler", (Hub,), {"folder": tiny("text-classification")})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


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
