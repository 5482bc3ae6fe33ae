"""Read a folder of diffusers: model_index.json names its components, each in a subfolder of its own.

Format: ``_class_name`` is the pipeline's class, ``_diffusers_version`` what saved it; a component is a list of its
library and its class, both null where the pipeline has none (diffusers 0.42, DiffusionPipeline.from_pretrained).
"""

from __future__ import annotations

from pathlib import Path

from edgepack.containment import checked_name
from edgepack.documents import JsonDict, read_object
from edgepack.errors import ModelError, UnsafeModel

INDEX = "model_index.json"
_KIND = 2  # library and class
_CONFIGS = ("config.json", "tokenizer_config.json", "scheduler_config.json", "preprocessor_config.json")


def is_one(folder: Path) -> bool:
    """Return whether diffusers saved it."""
    return (folder / INDEX).is_file()


def read(folder: Path) -> JsonDict:
    """Return model_index.json, with the pipeline's class as config.json of other models names it (architectures).

    Raises ModelError.
    """
    index = read_object(folder / INDEX, ModelError)
    name = index.get("_class_name")
    if not isinstance(name, str) or not name:
        raise ModelError(f"{folder / INDEX} names no pipeline (_class_name)", hint="download the repository again")
    return {**index, "architectures": [name]}


def components(folder: Path) -> dict[str, str]:
    """Return the class of each component by the name of its subfolder.

    Raises ModelError for an entry that is none, or whose subfolder is not there; UnsafeModel for a name that leads out.
    """
    found = {}
    for name, kind in read(folder).items():
        if name == "architectures" or not isinstance(kind, list):
            continue
        if len(kind) != _KIND or not all(part is None or isinstance(part, str) for part in kind):
            raise ModelError(
                f"{folder / INDEX}: {name} is not a list of a library and a class", hint="download it again"
            )
        if kind[1] is None:
            continue
        checked_name(name, folder / INDEX, UnsafeModel)
        if not any((folder / name / config).is_file() for config in _CONFIGS):
            raise ModelError(
                f"{folder.name} lacks the component {name} ({kind[1]}), which {INDEX} names",
                hint=f"download the subfolder {name} of the repository",
            )
        _check_class(folder / name / "config.json", kind[1])
        found[name] = kind[1]
    return found


def _check_class(config: Path, named: str) -> None:
    """Raises ModelError for a component that another class has saved: schedulers alone can be exchanged by name."""
    own = read_object(config, ModelError).get("_class_name", named) if config.is_file() else named
    if own != named:
        raise ModelError(
            f"{INDEX} calls {config.parent.name} a {named}, and its config.json says {own}",
            hint="the two files do not belong together: download the repository again",
        )


def is_component(folder: Path) -> bool:
    """Return whether diffusers saved the model in ``folder``."""
    config = folder / "config.json"
    return config.is_file() and "_class_name" in read_object(config, ModelError)
