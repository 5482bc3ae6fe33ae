"""Bundles on emulated Raspberry Pis, which begin as a bare Debian: packages, files, answers, no times."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from tests.devices.conftest import FORBIDDEN, GOLDEN

import edgepack as runtime
from edgepack import devices
from edgepack.devices import Device
from edgepack.errors import DeviceError, DeviceStopped, NetworkError, UnknownName
from edgepack.records import Bundle, NotMeasured
from edgepack.runtime import manifest
from edgepack.runtime.quiet import Rules
from edgepack.stages import bench, validate

STORYTELLER = Path(__file__).parents[2] / "samples" / "storyteller" / "model"
PROMPT = "Once upon a time"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or os.geteuid() != 0 or not shutil.which("mmdebstrap"),
        reason="boards are emulated on Linux, by root, with mmdebstrap",
    ),
]


@pytest.fixture(scope="module")
def emulated() -> Iterator[Callable[[str], Device]]:
    """``emulated("rpi5")``: the board, running, with the packages that bundles need."""
    running: dict[str, Device] = {}
    with ExitStack() as stack:

        def get(name: str) -> Device:
            if name not in running:
                try:
                    running[name] = stack.enter_context(devices.emulated(name))
                except (DeviceError, NetworkError) as error:
                    if any(sign in str(error) for sign in FORBIDDEN):
                        pytest.skip(str(error))
                    raise
            return running[name]

        yield get


@pytest.fixture(scope="module")
def storyteller(build: Callable[..., tuple[Bundle, ...]]) -> Bundle:
    return build(STORYTELLER, "rpi")[0]


def test_an_encoder_on_a_pi_5(emulated: Callable[[str], Device], minilm: Bundle) -> None:
    board, listed, said = emulated("rpi5"), manifest.read(minilm.path), list[str]()
    facts = devices.probe(board)
    assert (facts.model, facts.machine, facts.emulated) == ("Raspberry Pi 5 Model B Rev 1.0", "aarch64", True)
    assert "dotprod" in facts.features
    assert facts.packages == {}
    with devices.connect(board, listed, threads=1, prepare=True, say=said.append) as there:
        assert validate.validate(there, GOLDEN).passed
        (where,) = (there.where(name) for name in there.sessions)
        assert (where.isa, where.target) == ("arm64", False)  # emulated: not the target
        found = bench.bench(there, Rules(), inputs=("1x8",))
        assert isinstance(found, NotMeasured)
        assert re.search(r"emulated.*peak memory, the emulator's own included: \d+(\.\d)? MB", found.reason)
        there_says = np.stack(there.model().predict(["a cat sleeps"]))[0]
    here = runtime.load(minilm.path).embed("a cat sleeps")
    assert 0.98 < float(there_says @ here) <= 1.0 + 1e-6  # other kernels of int8, the same model
    assert any("fetching" in line for line in said)
    said.clear()
    with devices.connect(board, listed, say=said.append) as there:
        assert validate.validate(there, GOLDEN).passed
    assert not any("pushing" in line or "fetching" in line for line in said)


def test_a_language_model_on_a_pi_4(
    emulated: Callable[[str], Device],
    storyteller: Bundle,
    tmp_path: Path,
    edgepack: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    board = emulated("rpi4")
    (tmp_path / "devices.toml").write_text(
        f'[devices.kitchen]\naddress = "{board.address}"\nssh_config = "{board.ssh_config}"\n'
        'target = "rpi"\nprofile = "pi4"\n'
    )
    lacking = edgepack("run", storyteller.path, PROMPT, "--device", "kitchen", cwd=tmp_path)
    assert (lacking.returncode, "--prepare brings them" in lacking.stderr) == (84, True)
    asked = [PROMPT, "--max-tokens", 8, "--temperature", 0, "--device", "kitchen", "--prepare", "--json"]
    done = edgepack("run", storyteller.path, *asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]
    done = edgepack("validate", storyteller.path, "--device", "kitchen", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    done = edgepack("bench", storyteller.path, "--device", "kitchen", cwd=tmp_path)
    assert "emulated" in done.stdout


def test_an_instruction_that_a_pi_4_lacks(emulated: Callable[[str], Device], minilm: Bundle, tmp_path: Path) -> None:
    """onnxruntime 1.21.0 was built for later processors; its version is known to be too old, so it bears another."""
    board, listed = replace(emulated("rpi4"), folder="/var/edgepack-old"), manifest.read(minilm.path)
    with devices.connect(board, listed, threads=1, prepare=True) as there:
        assert validate.validate(there, GOLDEN).passed
    chosen = ["--only-binary=:all:", "--platform=manylinux_2_28_aarch64", "--python-version=3.11", "--no-deps"]
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", *chosen, f"--dest={tmp_path}", "onnxruntime==1.21.0"]
    subprocess.run(fetch, check=True)
    with ZipFile(next(tmp_path.glob("*.whl"))) as wheel, ZipFile(tmp_path / "old.zip", "w") as old:
        for name in wheel.namelist():
            content = wheel.read(name).replace(b"\nVersion: 1.21.0\n", b"\nVersion: 1.23.0\n")
            old.writestr(name.replace("1.21.0.dist-info", "1.23.0.dist-info"), content)
    ssh = ["ssh", "-F", str(board.ssh_config), "-p", board.address.rpartition(":")[2], "root@127.0.0.1"]
    site = f"{board.folder}/site/python3.11"
    unpack = f"rm -r {site}/onnxruntime*; cat > /tmp/old.zip; python3 -m zipfile -e /tmp/old.zip {site}"
    subprocess.run([*ssh, unpack], input=(tmp_path / "old.zip").read_bytes(), check=True)
    with pytest.raises(DeviceStopped, match="SIGILL"), devices.connect(board, listed, threads=1) as there:
        validate.validate(there, GOLDEN)


def test_a_board_that_is_none() -> None:
    with pytest.raises(UnknownName, match="rpi3"), devices.emulated("rpi3"):
        pass
