"""The facts of a bundle that templates name: ``@width@`` in a comment or a text becomes 384.

A bundle is by others, and what it says of itself ends up in code: a fact holds nothing that ends a text or a comment.
"""

from __future__ import annotations

import re

from edgepack import __version__
from edgepack.embed.app import Form
from edgepack.records import Target
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.processing import Classes, Embedding, Entities, Image, Match, Waveform
from edgepack.units import size

PARTS = ("text", "image", "audio", "generation", "diffusion")  # of the processing, that a block may be about
CHAT = "chat"  # a model with a chat template
_UNSAFE = re.compile(r"[^\w .,:/@+()\[\]%×=>~-]|/(?=[*/])|(?<=\*)/")
_LONGEST = 200


def facts(listed: Manifest, target: Target, form: Form) -> dict[str, str | None]:
    """Return what ``@name@`` becomes, by name; None where this bundle has no such fact."""
    table, processing = listed.table, listed.processing
    files = table["files"].values()
    found: dict[str, object] = {
        "bundle": listed.name,
        "task": listed.task,
        "model": table["source"]["model"],
        "licence": table["source"]["licence"] or "not stated",
        "target": table["target"]["name"],
        "target_title": target.title,
        "runtime": table["target"]["runtime"],
        "runtime_version": table["target"]["runtime_version"],
        "recipe": table["recipe"]["name"],
        "edgepack_version": __version__,
        "form": form.name,
        "bundle_folder": form.bundle,
        "bytes": size(sum(entry["bytes"] for entry in files)),
        "memory": f"{target.profile.memory >> 20}M",
        "models": ", ".join(listed.models),
        "opset": max(submodel.opset for submodel in listed.models.values()),
        "needs": "; ".join(dict.fromkeys(one.needs for one in listed.models.values() if one.needs)) or None,
        "max_length": processing.max_length,
        **_answer(listed),
        **_inputs(listed),
    }
    return {name: None if value is None else plain(str(value)) for name, value in found.items()}


def words(listed: Manifest, form: Form, *, chats: bool) -> set[str]:
    """Return the words that are true of the bundle, for blocks of a template (``edgepack:if``).

    ``chats``: its model has a chat template.
    """
    processing = listed.processing
    parts = {name for name in PARTS if getattr(processing, name) is not None}
    formats = {submodel.format for submodel in listed.models.values()}
    chat = {CHAT} if chats else set()
    return {listed.task, form.name, str(listed.table["target"]["name"]), *parts, *chat, *formats}


def plain(text: str) -> str:
    """Return ``text`` in one line, without what could end a text or a comment in any language; such becomes _."""
    return _UNSAFE.sub("_", text)[:_LONGEST]


def _answer(listed: Manifest) -> dict[str, object]:
    """Return the facts of what comes out."""
    answer = listed.processing.answer
    width = answer.width if isinstance(answer, Embedding | Match) else None
    labels = answer.labels if isinstance(answer, Classes | Entities) else None
    return {
        "width": width,
        "similarity": answer.similarity if isinstance(answer, Embedding) else None,
        "labels": None if labels is None else len(labels),
        "first_label": labels[0] if labels else None,
    }


def _inputs(listed: Manifest) -> dict[str, object]:
    """Return the facts of images and sounds, those that go in and those that are made."""
    image, audio, diffusion = listed.processing.image, listed.processing.audio, listed.processing.diffusion
    shape = image.size if isinstance(image, Image) else diffusion
    waveform = audio.features if audio and isinstance(audio.features, Waveform) else None
    return {
        "image_height": shape.height if shape else None,
        "image_width": shape.width if shape else None,
        "image_channels": image.channels if image else None,
        "sampling_rate": audio.sampling_rate if audio else None,
        "max_samples": waveform.max_samples if waveform else None,
        "steps": diffusion.steps if diffusion else None,
    }
