"""A recipe chosen by what is measured on a device."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_the_command(edgepack: Command, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    asked = ["tune", tiny("text-classification"), "--target", "desktop", "--device", "local", "--input", "1x8"]
    asked += ["--recipe", "fp32", "--recipe", "int8", "--runs", 3, "--seconds", 0, "--repeat", 0]
    done = edgepack(*asked, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {each["recipe"]: each for each in json.loads(done.stdout)}
    assert set(found) == {"fp32", "int8"}
    assert sum(each["chosen"] for each in found.values()) == 1
    assert all(each["seconds"] > 0 and each["error"] is None for each in found.values())
    assert found["fp32"]["front"]  # none is finer
    cosines = {recipe: each["floors"]["cosine mean"] for recipe, each in found.items()}
    assert cosines["fp32"]["value"] > cosines["int8"]["value"]
    assert all((each["value"] >= each["at_least"]) == each["passed"] for each in cosines.values())
    (page,) = (tmp_path / "dist").glob("*-desktop-tune.html")
    assert "Recipes" in page.read_text("utf-8")
    done = edgepack(*asked, "--within", "1ms", cwd=tmp_path)
    assert ("in edgepack.toml: recipes =" in done.stdout) == (done.returncode == 0)


@pytest.mark.parametrize(
    ("asked", "code", "told"),
    [
        (["--within", "soon"], 2, "--within: 'soon' is not a time"),
        (["--seconds", "nan"], 2, "--seconds"),
        (["--target", "rpi"], 2, "recipes are chosen for one target"),
        (["--recipe", "int9"], 3, "int9"),
        (["--device", "nowhere"], 3, "nowhere"),
    ],
)
def test_what_cannot_be(
    asked: list[str], code: int, told: str, edgepack: Command, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "edgepack.toml").write_text(f'model = "{tiny("text-classification")}"\ntargets = ["rpi", "web"]\n')
    target = [] if "one target" in told else ["--target", "desktop"]
    done = edgepack("tune", *target, *[one for one in asked if one not in ("--target", "rpi")], cwd=tmp_path)
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr
    assert not (tmp_path / "dist").exists()
