"""Devices over the real adb: what it says of those that it cannot use, and bundles on an emulated phone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.devices import phones
from tests.devices.conftest import FORBIDDEN, GOLDEN, refused

import edgepack as runtime
from edgepack import devices, errors
from edgepack.devices import Device
from edgepack.devices._folder import opened
from edgepack.records import Bundle, NotMeasured
from edgepack.runtime import manifest
from edgepack.runtime.quiet import Rules
from edgepack.stages import bench, validate

needs_adb = pytest.mark.skipif(not shutil.which("adb"), reason="there is no adb on this machine")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[phones.Server]:
    with phones.server(tmp_path) as started:
        if "emulator" in started.adb("devices"):
            pytest.skip("an Android emulator runs on this machine")
        monkeypatch.setenv("ADB_SERVER_SOCKET", started.environment["ADB_SERVER_SOCKET"])
        yield started


@pytest.mark.parametrize("address", ["adb", "adb:", "adb://-s", "adb://a b", "adb://a/b", "adb://a;reboot"])
def test_an_address_that_is_none(address: str) -> None:
    with refused(errors.UsageError, "is not an adb address", "adb://SERIAL"):
        devices.find(address)


def test_a_machine_without_adb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with refused(errors.DeviceLacks, "there is no adb on this machine", "apt install adb"):
        devices.probe(devices.find("adb://"))


@needs_adb
def test_no_phone(server: phones.Server) -> None:
    with refused(errors.DeviceUnreachable, "^adb has no device$", "USB debugging"):
        devices.probe(devices.find("adb://"))
    with refused(errors.DeviceUnreachable, "^adb has no device R58M40$", "adb connect"):
        devices.probe(devices.find("adb://R58M40"))


@needs_adb
def test_phones_that_adb_cannot_use(server: phones.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with phones.peer() as silent, phones.peer(phones.token(), phones.token(), b"") as closed:
        connecting = [subprocess.Popen(["adb", "connect", one], env=server.environment) for one in (silent, closed)]
        phones.until(lambda: all(f"{one}\t" in server.adb("devices") for one in (silent, closed)), 15)
        phones.until(lambda: "unauthorized" in server.adb("devices"), 15)
        with refused(errors.DeviceUnreachable, "does not answer", "again"):
            devices.probe(devices.find(f"adb://{silent}"))
        with refused(errors.DeviceUnreachable, "has not allowed this machine", "unlock it"):
            devices.probe(devices.find(f"adb://{closed}"))
        with refused(errors.DeviceError, rf"several devices: .*{closed} \(unauthorized\)", "--device adb://127"):
            devices.probe(devices.find("adb://"))
        monkeypatch.setenv("ANDROID_SERIAL", closed)
        with refused(errors.DeviceUnreachable, "has not allowed this machine", "unlock it"):
            devices.probe(devices.find("adb://"))
        for address in (silent, closed):
            server.adb("disconnect", address)
    for process in connecting:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[phones.Server, Path]]:
    """The phone's server and its files; ``adb`` finds it as long as a test of this module runs."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        pytest.skip("phones are emulated on Linux, by root, with mmdebstrap")
    with pytest.MonkeyPatch.context() as patch:
        try:
            started = phones.phone(tmp_path_factory.mktemp("phone"))
            server, root = started.__enter__()
        except (errors.DeviceError, errors.NetworkError) as error:
            if any(sign in str(error) for sign in FORBIDDEN):
                pytest.skip(str(error))
            raise
        patch.setenv("ADB_SERVER_SOCKET", server.environment["ADB_SERVER_SOCKET"])
        yield server, root
        started.__exit__(None, None, None)


