"""The host's side of _depot.py: edgepack's own folder on a device, through one connection."""

from __future__ import annotations

import errno
import getpass
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import edgepack
from edgepack.devices._device import Device, busy, transport
from edgepack.devices._link import Link
from edgepack.documents import Json, JsonDict
from edgepack.errors import (
    DeviceAnswerWrong,
    DeviceError,
    DeviceFull,
    DeviceLacks,
    DeviceLost,
)
from edgepack.printable import printable
from edgepack.progress import Say, silent
from edgepack.runtime.manifest import digest
from edgepack.units import size

_PROTOCOL = 1  # as _depot.py has it
# what runs there, for Python 3.8 or later without packages: each module imports the ones before it alone
MODULES = ("runtime/programs.py", "runtime/android.py", "devices/_board_facts.py", "devices/_depot.py")
_ROOT = Path(edgepack.__file__).parent
_PROGRAM = """import sys, types
for name, source in {sources!r}.items():
    module = sys.modules[name] = types.ModuleType(name)
    above, _, own = name.rpartition(".")
    setattr(sys.modules.setdefault(above, types.ModuleType(above)), own, module)
    exec(compile(source, name, "exec"), module.__dict__)
module.Depot({folder!r}).serve()
"""
_HELLO = b'{"edgepack"'  # as the first answer begins
_LOADER = "import os;exec(b''.join(iter(lambda:os.read(0,1),bytes(1))))"  # a program that a NUL ends
_NOISE = 100  # lines that a login may print before the program begins
_NO_PYTHON = (126, 127)  # a shell's exit codes for a command that is not there
_PIECE = 1 << 20
_SPACE = (errno.ENOSPC, errno.EDQUOT)


class DeviceFolder:
    """The folder on ``device`` at the other end of ``link``, where _depot.py answers."""

    def __init__(self, device: Device, link: Link, told: JsonDict) -> None:
        self.device, self.link, self.told = device, link, told

    def lock(self) -> None:
        """Take the device for this session. Raises DeviceBusy, DeviceError for a folder of somebody else's."""
        me = f"{getpass.getuser()}@{platform.node()}, process {os.getpid()}"
        told = self.ask("lock", who=me)
        if "foreign" in told:
            raise DeviceError(
                f"the folder {str(told['foreign'])[:200]} on {self.device.name} holds files that are not edgepack's",
                hint="devices.toml can name a new folder there, or an empty one: folder = …",
            )
        if "busy" in told:
            raise busy(self.device, str(told["busy"])[:200])

    def push(self, files: Mapping[str, Path], say: Say = silent) -> dict[str, str]:
        """Send those of ``files`` that are not there; the SHA-256 of each, by name. Raises DeviceFull, DeviceError."""
        named = {name: digest(place) for name, place in files.items()}
        places = {named[name]: place for name, place in files.items()}
        told = self.ask("missing", files=[[sha256, place.stat().st_size] for sha256, place in places.items()])
        lacking = self._lacking(told, places)
        left = sum(places[sha256].stat().st_size - begun for sha256, begun in lacking)
        free = told.get("free")
        if isinstance(free, int) and left > free:
            said = f"{self.device.name} has {size(free)} free, and {size(left)} are to be pushed"
            raise DeviceFull(said, hint=_CLEAR)
        for sha256, begun in lacking:
            say(f"pushing {size(left)} to {self.device.name}")
            left -= self._put(sha256, places[sha256], begun)
        return named

    def lay(self, folder: str, files: Mapping[str, str]) -> str:
        """Lay out files (name -> SHA-256) as a folder; where it lies there."""
        return self._path(self.ask("lay", folder=folder, files=dict(files)))

    def start(self) -> str:
        """Make the folder of a session, which goes with it; its name below edgepack's own."""
        return os.path.relpath(self._path(self.ask("start")), self._path(self.told))

    def ask(self, what: str, **named: Json) -> JsonDict:
        """Ask for something. Raises DeviceFull, DeviceError."""
        return self._checked(self.link.ask({"do": what, **named}))

    def _checked(self, told: JsonDict) -> JsonDict:
        if "trouble" not in told:
            return told
        said = f"{self.device.name}: {str(told.get('said'))[:200]}"
        if told["trouble"] in _SPACE:
            raise DeviceFull(f"no space left on the disk of {said}", hint=_CLEAR)
        raise DeviceError(said, hint="devices.toml can name another folder there")

    def _put(self, sha256: str, place: Path, begun: int) -> int:
        """Send a file from its byte ``begun`` on; how many that were."""
        whole = place.stat().st_size
        asked = {"do": "put", "sha256": sha256, "bytes": whole, "offset": begun}
        self.link.send_object(asked)
        with place.open("rb") as stream:
            stream.seek(begun)
            left = whole - begun
            while left:
                data = stream.read(min(_PIECE, left)) or bytes(left)  # of a file that shrank: the hash will tell
                self.link.send(data)
                left -= len(data)
        if "differs" in self._checked(self.link.receive()):
            raise DeviceLost(
                f"{place.name} arrived damaged on {self.device.name}", hint="try again: it is sent once more"
            )
        return whole - begun

    def _lacking(self, told: JsonDict, places: Mapping[str, Path]) -> list[tuple[str, int]]:
        try:
            found = [(str(sha256), int(begun)) for sha256, begun in told["missing"]]
            if all(0 <= begun <= places[sha256].stat().st_size for sha256, begun in found):
                return found
        except (KeyError, TypeError, ValueError):
            pass
        raise DeviceAnswerWrong(f"{self.device.name} asks for files that it was not offered", hint=_CLEAR)

    def _path(self, told: JsonDict) -> str:
        found = told.get("folder")
        if not isinstance(found, str):
            raise DeviceAnswerWrong(f"{self.device.name} does not say where its files lie", hint=_CLEAR)
        return found


