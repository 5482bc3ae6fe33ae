"""From PyTorch to an ML Program: capture, convert, and say in the package what it is.

A model is traced, or exported where coremltools 9.0 cannot convert the trace: there are some that it converts from one
alone (CLIP has operators that it does not know in an export, DINOv2 in a trace).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import coremltools as ct
import numpy as np
import torch
from torch import nn

from edgepack.coreml.padding import PADDING, Padding
from edgepack.coreml.session import IMAGE
from edgepack.errors import ConversionError
from edgepack.formats.coreml import bounded, needs
from edgepack.formats.coreml.classifier import PROBABILITIES
from edgepack.formats.coreml.package import save
from edgepack.formats.coreml.quiet import quiet
from edgepack.formats.coreml.wrapped import Picture, Text, wrapped
from edgepack.records import Source
from edgepack.runtime.image import affine

_TARGETS = {16: ct.target.iOS16, 17: ct.target.iOS17, 18: ct.target.iOS18}


def convert(
    module: nn.Module,
    source: Source,
    task: ModuleType,
    processing: Mapping[str, Any],
    out: Path,
    *,
    opset: int,
    bits: int,
    lengths: Sequence[int],
    problem: str | None,
) -> dict[str, str]:
    """Write ``module`` (see original/pytorch.py) to ``out``; the names of its weights by those in the program.

    Texts have one row of any length up to the model's, or of ``lengths``; pictures are image inputs, prepared inside;
    with a ``problem`` (a config's problem_type) there are PROBABILITIES beside the logits. Raises ConversionError.
    """
    names = tuple(name for name in task.OUTPUTS if name != "last_hidden_state")
    traceable = wrapped(module, names, processing, lengths, problem)
    made = (*names, PROBABILITIES) if problem else names
    with torch.inference_mode(), warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")  # tracer and converter warn of every number; agreement is measured afterwards
        model, parameters = _converted(
            traceable,
            source.name,
            inputs=traceable.inputs(),
            outputs=[ct.TensorType(name=name, dtype=np.float32) for name in made],
            minimum_deployment_target=_TARGETS[opset],
            compute_precision=ct.precision.FLOAT32 if bits == 32 else ct.precision.FLOAT16,
            pass_pipeline=ct.PassPipeline.DEFAULT if bits == 32 else bounded.pipeline(),
            skip_model_load=True,
        )
    _describe(model, source, task, processing, opset)
    if lengths and isinstance(traceable, Text):
        padding = Padding(lengths, processing["pad_id"], traceable.per_token())
        model.user_defined_metadata[PADDING] = padding.told()
    save(model, out)
    rounded = "" if bits == 32 else "_to_fp16"
    return {key + rounded: name.removeprefix("outputs.module.") for key, name in parameters.items()}


def _converted(traceable: Text | Picture, name: str, **options: Any) -> tuple[Any, dict[str, str]]:
    """The model of coremltools, and its weights' names in PyTorch. Raises ConversionError, of the first way."""
    failed: list[Exception] = []
    for capture in (_traced, _exported):
        try:
            program, parameters = capture(traceable)
            return ct.convert(program, **options), parameters
        except Exception as error:  # torch and coremltools raise whatever their passes meet
            failed.append(error)
    line = (str(failed[0]).splitlines() or [type(failed[0]).__name__])[0]
    raise ConversionError(f"coremltools cannot convert {name}: {line}") from failed[0]


def _traced(traceable: Text | Picture) -> tuple[Any, dict[str, str]]:
    names = {name.replace(".", "_"): name for name, _ in traceable.named_parameters()}
    return torch.jit.trace(traceable, traceable.example(), check_trace=False), names


def _exported(traceable: Text | Picture) -> tuple[Any, dict[str, str]]:
    program = torch.export.export(traceable, traceable.example(), dynamic_shapes=traceable.sides(), strict=False)
    return program.run_decompositions({}), dict(program.graph_signature.inputs_to_parameters)


def _describe(model: Any, source: Source, task: ModuleType, processing: Mapping[str, Any], opset: int) -> None:
    """Who made it, under which licence, for which systems, and what goes in and comes out."""
    model.short_description = f"{source.name}: {task.TITLE}"
    model.author, model.license = source.model, source.licence or "unknown"
    model.version = source.revision or source.sha256[:12]
    for name, text in _WORDS.items():
        if name in model.input_description:
            model.input_description[name] = text
        if name in model.output_description:
            model.output_description[name] = text
    told = model.user_defined_metadata
    told["edgepack.needs"] = needs(opset)
    if "labels" in processing:
        told["classes"] = json.dumps(processing["labels"])
    if "channels" in processing:
        told[IMAGE] = json.dumps(affine(processing)._asdict())


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
