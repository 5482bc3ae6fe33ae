"""Sweeps of real builds: on this machine, on a Dask cluster on it, and by submitit; stopped, killed, damaged."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from markupsafe import escape
from tests import slurm_cluster

Command = Callable[..., subprocess.CompletedProcess[str]]
EDGEPACK = str(Path(sys.executable).parent / "edgepack")
PATIENCE = 60  # seconds
TARGETS = 'targets = ["rpi"]\nrecipes = ["int8", "int4"]\n'


def models(*folders: Path, **options: object) -> str:
    keys = "".join(f"{key} = {json.dumps(value)}\n" for key, value in {"allow_loss": True, **options}.items())
    return "".join(f'[[model]]\nmodel = "{folder}"\n{keys}' for folder in folders)


def written(folder: Path, text: str, name: str = "sweep.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, "utf-8")
    return folder / name


def manifests(folder: Path) -> dict[str, bytes]:
    return {file.parent.name: file.read_bytes() for file in folder.glob("*/edgepack.json")}


def until(found: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory, tiny: Callable[[str], Path]) -> tuple[Path, dict[str, Any]]:
    """A sweep of two models in two recipes, held to a suite: its file, and what it told. Not to be changed."""
    folder = tmp_path_factory.mktemp("sweep")
    written(folder, '[[check]]\nkind = "golden"\n', "release.toml")
    two = models(tiny("text-embedding"), tiny("fill-mask"))
    file = written(folder, f'{TARGETS}suites = ["release.toml"]\n{two}')
    done = subprocess.run([EDGEPACK, "sweep", str(file), "--json", "--workers", "2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0].startswith("[1/8] build tiny-")
    return file, json.loads(done.stdout)


@pytest.fixture
def again(tried: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """The same sweep beside a copy of its folder, which a test may change."""
    shutil.copytree(tried[0].parent, tmp_path / "copy")
    (tmp_path / "copy" / "dist" / ".sweep" / "sweep.json").unlink()  # else it belongs to the other file
    return tmp_path / "copy" / "sweep.toml"


@pytest.fixture
def builds(again: Path) -> Path:
    """The same sweep without its suite, and with nothing done."""
    shutil.rmtree(again.parent / "dist")
    again.write_text(again.read_text().replace('suites = ["release.toml"]\n', ""))
    return again


def test_bundles_have_the_bytes_of_plain_builds(
    tried: tuple[Path, dict[str, Any]], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    file, told = tried
    assert told["passed"]
    assert [unit["state"] for unit in told["units"]] == ["done"] * 8
    expected = manifests(file.parent / "dist")
    assert len(expected) == 4
    options = ["-t", "rpi", "-r", "int8", "-r", "int4", "--allow-loss", "--no-speed", "--out", str(tmp_path)]
    command = [EDGEPACK, "build", str(tiny("fill-mask")), *options]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert manifests(tmp_path) == {name: text for name, text in expected.items() if "fill-mask" in name}
    page = (file.parent / "dist" / "sweep.html").read_text("utf-8")
    assert "all 8 units passed" in page
    for unit in told["units"][:4]:
        assert escape(unit["bundle"]) in page
        assert unit["facts"]["manifest"][:12] in page


def test_what_is_done_is_free_and_what_was_damaged_is_made_again(again: Path, edgepack: Command) -> None:
    before = manifests(again.parent / "dist")
    kept = json.loads(edgepack("sweep", again, "--json").stdout)
    assert [unit["kept"] for unit in kept["units"]] == [True] * 8
    assert kept["where"] == "nothing was left to run"
    config = again.parent / "dist" / "tiny-fill-mask-rpi" / "config.json"
    config.write_text(config.read_text() + " ")
    shutil.rmtree(again.parent / "dist" / "tiny-text-embedding-rpi")
    planned = json.loads(edgepack("sweep", again, "--dry-run", "--json").stdout)
    made = {unit["bundle"] for unit in planned if not unit["done"]}
    assert made == {"tiny-fill-mask-rpi", "tiny-text-embedding-rpi"}
    mended = json.loads(edgepack("sweep", again, "--json").stdout)
    assert {unit["bundle"] for unit in mended["units"] if not unit["kept"]} == made
    assert manifests(again.parent / "dist") == before


def test_what_fails_is_named_and_others_go_on(tiny: Callable[[str], Path], tmp_path: Path, edgepack: Command) -> None:
    written(tmp_path, '[[check]]\nkind = "size"\nat_most = "1 kB"\n', "strict.toml")
    odd = models(tiny("fill-mask"), original="nonsense")
    file = written(tmp_path, f'targets = ["rpi"]\nsuites = ["strict.toml"]\n{models(tiny("text-embedding"))}{odd}')
    done = edgepack("sweep", file)
    assert done.returncode == 1
    assert "3 of 4 units failed: build tiny-fill-mask-rpi, validate" in done.stderr
    lines = [line for line in done.stdout.splitlines() if "tiny" in line]
    failed = {line.split("  ")[0]: line for line in lines}
    assert " 2  --original nonsense: a build takes" in failed["build tiny-fill-mask-rpi"]
    assert "its bundle was not built" in failed["validate tiny-fill-mask-rpi by strict"]
    assert any("tiny-text-embedding-rpi  strict  0 of 1" in line for line in lines)
    assert set(manifests(tmp_path / "dist")) == {"tiny-text-embedding-rpi"}
    page = (tmp_path / "dist" / "sweep.html").read_text("utf-8")
    assert "3 of 4 units failed" in page
    assert "--original nonsense" in page
    file.write_text(file.read_text().replace('original = "nonsense"\n', ""))
    told = json.loads(edgepack("sweep", file, "--json").stdout)  # exit code 1: the suite is missed again
    assert {unit["state"] for unit in told["units"] if unit["kind"] == "build"} == {"done"}


def test_a_unit_that_is_killed_is_begun_again(builds: Path, tried: tuple[Path, dict[str, Any]]) -> None:
    process = subprocess.Popen(
        [EDGEPACK, "sweep", str(builds), "--json", "--workers", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until(lambda: psutil.Process(process.pid).children())
    psutil.Process(process.pid).children()[0].kill()
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert max(unit["attempts"] for unit in json.loads(output)["units"]) == 2
    assert manifests(builds.parent / "dist") == manifests(tried[0].parent / "dist")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_sweep_that_is_stopped_goes_on(
    number: int, builds: Path, tried: tuple[Path, dict[str, Any]], edgepack: Command
) -> None:
    out = builds.parent / "dist"
    process = subprocess.Popen(
        [EDGEPACK, "sweep", str(builds), "--workers", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until(lambda: list(out.glob(".sweep/units/*.json")) and psutil.Process(process.pid).children())
    begun = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == (130 if number == signal.SIGINT else -9)
    assert psutil.wait_procs(begun, timeout=5)[1] == []
    if number == signal.SIGINT:
        assert said.decode().splitlines()[-2] == "error: stopped"
        assert "units have ended" in (out / "sweep.html").read_text("utf-8")
        assert not list(out.glob(".building-*"))
    told = json.loads(edgepack("sweep", builds, "--json").stdout)
    kept = [unit["kept"] for unit in told["units"]]
    assert told["passed"]
    assert any(kept)
    assert not all(kept)
    assert manifests(out) == manifests(tried[0].parent / "dist")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler and two workers, the first with the device "local": its address and the workers."""
    file, options = tmp_path / "scheduler.json", ["--host", "127.0.0.1", "--no-dashboard"]
    dask, log = [sys.executable, "-m", "dask"], (tmp_path / "dask.log").open("w")
    run = [*dask, "scheduler", *options, "--port", "0", "--scheduler-file", str(file)]
    started = [subprocess.Popen(run, stdout=log, stderr=log)]
    try:
        until(file.exists)
        address = json.loads(file.read_text())["address"]
        worker = [*dask, "worker", address, *options, "--nthreads", "1", "--no-nanny", "--memory-limit", "0"]
        for more in (["--resources", "device:local=1"], []):
            started.append(subprocess.Popen([*worker, *more], stdout=log, stderr=log, cwd=tmp_path))
        yield address.removeprefix("tcp://"), started[1:]
    finally:
        for process in started:
            process.kill()
            process.wait()
        log.close()


