"""From a decoder's emitter to a package: a program and its weight file, which is written by then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import coremltools as ct
from coremltools.converters.mil.backend.mil.helper import create_file_value_tensor, create_immediate_value
from coremltools.converters.mil.backend.mil.helper import types_to_proto_primitive as primitive
from coremltools.converters.mil.backend.mil.load import CoreMLProtoExporter, MILProtoExporter
from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  (as everybody calls it)
from coremltools.converters.mil.mil import Function, Program, types

from edgepack.documents import JsonDict
from edgepack.formats.coreml._mil import Node, Var
from edgepack.formats.coreml._package import identifier, write_manifest
from edgepack.formats.coreml.builder.signature import WORDS, Signature
from edgepack.formats.coreml.builder.store import Blob

_TARGET, _VERSION = ct.target.iOS18, 9  # the specification's number for it
_ONLY = "main"  # function of a model with one; others are described each for itself
_FILE = "@model_path/weights/weight.bin"
_AUTHOR, _DATA = "com.apple.CoreML", "Data"
_PARTS = {"model.mlmodel": "CoreML Model Specification", "weights": "CoreML Model Weights"}
Emit = Callable[[Mapping[str, Var]], Var]  # from the inputs and states of a function to its output


@dataclass(frozen=True, kw_only=True)
class About:
    """Metadata that Xcode shows of a model, and what is ``told`` beside it by names of our own."""

    title: str = ""
    author: str = ""
    licence: str = ""
    version: str = ""
    told: Mapping[str, str] = field(default_factory=dict)


def weight_file(out: Path) -> Path:
    """Return where the package at ``out`` has its weights; the folders are made."""
    folder = out / _DATA / _AUTHOR / "weights"
    folder.mkdir(parents=True)
    return folder / "weight.bin"


def build(functions: Mapping[str, Signature], emit: Emit) -> Program:
    """Return a function for each of ``functions``, which ``emit`` fills; the first is the default."""
    program = Program()
    for name, signature in functions.items():
        mb.name_count.clear()  # names count from 0 in every function, and are the same in all
        inputs = {one.name: mb.TensorSpec(one.shape.symbolic_shape, one.dtype) for one in signature.inputs}
        states = {one: mb.StateTensorSpec(shape, types.fp16) for one, shape in signature.states.items()}
        with Function({**inputs, **states}, _TARGET) as function:
            function.set_outputs([emit(function.inputs)])
        function.set_input_types(signature.inputs)
        program.add_function(name, function)
    program.default_function_name = next(iter(functions))
    program.export_as_multifunction = _ONLY not in functions
    return program


def save(program: Program, blobs: Mapping[str, Blob], out: Path, about: About) -> Counter[str]:
    """Write the package around its weight file; how often each operation occurs."""
    program._check_early_error_out_for_invalid_program()
    written = _Exporter(program, blobs).export()
    exporter = CoreMLProtoExporter(program, written, None, None, None, "mlprogram", "milinternal", _VERSION)
    spec = exporter.export(_VERSION)
    _describe(spec.description, about)
    (out / _DATA / _AUTHOR / "model.mlmodel").write_bytes(spec.SerializeToString(deterministic=True))
    write_manifest(out, _manifest())
    return Counter(
        op.type
        for function in spec.mlProgram.functions.values()
        for block in function.block_specializations.values()
        for op in block.operations
        if op.type != "const"
    )


class _Exporter(MILProtoExporter):
    """Refers to the blobs in the place of writing constants."""

    def __init__(self, program: Program, blobs: Mapping[str, Blob]) -> None:
        super().__init__(program, "", _VERSION)
        self._blobs = blobs

    def get_milproto_value(self, var: Var) -> Node:
        """Return a constant as the program holds it."""
        blob = self._blobs.get(var.name)
        if blob is None:
            return create_immediate_value(var)
        return create_file_value_tensor(_FILE, blob.offset, blob.shape, primitive(var.sym_type.get_primitive()))


def _describe(description: Node, about: About) -> None:
    said = description.metadata
    said.shortDescription, said.author = about.title, about.author
    said.license, said.versionString = about.licence, about.version
    said.userDefined.update(about.told)
    for one in description.functions or [description]:
        for feature in (*one.input, *one.output, *one.state):
            feature.shortDescription = WORDS[feature.name]


def _manifest() -> JsonDict:
    """Return what Apple's tools find the parts by."""
    paths = {part: f"{_AUTHOR}/{part}" for part in _PARTS}
    entries = {
        identifier(paths[part]): {"author": _AUTHOR, "description": what, "name": part, "path": paths[part]}
        for part, what in _PARTS.items()
    }
    return {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": entries,
        "rootModelIdentifier": identifier(paths["model.mlmodel"]),
    }
