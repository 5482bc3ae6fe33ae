"""Models to be traced: a PyTorch model with the inputs and the outputs that its package will have."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import coremltools as ct
import numpy as np
import torch
from torch import Tensor, nn

from edgepack.runtime.image import affine
from edgepack.runtime.processing import Audio, Image, Processing, Text, Waveform

_USUAL = 128  # tokens that are traced, and that a package of any length takes by default


class Outputs(nn.Module):
    """``module``'s outputs ``names`` in their order, and for ``problem`` the probabilities of its classes."""

    def __init__(self, module: nn.Module, names: tuple[str, ...], problem: str | None) -> None:
        super().__init__()
        self.module, self.names, self.problem = module, names, problem

    def forward(self, **given: Tensor) -> tuple[Tensor, ...]:
        """Return what the module takes."""
        outputs = self.module(**given)
        found = tuple(outputs[name] for name in self.names)
        if self.problem is None:
            return found
        multiple = self.problem == "multi_label_classification"
        return (*found, torch.sigmoid(found[0]) if multiple else torch.softmax(found[0], dim=-1))


class TracedText(nn.Module):
    """Ids to the outputs: of any length up to the model's, or of ``lengths``."""

    text: Text

    def __init__(self, outputs: Outputs, text: Text, lengths: Sequence[int]) -> None:
        super().__init__()
        self.outputs, self.text, self.lengths = outputs, text, lengths

    def forward(self, *arrays: Tensor) -> tuple[Tensor, ...]:
        """Return int32 [1, tokens] each."""
        found: tuple[Tensor, ...] = self.outputs(**dict(zip(self.text.inputs, arrays, strict=True)))
        return found

    def example(self) -> tuple[Tensor, ...]:
        """Return what is traced."""
        length = self.lengths[-1] if self.lengths else min(_USUAL, self.text.max_length)
        return self._row(length)

    def per_token(self) -> list[str]:
        """Return the outputs that have a side for the tokens."""
        short, long = (self(*self._row(count)) for count in (2, 3))
        pairs = zip(self.outputs.names, short, long, strict=False)  # probabilities come after the named ones
        return [name for name, one, other in pairs if one.shape != other.shape]

    def _row(self, length: int) -> tuple[Tensor, ...]:
        """Return tokens of the first type: a model may have no other."""
        values = {"token_type_ids": 0}
        return tuple(torch.full((1, length), values.get(name, 1), dtype=torch.int32) for name in self.text.inputs)

    def inputs(self) -> list[ct.TensorType]:
        """Return coremltools' types: a range, one shape or several."""
        return [ct.TensorType(name=name, shape=self._shape(), dtype=np.int32) for name in self.text.inputs]

    def _shape(self) -> ct.EnumeratedShapes | tuple[int | ct.RangeDim, ...]:
        if not self.lengths:
            longest = self.text.max_length
            return 1, ct.RangeDim(1, longest, default=min(_USUAL, longest))
        shapes = [(1, length) for length in self.lengths]
        return ct.EnumeratedShapes(shapes, default=shapes[-1]) if len(shapes) > 1 else shapes[0]


class TracedImage(nn.Module):
    """An image of 0..255 to the outputs: its channels put into order, rescaled and normalised inside."""

    mean: Tensor
    std: Tensor

    def __init__(self, outputs: Outputs, image: Image) -> None:
        super().__init__()
        self.outputs, self.facts = outputs, affine(image)
        self.sizes = image.channels, image.size.height, image.size.width
        for part in ("mean", "std"):
            self.register_buffer(part, torch.tensor(getattr(self.facts, part)).reshape(1, -1, 1, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return float32 [1, channels, height, width]."""
        if self.facts.reverse:
            image = torch.cat([image[:, 2:], image[:, 1:2], image[:, :1]], dim=1)
        values = image * self.facts.scale + self.facts.offset
        found: tuple[Tensor, ...] = self.outputs(pixel_values=(values - self.mean) / self.std)
        return found

    def example(self) -> tuple[Tensor, ...]:
        """Return what is traced."""
        return (torch.zeros(self._shape()),)

    def inputs(self) -> list[ct.ImageType]:
        """Return one image, as the camera or the photo library gives it."""
        grey = self._shape()[1] == 1
        layout = ct.colorlayout.GRAYSCALE if grey else ct.colorlayout.RGB
        return [ct.ImageType(name="image", shape=self._shape(), color_layout=layout)]

    def _shape(self) -> tuple[int, int, int, int]:
        return 1, *self.sizes


class TracedSound(nn.Module):
    """A waveform of any length that the model takes, or features of one size, to the outputs."""

    def __init__(self, outputs: Outputs, audio: Audio) -> None:
        super().__init__()
        self.outputs, self.audio = outputs, audio

    def forward(self, values: Tensor) -> tuple[Tensor, ...]:
        """Return float32 [1, samples] or [1, frames, mel_bins]."""
        found: tuple[Tensor, ...] = self.outputs(**{self.audio.input: values})
        return found

    def example(self) -> tuple[Tensor, ...]:
        """Return what is traced."""
        features = self.audio.features
        sides = (self._usual(features),) if isinstance(features, Waveform) else (features.frames, features.mel_bins)
        return (torch.linspace(-1, 1, prod(sides)).reshape(1, *sides),)

    def inputs(self) -> list[ct.TensorType]:
        """Return coremltools' type: a range, or one shape."""
        features = self.audio.features
        shape: tuple[int | ct.RangeDim, ...]
        if isinstance(features, Waveform):
            samples = ct.RangeDim(self.audio.min_samples, features.max_samples, default=self._usual(features))
            shape = (1, samples)
        else:
            shape = (1, features.frames, features.mel_bins)
        return [ct.TensorType(name=self.audio.input, shape=shape, dtype=np.float32)]

    def _usual(self, features: Waveform) -> int:
        return min(max(self.audio.sampling_rate, self.audio.min_samples), features.max_samples)


def wrapped(
    module: nn.Module,
    names: tuple[str, ...],
    processing: Processing,
    lengths: Sequence[int],
    problem: str | None,
) -> TracedText | TracedImage | TracedSound:
    """Return ``module`` in evaluation mode, for texts of ``lengths`` (none: any), an image or a sound."""
    outputs = Outputs(module, names, problem)
    if processing.audio:
        return TracedSound(outputs, processing.audio).eval()
    if processing.image:
        return TracedImage(outputs, processing.image).eval()
    return TracedText(outputs, processing.section(Text), lengths).eval()
