"""What a command loads: the device has no torch, and ``--help`` should not wait for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgepack.records import Bundle

HEAVY = (
    "torch",
    "transformers",
    "optimum",
    "onnx",
    "safetensors",
    "huggingface_hub",
    "scipy",
    "sklearn",
    "PIL",
    "pyarrow",
    "cryptography",
)


def loaded(program: str) -> set[str]:
    """The heavy modules that a fresh interpreter has after ``program``."""
    code = f"import sys\n{program}\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "program",
    [
        "import edgepack",
        "import edgepack.runtime",
        "import edgepack.cli.app",
        "from edgepack import targets; targets.load('rpi')",
        "import edgepack.pipeline",
    ],
)
def test_nothing_heavy_is_imported(program: str) -> None:
    assert loaded(program) == set()


def test_loading_a_bundle_imports_nothing_heavy(minilm: Bundle) -> None:
    assert loaded(f"import edgepack; edgepack.load({str(minilm.path)!r}).embed('hello')") == set()


def test_the_check_can_fail() -> None:
    assert loaded("import onnx") == {"onnx"}


def test_the_public_surface() -> None:
    program = "import edgepack; print(sorted(edgepack.__all__))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['__version__', 'load']"


def test_the_commands_start_without_devices_and_sweeps() -> None:
    program = "import sys, edgepack.cli.app; print([n for n in sys.modules if n.startswith(KINDS)])"
    kinds = ("edgepack.devices", "edgepack.sweep")
    done = subprocess.run(
        [sys.executable, "-c", program.replace("KINDS", repr(kinds))], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
