"""The contestants of the benchmarks: their environments, how each makes its model, and what that costs.

Linux alone: what a process wrote and what else ran meanwhile are read from /proc.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PINS = {
    "genai": ("torch==2.13.0", "transformers>=5,<6", "onnxruntime-genai==0.18.0", "onnx", "onnx-ir"),
    "optimum": ("torch==2.13.0", "optimum-onnx==0.1.0", "transformers<4.58", "onnxruntime==1.32.0"),
    "lcpp": ("llama-cpp-python==0.3.36", "gguf==0.19.0"),
}
GGUFS = ("Q4_0", "Q4_K_M")
QUIET = 0.1  # cores that other processes may use in a turn
TRIES = 3  # for a quiet turn
TICK = os.sysconf("SC_CLK_TCK")  # of /proc's clocks, per second

Command = Sequence[str | Path]


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A model in a form, the command that makes it, and the one that serves it (see contestant.py)."""

    name: str
    out: Path
    make: Command
    python: Path
    script: str

    @property
    def model(self) -> Path:
        """What the script opens: a .gguf file, or the folder that has model.onnx (edgepack's names its bundles)."""
        return self.out if self.out.is_file() else next(self.out.rglob("model.onnx")).parent

    @property
    def bytes(self) -> int:
        """Of the weights and the graph; tokenizers and reports are not counted, except inside a .gguf."""
        files = [self.out] if self.out.is_file() else self.model.glob("model.onnx*")
        return sum(file.stat().st_size for file in files)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of a command: wall seconds, most resident bytes, bytes given to write calls, bytes that went to a disk."""

    seconds: float
    peak: int
    written: int
    stored: int


def contestants(model: Path, out: Path, venvs: Path, recipes: Sequence[str]) -> list[Contestant]:
    """Everyone, for the model folder ``model``; what they make goes below ``out``."""
    return [
        *(edgepack(model, out / f"edgepack-{recipe}", recipe) for recipe in recipes),
        genai(model, out / "genai-int4", venvs),
        *(llamacpp(model, out / f"{kind}.gguf", kind, venvs) for kind in GGUFS),
    ]


def edgepack(model: Path, out: Path, recipe: str, target: str | Path = "desktop") -> Contestant:
    """A bundle of this project's, by its command beside the Python that runs this.

    ``--allow-loss`` because random weights may miss the accuracy floor, which is for real ones.
    """
    python = Path(sys.executable)
    make = [python.with_name("edgepack"), "build", model, "--target", target, "--recipe", recipe, "--no-speed"]
    make += ["--allow-loss", "--out", out]
    return Contestant(name=f"edgepack {recipe}", out=out, make=make, python=python, script="peer_edgepack.py")


def genai(model: Path, out: Path, venvs: Path) -> Contestant:
    """onnxruntime-genai's builder."""
    python = environment(venvs, "genai")
    make = [python, "-m", "onnxruntime_genai.models.builder", "-i", model, "-o", out, "-p", "int4", "-e", "cpu"]
    cache = ["-c", out.with_name("genai-cache")]
    return Contestant(name="genai int4", out=out, make=[*make, *cache], python=python, script="peer_genai.py")


def llamacpp(model: Path, out: Path, kind: str, venvs: Path) -> Contestant:
    """llama.cpp's quantization of a GGUF file."""
    python = environment(venvs, "lcpp")
    make = [python, HERE / "gguf_of.py", model, out, "--type", kind]
    return Contestant(name=f"llama.cpp {kind}", out=out, make=make, python=python, script="peer_llamacpp.py")


def environment(venvs: Path, name: str) -> Path:
    """The Python of the environment ``name`` of PINS, made where it is not there yet.

    llama-cpp-python is compiled for this processor, which takes a C++ compiler and some minutes; pip's own settings
    say where packages come from (a CPU's torch is at https://download.pytorch.org/whl/cpu).
    """
    folder = venvs / name
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"installing {', '.join(PINS[name])} into {folder}", file=sys.stderr)
        try:
            venv.create(folder, with_pip=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *PINS[name]], check=True)
        except BaseException:  # half an environment would be taken for a whole one
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return python


def make(contestant: Contestant) -> Cost:
    """Build it from nothing; what it says goes to a .log file beside its model."""
    out, cache = contestant.out, contestant.out.with_name("edgepack-cache")
    out.parent.mkdir(parents=True, exist_ok=True)
    for before in (out, cache):
        remove(before)
    try:
        return cost(contestant.make, out.with_name(f"{out.name}.log"), {"EDGEPACK_CACHE": str(cache)})
    except BaseException:  # half a model would be taken for a whole one
        remove(out)
        raise
    finally:
        remove(cache)


def remove(path: Path) -> None:
    """A file or a folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def cost(command: Command, log: Path, variables: dict[str, str]) -> Cost:
    """Run a command and its children. /proc still answers for a process that has ended and was not waited for."""
    started = time.perf_counter()
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ | variables)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    seconds = time.perf_counter() - started
    lines = Path(f"/proc/{process.pid}/io").read_text().splitlines()
    io = {name: int(value) for name, value in (line.split(": ") for line in lines)}
    _, process.returncode, usage = os.wait4(process.pid, 0)
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(map(str, command))}\n{log.read_text(errors='replace')[-2000:]}")
    return Cost(seconds=seconds, peak=usage.ru_maxrss * 1024, written=io["wchar"], stored=io["write_bytes"])


class Worker:
    """A contestant's process; ``load`` is the seconds that it took to open its model."""

    def __init__(self, contestant: Contestant, threads: int) -> None:
        command = [contestant.python, HERE / contestant.script, contestant.model, "--threads", str(threads)]
        self._log = contestant.out.with_name(f"{contestant.out.name}.worker.log")
        with self._log.open("wb") as stream:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stream, text=True
            )
        self.load = self._answer()["load"]

    def ask(self, *words: object) -> Any:
        """The answer to a command."""
        assert self._process.stdin is not None
        print(*words, file=self._process.stdin, flush=True)
        return self._answer()

    def quietly(self, *words: object) -> tuple[float, float]:
        """The answer when other processes used less than QUIET cores meanwhile, or least; and how many they used."""
        tries = []
        for _ in range(TRIES):
            others, started = busy() - self._busy(), time.perf_counter()
            answer = self.ask(*words)
            used = (busy() - self._busy() - others) / (time.perf_counter() - started)
            tries.append((max(used, 0.0), answer))
            if used < QUIET:
                break
        used, answer = min(tries)
        return answer, used

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a contestant has ended:\n{self._log.read_text(errors='replace')[-2000:]}")
        return json.loads(line)

    def _busy(self) -> float:
        """Processor seconds of this process."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


def busy() -> float:
    """Processor seconds of everything that ran here, and those that a host gave to other machines."""
    user, nice, system, _idle, _wait, *interrupts_and_steal = Path("/proc/stat").read_text().split()[1:9]
    return sum(map(int, (user, nice, system, *interrupts_and_steal))) / TICK
