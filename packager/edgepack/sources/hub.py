"""A model on the Hugging Face hub: ``org/name`` or ``org/name@revision``, pinned to a commit.

huggingface_hub keeps its own cache and shows its own progress; without a network, a commit that is already
in that cache is used.
"""

from __future__ import annotations

from pathlib import Path

import httpx2
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from edgepack.errors import ModelNotFound, NetworkError
from edgepack.progress import Say
from edgepack.sources import Fetched
from edgepack.weights.choice import INDEX, WHOLE, without_safetensors

# What a conversion needs; never pickled weights, never other formats' copies.
_WANTED = ["*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "*.safetensors", "README.md", "LICENSE*", "NOTICE*"]
_UNWANTED = ["onnx/*", "openvino/*", "coreml/*", "runs/*", "checkpoint-*/*", "original/*"]
_COPIES = ["consolidated*.safetensors", "model*.fp16*.safetensors", "model*.bf16*.safetensors"]  # of the same weights
_PATIENCE = 20  # seconds for the hub's first answer


def fetch(reference: str, say: Say) -> Fetched:
    """Download the model at its newest commit, or at ``@revision``.

    Raises ModelNotFound, NetworkError, UnsafeModel and UnsupportedModel (no safetensors in the repository).
    """
    repository, _, revision = reference.partition("@")
    name = repository.split("/")[-1]
    try:
        commit, files = _commit(repository, revision or None)
        say(f"downloading {repository} at {commit[:12]}")
        path = snapshot_download(repository, revision=commit, allow_patterns=_WANTED, ignore_patterns=_left(files))
    except (GatedRepoError, RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFound(
            f"the hub has no model {repository!r} that you may read",
            hint="check the spelling; a private or gated model needs `hf auth login`",
        ) from error
    except (RevisionNotFoundError, EntryNotFoundError) as error:
        raise ModelNotFound(
            f"{repository} has no revision {revision!r}",
            hint="give a branch, a tag or a commit of the repository behind the @",
        ) from error
    except (OSError, httpx2.HTTPError) as error:  # what the hub's client raises when there is no network
        return _cached(repository, revision or None, name, error)
    return Fetched(Path(path), name, commit)


def _left(files: list[str]) -> list[str]:
    """Return what is not downloaded: copies of weights that lie there in the form that is read."""
    shards = ["model-*-of-*.safetensors"] if WHOLE in files else []
    return [*_UNWANTED, *shards, *(_COPIES if {WHOLE, INDEX} & set(files) else [])]


def _commit(repository: str, revision: str | None) -> tuple[str, list[str]]:
    """Return the commit that ``revision`` stands for and its files, after a look at what the repository holds."""
    info = HfApi().model_info(repository, revision=revision, timeout=_PATIENCE)
    files = [entry.rfilename for entry in info.siblings or []]
    if files and not any(file.endswith(".safetensors") for file in files):
        error = without_safetensors(repository, files)
        if error is not None:
            raise error
    return str(info.sha), files


def _cached(repository: str, revision: str | None, name: str, error: Exception) -> Fetched:
    """Return the copy in huggingface_hub's cache, for work without a network."""
    try:
        path = Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        if isinstance(error, OfflineModeIsEnabled):
            raise NetworkError(
                f"HF_HUB_OFFLINE is set, and {repository} is not in huggingface_hub's cache",
                hint="unset HF_HUB_OFFLINE, or give a folder or python:package/folder",
            ) from error
        raise NetworkError(
            f"the hub cannot be reached for {repository} ({type(error).__name__})",
            hint="check the network, or give a folder or python:package/folder",
        ) from error
    return Fetched(path, name, path.name)
