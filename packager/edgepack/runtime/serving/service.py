"""The service itself: it accepts connections, watches who leaves, and stops without losing an answer."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from edgepack.arrays import TaskModel
from edgepack.progress import Say
from edgepack.runtime.serving import systemd
from edgepack.runtime.serving.api import Api
from edgepack.runtime.serving.exchange import Exchange, Left, Refused, Request
from edgepack.runtime.serving.limits import Limits
from edgepack.runtime.serving.worker import Worker

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LOOK = 0.5  # seconds between two looks at whether it is idle


class Service:
    """A bundle behind ``sockets``, which listen; ``load`` opens it, in the worker's thread."""

    def __init__(
        self,
        name: str,
        task: str,
        load: Callable[[], TaskModel],
        limits: Limits,
        *,
        key: str | None = None,
        say: Say = lambda text: None,
    ) -> None:
        self._name, self._task, self._load, self._limits, self._key, self._say = name, task, load, limits, key, say
        self._open: dict[Exchange, asyncio.Task[None] | None] = {}  # the oldest first
        self._stop: asyncio.Event
        self._used = 0.0  # the event loop's time of the last request

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Answer until a signal, or until nobody asked for as long as the limits say.

        Raises what opening the model raises.
        """
        loop = asyncio.get_running_loop()
        self._stop, self._used = asyncio.Event(), loop.time()
        for number in _SIGNALS:
            with suppress(NotImplementedError, RuntimeError):  # Windows; a thread that is not the main one
                loop.add_signal_handler(number, self._stop.set)
        worker = Worker(self._load, self._limits.waiting)
        api = Api(self._name, self._task, worker, self._limits, self._key, _local(sockets), self._stop.is_set)
        servers = [
            await asyncio.start_server(lambda reader, writer: self._connected(api, reader, writer), sock=one)
            for one in sockets
        ]
        ready = asyncio.create_task(self._ready(worker, sockets))
        try:
            await self._until_stopped(worker)
        finally:
            ready.cancel()
            systemd.notify("STOPPING=1")
            for server in servers:
                server.close()
            await self._finish()
            worker.stop()
        if worker.failure is not None:
            raise worker.failure

    async def _ready(self, worker: Worker, sockets: Sequence[socket.socket]) -> None:
        await worker.opened.wait()
        if worker.failure is not None:
            self._stop.set()
            return
        systemd.notify("READY=1")
        for one in sockets:
            self._say(f"{self._name} answers at {_address(one)}")

    async def _until_stopped(self, worker: Worker) -> None:
        loop, idle = asyncio.get_running_loop(), self._limits.idle_stop
        while not self._stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK if idle is not None else None):
                    await self._stop.wait()
            busy = worker.count or not worker.opened.is_set()
            if idle is not None and not busy and loop.time() - self._used > idle:
                self._say(f"nobody asked for {idle:g} s")
                return

    async def _finish(self) -> None:
        """Let those who wait have their answers, for a while, and end all connections."""
        self._stop.set()
        for exchange in list(self._open):
            if exchange.waits:
                exchange.close()
        tasks = [task for task in self._open.values() if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=self._limits.stop_time)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, api: Api, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        exchange = Exchange(reader, writer, self._limits)
        with suppress(Left):
            if len(self._open) >= self._limits.connections and not self._make_room():
                await exchange.reply(503, Refused(503, "too many connections").to_json(), {"Connection": "close"})
                await exchange.finish()
                return
        self._open[exchange] = asyncio.current_task()
        try:
            async for request in exchange.requests():
                self._used = asyncio.get_running_loop().time()
                await self._answer(api, request, exchange)
                self._used = asyncio.get_running_loop().time()
                if self._stop.is_set():
                    break
        except Left:
            pass
        finally:
            del self._open[exchange]
            await exchange.finish()

    def _make_room(self) -> bool:
        """End the connection that has waited for longest; False where each one is being answered."""
        silent = next((exchange for exchange in self._open if exchange.waits), None)
        if silent is not None:
            silent.close()
        return silent is not None

    async def _answer(self, api: Api, request: Request, exchange: Exchange) -> None:
        """Answer a request, unless its client leaves or it takes too long. Raises Left."""
        async with exchange.watched() as left:
            leaving = asyncio.create_task(left.wait())
            answering = asyncio.create_task(self._answered(api, request, exchange))
            try:
                done, _ = await asyncio.wait(
                    {leaving, answering}, timeout=self._limits.answer_time, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                for task in (leaving, answering):
                    if not task.done():
                        task.cancel()
                await asyncio.gather(leaving, answering, return_exceptions=True)
        if answering in done:
            answering.result()
        elif leaving in done:
            raise Left
        else:
            await exchange.refuse(Refused(504, f"the answer took more than {self._limits.answer_time:g} s"))

    async def _answered(self, api: Api, request: Request, exchange: Exchange) -> None:
        try:
            await api.answer(request, exchange)
        except Refused as refused:
            await exchange.refuse(refused)
        except Exception as error:  # nobody foresaw it: one answer is lost, the others are not
            if isinstance(error, Left):
                raise
            self._say(f"{request.method} {request.path}: {type(error).__name__}: {error}")
            await exchange.refuse(Refused(500, "something went wrong in the service; its log says what"))


def _local(sockets: Sequence[socket.socket]) -> bool:
    """Return whether all of them are reached from this machine alone."""
    return all(_loopback(one) for one in sockets)


def _loopback(one: socket.socket) -> bool:
    if one.family not in (socket.AF_INET, socket.AF_INET6):
        return False  # a name's socket: who may open it, its permissions say
    return ipaddress.ip_address(one.getsockname()[0]).is_loopback


def _address(one: socket.socket) -> str:
    if one.family not in (socket.AF_INET, socket.AF_INET6):
        return str(one.getsockname())
    host, port = one.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
