"""Notices that a bundle owes to others: the licence text, a card that says what was changed, and notices."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgepack import modelfolder
from edgepack.records import Recipe, Source, Target

# The licences of the tools that convert, by their distributions' names
_TOOLS = {
    "coremltools": "BSD-3-Clause",
    "diffusers": "Apache-2.0",
    "numpy": "BSD-3-Clause",
    "onnx": "Apache-2.0",
    "onnx-ir": "Apache-2.0",
    "onnxruntime": "MIT",
    "torch": "BSD-3-Clause",
    "transformers": "Apache-2.0",
}

_FORMATS = {"onnx": "ONNX", "coreml": "Core ML"}


def write(
    folder: Path,
    source: Source,
    target: Target,
    recipe: Recipe,
    *,
    tools: Mapping[str, str],
    notes: Sequence[str] = (),
) -> None:
    """Write LICENSE, MODEL_CARD.md and NOTICE into a bundle's folder.

    The notice names the ``tools`` that converted this bundle (distribution -> version); the card holds ``notes``,
    sentences. Raises UnsafeModel for a link out of the model's folder.
    """
    _write_licence(source, folder)
    (folder / "MODEL_CARD.md").write_text(_card(source, target, recipe, notes), "utf-8")
    (folder / "NOTICE").write_text(_notice(source, tools), "utf-8")


def _write_licence(source: Source, folder: Path) -> None:
    own = sorted(file for file in source.path.glob("LICEN[CS]E*") if file.is_file())
    texts = importlib.resources.files("edgepack") / "licences"
    shipped = texts / f"{source.licence}.txt"
    if own:
        modelfolder.copy(source.path, own[0].name, folder / "LICENSE", source.origin)
    elif source.licence and shipped.is_file():
        (folder / "LICENSE").write_text(shipped.read_text("utf-8"), "utf-8")
    else:
        said = source.licence or "none"
        (folder / "LICENSE").write_text(
            f"The model card of {source.model} names this licence: {said}.\n"
            "No licence text came with the model; see its page before you pass it on.\n",
            "utf-8",
        )


def _card(source: Source, target: Target, recipe: Recipe, notes: Sequence[str]) -> str:
    original = source.path / "README.md"
    there = original.is_file()
    body = modelfolder.read(source.path, original.name, source.origin) if there else "The model came without a card."
    return (
        f"# {source.name} for {target.title}\n\n"
        f"- base model: {source.model}{f' at {source.revision}' if source.revision else ''}\n"
        f"- what was changed: exported to {_FORMATS.get(target.format, target.format)}, compressed with the recipe "
        f"{recipe.name} ({recipe.weight_bits}-bit weights)\n"
        f"- licence: {source.licence or 'not stated'}\n{''.join(f'- {note}' + chr(10) for note in notes)}\n"
        "The original model's card follows.\n\n---\n\n"
        f"{_without_front_matter(body)}\n"
    )


def _without_front_matter(card: str) -> str:
    if card.startswith("---\n") and "\n---" in card[4:]:
        return card[4:].split("\n---", 1)[1].strip()
    return card.strip()


def _notice(source: Source, tools: Mapping[str, str]) -> str:
    lines = [f"  {name} {version} ({_TOOLS.get(name, 'see its own page')})" for name, version in tools.items()]
    listed = "\n".join(lines)
    return (
        "This folder holds a modified copy of a third party's model.\n\n"
        f"Model: {source.model}\nArchitecture: {source.architecture}\nLicence: {source.licence or 'not stated'}\n\n"
        f"edgepack {importlib.metadata.version('edgepack')} (Apache-2.0) converted it with\n{listed}\n"
        "None of their code is in this folder.\n"
    )
