"""edgepack as pip installs it, plain and with each extra: the built wheel, and the packages that it asks for.

The wheel is built from the sources and unpacked by pip. The packages beside it are not downloaded again, since PyTorch
alone is a gigabyte: each environment has links to this one's, to exactly those that the metadata of the wheel and of
the packages themselves ask for. It is shown, then, that what an extra names is enough and the rest is not needed; not,
that pip finds versions which go together: those are this environment's (constraints.txt).
``test_the_plain_install_has_what_pip_installs`` compares the links with pip itself.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.clients import environments

ROOT = Path(__file__).parents[2]
_SITE = Path("lib") / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


@dataclass(frozen=True)
class Install:
    """An environment with edgepack; ``others`` are folders whose packages come before its own."""

    folder: Path
    others: tuple[Path, ...] = ()

    def __call__(self, *arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
        """``edgepack arguments`` in a process of its own, where nothing but this environment is seen."""
        return subprocess.run(
            [str(self.folder / "bin" / "python"), "-m", "edgepack.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, self.others)), "HF_HUB_OFFLINE": "1", **settings},
        )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of these sources."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [environments.python("hatchling"), "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
    subprocess.run(list(map(str, build)), cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="session")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip has installed the wheel into, alone."""
    folder = tmp_path_factory.mktemp("unpacked")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    environments.run([*pip, "--target", folder, wheel])
    return folder


@pytest.fixture(scope="session")
def install(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Install]:
    """``install("llm")``: edgepack with that extra; "" is the plain one."""
    made: dict[str, Install] = {}

    def get(extra: str) -> Install:
        if extra not in made:
            folder = tmp_path_factory.mktemp(f"install-{extra}")
            venv.create(folder, with_pip=False)
            for distribution in asked_for(unpacked, extra).values():
                _link(distribution, folder / _SITE)
            made[extra] = Install(folder)
        return made[extra]

    return get


def asked_for(unpacked: Path, extra: str) -> dict[str, Distribution]:
    """The distributions that ``edgepack[extra]`` and they themselves ask for, by name, edgepack among them."""
    (edgepack,) = importlib.metadata.distributions(name="edgepack", path=[str(unpacked)])
    found = {"edgepack": edgepack}
    seen = {("edgepack", "")}
    waiting = [("edgepack", ""), *([("edgepack", extra)] if extra else [])]
    while waiting:
        name, wanted = waiting.pop()
        for requirement in _requirements(found[name], wanted):
            other = canonicalize_name(requirement.name)
            if other not in found:
                found[other] = importlib.metadata.distribution(other)
            more = {(other, part) for part in ("", *requirement.extras)} - seen
            seen |= more
            waiting += more
    return found


def _requirements(distribution: Distribution, extra: str) -> Iterator[Requirement]:
    for text in distribution.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def _link(distribution: Distribution, site: Path) -> None:
    """Link to what lies at the top of a distribution, or one folder down in a namespace that several share."""
    tops = {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}
    for top in tops:
        true = Path(str(distribution.locate_file(top)))
        shared = true.is_dir() and not (true / "__init__.py").exists() and not top.endswith(".dist-info")
        for part in true.iterdir() if shared else [true]:
            link = site / part.relative_to(true.parent)
            link.parent.mkdir(exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(part)
