"""The bundle that lies in this package: its files are checked before they are opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgepack.errors import BundleDamaged
from edgepack.runtime import load, manifest
from edgepack.runtime.manifest import Manifest

BUNDLE = Path(__file__).with_name("bundle")
TASK = "@task@"


def opened(bundle: Path, threads: int | None) -> Any:
    """Return the runtime's object for the bundle. Raises BundleDamaged where a file is not the bundle's."""
    check(bundle)
    return load(bundle, threads=threads, verify=False)


def check(bundle: Path) -> None:
    """Raises BundleDamaged for a file that is not the bundle's; of the model and its tokenizer it names both, since
    one without the other answers nonsense.
    """
    listed = manifest.read(bundle)
    if listed.task != TASK:
        raise BundleDamaged(f"{bundle} is for {listed.task}, and this code is for {TASK}")
    for name, entry in listed.table["files"].items():
        found = manifest.digest(bundle / name)
        if found != entry["sha256"]:
            raise BundleDamaged(
                f"{_pair(listed, name)} in {bundle}: {name} has the SHA-256 {found[:12]}…, and {listed.name} was built "
                f"with {entry['sha256'][:12]}…",
                hint="edgepack embed --update writes the bundle again",
            )


def _pair(listed: Manifest, wrong: str) -> str:
    """Return the names of the model and its tokenizer where ``wrong`` is one of them, else that name."""
    models = [file for submodel in listed.models.values() for file in submodel.files]
    tokenizers = [name for name in listed.table["files"] if name.rpartition("/")[2] == "tokenizer.json"]
    if wrong not in (*models, *tokenizers):
        return f"{wrong} is not the bundle's"
    others = tokenizers if wrong in models else models[:1]
    return f"{' and '.join([wrong, *others])} do not belong together"
