"""From PyTorch to an ML Program: trace, convert, and say in the package what it is."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import coremltools as ct
import numpy as np
import torch
from torch import nn

from edgepack.coreml.padding import PADDING, Padding
from edgepack.errors import ConversionError
from edgepack.formats.coreml._mil import MLModel
from edgepack.formats.coreml._package import save
from edgepack.formats.coreml._requirements import systems
from edgepack.formats.coreml.export import (
    clamp_fp16_constants,
    torch_ops,  # noqa: F401  (registers operators)
)
from edgepack.formats.coreml.export.classifier import PROBABILITIES
from edgepack.formats.coreml.export.quiet import quiet
from edgepack.formats.coreml.export.trace_wrappers import TracedText, wrapped
from edgepack.original import masks, positions, windows
from edgepack.records import Source
from edgepack.runtime.engines.coreml import IMAGE
from edgepack.runtime.image import affine
from edgepack.runtime.processing import Classes, Entities, Processing
from edgepack.tasks import Task

_OTHERWISE = "ONNX Runtime may run it: --target android, or another target than Apple's"
_TARGETS = {16: ct.target.iOS16, 17: ct.target.iOS17, 18: ct.target.iOS18}


def convert(
    module: nn.Module,
    source: Source,
    task: Task,
    processing: Processing,
    out: Path,
    *,
    opset: int,
    bits: int,
    lengths: Sequence[int],
    problem: str | None,
) -> dict[str, str]:
    """Write ``module`` (see original/pytorch.py) to ``out``; the names of its weights by those in the program.

    Texts have one row of any length up to the model's, or of ``lengths``; images are image inputs, prepared inside;
    sounds come as they are prepared, waveforms of any length;
    with a ``problem`` (a config's problem_type) there are PROBABILITIES beside the logits. Raises ConversionError.
    """
    outputs = tuple(name for name in task.OUTPUTS if name != "last_hidden_state")
    traceable = wrapped(module, outputs, processing, lengths, problem)
    made = (*outputs, PROBABILITIES) if problem else outputs
    hint = _OTHERWISE
    if isinstance(traceable, TracedText) and len(traceable.lengths) != 1:
        hint = f"for texts of one length it may: --lengths {traceable.text.max_length}"
    model = converted(traceable, traceable.inputs(), made, source.name, opset=opset, bits=bits, hint=hint)
    _describe(model, source, task, processing, opset)
    if lengths and isinstance(traceable, TracedText):
        padding = Padding(lengths, traceable.text.pad_id, traceable.per_token())
        model.user_defined_metadata[PADDING] = padding.told()
    save(model, out)
    return parameters(traceable, "outputs.module.", bits)


def converted(
    traceable: nn.Module,
    inputs: Sequence[ct.TensorType | ct.ImageType],
    outputs: Sequence[str],
    name: str,
    *,
    opset: int,
    bits: int,
    hint: str,
) -> MLModel:
    """Return ``traceable``, a module with an ``example``, as a model of coremltools whose floats have ``bits``.

    Raises ConversionError with ``hint``.
    """
    steady = (masks.broadcast(), positions.fixed(traceable), windows.blockwise(traceable), _eager(traceable))
    with torch.inference_mode(), warnings.catch_warnings(), quiet(), steady[0], steady[1], steady[2], steady[3]:
        warnings.simplefilter("ignore")  # tracer and converter warn of every number; agreement is measured afterwards
        try:
            traced = torch.jit.trace(traceable, traceable.example(), check_trace=False)  # type: ignore[operator]
            return ct.convert(
                traced,
                inputs=list(inputs),
                outputs=[ct.TensorType(name=output, dtype=np.float32) for output in outputs],
                minimum_deployment_target=_TARGETS[opset],
                compute_precision=ct.precision.FLOAT32 if bits == 32 else ct.precision.FLOAT16,
                pass_pipeline=ct.PassPipeline.DEFAULT if bits == 32 else clamp_fp16_constants.pipeline(),
                skip_model_load=True,
            )
        except OSError:  # a full disk
            raise
        except Exception as error:  # torch and coremltools raise whatever their passes meet
            line = (str(error).splitlines() or [type(error).__name__])[0]
            raise ConversionError(f"coremltools cannot convert {name}: {line}", hint=hint) from error


def parameters(traceable: nn.Module, prefix: str, bits: int) -> dict[str, str]:
    """Return the names of the weights in PyTorch, without ``prefix``, by those in the program."""
    rounded = "" if bits == 32 else "_to_fp16"
    return {name.replace(".", "_") + rounded: name.removeprefix(prefix) for name, _ in traceable.named_parameters()}


@contextmanager
def _eager(module: nn.Module) -> Iterator[None]:
    """Let transformers write attention out meanwhile: coremltools hides padding by -3e4 alone, in float32 too."""
    model: MLModel = next((part for part in module.modules() if hasattr(part, "set_attn_implementation")), None)
    before = model.config._attn_implementation if model is not None else None
    try:
        if model is not None:
            model.set_attn_implementation("eager")
        yield
    finally:
        if model is not None:
            model.set_attn_implementation(before)


def _describe(model: MLModel, source: Source, task: Task, processing: Processing, opset: int) -> None:
    """Describe who made it, under which licence, for which systems, and what goes in and comes out."""
    model.short_description = f"{source.name}: {task.TITLE}"
    model.author, model.license = source.credited, source.licence or "not stated"
    model.version = source.revision or source.sha256[:12]
    for name, text in _WORDS.items():
        if name in model.input_description:
            model.input_description[name] = text
        if name in model.output_description:
            model.output_description[name] = text
    told = model.user_defined_metadata
    told["edgepack.needs"] = systems(opset)
    if isinstance(processing.answer, Classes | Entities):
        told["classes"] = json.dumps(processing.answer.labels)
    if processing.image:
        told[IMAGE] = json.dumps(affine(processing.image)._asdict())


_WORDS = {
    "input_ids": "the tokens' numbers",
    "attention_mask": "1 for a token, 0 for padding",
    "token_type_ids": "0 for the first text, 1 for the second of a pair",
    "input_values": "a sound, prepared as edgepack.json says under processing.audio",
    "image": "an image of this size, 0 to 255",
    "sentence_embedding": "a vector; the cosine of two tells how alike the texts are",
    "image_embedding": "a vector; the cosine of two tells how alike the images are",
    "text_embeds": "a vector, to be compared with images' by its cosine",
    "image_embeds": "a vector, to be compared with texts' by its cosine",
    "logits": "a score for each class or token, before softmax",
    "start_logits": "how well the answer begins at each token",
    "end_logits": "how well the answer ends at each token",
}
