"""timm's checkpoints and DINOv3's image processor, beside timm and torchvision: see with_timm.py."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.clients import environments

PROGRAM = Path(__file__).with_name("with_timm.py")
CHECKS = re.findall(r"@check\ndef (\w+)", PROGRAM.read_text("utf-8"))


@pytest.fixture(scope="module")
def raised(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each check raised, by its name; nothing of those that passed."""
    packages = environments.packages("timm")
    command = [sys.executable, "-W", "ignore", PROGRAM, packages, tmp_path_factory.mktemp("timm")]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", CHECKS)
def test_what_timm_and_torchvision_make(name: str, raised: dict[str, str]) -> None:
    assert name not in raised, raised[name]
