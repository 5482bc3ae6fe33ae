"""The HTTP service: OpenAI's own client, many clients at once, and clients that mean harm or leave."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from edgepack import runtime
from edgepack.errors import AddressUnusable, UsageError
from edgepack.records import Bundle
from edgepack.runtime import serving
from edgepack.runtime.serving import systemd

from .conftest import Speaker

openai = pytest.importorskip("openai")
TALK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who went to the park?"}]


class Served:
    """``edgepack serve`` in a process of its own."""

    def __init__(self, bundle: Path, *options: object, **environment: str) -> None:
        command = [str(Path(sys.executable).parent / "edgepack"), "serve", str(bundle), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, *map(str, options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + str(self.process.stderr and self.process.stderr.read())
        self.url, self.name = found[0], bundle.name
        self.port = urlsplit(self.url).port or 0

    def ask(self, path: str, body: object = None, *, method: str = "", **headers: str) -> tuple[int, Any]:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            content = body if isinstance(body, str | bytes | None) else json.dumps(body)
            told = {
                "Content-Type": "application/json",
                **{key.replace("_", "-"): value for key, value in headers.items()},
            }
            connection.request(method or ("GET" if body is None else "POST"), path, content, told)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")

    def raw(self, content: bytes, *, timeout: float = 30) -> bytes:
        """What comes back for bytes as they are, until the service ends the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as link:
            link.sendall(content)
            found = b""
            while data := link.recv(65536):
                found += data
            return found

    def memory(self) -> int:
        """Bytes that the process holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def client(self) -> Any:
        return openai.OpenAI(base_url=self.url, api_key="none", max_retries=0, timeout=60)

    def idle(self) -> None:
        """Wait until nothing is asked any more."""
        for _ in range(200):
            if self.ask("/health")[1]["requests"] == 0:
                return
            time.sleep(0.05)
        pytest.fail("requests stay")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code


@pytest.fixture(scope="module")
def chat(speaker: Callable[[str], Speaker]) -> Iterator[Served]:
    served = Served(speaker("llama").bundle.path, "--waiting", 4, "--body", "20 kB", "--tokens", 64)
    yield served
    assert served.stop() == 0


@pytest.fixture(scope="module")
def vectors(minilm: Bundle) -> Iterator[Served]:
    served = Served(minilm.path, "--waiting", 200)
    yield served
    assert served.stop() == 0


def test_openais_client_chats(chat: Served, speaker: Callable[[str], Speaker]) -> None:
    wanted = "".join(speaker("llama").model.generate(TALK, max_tokens=12))
    with chat.client() as client:
        asked = {"model": chat.name, "messages": TALK, "max_completion_tokens": 12, "temperature": 0}
        answer = client.chat.completions.create(**asked)
        assert answer.choices[0].message.content == wanted
        assert answer.choices[0].finish_reason in ("length", "stop")
        assert answer.usage.completion_tokens <= 12
        assert answer.usage.prompt_tokens == len(speaker("llama").model.tokens(TALK))
        stream = client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
        chunks = list(stream)
        assert chunks[0].choices[0].delta.role == "assistant"
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == wanted
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == answer.choices[0].finish_reason
        assert chunks[-1].usage == answer.usage


def test_openais_client_completes(chat: Served, speaker: Callable[[str], Speaker]) -> None:
    wanted = "".join(speaker("llama").model.generate("She went", max_tokens=9, temperature=0.8, seed=3))
    with chat.client() as client:
        asked = {"model": chat.name, "prompt": "She went", "max_tokens": 9, "temperature": 0.8, "seed": 3}
        assert client.completions.create(**asked).choices[0].text == wanted
        stream = client.completions.create(**asked, stream=True)
        assert "".join(chunk.choices[0].text for chunk in stream) == wanted
        stop = wanted[2:4]
        cut = client.completions.create(**asked, stop=[stop]).choices[0]
        assert (cut.text, cut.finish_reason) == (wanted[: wanted.index(stop)], "stop")
        assert [model.id for model in client.models.list()] == [chat.name]
        assert client.models.retrieve(chat.name).id == chat.name


def test_openais_client_embeds(vectors: Served, minilm: Bundle) -> None:
    texts = ["A cat sleeps.", "", "Interest rates rose. " * 400, "🙂 נص"]
    wanted = runtime.load(minilm.path).embed(texts)
    with vectors.client() as client:
        answer = client.embeddings.create(model=vectors.name, input=texts)  # base64, by that client's default
        np.testing.assert_allclose([one.embedding for one in answer.data], wanted, atol=2e-3)
        floats = client.embeddings.create(model=vectors.name, input=texts[0], encoding_format="float", dimensions=384)
        alone = runtime.load(minilm.path).embed(texts[0])  # in 8 bits a batch's texts are not quite independent
        np.testing.assert_allclose(floats.data[0].embedding, alone, atol=2e-3)
        assert answer.usage.prompt_tokens > 256
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model="gpt", input="x")
        short = client.embeddings.create(model=vectors.name, input=texts[0], encoding_format="float", dimensions=8)
        np.testing.assert_allclose(short.data[0].embedding, alone[:8] / np.linalg.norm(alone[:8]), atol=2e-2)
        with pytest.raises(openai.BadRequestError, match="at most 384"):
            client.embeddings.create(model=vectors.name, input="x", dimensions=385)


def test_twenty_clients_ask_two_hundred_times(vectors: Served, minilm: Bundle) -> None:
    texts = [f"Sentence number {number} is about something else." for number in range(10)]
    model = runtime.load(minilm.path)
    wanted = [model.embed(text) for text in texts]

    def ask(number: int) -> tuple[int, float]:
        status, found = vectors.ask("/v1/embeddings", {"model": vectors.name, "input": texts[number % 10]})
        apart = np.abs(np.array(found["data"][0]["embedding"]) - wanted[number % 10]).max()
        return status, float(apart)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(ask, range(40)))
        before = vectors.memory()
        answers = list(pool.map(ask, range(200)))
    assert {status for status, _ in answers} == {200}
    assert max(apart for _, apart in answers) < 2e-3
    assert vectors.memory() - before < 8_000_000  # bytes: allocators keep some, answers would be 200 times theirs
    vectors.idle()


def test_more_than_can_wait_are_told_to_come_again(chat: Served) -> None:
    body = {"model": chat.name, "prompt": "Once", "max_tokens": 40, "temperature": 0}

    def ask(_: int) -> int:
        return chat.ask("/v1/completions", body)[0]

    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(ask, range(60)))
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 5
    chat.idle()
    assert ask(0) == 200


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"{", 400, "JSON"),
        (b"[]", 400, "object"),
        (b"\xff\xfe", 400, "JSON"),
        (b"[" * 5000, 400, "deep"),
        ({"prompt": "x"}, 400, "model"),
        ({"model": "gpt-4o", "prompt": "x"}, 404, "gpt-4o"),
        ({"model": "", "prompt": 5}, 400, "prompt"),
        ({"model": "", "prompt": ["a", "b"]}, 400, "several"),
        ({"model": "", "prompt": "x", "max_tokens": 65}, 400, "64"),
        ({"model": "", "prompt": "x", "max_tokens": True}, 400, "max_tokens"),
        ({"model": "", "prompt": "x", "temperature": 3}, 400, "temperature"),
        ({"model": "", "prompt": "x", "stop": ["a"] * 5}, 400, "stop"),
        ({"model": "", "prompt": "x", "n": 2}, 400, "n is not supported"),
        ({"model": "", "prompt": "x", "logprobs": 3}, 400, "logprobs"),
        ({"model": "", "prompt": "x", "temprature": 1}, 400, "temprature"),
        ({"model": "", "prompt": "x " * 400}, 400, "tokens"),
        ({"model": "", "prompt": ""}, 200, ""),
    ],
)
def test_bad_requests_are_answered(chat: Served, body: Any, status: int, told: str) -> None:
    if isinstance(body, dict) and body.get("model") == "":
        body = {**body, "model": chat.name}
    found, answer = chat.ask("/v1/completions", body)
    assert found == status, answer
    assert status == 200 or told in answer["error"]["message"]


def test_addresses_and_methods(chat: Served) -> None:
    for path in ("/v1/../../etc/passwd", "/%2e%2e/etc/passwd", "//etc/passwd", "/v1/chat", "/", "/v1/models/x/../y"):
        assert chat.ask(path)[0] == 404
    assert chat.ask("/v1/embeddings", {})[0] == 404
    assert chat.ask("/v1/completions", method="GET")[0] == 405
    assert chat.ask("/health", method="PUT")[0] == 405
    assert chat.ask("/v1/completions", {"model": "x"}, Content_Type="text/plain")[0] == 415
    assert chat.ask("/health", Host="evil.example")[0] == 421


def test_messages_are_checked(chat: Served) -> None:
    bad: list[Any] = [
        [],
        "hello",
        [{"role": "user"}],
        [{"role": "alien", "content": "x"}],
        [{"content": "x"}],
        [{"role": "user", "content": [{"type": "image_url"}]}],
        [{"role": "user", "content": "x", "name": "A"}],
    ]
    for messages in bad:
        assert chat.ask("/v1/chat/completions", {"model": chat.name, "messages": messages})[0] == 400, messages
    parts = [{"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]}]
    assert chat.ask("/v1/chat/completions", {"model": chat.name, "messages": parts, "max_tokens": 2})[0] == 200


def test_large_bodies_are_refused_before_they_are_read(chat: Served) -> None:
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    assert b" 413 " in chat.raw(head + b"Content-Length: 99999999999\r\n\r\n")
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    assert b" 413 " in chat.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 2)
    assert b" 431 " in chat.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 80_000)
    assert b" 4" in chat.raw(head + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert b" 4" in chat.raw(head + b"Content-Length: -5\r\n\r\n")
    assert b" 4" in chat.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n")
    assert chat.ask("/health")[0] == 200


def test_a_client_that_leaves_ends_its_answer(chat: Served) -> None:
    body = json.dumps({"model": chat.name, "prompt": "Once", "max_tokens": 60, "stream": True}).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    for reads in (0, 1):
        for _ in range(8):
            with socket.create_connection(("127.0.0.1", chat.port), timeout=30) as link:
                link.sendall(head + str(len(body)).encode() + b"\r\n\r\n" + body)
                if reads:
                    link.recv(100)
        chat.idle()
    assert chat.ask("/v1/completions", {"model": chat.name, "prompt": "Once", "max_tokens": 2})[0] == 200


def test_two_requests_in_one_go_are_answered_in_order(chat: Served) -> None:
    body = json.dumps({"model": chat.name, "prompt": "Once", "max_tokens": 2}).encode()
    post = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    get = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    found = chat.raw(post + str(len(body)).encode() + b"\r\n\r\n" + body + get)
    assert found.count(b"HTTP/1.1 200") == 2
    assert found.index(b"text_completion") < found.index(b'"status"')


class _Slow:
    """A service in this process with limits of fractions of seconds; the model is a stand-in that takes its time."""

    def __init__(self, **limits: Any) -> None:
        self.said: list[str] = []
        self.go = threading.Event()
        model = type("Model", (), {"generate": self._generate, "chats": False, "last": None})
        self.stopped = threading.Event()
        self.thread = threading.Thread(
            target=serving.serve,
            args=("slow", "text-generation", model),
            kwargs={"port": 0, "limits": serving.Limits(**limits), "say": self.said.append},
            daemon=True,
        )
        self.thread.start()
        begun = time.monotonic()
        while not self.said:
            assert time.monotonic() - begun < 30
            time.sleep(0.01)
        self.port = urlsplit(self.said[0].split()[-1]).port or 0

    def _generate(self, prompt: str, **options: object) -> Iterator[str]:
        try:
            while not self.go.is_set():
                time.sleep(0.01)
                yield "x"
        finally:
            self.stopped.set()

    def link(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


BODY = json.dumps({"model": "slow", "prompt": "x"}).encode()
POST = (
    b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    + str(len(BODY)).encode() + b"\r\n\r\n"
)  # fmt: skip


def read(link: socket.socket) -> bytes:
    found = b""
    while data := link.recv(65536):
        found += data
    return found


def test_slow_senders_have_only_so_much_time() -> None:
    slow = _Slow(head_time=0.3, body_time=0.3, quiet_time=0.3, idle_stop=None)
    with slow.link() as silent, slow.link() as half:
        begun = time.monotonic()
        half.sendall(POST + BODY[:5])
        assert b" 408 " in read(half)
        assert b" 408 " in read(silent)
        assert time.monotonic() - begun < 10
    begun = time.monotonic()
    with slow.link() as dripping, pytest.raises(ConnectionError):  # it is closed, however often something comes
        drip(dripping, POST * 100)
    assert time.monotonic() - begun < 10


def drip(link: socket.socket, content: bytes) -> None:
    for byte in content:
        link.sendall(bytes([byte]))
        time.sleep(0.05)


def test_silent_connections_give_way_to_others() -> None:
    slow = _Slow(connections=3, head_time=60.0)
    links = [slow.link() for _ in range(8)]
    with slow.link() as last:
        last.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b" 200 " in read(last)
    for link in links:
        link.close()


def test_an_answer_that_takes_too_long_is_ended() -> None:
    slow = _Slow(answer_time=0.4)
    with slow.link() as link:
        link.sendall(POST + BODY)
        link.settimeout(20)
        assert b" 504 " in link.recv(65536)
    assert slow.stopped.wait(10)


def test_nobody_asks_and_the_service_stops() -> None:
    slow = _Slow(idle_stop=0.3)
    slow.thread.join(20)
    assert not slow.thread.is_alive()


def test_a_stop_waits_for_the_answers_under_way(speaker: Callable[[str], Speaker]) -> None:
    bundle = speaker("llama").bundle.path
    served = Served(bundle, "--tokens", 90)
    body = {"model": served.name, "prompt": "Once", "max_tokens": 60, "temperature": 0}
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(served.ask, "/v1/completions", body) for _ in range(3)]
        while served.ask("/health")[1]["requests"] < 3 and not any(one.done() for one in asked):
            time.sleep(0.01)
        assert served.stop() == 0
        assert [one.result()[0] for one in asked] == [200, 200, 200]
    with pytest.raises(ConnectionError):
        served.ask("/health")


def test_a_key_is_asked_for(speaker: Callable[[str], Speaker]) -> None:
    served = Served(speaker("llama").bundle.path, EDGEPACK_SERVE_KEY="secret")
    assert served.ask("/health")[0] == 200
    assert served.ask("/v1/models")[0] == 401
    assert served.ask("/v1/models", Authorization="Bearer wrong")[0] == 401
    assert served.ask("/v1/models", Authorization="Bearer secret")[0] == 200
    assert served.stop() == 0


def test_what_cannot_be_served_is_said(
    edgepack: Callable[..., subprocess.CompletedProcess[str]], vectors: Served, minilm: Bundle, tmp_path: Path
) -> None:
    taken = edgepack("serve", minilm.path, "--port", vectors.port)
    assert (taken.returncode, "cannot listen" in taken.stderr) == (75, True)
    with pytest.raises(UsageError, match="not served"):
        serving.serve("x", "fill-mask", lambda: None)
    with pytest.raises(AddressUnusable):
        serving.serve("x", "text-embedding", lambda: None, host="203.0.113.1", port=1)
    with pytest.raises(AddressUnusable):
        serving.serve("x", "text-embedding", lambda: None, host="a" * 80)
    for port in (-1, 99_999):
        with pytest.raises(UsageError, match="port"):
            serving.serve("x", "text-embedding", lambda: None, port=port)


@pytest.mark.parametrize(
    ("name", "value"),
    [("waiting", -1), ("body", 0), ("tokens", 0), ("connections", 0), ("answer_time", float("nan")),
     ("answer_time", 0.0), ("stop_time", -1.0), ("idle_stop", float("inf"))],
)  # fmt: skip
def test_a_limit_that_bounds_nothing_is_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        serving.Limits(**{name: value})


def test_a_bundle_that_does_not_open_ends_the_service(copied: Path) -> None:
    (copied / "tokenizer.json").write_text("{}")
    command = [str(Path(sys.executable).parent / "edgepack"), "serve", str(copied), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "tokenizer.json" in done.stderr) == (31, True)


def test_systemd_hands_over_its_sockets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert systemd.sockets() == []
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(place))
        monkeypatch.setenv("NOTIFY_SOCKET", str(place))
        systemd.notify("READY=1")
        assert listening.recv(100) == b"READY=1"


def test_a_socket_of_systemds_is_listened_at(speaker: Callable[[str], Speaker]) -> None:
    """As systemd does it: the socket is descriptor 3, and LISTEN_PID the process that is to have it."""
    bundle = speaker("llama").bundle.path
    with socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        code = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid()); "
            "os.execv(sys.argv[2], sys.argv[2:])"
        )
        command = [str(Path(sys.executable).parent / "edgepack"), "serve", str(bundle), "--idle-stop", "1"]
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(given.fileno()), *command],
            pass_fds=[given.fileno()],
            env={**os.environ, "LISTEN_FDS": "1"},
        )
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/v1/models")  # waits in the socket until the service is there
        assert json.loads(connection.getresponse().read())["data"][0]["id"] == bundle.name
    assert process.wait(60) == 0
