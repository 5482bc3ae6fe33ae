"""Every plug-in fits its kind's Protocol: mypy checks these assignments, and test_plugins.py that none is missing."""

from __future__ import annotations

from edgepack.devices import Transport, adb, browser, local, ssh, xcrun
from edgepack.devices._host import Host
from edgepack.formats import Format, Route, coreml, onnx
from edgepack.formats.coreml import builder as coreml_builder
from edgepack.formats.coreml import export as coreml_export
from edgepack.formats.onnx import builder as onnx_builder
from edgepack.formats.onnx import export as onnx_export
from edgepack.formats.onnx.export.schemes import Scheme, blocks, fp16, fp32, int8_dynamic, int8_static, products
from edgepack.original import OriginalRoute
from edgepack.original.recorders import Recorder
from edgepack.original.recorders import diffusion as diffusion_recorder
from edgepack.original.routes import builder as builder_original
from edgepack.original.routes import export as export_original
from edgepack.runtime.engines import Engine
from edgepack.runtime.engines import coreml as coreml_engine
from edgepack.runtime.engines import onnx as onnx_engine
from edgepack.sources import Place, folder, hub, python
from edgepack.tasks import (
    AnyTask,
    Task,
    _clip_text,
    _clip_vision,
    _diffusion,
    audio_classification,
    fill_mask,
    image_classification,
    image_embedding,
    question_answering,
    sparse_embedding,
    text_classification,
    text_embedding,
    text_generation,
    text_ranking,
    text_to_image,
    token_classification,
    zero_shot_image_classification,
)

TASKS: tuple[Task, ...] = (
    audio_classification,
    fill_mask,
    image_classification,
    image_embedding,
    question_answering,
    sparse_embedding,
    text_classification,
    text_embedding,
    text_generation,
    text_ranking,
    token_classification,
)
OF_SUBMODELS: tuple[AnyTask, ...] = (text_to_image, zero_shot_image_classification)
PARTS = (_diffusion.TEXT_ENCODER, _diffusion.UNET, _diffusion.VAE_DECODER, _diffusion.VAE_ENCODER)
SUBMODELS: tuple[Task, ...] = (_clip_text, _clip_vision, *PARTS)
TRANSPORTS: tuple[Transport, ...] = (adb, local, ssh, xcrun)
HOSTS: tuple[Host, ...] = (browser,)
FORMATS: tuple[Format, ...] = (coreml, onnx)
ROUTES: tuple[Route, ...] = (coreml_builder, coreml_export, onnx_builder, onnx_export)
SCHEMES: tuple[Scheme, ...] = (blocks, fp16, fp32, int8_dynamic, int8_static, products)
RECORDERS: tuple[Recorder, ...] = (diffusion_recorder,)
ORIGINALS: tuple[OriginalRoute, ...] = (builder_original, export_original)
ENGINES: tuple[Engine, ...] = (coreml_engine, onnx_engine)
SOURCES: tuple[Place, ...] = (folder, hub, python)
