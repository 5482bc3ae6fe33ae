"""The folder of a package: a manifest that names its parts, checked so that nothing outside of it is read.

Format: Manifest.json {fileFormatVersion, itemInfoEntries: {id: {path, …}}, rootModelIdentifier}, paths below Data/.
"""

from __future__ import annotations

from pathlib import Path

from edgepack.containment import Holder, check_file, checked_name
from edgepack.documents import read_json
from edgepack.errors import PackageDamaged, PackageError, PackageFileMissing, PackageUnsafe

PACKAGE, PACKAGES = ".mlpackage", ".mlpackages"  # one package, and a folder of several in a row
_AGAIN = "copy or convert the package again"
_HOLDER = Holder(unsafe=PackageUnsafe, missing=PackageFileMissing, hint=_AGAIN)
_HINT = "a Core ML package is a folder that ends in .mlpackage and holds Manifest.json"
_FORMAT = "1."
_MODEL_PATH = "@model_path"
_LARGEST = 1_000_000  # bytes of Manifest.json


def model_file(package: Path) -> Path:
    """Return the file with the specification.

    Raises PackageError (no package), PackageDamaged (a broken manifest), PackageFileMissing, PackageUnsafe.
    """
    manifest = package / "Manifest.json"
    if package.suffix == ".mlmodelc":
        raise PackageError(f"{package} is compiled for a device", hint="evaluate the .mlpackage it was made from")
    if not package.is_dir() or not manifest.is_file():
        raise PackageError(f"{package} is not a Core ML package", hint=_HINT)
    return inside(package, package / "Data", _root(inside(package, package, manifest.name)))


def weight_file(package: Path, model: Path, name: str) -> Path:
    """Return the file that a value of ``model`` names: "@model_path/weights/weight.bin"."""
    first, _, rest = name.partition("/")
    if first != _MODEL_PATH or not rest:
        raise PackageUnsafe(f"{package}: the model reads {name!r}, which is not in the package", hint=_AGAIN)
    return inside(package, model.parent, rest)


def inside(package: Path, folder: Path, name: str) -> Path:
    """Return ``folder / name``, a file of ``package``. Raises PackageUnsafe, PackageFileMissing."""
    path = folder / checked_name(name, package, PackageUnsafe, _AGAIN)
    check_file(path, package, _HOLDER)
    return path


def _root(manifest: Path) -> str:
    try:
        facts = read_json(manifest, PackageDamaged, hint=_AGAIN, largest=_LARGEST)
        version = str(facts["fileFormatVersion"])
        path = facts["itemInfoEntries"][facts["rootModelIdentifier"]]["path"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PackageDamaged(f"{manifest} cannot be read", hint=_AGAIN) from error
    if not version.startswith(_FORMAT) or not isinstance(path, str):
        raise PackageDamaged(f"{manifest} has an unknown form (version {version})", hint=_AGAIN)
    return path
