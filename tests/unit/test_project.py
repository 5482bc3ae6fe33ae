"""edgepack.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from edgepack import project
from edgepack.errors import ProjectError


def write(folder: Path, text: str) -> Path:
    file = folder / "edgepack.toml"
    file.write_text(text, "utf-8")
    return file


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = 'model = "./model"\ntargets = ["rpi"]\nsuite = "s.toml"\n[evaluation]\npath = "d.csv"\nlimit = 5\n'
    found = project.read(write(tmp_path, text))
    assert found.model == str(tmp_path / "model")
    assert (found.suite, found.out) == (tmp_path / "s.toml", tmp_path / "dist")
    assert found.evaluation is not None
    assert (found.evaluation.path, found.evaluation.limit, found.evaluation.name) == (tmp_path / "d.csv", 5, "d.csv")


@pytest.mark.parametrize(("stated", "read"), [('"./lora"', ["lora"]), ('["./a", "org/b"]', ["a", "org/b"])])
def test_adapters_are_one_or_a_list(stated: str, read: list[str], tmp_path: Path) -> None:
    found = project.read(write(tmp_path, f'model = "org/name"\nadapter = {stated}\n'))
    assert found.adapters == tuple(name if "/" in name else str(tmp_path / name) for name in read)
    with pytest.raises(ProjectError, match="adapter must be a list"):
        project.read(write(tmp_path, "adapter = 3\n"))


def test_the_template_is_a_project(tmp_path: Path) -> None:
    text = project.template("org/name", ("rpi", "web"))
    assert project.read(write(tmp_path, text)).targets == ("rpi", "web")
    # what it shows as comments is right too
    shown = re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE)
    assert set(tomllib.loads(shown)) == {"model", "targets", "recipes", "suite", "out", "evaluation"}
    assert project.read(write(tmp_path, shown)).evaluation is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('modle = "x"', "did you mean 'model'?"),
        ('targets = "rpi"', 'for example targets = ["rpi"]'),
        ("model = ", "not valid TOML"),
        ("[evaluation]\nlimit = 3", "needs a path"),
        ('[evaluation]\npath = "x"\ncolumn = 1', "did you mean 'columns'?"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ProjectError) as error:
        project.read(write(tmp_path, text))
    assert said in f"{error.value} {error.value.hint}"


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="there is no"):
        project.read(tmp_path / "edgepack.toml")
