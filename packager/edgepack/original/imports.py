"""Imports of transformers and sentence-transformers without what they import and no model needs.

scipy and scikit-learn serve losses, metrics and searches there. They would take a quarter of the time of these imports,
and 60 MB.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType

from edgepack import plugins
from edgepack.documents import JsonDict
from edgepack.errors import UnsupportedModel


def import_transformers() -> None:
    """Import what every model of transformers needs."""
    _import("transformers.modeling_utils", {"scipy": None})
    available = importlib.import_module("transformers.utils.import_utils").is_scipy_available
    available.cache_clear()  # who asks from now on may have it


def import_sentence_transformers() -> ModuleType:
    """Import and give sentence-transformers. Raises ImportError."""
    import_transformers()
    metrics = ModuleType("sklearn.metrics")
    vars(metrics)["pairwise_distances"] = None  # of vectors with each other; encode() knows none
    package = ModuleType("sklearn")
    package.__spec__ = importlib.machinery.ModuleSpec("sklearn", None)
    return _import("sentence_transformers", {"sklearn": package, "sklearn.metrics": metrics})


def import_timm() -> ModuleType:
    """Import and give timm. Raises MissingExtra, and UnsupportedModel where torchvision does not load."""
    check_torchvision()
    return plugins.load_module("timm")


def check_torchvision() -> None:
    """Raises MissingExtra where torchvision is not installed, UnsupportedModel where PyTorch cannot load it."""
    try:
        plugins.load_module("torchvision")
    except (RuntimeError, OSError, AttributeError) as error:  # operators of another build of PyTorch
        torch, torchvision = plugins.versions(("torch", "torchvision")).values()
        raise UnsupportedModel(
            f"torchvision {torchvision} does not load beside torch {torch}: {str(error).splitlines()[0]}",
            hint="install both from one index, as pip does without --index-url: pip install 'edgepack[timm]'",
        ) from error


def import_diffusers() -> ModuleType:
    """Import and give diffusers, which says nothing of packages that no pipeline here needs. Raises ImportError."""
    import_transformers()
    for name in ("transformers", "diffusers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        diffusers = importlib.import_module("diffusers")
    diffusers.utils.logging.disable_progress_bar()
    return diffusers


def _import(name: str, instead: Mapping[str, ModuleType | None]) -> ModuleType:
    try:
        with _standing_in(instead):
            return importlib.import_module(name)
    except ImportError:  # a version that needs more of them
        return importlib.import_module(name)


@contextmanager
def _standing_in(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Let imports find ``modules``, and nothing where one is None, in place of those not yet imported."""
    loaded: JsonDict = sys.modules
    absent = {name: module for name, module in modules.items() if name not in loaded}
    loaded.update(absent)
    try:
        yield
    finally:
        for name in absent:
            del loaded[name]