def test_on_a_cluster(
    cluster: tuple[str, list[subprocess.Popen[bytes]]], tried: tuple[Path, dict[str, Any]], builds: Path,
    edgepack: Command, tiny: Callable[[str], Path],
) -> None:  # fmt: skip
    """Builds by two workers, one of which is killed; then a device that one has, and one that none has."""
    address, workers = cluster
    place = "dask://" + address
    file, text = builds, builds.read_text()
    process = subprocess.Popen(
        [EDGEPACK, "sweep", str(file), "--on", place, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until(lambda: manifests(file.parent / "dist"))
    until(lambda: psutil.Process(workers[1].pid).children() or process.poll() is not None)
    workers[1].kill()
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert json.loads(output)["passed"]
    assert manifests(file.parent / "dist") == manifests(tried[0].parent / "dist")
    mask = tiny("fill-mask")
    file.write_text(f'devices = ["local"]\nexclude = [{{ recipe = "int4" }}, {{ model = "{mask}" }}]\n{text}')
    told = json.loads(edgepack("sweep", file, "--on", place, "--json").stdout)
    assert [unit["facts"]["result"][0]["what"] for unit in told["units"] if unit["kind"] == "bench"] == ["1x32"]
    started = time.monotonic()
    file.write_text(f'devices = ["ssh://pi@none.invalid"]\n{text}')
    none = edgepack("sweep", file, "--on", place)
    assert time.monotonic() - started < 10
    assert none.returncode == 90
    assert "no worker of" in none.stderr
    assert "they have local" in none.stderr


def test_what_a_cluster_takes_is_missing(builds: Path, tmp_path: Path, edgepack: Command) -> None:
    for name in ("distributed", "submitit"):
        written(tmp_path / "without" / name, f"raise ModuleNotFoundError(name={name!r})\n", "__init__.py")
    path = os.pathsep.join([str(tmp_path / "without"), os.environ.get("PYTHONPATH", "")])
    for on in ("dask://host", "slurm"):
        done = edgepack("sweep", builds, "--on", on, env={**os.environ, "PYTHONPATH": path})
        assert done.returncode == 5
        assert "pip install 'edgepack[fleet]'" in done.stderr


@pytest.fixture(scope="module")
def own_slurm() -> Iterator[dict[str, str]]:
    """The environment of a Slurm of this machine."""
    with slurm_cluster.running() as environment:
        yield environment


@pytest.mark.skipif(not slurm_cluster.can_run(), reason="needs Debian's slurm-wlm and munge, and root")
def test_on_slurm(builds: Path, own_slurm: dict[str, str], edgepack: Command) -> None:
    """All units are done, one of them after its job was cancelled."""
    command = [EDGEPACK, "sweep", str(builds), "--on", "slurm", "--json"]
    process = subprocess.Popen(command, env=own_slurm, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: slurm_cluster.queued(own_slurm))
    subprocess.run(["scancel", slurm_cluster.queued(own_slurm)[0]], env=own_slurm, check=True)
    told, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors.decode()
    assert json.loads(told)["passed"]
    refused = builds.read_text() + '\n[slurm]\npartition = "nowhere"\n'
    done = edgepack("sweep", written(builds.parent / "refused", refused), "--on", "slurm", env=own_slurm)
    assert done.returncode == 90
    assert "Slurm refused the job: sbatch: error: Batch job submission failed: Invalid partition" in done.stderr
