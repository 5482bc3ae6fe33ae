"""The door that every bundle comes through: its folder or archive, checked before anything in it is used."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from edgepack.errors import BundleError
from edgepack.runtime import archive, completeness, consistency, graphs, manifest, onnx_file, signing, tokenizer_file
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.rereading import steady
from edgepack.runtime.unchanged import watched

_ONNX = ".onnx"


def opened(
    bundle: str | Path, *, verify: bool = True, trust: bool = False, verifier: signing.Verifier | None = None
) -> Manifest:
    """Return the manifest of a bundle, whose files are what it says; a ``.edgepack`` file is unpacked into the cache.

    Without ``trust``, what could make opening it take much more than its size is refused. ``verify=False`` skips the
    hashing of a folder's files; an archive's are always hashed. With a ``verifier`` the bundle has to be signed, and
    unchanged.py tells whether it stays as it was checked. Raises BundleError and its subclasses.
    """
    path = Path(bundle).expanduser()
    if not path.exists():
        raise BundleError(f"there is no bundle {bundle}", hint="edgepack build makes one")

    def read() -> Manifest:
        packed = path.is_file()
        listed = manifest.read(archive.opened(path, trust=trust) if packed else path)
        if verifier is not None:
            listed = watched(listed)
            signing.check(listed, verifier)
        if verifier is not None or (verify and not packed):
            manifest.verify(listed)
        completeness.check_submodels(listed)
        consistency.check_processing(listed)
        if not trust:
            _check(listed)
        return listed

    return steady(path, read)


def _check(listed: Manifest) -> None:
    """Raises BundleUnsafe for graphs and tokenizers that could take for ever, BundleDamaged for what is neither."""
    for submodel in listed.models.values():
        model = submodel.path
        if model.suffix == _ONNX:
            beside = set(_beside(model.relative_to(listed.folder), listed.table["files"]))
            for graph in {graphs.scoring(model), graphs.generating(model), *submodel.parts}:
                onnx_file.check(graph, beside)
    for name in listed.table["files"]:
        if PurePosixPath(name).name == "tokenizer.json":
            tokenizer_file.check(listed.folder / name)


def _beside(model: Path, files: Iterable[str]) -> Iterable[str]:
    """Return the listed files as the graph names them: relative to its folder."""
    start = "" if model.parent == Path(".") else f"{model.parent.as_posix()}/"
    return (name.removeprefix(start) for name in files if name.startswith(start))
