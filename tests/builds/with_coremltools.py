"""coremltools as a client of bundles for Core ML."""

from __future__ import annotations

from pathlib import Path

import coremltools

from edgepack.runtime import manifest


def reopen(bundle: Path, elsewhere: Path) -> list[str]:
    """Open each package and save it ``elsewhere``; asserts that the bundle stays as it was, and the copy says the same.

    Gives the packages' names. Opening writes Manifest.json again; saving, the program in another order of its maps.
    """
    before, names = listing(bundle), []
    for package in sorted(bundle.rglob("*.mlpackage")):
        model, copy = coremltools.models.MLModel(str(package), skip_model_load=True), elsewhere / package.name
        model.save(str(copy))
        names.append(package.name)
        spec = coremltools.utils.load_spec(str(package))
        assert spec.WhichOneof("Type") == "mlProgram"
        assert coremltools.utils.load_spec(str(copy)) == spec
        mine, theirs = listing(package), listing(copy)
        assert mine.keys() == theirs.keys()
        assert [name for name in mine if mine[name] != theirs[name]] in ([], ["Data/com.apple.CoreML/model.mlmodel"])
    assert listing(bundle) == before
    assert manifest.verify(manifest.read(bundle)) == []
    return names


def listing(folder: Path) -> dict[str, bytes]:
    """Every file's bytes."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
