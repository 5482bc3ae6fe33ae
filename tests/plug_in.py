"""A package with plug-ins, installed as pip installs it, into a folder of its own."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.clients import environments


def install(source: Path, site: Path) -> None:
    """Build the wheel of ``source`` and install it, without what it asks for, into ``site``."""
    with tempfile.TemporaryDirectory() as built:
        build = [environments.python("hatchling"), "-m", "hatchling", "build", "--target", "wheel"]
        environments.run([*build, "--directory", built], cwd=source)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
        environments.run([*pip, "--no-deps", "--target", site, *Path(built).glob("*.whl")])