_CLEAR = "edgepack devices --clear ADDRESS deletes what edgepack keeps there"


@contextmanager
def opened(device: Device) -> Iterator[DeviceFolder]:
    """Provide edgepack's folder on ``device``. Raises DeviceUnreachable, DeviceLacks, DeviceAnswerWrong."""
    program = _program(device.folder)
    with Link(transport(device).command(device, [device.python, "-I", "-c", _LOADER]), device.name) as link:
        heard: list[bytes] = []
        try:
            link.send(program.encode() + b"\0")
            told = _hello(link, heard)
        except DeviceLost as lost:
            raise _refused(device, link, heard) or lost from lost
        if told["edgepack"] != _PROTOCOL:
            raise DeviceAnswerWrong(f"{device.name} speaks another version of edgepack's protocol", hint=_CLEAR)
        yield DeviceFolder(device, link, told)


def _program(folder: str) -> str:
    """Return the text of a program for Python 3.8 or later that answers for ``folder``."""
    places = [_ROOT / name for name in MODULES]
    texts = {_module(place): place.read_text("utf-8") for place in places}
    return _PROGRAM.format(sources=texts, folder=folder)


def _module(place: Path) -> str:
    return ".".join(place.relative_to(_ROOT.parent).with_suffix("").parts)


def _hello(link: Link, heard: list[bytes]) -> JsonDict:
    """Return the first answer, behind what a login prints, which goes into ``heard``."""
    for _ in range(_NOISE):
        line = link.line()
        begins = line.rfind(_HELLO)  # behind a text without a line end
        if begins >= 0:
            return link.parsed(line[begins:])
        heard.append(line)
    raise DeviceAnswerWrong(
        f"{link.name} prints other text among the answers of edgepack's program",
        hint="check whether ~/.bashrc there prints text or waits for a key",
    )


def _refused(device: Device, link: Link, heard: Sequence[bytes]) -> DeviceError | None:
    """Return what the end of a connection means on which the program never answered; None where it is none."""
    code, said = link.ended, link.words()
    known = transport(device).refused(device, code, said)
    if known is not None or code is None:
        return known
    if code in _NO_PYTHON:
        return DeviceLacks(
            f"{device.name} has no {device.python}: {said}",
            hint="sudo apt install python3 there, or name another in devices.toml: python = …",
        )
    last = said or printable(b"".join(heard[-1:]).decode(errors="replace").strip())[:300]
    return DeviceLacks(
        f"{device.name} ended {device.python} before it answered (exit code {code}){f': {last}' if last else ''}",
        hint="a login there has to run commands, without waiting for a key, and Python has to be 3.8 or later",
    )
