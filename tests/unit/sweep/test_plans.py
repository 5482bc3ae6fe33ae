"""What a sweep's file asks for, and what cannot be asked; nothing is built here."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgepack import sweep
from edgepack.errors import EdgepackError, FileTrouble, FleetError, UsageError
from edgepack.sweep import Result, SweepFolder, Unit, course, executors, needed_memory, planning
from edgepack.sweep.executors import dask, slurm
from edgepack.sweep.executors.local import Room

SUITE = '[[check]]\nkind = "golden"\n'


@pytest.fixture
def ask(tmp_path: Path, tiny: Callable[[str], Path]) -> Callable[[str], sweep.Plan]:
    """``ask(toml)``: its plan, with two models beside the file and a suite."""
    for number, task in enumerate(("text-embedding", "fill-mask"), 1):
        (tmp_path / f"model-{number}").symlink_to(tiny(task))
    (tmp_path / "release.toml").write_text(SUITE)

    def plan(text: str) -> sweep.Plan:
        (tmp_path / "sweep.toml").write_text(text)
        return sweep.plan(sweep.read(tmp_path / "sweep.toml"))

    return plan


def names(plan: sweep.Plan) -> list[str]:
    return [unit.name.replace("tiny-text-embedding", "one").replace("tiny-fill-mask", "two") for unit in plan.units]


BOTH = 'models = ["model-1", "./model-2"]\n'
PRODUCT = BOTH + 'targets = ["rpi", "web"]\nrecipes = ["int8", "int4"]\nsuites = ["release.toml"]\n'


def test_the_product_begins_with_a_build_of_each_model(ask: Callable[[str], sweep.Plan]) -> None:
    found = ask(PRODUCT)
    assert names(found)[:4] == ["build one-rpi", "build two-rpi", "build one-rpi-int4", "build two-rpi-int4"]
    assert [unit.kind for unit in found.units] == ["build"] * 8 + ["validate"] * 8
    assert len({unit.digest for unit in found.units}) == 16


def test_combinations(ask: Callable[[str], sweep.Plan]) -> None:
    less = ask(
        PRODUCT + '[[exclude]]\nmodel = "model-1"\n[[exclude]]\ntarget = "web"\nrecipe = "int4"\n'
        '[[exclude]]\nrecipe = "int4"\nsuite = "release.toml"\n'
        '[[include]]\nmodel = "model-1"\ntarget = "android"\n'
    )
    assert names(less) == [
        "build two-rpi", "build one-android", "build two-rpi-int4", "build two-web",
        "validate two-rpi by release", "validate two-web by release", "validate one-android by release",
    ]  # fmt: skip


def test_equal_work_is_one_unit(ask: Callable[[str], sweep.Plan]) -> None:
    three = 'targets = ["rpi", "raspberrypi", "rpi:pi5"]\nrecipes = ["int8"]\n'
    found = ask(f'{BOTH}{three}[[model]]\nmodel = "model-2"\n')
    assert names(found) == ["build one-rpi", "build two-rpi"]
    assert found.duplicates == 7
    assert names(ask('models = ["model-1"]\ntargets = ["rpi"]\n')) == names(found)[:1]  # int8 is the default


def test_digests_tell_what_shapes_a_unit(ask: Callable[[str], sweep.Plan], tmp_path: Path) -> None:
    text = 'models = ["model-1"]\ntargets = ["rpi"]\nsuites = ["release.toml"]\n'
    build, check = ask(text).units
    assert [unit.digest for unit in ask(f'out = "other"\n{text}').units] == [build.digest, check.digest]
    (tmp_path / "release.toml").write_text(SUITE + '[[check]]\nkind = "size"\nat_most = "1 GB"\n')
    changed = ask(text).units
    assert changed[0].digest == build.digest
    assert changed[1].digest != check.digest
    other = 'targets = ["rpi"]\n[[model]]\nmodel = "model-1"\ncontext = 32\n'
    assert ask(other).units[0].digest != build.digest
    assert ask(f"threads = 2\n{text}").units[0].digest != build.digest
    (tmp_path / "edgepack.toml").write_text("[recipe.int8]\nblock_size = 64\n")
    assert ask(text).units[0].digest != build.digest


def test_options_become_those_of_the_commands(ask: Callable[[str], sweep.Plan], tmp_path: Path) -> None:
    build, check = ask(
        'targets = ["rpi"]\nrecipes = ["int4"]\nsuites = ["release.toml"]\ndevices = ["local"]\n'
        '[[model]]\nmodel = "model-1"\ncontext = 32\nallow_loss = true\nfolder = "short"\nmemory = "2 GB"\n'
    ).units[::2]
    model = str((tmp_path / "model-1").resolve())
    out = str(tmp_path / "dist" / "short")
    assert build.arguments == (
        model, "--target", "rpi", "--recipe", "int4", "--context", "32", "--out", out, "--allow-loss", "--no-speed",
    )  # fmt: skip
    assert build.bundle == "short/tiny-text-embedding-rpi-int4"
    assert build.memory == 2 * 10**9
    assert check.arguments == ("--suite", str(tmp_path / "release.toml"), "--original", model, "--device", "local")
    assert check.needs == build.digest


WRONG = {
    'model = "x"\ntarget = "rpi"': (4, "unknown key 'target'", "'targets'"),
    "models = 3": (4, "models is 3", ""),
    "models = [": (4, "not valid TOML", ""),
    "": (4, "asks for nothing: models is empty", "docs/sweeps.md"),
    BOTH: (4, "asks for nothing: targets is empty", ""),
    f'{BOTH}targets = ["rpi"]\n[[exclude]]\ntarget = "rpi"': (4, "everything is excluded", ""),
    f'{BOTH}targets = ["rpi"]\n[[exclude]]\ntarget = "web"': (4, "exclude 1 matches nothing", ""),
    f'{BOTH}targets = ["rpi"]\n[[exclude]]\ntargett = "web"': (4, "unknown key 'targett'", "'target'"),
    f'{BOTH}targets = ["rpi"]\n[[include]]\ntarget = "web"': (4, "include 1 lacks 'model'", ""),
    f'{BOTH}targets = ["rpi"]\n[[model]]\nmodel = "a"\nadaptor = "x"': (4, "unknown key 'adaptor'", "'adapter'"),
    f'{BOTH}targets = ["rpi"]\n[[model]]\nmodel = "a"\nmemory = "much"': (4, "'much' is not a size", ""),
    f'{BOTH}targets = ["rpi"]\n[[model]]\nmodel = "a"\nmemory = "0 GB"': (4, "memory is '0 GB'", "2 GB"),
    f'{BOTH}targets = ["rpi"]\n[[model]]\nmodel = "a"\nmemory = -5': (4, "-5 is not a size", ""),
    f'{BOTH}targets = ["rpu"]': (3, "no target named 'rpu'", "'rpi'"),
    f'{BOTH}targets = ["rpi"]\nrecipes = ["int9"]': (3, "no recipe named 'int9'", "'int"),
    f'{BOTH}targets = ["rpi", "iphone"]\nrecipes = ["palette6"]': (4, "rpi has no recipe 'palette6'", "[[exclude]]"),
    f'{BOTH}targets = ["rpi"]\nsuites = ["none.toml"]': (4, "there is no suite", ""),
    f'{BOTH}targets = ["rpi"]\ndevices = ["sssh://pi"]': (3, "sssh", ""),
    'models = ["./none"]\ntargets = ["rpi"]': (11, "none", ""),
    'targets = ["rpi"]\n[[model]]\nmodel = "model-1"\nmax_size = "1 MB"': (4, "needs a Core ML target", "[[exclude]]"),
    f'{BOTH}targets = ["rpi"]\n[[model]]\nmodel = "model-1"\ncontext = 32': (2, "the same bundle", "folder ="),
    f'{BOTH}targets = ["rpi"]\nrecipes = ["int4"]\n[[model]]\nmodel = "model-1"\nfit = true': (2, "same bundle", ""),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_cannot_be_asked(text: str, ask: Callable[[str], sweep.Plan]) -> None:
    code, said, hint = WRONG[text]
    with pytest.raises(EdgepackError) as raised:
        ask(text)
    assert (raised.value.exit_code, said in str(raised.value)) == (code, True), str(raised.value)
    assert hint in raised.value.hint


def test_a_folder_belongs_to_one_sweep(ask: Callable[[str], sweep.Plan], tmp_path: Path) -> None:
    mine = ask('models = ["model-1"]\ntargets = ["rpi"]\n').sweep
    store = SweepFolder(mine.out)
    with store.opened(mine) as run:
        assert store.is_current(run)
        with pytest.raises(FileTrouble, match="is already running"), store.opened(mine):
            pass
        assert store.is_current(run)  # the other has not ended it
    assert not store.is_current(run)
    with pytest.raises(FileTrouble, match="belongs to the sweep 'sweep'"):
        store.check(replace(mine, name="other"))
    (tmp_path / "copy.toml").touch()
    with pytest.raises(FileTrouble, match=r"sweep\.toml"):
        store.check(replace(mine, file=tmp_path / "copy.toml"))
    store.report.write_text("mine")
    with pytest.raises(FileTrouble, match="would be replaced"):
        store.check(mine)


@pytest.mark.parametrize("place", ["release.toml/dist", "/sys/edgepack"])
def test_a_folder_that_cannot_be_written(place: str, ask: Callable[[str], sweep.Plan]) -> None:
    if place.startswith("/sys") and sys.platform != "linux":
        pytest.skip("/sys is Linux's")
    mine = ask(f'out = "{place}"\nmodels = ["model-1"]\ntargets = ["rpi"]\n').sweep
    with pytest.raises(FileTrouble, match="cannot be written"), SweepFolder(mine.out).opened(mine):
        pass


def test_a_record_of_something_else_is_none(ask: Callable[[str], sweep.Plan]) -> None:
    plan = ask('models = ["model-1"]\ntargets = ["rpi"]\n')
    store, unit = SweepFolder(plan.sweep.out), plan.units[0]
    with store.opened(plan.sweep):
        result = Result(digest=unit.digest, state="done", facts={"bundle": unit.bundle, "manifest": "0"})
        store.finish(result)
    assert store.read(unit) is None  # there is no such bundle
    record = store.folder / "units" / f"{unit.digest}.json"
    for text in ("{}", "no JSON", json.dumps({**vars(result), "digest": "1"})):
        record.write_text(text)
        assert store.read(unit) is None
    assert course.known(plan, store).open == [unit]


def test_memory_bounds_what_runs_at_once() -> None:
    room, most, running, lock = Room(100), 0, 0, threading.Lock()

    def take(wanted: int) -> None:
        nonlocal most, running
        with room.taken(wanted):
            with lock:
                running += min(wanted, 100)
                most = max(most, running)
            time.sleep(0.02)
            with lock:
                running -= min(wanted, 100)

    threads = [threading.Thread(target=take, args=(wanted,)) for wanted in (60, 60, 30, 500, 40, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < most <= 100


def test_memory_grows_with_the_model(ask: Callable[[str], sweep.Plan]) -> None:
    source = planning._found(ask('models = ["model-1"]\ntargets = ["rpi"]\n').sweep.models[0])
    large = replace(source, parameters=110_000_000)
    assert 2.1e9 < needed_memory.of_build(large) < 3e9  # a BERT of that size took 2.1 GB
    written = replace(large, task="text-generation", weights_bytes=220_000_000)
    assert needed_memory.of_build(written) < needed_memory.of_build(large)


@pytest.mark.parametrize("on", ["dask://", "dask", "ssh://host", "Slurm"])
def test_places_that_are_none(on: str, ask: Callable[[str], sweep.Plan]) -> None:
    plan = ask('models = ["model-1"]\ntargets = ["rpi"]\n')
    with pytest.raises(UsageError, match="not a place"):
        executors.start(on, plan, SweepFolder(plan.sweep.out), "run", workers=None)


def test_a_cluster_that_is_not_there(ask: Callable[[str], sweep.Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ask('models = ["model-1"]\ntargets = ["rpi"]\n')
    store, started = SweepFolder(plan.sweep.out), time.monotonic()
    monkeypatch.setattr(dask, "_PATIENCE", 1)
    with pytest.raises(FleetError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        executors.start("dask://127.0.0.1:9", plan, store, "run", workers=None)
    assert time.monotonic() - started < 10
    with pytest.raises(UsageError, match="--workers"):
        executors.start("dask://127.0.0.1:9", plan, store, "run", workers=2)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FleetError, match="no command sbatch"):
        executors.start("slurm", plan, store, "run", workers=None)
    unit: Unit = replace(plan.units[0], device="pi5")
    with pytest.raises(UsageError, match="'pi5'"):
        slurm.start(replace(plan, units=(unit,)), store)