@pytest.mark.slow
def test_an_encoder_on_a_phone(phone: tuple[phones.Server, Path], minilm: Bundle) -> None:
    device, listed, said = devices.find("adb://"), manifest.read(minilm.path), list[str]()
    facts = devices.probe(device)
    assert (facts.model, facts.machine, facts.emulated) == ("Fairphone 6 (SM7635)", "aarch64", True)
    assert facts.temperature == 38.2
    with devices.connect(device, listed, threads=1, prepare=True, say=said.append) as there:
        assert validate.validate(there, GOLDEN).passed
        (where,) = (there.where(name) for name in there.sessions)
        assert (where.machine, where.isa, where.target) == ("Fairphone 6 (SM7635)", "arm64", False)
        found = bench.bench(there, Rules(), inputs=("1x8",))
        assert isinstance(found, NotMeasured)
        assert "emulated" in found.reason
        there_says = np.stack(there.model().predict(["a cat sleeps"]))[0]
        with refused(errors.DeviceBusy, f"process {os.getpid()}", "try again"), devices.connect(device, listed):
            pass
    here = runtime.load(minilm.path).embed("a cat sleeps")
    assert 0.98 < float(there_says @ here) <= 1.0 + 1e-6  # other kernels of int8, the same model
    said.clear()
    with devices.connect(device, listed, say=said.append) as there:
        assert validate.validate(there, GOLDEN).passed
    assert not any("pushing" in line or "fetching" in line for line in said)
    assert devices.clear(device) > listed.model_bytes


@pytest.mark.slow
def test_what_a_phone_cannot_do(phone: tuple[phones.Server, Path], tmp_path: Path) -> None:
    server, _ = phone
    with refused(errors.DeviceLacks, "has no /data/python, and Android brings none", "devices.toml"):
        devices.probe(named(tmp_path, "/data/python"))
    termux = "/data/data/com.termux/files/usr/bin/python3"
    with refused(errors.DeviceLacks, "run-as: package not debuggable: com.termux", "from GitHub"):
        devices.probe(named(tmp_path, termux))
    assert "connected" in server.adb("connect", "localhost:5555")  # the same one again
    try:
        with refused(errors.DeviceError, "localhost:5555 .device.", "--device adb://127.0.0.1:5555"):
            devices.probe(devices.find("adb://"))
        assert devices.probe(devices.find("adb://localhost:5555")).emulated
    finally:
        server.adb("disconnect", "localhost:5555")


@pytest.mark.slow
def test_the_python_of_an_app(phone: tuple[phones.Server, Path], tmp_path: Path) -> None:
    _, root = phone
    files = root / "data" / "data" / "com.termux" / "files"
    (files / "usr" / "bin").mkdir(parents=True)
    (files / "usr" / "bin" / "python3").symlink_to("/usr/bin/python3")
    (files / "debuggable").touch()
    try:
        device = named(tmp_path, "/data/data/com.termux/files/usr/bin/python3")
        with opened(device) as there:
            assert there.told["folder"] == "/data/data/com.termux/files/home/.cache/edgepack-device"
            assert "python3" in str(there.told["executable"])
    finally:
        shutil.rmtree(files)


@pytest.mark.slow
def test_a_killed_host_leaves_nothing(phone: tuple[phones.Server, Path], tmp_path: Path) -> None:
    _, root = phone
    place = root / "data" / "local" / "tmp" / "edgepack-device"
    program = (
        "import sys, time; from edgepack import devices; from edgepack.devices._folder import opened\n"
        "with opened(devices.find('adb://')) as there:\n"
        "  there.lock(); there.start()\n"
        "  asked = dict(do='run', module='timeit', arguments=['-n9', 'import time; time.sleep(60)'], path=[])\n"
        "  there.link.send_object(asked); print('runs', flush=True); time.sleep(60)\n"
    )
    host = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert host.stdout is not None
    assert host.stdout.readline() == b"runs\n"
    phones.until(lambda: running("timeit"), 10)
    assert os.listdir(place / "runs")
    host.kill()
    host.communicate()
    phones.until(lambda: not running("timeit") and not os.listdir(place / "runs"), 5)


@pytest.mark.slow
def test_a_connection_that_breaks(phone: tuple[phones.Server, Path]) -> None:
    server, _ = phone
    with opened(devices.find("adb://")) as there:
        server.adb("disconnect", phones.SERIAL)
        with pytest.raises(errors.DeviceLost, match="the connection to adb:// broke off"):
            there.link.receive()
    server.adb("connect", phones.SERIAL)


def running(word: str) -> bool:
    """Whether a process here or on the phone has the word in its command."""
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:
            continue
        if word.encode() in words:
            return True
    return False


def named(folder: Path, python: str) -> Device:
    """The phone by a name in devices.toml, with another interpreter."""
    (folder / "devices.toml").write_text(f'[devices.phone]\naddress = "adb://{phones.SERIAL}"\npython = "{python}"\n')
    return devices.listed(folder / "devices.toml")["phone"]
