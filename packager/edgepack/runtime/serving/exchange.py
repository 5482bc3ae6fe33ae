"""One connection: HTTP/1.1 requests in, answers out, each within its time and size (h11 knows the protocol)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import h11

from edgepack.documents import Json
from edgepack.runtime.serving.limits import Limits

_HEAD = 16_384  # bytes of a request's first line and headers
_CHUNK = 65_536
_NAMES = {408: "timeout", 429: "rate_limit_exceeded", 503: "unavailable", 504: "timeout"}


class Refused(Exception):
    """An answer that is an error: its HTTP status, what is wrong, and which field of the request."""

    def __init__(
        self, status: int, message: str, *, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.field, self.headers = status, field, dict(headers or {})

    def to_json(self) -> Json:
        """Return the error as OpenAI's clients read it."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        code = _NAMES.get(self.status)
        return {"error": {"message": str(self), "type": kind, "param": self.field, "code": code}}


class Left(Exception):
    """The client is gone, or takes too long to read."""


@dataclass(frozen=True)
class Request:
    """A request as it was read; ``body`` is "" where there is none."""

    method: str
    path: str  # without a query
    headers: Mapping[str, str] = field(default_factory=dict)  # by name in lower case
    body: bytes = b""


class Exchange:
    """A client's connection: ``requests()``, and an answer to each by ``reply`` or ``events``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Limits) -> None:
        self._reader, self._writer, self._limits = reader, writer, limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD)
        self.waits = True  # for a request, with none begun or half of one read
        self._ended = False

    async def requests(self) -> AsyncIterator[Request]:
        """Yield requests until the client has no more. One that breaks a rule is answered, and is the last."""
        first = True
        while True:
            self.waits = True
            try:
                request = await self._request(first)
            except Refused as refused:
                refused.headers["Connection"] = "close"
                await self.refuse(refused)
                return
            if request is None:
                return
            self.waits = first = False
            yield request
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def reply(self, status: int, value: Json, headers: Mapping[str, str] | None = None) -> None:
        """Send JSON. Raises Left."""
        content = json.dumps(value, ensure_ascii=False).encode()
        told = {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}
        await self._head(status, told)
        await self._send(h11.Data(data=content), h11.EndOfMessage())

    async def refuse(self, refused: Refused) -> None:
        """Send an error, as the last event where an answer has begun. Raises Left."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await self.reply(refused.status, refused.to_json(), refused.headers)
        elif self._http.our_state is h11.SEND_BODY:
            content = json.dumps(refused.to_json(), ensure_ascii=False)
            await self._send(h11.Data(data=f"data: {content}\n\n".encode()), h11.EndOfMessage())

    async def events(self, values: AsyncIterator[Json | str]) -> None:
        """Send server-sent events, one for each value; a text is sent as it is. Raises Left."""
        await self._head(200, {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        async for value in values:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            await self._send(h11.Data(data=f"data: {text}\n\n".encode()))
        await self._send(h11.EndOfMessage())

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[asyncio.Event]:
        """Provide an event that is set when the client leaves meanwhile."""
        left = asyncio.Event()
        watch = asyncio.create_task(self._watch(left))
        try:
            yield left
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch

    def close(self) -> None:
        """End the connection at once."""
        self._ended = True
        self._writer.close()

    async def finish(self) -> None:
        """End the connection, once what was sent is on its way."""
        self.close()
        with suppress(OSError, asyncio.TimeoutError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()

    async def _watch(self, left: asyncio.Event) -> None:
        """Look for the end of what the client sends; a next request that comes early is kept."""
        try:
            data = await self._reader.read(_CHUNK)
        except OSError:
            data = b""
        if data:
            self._http.receive_data(data)
        else:
            self._ended = True
            left.set()

    async def _request(self, first: bool) -> Request | None:
        """Return the next request, None where there is none. Raises Refused."""
        try:
            head = await self._head_of_request(first)
            if head is None:
                return None
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
            if "content-length" in headers and "transfer-encoding" in headers:  # proxies differ about which one holds
                raise Refused(400, "a request has a Content-Length or a Transfer-Encoding, not both")
            self._check_length(headers.get("content-length", "0"))
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            async with asyncio.timeout(self._limits.body_time):
                body = await self._body()
        except TimeoutError:
            raise Refused(408, "the request did not come in time") from None
        except h11.RemoteProtocolError as error:
            raise Refused(error.error_status_hint, f"not a request in HTTP/1.1: {error}") from error
        except (OSError, Left):
            return None
        path = head.target.decode("latin-1").partition("?")[0]
        return Request(head.method.decode("latin-1"), path, headers, body)

    async def _head_of_request(self, first: bool) -> h11.Request | None:
        """Return the first line and the headers, None where the client ends the connection or says nothing."""
        begun = first or bool(self._http.trailing_data[0])
        if not begun:
            try:
                async with asyncio.timeout(self._limits.quiet_time):
                    if not await self._more():
                        return None
            except TimeoutError:
                return None
        async with asyncio.timeout(self._limits.head_time):
            event = await self._event()
        return event if isinstance(event, h11.Request) else None

    async def _body(self) -> bytes:
        found = bytearray()
        while isinstance(event := await self._event(), h11.Data):
            found += event.data
            self._check_length(str(len(found)))
        if not isinstance(event, h11.EndOfMessage):
            raise Left
        return bytes(found)

    def _check_length(self, length: str) -> None:
        if int(length) > self._limits.body:
            raise Refused(413, f"a request has {self._limits.body:,} bytes at most")

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Event) or event is h11.PAUSED:
                return event
            await self._more()

    async def _more(self) -> bool:
        data = await self._reader.read(_CHUNK)
        self._http.receive_data(data)
        return bool(data)

    async def _head(self, status: int, headers: Mapping[str, str]) -> None:
        phrase = HTTPStatus(status).phrase.encode()
        await self._send(h11.Response(status_code=status, reason=phrase, headers=list(headers.items())))

    async def _send(self, *events: h11.Event) -> None:
        """Send events, waiting while the client does not read. Raises Left."""
        if self._ended:
            raise Left
        try:
            self._writer.write(b"".join(self._http.send(event) or b"" for event in events))
            async with asyncio.timeout(self._limits.write_time):
                await self._writer.drain()
        except (OSError, TimeoutError, h11.LocalProtocolError) as error:
            self._ended = True
            raise Left from error
