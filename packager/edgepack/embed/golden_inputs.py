"""Inputs that go wrong first on another platform, with what the bundle's own pre-processing makes of them.

They are safetensors, in the form of golden vectors: ``0.text`` (JSON: a text, or two of a pair), ``0.messages``
(JSON: a conversation), ``0.image`` (uint8 [height, width], [height, width, 3] or, with alpha, [height, width, 4]) or
``0.file`` (an image file's bytes), and ``0.input.NAME`` for each input of the model.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

import numpy as np

from edgepack import weights
from edgepack.arrays import Array, Example, Feeds, TaskModel
from edgepack.errors import InputError
from edgepack.runtime import submodel
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.processing import Image, Mask, Resizing, Span
from edgepack.runtime.submodel import TEXT_MODEL, VISION_MODEL

TEXTS = (
    "Hello, world!",
    "",
    "   two  spaces, a\ttab and a\nnew line   ",
    "naïve café, and with combining marks: nai\u0308ve cafe\u0301",
    "Ångström, ﬁne ligatures, ½, Ⅷ, ﹙full﹚ ｗｉｄｔｈ",
    "emoji 🙂👍🏽, a family 👨‍👩‍👧‍👦, a flag 🇨🇭, a heart ❤️",
    "中文和日本語のテキスト 한국어 ไทย",
    "نص عربي من اليمين إلى اليسار, עברית, and back",
    "zero\u200bwidth, soft\u00adhyphen, no\u00a0break, bell\x07, replacement \ufffd",
    "e = mc², 3.14159, 1,000,000, $5, 50 %, a@b.example, https://example.org/a?b=c#d",
    'Don\'t [MASK] <s> </s> <|endoftext|> [CLS] {{ braces }} \\ "quotes"',
    "UPPER lower MiXeD ß İ ı Σ ς",
    "antidisestablishmentarianism " * 3 + "x" * 150,
    "A text that is much longer than what models take. " * 150,
)
_CONVERSATIONS = (
    [{"role": "user", "content": "Hello 🙂"}],
    [
        {"role": "user", "content": "  Who are you?\n"},
        {"role": "assistant", "content": "A model."},
        {"role": "user", "content": "{{ really }} <s>"},
    ],
)
_PAIRED = ("text-ranking",)  # tasks that take pairs of texts alone, as question answering does
_SIZES = ((37, 53), (211, 64), (224, 224), (5, 400))  # height, width
_COLOURS, _ALPHA = 3, 4
# A JPEG of 8 x 8 squares, each of one grey, so that decoders agree on every level; it lies on its side, says its EXIF.
PHOTO = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAD/2wBDABALDA4MChAODQ4S"
    "ERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBkeFxlZ2P/wAALCAAYABABAREA/8QAFgAB"
    "AQEAAAAAAAAAAAAAAAAABQQH/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQAAPwBBALQC20v/2Q=="
)
# A PNG of such squares in colours, from all to nothing transparent: the colours stay, the alpha is left out.
DRAWING = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAABgAAAAQCAYAAAAMJL+VAAAAP0lEQVR42mM8ocHFgA/4GE1jxCf/Zukye3zyTAw0BqMWjFpA"
    "OWCRE6lowKfg4+qoOnzyFfK3GEfjYNSCIW4BAK4kCbfo/kMZAAAAAElFTkSuQmCC"
)
_SQUARE = 8
_GREYS = ((20, 90, 160), (230, 60, 130))
_COLOURED = (((200, 40, 10), (20, 90, 160), (0, 255, 70)), ((230, 60, 130), (5, 5, 250), (120, 121, 122)))


def encoded(listed: Manifest, made: TaskModel) -> bytes | None:
    """Return the file for a bundle, whose inputs ``made`` makes; None where its task takes neither texts nor images by
    themselves.
    """
    tensors: dict[str, Array] = {}
    for number, (kind, example, feeds) in enumerate(_examples(listed, made)):
        tensors[f"{number}.{kind}"] = _stored(example)
        tensors |= {f"{number}.input.{name}": value for name, value in feeds.items()}
    return weights.encode(tensors) if tensors else None


def _examples(listed: Manifest, made: TaskModel) -> Iterator[tuple[str, Example, Feeds]]:
    """Yield the kind of each example, the example, and the inputs that it becomes."""
    processing = listed.processing
    if processing.generation is not None:
        for kind, prompts in (("text", TEXTS), ("messages", _CONVERSATIONS if made.chats else ())):
            for prompt in prompts:
                yield from _one(kind, prompt, lambda prompt: {"input_ids": np.array([made.tokens(prompt)], np.int64)})
        return
    if processing.text is not None and processing.diffusion is None:
        reader = submodel(made, TEXT_MODEL if TEXT_MODEL in listed.models else "model")
        for text in TEXTS:
            yield from _one("text", _example(listed, text), lambda example: dict(reader.feeds([example])))
    if processing.image is not None and processing.diffusion is None:
        reader = submodel(made, VISION_MODEL if VISION_MODEL in listed.models else "model")
        for image in _images(processing.image):
            yield from _one("image", image, lambda example: dict(reader.feeds([example])))
        if _resizes(processing.image):
            shown = shown_by()
            for file in shown:
                yield from _one("file", file, lambda example: dict(reader.feeds([shown[example]])))


def shown_by() -> dict[bytes, Array]:
    """Return what each file shows, upright: uint8 [height, width, 3]."""
    grey, coloured = np.array(_GREYS, np.uint8)[..., None], np.array(_COLOURED, np.uint8)
    square = np.ones((_SQUARE, _SQUARE, 1), np.uint8)
    return {PHOTO: np.kron(np.repeat(grey, _COLOURS, axis=-1), square), DRAWING: np.kron(coloured, square)}


def _stored(example: Example) -> Array:
    if isinstance(example, np.ndarray):
        return example
    return np.frombuffer(example if isinstance(example, bytes) else json.dumps(example).encode(), np.uint8)


def _one(kind: str, example: Example, feeds: Callable[[Example], Feeds]) -> Iterator[tuple[str, Example, Feeds]]:
    """Yield an example that the model takes; what it refuses, such as an empty text, is none."""
    try:
        yield kind, example, feeds(example)
    except InputError:
        return


def _example(listed: Manifest, text: str) -> Example:
    """Return what a task takes that is about ``text``."""
    answer = listed.processing.answer
    if isinstance(answer, Span) or listed.task in _PAIRED:
        return ("Who was it?", text)
    return f"{text} {answer.mask_token}" if isinstance(answer, Mask) else text


def _images(image: Image) -> Iterator[Array]:
    """Yield photographs of odd sizes, in colour, in grey and with alpha; of the model's own where it resizes none."""
    own = (image.size.height, image.size.width)
    sizes = (*_SIZES, own) if _resizes(image) else (own,)
    for number, size in enumerate(sizes):
        yield _waves(*size, _COLOURS, number)
    yield _waves(*sizes[0], 1, 7)[:, :, 0]
    if image.alpha != "refuse":
        yield _waves(*sizes[0], _ALPHA, 9)


def _resizes(image: Image) -> bool:
    return any(isinstance(step, Resizing) for step in image.steps)


def _waves(height: int, width: int, channels: int, shift: int) -> Array:
    """Return uint8 [height, width, channels], smooth as photographs are, and the same on every machine."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [((y * (3 + c) + x * (5 - c) + 40 * shift) % 256) ^ ((x * y // 16) % 64) for c in range(channels)]
    return np.stack(waves, axis=-1).astype(np.uint8)
