"""A page on this machine's loopback, which computes what it is asked for; what it answers is not trusted.

The page asks for its next request and gives with that the answer to the last one. Its address has a secret in it, so
no other page and no other user's program can answer in its place. A page of its own origin, with the headers for that,
may share memory between threads.
"""

from __future__ import annotations

import json
import queue
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from edgepack.devices._link import LONGEST
from edgepack.documents import Json, parse_json
from edgepack.errors import DeviceAnswerWrong, DeviceError, DeviceStopped

_OWN = Path(__file__).with_name("page")
_TYPES = {".html": "text/html", ".mjs": "text/javascript", ".js": "text/javascript", ".json": "application/json",
          ".wasm": "application/wasm"}  # fmt: skip
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cache-Control": "no-store",
}
_SILENCE = 60.0  # seconds without a sign of life: a browser takes long to start on a busy machine
_LOOK = 0.2  # seconds between two looks at whether the browser is still there
_HINT = "another onnxruntime-web may answer otherwise: docs/devices.md"


class Page:
    """The page, with the files of ``bundle`` (name -> place) and of the folder ``modules``."""

    def __init__(self, name: str, modules: Path, bundle: Mapping[str, Path]) -> None:
        self.name = name
        self._secret = secrets.token_urlsafe(16)
        self._modules, self._bundle = modules.resolve(), bundle
        self._requests: queue.Queue[bytes] = queue.Queue(1)
        self._answers: queue.Queue[bytes] = queue.Queue(1)
        self._most = LONGEST  # bytes of the answer that is waited for
        self._life = time.monotonic()
        self._out, self._lock = False, threading.Lock()  # whether a request was handed out that is not answered yet
        self._closed = threading.Event()
        handler = type("Handler", (_Handler,), {"page": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """The address at which a browser finds it."""
        return f"http://{self.host}/{self._secret}/index.html"

    @property
    def host(self) -> str:
        """Name and port."""
        return f"127.0.0.1:{self._server.server_port}"

    def begin(self) -> None:
        """Wait for another browser's page."""
        with self._lock:
            self._out = False
        self._requests, self._answers = queue.Queue(1), queue.Queue(1)
        self._life = time.monotonic()

    def ask(self, what: str, *, gone: Callable[[], bool], most: int = LONGEST, **named: Json) -> Json:
        """Ask for something; the answer has ``most`` bytes. ``gone`` tells whether the browser has ended.

        Raises DeviceError with what failed there, DeviceStopped, DeviceAnswerWrong.
        """
        self._most = most
        self._requests.put(json.dumps({"ask": what, **named}).encode())
        while True:
            try:
                return self._read(self._answers.get(timeout=_LOOK))
            except queue.Empty:
                if gone() or time.monotonic() > self._life + _SILENCE:
                    raise DeviceStopped(
                        f"the page in {self.name} has ended, as it does when memory runs out",
                        hint="a smaller recipe needs less memory",
                    ) from None

    def _read(self, data: bytes) -> Json:
        if len(data) > self._most:
            raise DeviceAnswerWrong(f"{self.name} answers with more than {self._most:,} bytes", hint=_HINT)
        told = parse_json(data, f"what {self.name} answers", DeviceAnswerWrong, hint=_HINT)
        if isinstance(told, dict) and isinstance(told.get("error"), str):
            raise DeviceError(f"{self.name}: {' '.join(told['error'].split())[:500]}", hint=_HINT)
        if not isinstance(told, dict) or set(told) != {"result"}:
            raise DeviceAnswerWrong(f"{self.name} did not answer with a result", hint=_HINT)
        return told["result"]

    # what the handler's threads use

    def alive(self) -> None:
        """Note a sign of life."""
        self._life = time.monotonic()

    def failed(self, answer: bytes) -> None:
        """Take the error of a page that cannot begin, as the answer to what it was never asked."""
        with suppress(queue.Full):
            self._answers.put_nowait(answer)

    def exchanged(self, answer: bytes | None) -> bytes | None:
        """Take an answer (None: it is too long to be read) and return the next request; None at the end."""
        requests = self._requests
        with self._lock:
            answers, self._out = self._out, False  # the first word of a page answers nothing
        if answers:
            self._answers.put(b" " * (self._most + 1) if answer is None else answer)
        while not self._closed.is_set() and requests is self._requests:
            try:
                request = requests.get(timeout=_LOOK)
            except queue.Empty:
                continue
            with self._lock:
                self._out = True
            return request
        return None

    @property
    def most(self) -> int:
        """Bytes that the next answer may have."""
        return self._most

    def file(self, path: str) -> Path | None:
        """Return the file at a path of the page's own address; None where there is none."""
        start, _, rest = path.removeprefix("/").partition("/")
        if not secrets.compare_digest(start.encode(), self._secret.encode()):
            return None
        kind, _, name = rest.partition("/")
        if kind == "bundle":
            return self._bundle.get(name)
        folder, name = (self._modules, name) if kind == "modules" else (_OWN, rest)
        place = (folder / name).resolve()
        return place if place.is_relative_to(folder) and place.is_file() else None

    def is_own(self, path: str, name: str) -> bool:
        """Return whether a path is that of ``name`` at the page's own address."""
        return secrets.compare_digest(path.encode(), f"/{self._secret}/{name}".encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser that was ended has gone in the middle of something."""


class _Handler(BaseHTTPRequestHandler):
    page: Page
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send a file."""
        place = self.page.file(unquote(self.path.partition("?")[0])) if self._trusted() else None
        if place is None:
            self._reply(HTTPStatus.NOT_FOUND, b"")
            return
        self.send_response(HTTPStatus.OK)
        self._headers(_TYPES.get(place.suffix, "application/octet-stream"), place.stat().st_size)
        with place.open("rb") as stream:
            while data := stream.read(1 << 20):
                self.wfile.write(data)

    def do_POST(self) -> None:
        """Take an answer and send the next request, or note a sign of life."""
        length = self.headers.get("Content-Length", "")
        if not self._trusted() or not length.isdigit():
            self._reply(HTTPStatus.FORBIDDEN, b"")
        elif self.page.is_own(self.path, "alive"):
            self.page.alive()
            self._reply(HTTPStatus.OK, b"")
        elif self.page.is_own(self.path, "failed") and int(length) <= LONGEST:
            self.page.failed(self.rfile.read(int(length)))
            self._reply(HTTPStatus.OK, b"")
        elif self.page.is_own(self.path, "next"):
            within = int(length) <= self.page.most
            self.close_connection = not within
            request = self.page.exchanged(self.rfile.read(int(length)) if within else None)
            self._reply(HTTPStatus.GONE if request is None else HTTPStatus.OK, request or b"")
        else:
            self._reply(HTTPStatus.NOT_FOUND, b"")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _trusted(self) -> bool:
        """Return whether a request is for this server by its own name: not by another that leads here."""
        return self.headers.get("Host") == self.page.host

    def _reply(self, status: HTTPStatus, data: bytes) -> None:
        self.send_response(status)
        self._headers("application/json", len(data))
        self.wfile.write(data)

    def _headers(self, kind: str, length: int) -> None:
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()
