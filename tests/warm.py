"""``edgepack`` without the seconds that its imports take: one process has imported all, and forks for every command.

A command is still a process of its own that runs the entry point, with the folder, the environment, the standard
streams and the signals of whoever calls it. What is read from the environment while modules are imported cannot change
any more: where that differs, the script starts the installed command instead.
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

INSTALLED = Path(sys.executable).parent / "edgepack"
# what commands that build import one after the other
MODULES = (
    "torch", "torch.onnx", "transformers.modeling_layers", "transformers.masking_utils",
    "transformers.tokenization_utils_fast", "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto", "onnxruntime", "onnxruntime.quantization", "onnx_ir",
    "scipy.optimize", "pydantic.main", "requests", "edgepack.original.loading", "edgepack.cli.build",
    "edgepack.cli.app", "edgepack.pipeline",
)  # fmt: skip
_AT_IMPORT = ("HF_", "HUGGING", "TRANSFORMERS_", "PYTHON", "OMP_", "LD_", "TORCH")
_LENGTH = struct.Struct("!I")
_SCRIPT = """#!{python} -IS
import array, json, os, signal, socket, struct, sys
fixed = {fixed!r}
if {{k: v for k, v in os.environ.items() if k.startswith({prefixes!r})}} != fixed:
    os.execv({installed!r}, [{installed!r}, *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX)
server.connect({place!r})
asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
server.sendmsg([struct.pack("!I", len(asked))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
server.sendall(asked)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: server.send(bytes([number])))
code = struct.unpack("!i", server.recv(4))[0]
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


class Warm:
    """``script``: an executable file that stands for ``edgepack``, as long as this object is not closed."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        place = folder / "socket"
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environment),
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        self.script = folder / "edgepack"
        self.script.write_text(
            _SCRIPT.format(
                python=sys.executable,
                installed=str(INSTALLED),
                place=str(place),
                prefixes=_AT_IMPORT,
                fixed={name: value for name, value in environment.items() if name.startswith(_AT_IMPORT)},
            )
        )
        self.script.chmod(0o755)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def serve(place: str) -> None:
    """Import everything, then fork for each caller of the socket ``place`` until standard input ends."""
    for name in MODULES:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen()
    print("ready", flush=True)
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        caller, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _accompany(caller)
        caller.close()


def _accompany(caller: socket.socket) -> None:
    """Run what ``caller`` asks for in a process, pass signals on to it, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    streams = array.array("i")
    head, said, _, _ = caller.recvmsg(_LENGTH.size, socket.CMSG_SPACE(3 * streams.itemsize))
    streams.frombytes(said[0][2])
    asked = b""
    while len(asked) < _LENGTH.unpack(head)[0]:
        asked += caller.recv(1 << 16)
    command = os.fork()
    if command == 0:
        caller.close()
        _become(*json.loads(asked), streams)
    for stream in streams:
        os.close(stream)
    ended = os.pidfd_open(command)
    while ended not in (ready := select.select([ended, caller], [], [])[0]):
        number = caller.recv(1)
        os.kill(command, number[0] if number and caller in ready else signal.SIGKILL)
    caller.send(struct.pack("!i", os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])))
    os._exit(0)


def _become(arguments: list[str], folder: str, environment: dict[str, str], streams: array.array[int]) -> None:
    os.chdir(folder)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode, encoding="utf-8") for number, mode in enumerate("rww"))  # noqa: SIM115
    sys.argv = [str(INSTALLED), *arguments]
    importlib.import_module("edgepack.cli").main()


if __name__ == "__main__":
    serve(sys.argv[1])
