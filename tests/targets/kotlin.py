"""Kotlin, compiled and run on a JVM, where Python's libraries stand in for the Android ones of the same name.

``jvm/java`` has the part of their interfaces that the template uses, as they are published. JUnit and org.json are
Debian's packages, the compiler is npm's, kept like the clients' environments.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.clients import environments

HERE = Path(__file__).parent / "jvm"
_SECONDS = 900
_JVM = ["-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]  # for programs that run a minute
_JARS = [Path("/usr/share/java") / name for name in ("junit4.jar", "hamcrest.jar", "com.android.json.jar")]


class Failed(Exception):
    """What a compiler or a program said when it failed."""


def classpath(folder: Path) -> list[Path]:
    """The libraries that the module's code is compiled against; those that stand in are compiled into ``folder``."""
    sources = sorted(HERE.rglob("*.java"))
    for jar in _JARS:
        assert jar.is_file(), f"{jar} is missing: apt-get install junit4 libandroid-json-java"
    run(["javac", "-nowarn", "-d", folder, "-cp", os.pathsep.join(map(str, _JARS)), *sources])
    return [folder, *_JARS]


def compiled(sources: Sequence[Path], libraries: Sequence[Path], folder: Path) -> list[Path]:
    """The class path of ``sources``, which are compiled into ``folder``; a warning is an error."""
    home = _compiler()
    own = [home / "lib" / name for name in ("kotlin-stdlib.jar", "kotlinx-coroutines-core-jvm.jar")]
    options = ["-no-stdlib", "-no-reflect", "-jvm-target", "17", "-Werror", "-cp", _joined([*libraries, *own])]
    compiler = ["-cp", home / "lib" / "kotlin-compiler.jar", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"]
    run(["java", *_JVM, *compiler, *options, "-d", folder, *sources])
    return [folder, *libraries, *own]


def tested(classes: Sequence[str], libraries: Sequence[Path], cwd: Path, **properties: Path) -> str:
    """What JUnit says of the test ``classes``, run in ``cwd``. Raises Failed."""
    given = {"standin.python": sys.executable, "standin.program": HERE / "standin.py"}
    given |= {f"standin.{name}": value for name, value in properties.items()}
    options = [f"-D{name}={value}" for name, value in given.items()]
    return run(["java", *_JVM, *options, "-cp", _joined(libraries), "org.junit.runner.JUnitCore", *classes], cwd=cwd)


def run(command: Sequence[str | Path], cwd: Path | None = None) -> str:
    """What a command printed. Raises Failed."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=_SECONDS, cwd=cwd
    )
    if done.returncode:
        raise Failed(f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}")
    return done.stdout


def _compiler() -> Path:
    wanted = HERE / "package.json"

    def make(folder: Path) -> None:
        (folder / "package.json").write_bytes(wanted.read_bytes())
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        environments.run(["npm", "install", *quiet, "--prefix", folder])

    return environments.kept("kotlin", [wanted], "", make) / "node_modules" / "kotlin-compiler"


def _joined(paths: Sequence[Path]) -> str:
    return os.pathsep.join(map(str, paths))


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The class path of what stands in for Android's libraries."""
    return classpath(tmp_path_factory.mktemp("stand-ins"))
