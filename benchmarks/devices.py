"""Bundles checked on emulated Raspberry Pis over ssh: seconds of the first time and of the second, and what is pushed.

    sudo python benchmarks/devices.py [--minilm MODEL] [--boards rpi5 rpi4]

The bundles are those of all-MiniLM-L6-v2 and of samples/storyteller. A board begins as a bare Debian: the first
`edgepack validate --device --prepare` brings it its packages and the bundle, the second finds them there.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edgepack import devices
from edgepack.devices import Device
from edgepack.runtime import machine

EDGEPACK = Path(sys.executable).with_name("edgepack")
STORYTELLER = Path(__file__).parents[1] / "samples" / "storyteller" / "model"
PUSHED = re.compile(r"\b(?:pushing|fetching)\b")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minilm", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--boards", nargs="+", default=["rpi5", "rpi4"])
    arguments = parser.parse_args()
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"{machine.processor()}, {os.cpu_count()} processors, {platform.platform()}, load average {load}")
    with tempfile.TemporaryDirectory() as name:
        bundles = [built(model, Path(name) / "dist") for model in (arguments.minilm, str(STORYTELLER))]
        print(f"{'board':8}{'bundle':32}{'first s':>9}{'second s':>10}{'pushed again':>14}")
        for board in arguments.boards:
            with devices.emulated(board) as running:
                show(board, running, bundles, Path(name))


def built(model: str, out: Path) -> Path:
    """The bundle of ``model`` for rpi."""
    before = set(out.glob("*/edgepack.json"))
    done = [EDGEPACK, "build", model, "--target", "rpi", "--no-speed", "--out", out]
    subprocess.run(done, check=True, stdout=subprocess.DEVNULL)
    (made,) = set(out.glob("*/edgepack.json")) - before
    return made.parent


def show(board: str, running: Device, bundles: list[Path], folder: Path) -> None:
    """Check each bundle twice on a board."""
    (folder / "devices.toml").write_text(
        f'[devices.board]\naddress = "{running.address}"\nssh_config = "{running.ssh_config}"\n'
    )
    first = [checked(bundle, folder) for bundle in bundles]
    second = [checked(bundle, folder) for bundle in bundles]
    for bundle, (once, _), (again, pushed) in zip(bundles, first, second, strict=True):
        print(f"{board:8}{bundle.name:32}{once:9.1f}{again:10.1f}{'yes' if pushed else 'no':>14}", flush=True)
    print(f"{board:8}{'both':32}{sum(s for s, _ in first):9.1f}{sum(s for s, _ in second):10.1f}", flush=True)


def checked(bundle: Path, folder: Path) -> tuple[float, bool]:
    """Seconds of the command, and whether it pushed anything."""
    started = time.perf_counter()
    asked = [EDGEPACK, "validate", bundle, "--device", "board", "--prepare"]
    done = subprocess.run(asked, cwd=folder, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, PUSHED.search(done.stdout + done.stderr) is not None


if __name__ == "__main__":
    main()
