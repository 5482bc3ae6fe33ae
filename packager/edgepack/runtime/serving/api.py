"""The addresses of the service, and what each answers."""

from __future__ import annotations

import hmac
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from edgepack.documents import Json
from edgepack.errors import EdgepackError, InputError, UsageError
from edgepack.runtime.serving.completions import Completion
from edgepack.runtime.serving.embeddings import Embeddings
from edgepack.runtime.serving.exchange import Exchange, Refused, Request
from edgepack.runtime.serving.fields import Fields
from edgepack.runtime.serving.limits import Limits
from edgepack.runtime.serving.worker import Answer, Worker

_LOCAL = {"localhost", "127.0.0.1", "[::1]"}


class Asked(Protocol):
    """A request for the model that was read."""

    @property
    def streams(self) -> bool:
        """True if the answer is sent in pieces."""

    @property
    def run(self) -> Answer:
        """The computation of the parts."""


Read = Callable[[Fields, Limits], Completion | Embeddings]
_CHAT, _TEXT, _VECTORS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
_PATHS: dict[str, dict[str, Read]] = {
    "text-generation": {_CHAT: Completion.read_chat, _TEXT: Completion.read_text},
    "text-embedding": {_VECTORS: Embeddings.read},
}
TASKS = tuple(_PATHS)  # of bundles that can be served
_ALL = {path: task for task, paths in _PATHS.items() for path in paths}


@dataclass(frozen=True)
class Api:
    """The answers of a bundle's service."""

    name: str  # of the bundle, and of the model in requests
    task: str
    worker: Worker
    limits: Limits
    key: str | None  # that clients send as a bearer token
    local: bool  # whether it listens on this machine's own addresses alone
    stopping: Callable[[], bool]

    async def answer(self, request: Request, exchange: Exchange) -> None:
        """Send the answer to a request. Raises Refused before anything is sent, Left."""
        self._check_host(request)
        if request.path == "/health":
            self._check_method(request, "GET")
            await exchange.reply(*self._health())
            return
        self._check_key(request)
        if request.path == "/v1/models" or request.path.startswith("/v1/models/"):
            self._check_method(request, "GET")
            await exchange.reply(200, self._models(request.path))
            return
        asked = self._read(request)
        parts = self._parts(asked)
        try:
            first = await anext(parts)  # what is wrong with a request shows before the status is sent
            if asked.streams and isinstance(asked, Completion):
                await exchange.events(self._events(asked, first, parts))
            else:
                found = [first, *[part async for part in parts]]
                await exchange.reply(200, asked.whole(found, self.name))
        finally:
            await parts.aclose()

    def _health(self) -> tuple[int, Json]:
        state = "stopping" if self.stopping() else "ok" if self.worker.opened.is_set() else "loading"
        told = {"status": state, "model": self.name, "task": self.task, "requests": self.worker.count}
        return 200 if state == "ok" else 503, told

    def _models(self, path: str) -> Json:
        own = {"id": self.name, "object": "model", "created": 0, "owned_by": "edgepack"}
        if path == "/v1/models":
            return {"object": "list", "data": [own]}
        self._check_name(path.removeprefix("/v1/models/"))
        return own

    def _read(self, request: Request) -> Completion | Embeddings:
        """Return what a request asks of the model. Raises Refused."""
        read = _PATHS[self.task].get(request.path)
        if read is None:
            other = _ALL.get(request.path)
            told = (
                f"{self.name} is for {self.task}, not for {other}" if other else f"there is no {request.path[:100]!r}"
            )
            raise Refused(404, f"{told}; there are {', '.join([*_PATHS[self.task], '/v1/models', '/health'])}")
        self._check_method(request, "POST")
        fields = Fields(request)
        self._check_name(fields.text("model"))
        return read(fields, self.limits)

    async def _parts(self, asked: Asked) -> AsyncGenerator[Any, None]:
        """Yield the parts of an answer. Raises Refused, for what the model cannot take too."""
        try:
            async for part in self.worker.parts(asked.run):
                yield part
        except (InputError, UsageError) as error:
            raise Refused(400, f"{error}{f' ({error.hint})' if error.hint else ''}") from error
        except EdgepackError as error:
            raise Refused(500, str(error)) from error

    async def _events(self, asked: Completion, first: Json, parts: AsyncIterator[Any]) -> AsyncIterator[Json | str]:
        """Yield the events of a stream; what goes wrong in the middle is the last one."""
        made = asked.chunks(self.name)
        for chunk in made(first):
            yield chunk
        try:
            async for part in parts:
                for chunk in made(part):
                    yield chunk
        except Refused as refused:
            yield refused.to_json()
        yield "[DONE]"

    def _check_host(self, request: Request) -> None:
        """Raises Refused for a name that a page on the web may have given to this machine's own address."""
        host = request.headers.get("host")
        if self.local and host is not None and _name(host) not in _LOCAL:
            raise Refused(421, f"this service is localhost, not {host[:100]!r}")

    def _check_key(self, request: Request) -> None:
        if self.key is not None:
            given = request.headers.get("authorization", "").encode()
            if not hmac.compare_digest(given, f"Bearer {self.key}".encode()):
                raise Refused(401, "the API key is missing or wrong", headers={"WWW-Authenticate": "Bearer"})

    def _check_name(self, name: str) -> None:
        if name != self.name:
            raise Refused(404, f"there is no model {name[:100]!r} here; there is {self.name!r}", field="model")

    @staticmethod
    def _check_method(request: Request, wanted: str) -> None:
        if request.method != wanted:
            told = f"{request.path} takes {wanted}, not {request.method[:20]}"
            raise Refused(405, told, headers={"Allow": wanted})


def _name(host: str) -> str:
    """Return a Host header without its port."""
    return host.rpartition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0].lower()
