"""From PyTorch to an ML Program: trace, convert, and say in the package what it is.

Encoders and vision models are traced: for some of them (CLIP) what torch.export gives has operators that coremltools
9.0 does not know.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import coremltools as ct
import numpy as np
import torch
from torch import Tensor, nn

from edgepack.coreml.session import IMAGE
from edgepack.errors import ConversionError
from edgepack.formats.coreml.package import save
from edgepack.formats.coreml.quiet import quiet
from edgepack.records import Source

_USUAL = 128  # tokens that are traced, and that a package takes by default
_TARGETS = {16: ct.target.iOS16, 17: ct.target.iOS17, 18: ct.target.iOS18}


def convert(
    module: nn.Module,
    source: Source,
    task: ModuleType,
    processing: Mapping[str, Any],
    out: Path,
    opset: int,
    bits: int,
) -> dict[str, str]:
    """Write ``module`` (see original/pytorch.py) to ``out``; the names of its weights by those in the program.

    Texts have one row of any length up to the model's; pictures are image inputs, prepared inside. Raises
    ConversionError.
    """
    names = tuple(name for name in task.OUTPUTS if name != "last_hidden_state")
    wrapped = (_Picture if "mean" in processing else _Text)(_Outputs(module, names), processing).eval()
    with torch.inference_mode(), warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")  # tracer and converter warn of every number; agreement is measured afterwards
        traced = torch.jit.trace(wrapped, wrapped.example(), check_trace=False)
        try:
            model = ct.convert(
                traced,
                inputs=wrapped.inputs(),
                outputs=[ct.TensorType(name=name, dtype=np.float32) for name in names],
                minimum_deployment_target=_TARGETS[opset],
                compute_precision=ct.precision.FLOAT32 if bits == 32 else ct.precision.FLOAT16,
                skip_model_load=True,
            )
        except Exception as error:  # coremltools raises whatever its passes meet
            line = (str(error).splitlines() or [type(error).__name__])[0]
            raise ConversionError(f"coremltools cannot convert {source.name}: {line}") from error
    _describe(model, source, task, processing)
    save(model, out)
    return {_variable(name, bits): name.removeprefix("outputs.module.") for name, _ in wrapped.named_parameters()}


def _variable(parameter: str, bits: int) -> str:
    """What coremltools calls a parameter."""
    return parameter.replace(".", "_") + ("_to_fp16" if bits == 16 else "")


class _Outputs(nn.Module):
    """The outputs ``names`` in their order."""

    def __init__(self, module: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.module, self.names = module, names

    def forward(self, **given: Tensor) -> tuple[Tensor, ...]:
        """What the module takes."""
        outputs = self.module(**given)
        return tuple(outputs[name] for name in self.names)


class _Text(nn.Module):
    """Ids to the outputs."""

    def __init__(self, outputs: _Outputs, processing: Mapping[str, Any]) -> None:
        super().__init__()
        self.outputs, self.given = outputs, list(processing["inputs"])
        self.longest = int(processing["max_length"])

    def forward(self, *arrays: Tensor) -> tuple[Tensor, ...]:
        """int32 [1, tokens] each."""
        found: tuple[Tensor, ...] = self.outputs(**dict(zip(self.given, arrays, strict=True)))
        return found

    def example(self) -> tuple[Tensor, ...]:
        """What is traced."""
        return tuple(torch.ones(1, min(_USUAL, self.longest), dtype=torch.int32) for _ in self.given)

    def inputs(self) -> list[Any]:
        """Any length up to the longest."""
        tokens = ct.RangeDim(1, self.longest, default=min(_USUAL, self.longest))
        return [ct.TensorType(name=name, shape=(1, tokens), dtype=np.int32) for name in self.given]


class _Picture(nn.Module):
    """A picture of 0..255 to the outputs: rescaled and normalised inside."""

    def __init__(self, outputs: _Outputs, processing: Mapping[str, Any]) -> None:
        super().__init__()
        self.outputs, self.facts = outputs, processing
        for part in ("mean", "std"):
            self.register_buffer(part, torch.tensor(processing[part]).reshape(1, -1, 1, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """float32 [1, channels, height, width]."""
        values = image * self.facts["scale"] + self.facts.get("offset", 0.0)
        found: tuple[Tensor, ...] = self.outputs(pixel_values=(values - self.mean) / self.std)
        return found

    def example(self) -> tuple[Tensor, ...]:
        """What is traced."""
        return (torch.zeros(self._shape()),)

    def inputs(self) -> list[Any]:
        """One picture, as the camera or the photo library gives it."""
        grey = self._shape()[1] == 1
        layout = ct.colorlayout.GRAYSCALE if grey else ct.colorlayout.RGB
        return [ct.ImageType(name="image", shape=self._shape(), color_layout=layout)]

    def _shape(self) -> tuple[int, int, int, int]:
        box = self.facts.get("crop") or self.facts.get("resize") or {}
        side = int(box.get("shortest_edge", 224))
        return 1, int(self.facts["channels"]), int(box.get("height", side)), int(box.get("width", side))


def _describe(model: Any, source: Source, task: ModuleType, processing: Mapping[str, Any]) -> None:
    """Who made it, under which licence, and what goes in and comes out."""
    model.short_description = f"{source.name}: {task.TITLE}"
    model.author, model.license = source.model, source.licence or "unknown"
    model.version = source.revision or source.sha256[:12]
    for name, text in _WORDS.items():
        if name in model.input_description:
            model.input_description[name] = text
        if name in model.output_description:
            model.output_description[name] = text
    if "labels" in processing:  # a classify op beside the logits is more than coremltools 9.0 can write
        model.user_defined_metadata["classes"] = json.dumps(processing["labels"])
    if "mean" in processing:
        facts = {key: processing[key] for key in ("scale", "mean", "std")}
        model.user_defined_metadata[IMAGE] = json.dumps({**facts, "offset": processing.get("offset", 0.0)})


_WORDS = {
    "input_ids": "the tokens' numbers",
    "attention_mask": "1 for a token, 0 for padding",
    "token_type_ids": "0 for the first text, 1 for the second of a pair",
    "image": "a picture of this size, 0 to 255",
    "sentence_embedding": "a vector; the cosine of two tells how alike the texts are",
    "image_embedding": "a vector; the cosine of two tells how alike the pictures are",
    "logits": "a score for each class or token, before softmax",
    "start_logits": "how well the answer begins at each token",
    "end_logits": "how well the answer ends at each token",
}
