"""The runtime on the device: numpy, onnxruntime and tokenizers; jinja2 for language models, Pillow for image files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import cast

from edgepack.arrays import Run, TaskModel
from edgepack.errors import BundleError, UnknownName, UsageError
from edgepack.runtime import arguments, completeness, consistency, engines, graphs, measurements, signing, tasks
from edgepack.runtime.diffusion import bands
from edgepack.runtime.diffusion.autoencoder import DECODER
from edgepack.runtime.diffusion.bands import Bands, PartSession
from edgepack.runtime.diffusion.memory import Budget, budget
from edgepack.runtime.engines import Session, open_session
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.one_at_a_time import OneAtATime
from edgepack.runtime.opening import opened
from edgepack.runtime.processing import Processing
from edgepack.runtime.rereading import steady
from edgepack.runtime.submodel import MODEL
from edgepack.runtime.unchanged import check_unchanged
from edgepack.units import parse_size

__all__ = ["load"]


def load(
    bundle: str | Path,
    *,
    threads: int | None = None,
    verify: bool = True,
    trust: bool = False,
    one_at_a_time: bool = False,
    memory: int | str | None = None,
    public_key: signing.Pem | None = None,
    root_certificates: Iterable[signing.Pem] | None = None,
) -> TaskModel:
    """Open a bundle (folder or ``.edgepack`` file): an object with its task's natural call, such as ``embed``.

    ``threads`` defaults to the target's, at most what this machine has; ``verify=False`` skips the hashing of every
    file; ``trust=True`` opens what could take much more time or memory than its size. ``one_at_a_time=True`` opens each
    submodel when it is needed and closes the one before, in each call again. ``memory``, bytes or a text such as
    "1GB", is what this process may have while a model makes images: it opens submodels one at a time, and takes what
    else it needs of the levers that ``generate`` has. With a ``public_key``, or with
    ``root_certificates``, the bundle has to be signed; a key or a certificate is a PEM file's path or its bytes.
    Raises BundleError and its subclasses, DoesNotFit (a budget that is too small), UsageError, KeyUnusable,
    MissingExtra.
    """
    threads = None if threads is None else arguments.whole("threads", threads, 1)
    verify, trust = arguments.switch("verify", verify), arguments.switch("trust", trust)
    one_at_a_time = arguments.switch("one_at_a_time", one_at_a_time)
    path = arguments.path("bundle", bundle)
    verifier = signing.verifier(public_key, root_certificates)
    if verifier is not None and not verify:
        raise UsageError(
            "a signature cannot be checked with verify=False",
            hint="the signature covers the files' hashes: leave verify=False out",
        )

    def read() -> TaskModel:
        listed = opened(path, verify=verify, trust=trust, verifier=verifier)
        limit = None if memory is None else _budget(listed, memory)
        lazily = one_at_a_time or limit is not None
        runs = one_by_one(listed, threads) if lazily else _all(listed, threads)
        made = model(listed.task, runs, listed.folder, listed.processing)
        if limit is not None:
            made.limit(limit)
        if verifier is not None:
            getattr(made, "chats", None)  # reads the chat template now, not at the first conversation
        check_unchanged(listed)
        return made

    return steady(path, read)


def open_submodels(listed: Manifest, threads: int | None = None) -> dict[str, Session]:
    """Open each submodel of a bundle, by its name, with ``threads`` threads (default: the target's).

    Raises BundleError, BundleDamaged (other inputs or outputs than the manifest lists), UnknownName, MissingExtra.
    """
    return {name: open_submodel(listed, name, threads) for name in listed.models}


def open_submodel(listed: Manifest, name: str, threads: int | None = None) -> Session:
    """Open one submodel of a bundle. Raises as ``open_submodels`` does."""
    submodel = listed.models[name]
    run = open_session(graphs.generating(submodel.path), submodel.format, threads or listed.threads)
    completeness.check_specs(listed, submodel, run)
    consistency.check_inputs(listed, submodel, run)
    consistency.check_outputs(listed, submodel, run)
    return run


def _budget(listed: Manifest, memory: int | str) -> Budget:
    """Raises UsageError for what is no size, for models that make no images, and where nothing was measured."""
    try:
        bytes = arguments.whole("memory", parse_size(memory), 1, "a size, such as '1GB'")
    except ValueError as error:
        raise UsageError(f"memory is {memory!r}", hint="it must be a size, such as '1GB' or '900 MB'") from error
    if listed.processing.diffusion is None:
        raise UsageError(f"memory is for models that make images; this bundle's task is {listed.task}")
    for submodel in listed.models.values():
        engines.find(submodel.format)  # whose libraries are part of what is taken before
    _, timings = measurements.read(listed.folder)
    return budget(bytes, listed.processing, listed.models, timings)


def _all(listed: Manifest, threads: int | None) -> dict[str, Run]:
    return {**open_submodels(listed, threads), **{name: open() for name, open in _in_bands(listed, threads).items()}}


def _in_bands(listed: Manifest, threads: int | None) -> dict[str, Callable[[], Bands]]:
    """Return, by the name of the run, what opens the decoder of latents in bands; nothing where it has no parts."""

    decoder = listed.models.get(DECODER)
    if decoder is None or not decoder.parts:
        return {}
    format, parts = decoder.format, decoder.parts

    def opened(part: Path) -> PartSession:
        run = open_session(part, format, threads or listed.threads)
        check_unchanged(listed)
        return cast(PartSession, run)

    return {bands.RUN: lambda: Bands(parts, opened)}


def one_by_one(listed: Manifest, threads: int | None = None) -> OneAtATime[Run]:
    """Return the submodels of a bundle, each opened when it is needed, and then unchanged since it was checked."""

    others = _in_bands(listed, threads)

    def opened(name: str) -> Run:
        if name in others:
            return others[name]()
        run = open_submodel(listed, name, threads)
        check_unchanged(listed)
        return run

    return OneAtATime((*listed.models, *others), opened)


def model(task: str, runs: Mapping[str, Run], folder: Path, processing: Processing) -> TaskModel:
    """Make the task's object around ``runs``, sessions or originals by the names of their submodels.

    Without runs the object makes inputs and computes nothing. Raises BundleError for a task that nothing here brings,
    MissingExtra, UsageError (a plug-in that is no task).
    """
    try:
        found = tasks.find(task)
    except UnknownName as unknown:
        raise BundleError(
            f"{folder.name} is for the task {task!r}, which neither edgepack nor any installed package provides",
            hint="pip install the package that it was built with, or a newer edgepack",
        ) from unknown
    return found.Model(runs, folder, processing)


def submodel(made: TaskModel, name: str) -> TaskModel:
    """Return the part of a task's object that makes the inputs of the submodel ``name``: the object itself of MODEL."""
    return made if name == MODEL else made.submodels[name]
