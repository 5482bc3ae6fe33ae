"""Notes found by what they mean, for the browsers of a house: / is a page, /search?q=… answers in JSON.

systemd opens the socket and starts this with the first request. A client has ten seconds and 8 kB for its request,
one question is computed at a time, and what waits longer than that is told to come again.
"""

import argparse
import asyncio
import ipaddress
import json
import os
import signal
import socket
from dataclasses import asdict
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from index import Index
from sentence_search import SentenceSearch

HERE = Path(__file__).parent
SECONDS = 10.0
LARGEST = 8_192  # bytes of a request
LONGEST = 500  # characters of a question
CONNECTIONS = 32


class Refused(Exception):
    """A request that is not answered: a status, and why."""


class Service:
    """Answers connections, one question at a time."""

    def __init__(self, index: Index) -> None:
        self._index, self._page = index, (HERE / "index.html").read_bytes()
        self._turn, self._open = asyncio.Lock(), 0
        self.asked = asyncio.Event()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the one request of a connection, and close it."""
        self.asked.set()
        self._open += 1
        try:
            async with asyncio.timeout(3 * SECONDS):
                writer.write(await self._response(reader))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left, or is too slow: nobody is there to be told
        finally:
            self._open -= 1
            writer.close()

    async def _response(self, reader: asyncio.StreamReader) -> bytes:
        try:
            if self._open > CONNECTIONS:
                raise Refused("503 Service Unavailable", "too many ask at once")
            async with asyncio.timeout(SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            kind, body = await self._answer(head.decode("latin-1").split("\r\n"))
            status = "200 OK"
        except asyncio.LimitOverrunError:
            status, kind, body = "431 Request Header Fields Too Large", "text/plain", b"the request is too long"
        except Refused as refused:
            status, why = refused.args
            kind, body = "text/plain", why.encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        return f"{head}Connection: close\r\nX-Content-Type-Options: nosniff\r\n\r\n".encode() + body

    async def _answer(self, lines: list[str]) -> tuple[str, bytes]:
        """Return the kind and the content of what a request is for. Raises Refused."""
        method, _, rest = lines[0].partition(" ")
        headers = dict(line.lower().split(":", 1) for line in lines[1:] if ":" in line)
        if not at_home(headers.get("host", "").strip()):
            raise Refused("421 Misdirected Request", "that is not a name of this machine")
        if method != "GET":
            raise Refused("405 Method Not Allowed", "only GET is answered")
        address = urlsplit(rest.partition(" ")[0])
        if address.path == "/":
            return "text/html", self._page
        if address.path != "/search":
            raise Refused("404 Not Found", "there are / and /search")
        question = parse_qs(address.query).get("q", [""])[0]
        if not question.strip() or len(question) > LONGEST:
            raise Refused("400 Bad Request", f"q has to be a question of at most {LONGEST} characters")
        try:
            async with asyncio.timeout(SECONDS):
                await self._turn.acquire()
        except TimeoutError:
            raise Refused("503 Service Unavailable", "others ask, come again") from None
        try:
            found = await asyncio.to_thread(self._index.search, question)
        finally:
            self._turn.release()
        return "application/json", json.dumps([asdict(one) for one in found], ensure_ascii=False).encode()


def at_home(host: str) -> bool:
    """Tell whether a Host header is a name that only this network has: no page of the web can have one such."""
    name = host.rpartition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return bool(name) and ("." not in name or name.endswith(".local"))


def listening(port: int) -> socket.socket:
    """The socket that systemd opened for this process, else one that only this machine reaches."""
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        return socket.socket(fileno=3)
    return socket.create_server(("127.0.0.1", port))


async def serve(index: Index, opened: socket.socket, idle: float | None) -> None:
    """Answer until SIGTERM, or until nobody asked for ``idle`` seconds."""
    service, stop = Service(index), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with await asyncio.start_server(service.connected, sock=opened, limit=LARGEST):
        host, port = opened.getsockname()[:2]
        print(f"ready at http://{host}:{port}", flush=True)
        while not stop.is_set():
            service.asked.clear()
            try:
                await asyncio.wait_for(stop.wait(), idle)
            except TimeoutError:
                if not service.asked.is_set():
                    return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notes", type=Path, default=HERE / "notes.txt", help="a note on each line")
    parser.add_argument("--port", type=int, default=8090, help="where systemd opens no socket; 0 takes a free one")
    parser.add_argument("--idle-stop", type=float, help="stop after so many seconds without a request")
    given = parser.parse_args()
    opened = listening(given.port)  # who connects while the model is opened waits
    notes = [line for line in given.notes.read_text("utf-8").splitlines() if line.strip()]
    model = SentenceSearch()
    asyncio.run(serve(Index(notes, model.embed), opened, given.idle_stop))


if __name__ == "__main__":
    main()
