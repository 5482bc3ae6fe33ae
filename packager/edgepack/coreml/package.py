"""A saved package, opened: what is in it, and what it computes.

Nothing but the files of the package is read: its manifest, its specification, its weights.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections import Counter
from collections.abc import Mapping
from copy import copy
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from edgepack.arrays import Array
from edgepack.coreml import features, feeds, folder, proto, versions
from edgepack.coreml.constants import Constant, Constants, Store
from edgepack.coreml.features import Feature, Interface, Shapes
from edgepack.coreml.program import Function, Variable, read_program
from edgepack.coreml.values import Message, Value
from edgepack.errors import NotAProgram, PackageDamaged, ShapeNotAllowed, UnknownName, UsageError
from edgepack.records import TensorSpec

_FLOAT = 4  # bytes
PRECISIONS = ("declared", "float32")
_AGAIN = "copy or convert the package again"
_INSTEAD = {
    "neuralNetwork": 'convert with convert_to="mlprogram"',
    "pipeline": "save the models of the pipeline one by one, and open each",
}


class Package:
    """An ``.mlpackage`` with an ML Program. ``threads`` is how many torch may use (None: as it is set).

    Weights are decompressed once and stay, unless they take more than ``held`` bytes: then large ones are read again
    for each use, and a model takes little more memory than its largest weight.

    On a Mac Core ML itself computes in "declared" precision, unless ``native`` is False.

    Raises PackageError, and of its kinds PackageDamaged, PackageFileMissing, PackageUnsafe, PackageTooNew, NotAProgram.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        native: bool | None = None,
        held: int | None = None,
    ) -> None:
        self.path, self.threads = Path(path), threads
        model = folder.model_file(self.path)
        message = proto.model(model)
        self.specification_version = int(message.specificationVersion)
        self.minimum_deployment = versions.system(self.specification_version)
        kind = message.WhichOneof("Type") or "model without content"
        if kind != "mlProgram":
            raise NotAProgram(f"{self.path.name} is a {kind}, not an ML Program", hint=_INSTEAD.get(kind, ""))
        self._functions = read_program(message.mlProgram)
        self._interfaces, self.default_function = features.interfaces(message.description)
        self.metadata = _metadata(message.description, self._interfaces)
        _described(self._functions, self._interfaces, self.default_function)
        store = Store(self.path, model)
        self._constants = {name: Constants(function, store) for name, function in self._functions.items()}
        self._weights: Mapping[str, Array] = {}
        self._engine = _Engine(self._functions, self._constants, threads, held)
        self._wants_native = native
        if native and sys.platform != "darwin":
            raise UsageError("Core ML itself runs only on a Mac", hint="leave native out")

    @property
    def functions(self) -> tuple[str, ...]:
        """Their names, the default first."""
        return tuple(sorted(self._interfaces, key=lambda name: (name != self.default_function, name)))

    @property
    def operators(self) -> Counter[str]:
        """Count of each operator, over all functions and the blocks inside; consts are not counted."""
        found = (op.kind for function in self._functions.values() for op in function.block.walk())
        return Counter(kind for kind in found if kind != "const")

    def inputs(self, function: str | None = None) -> tuple[TensorSpec, ...]:
        """Return a side that may vary is "1..512", "1.." or "32|64"; images are uint8 [height, width, channels]."""
        return _specs(self._interface(function).inputs)

    def outputs(self, function: str | None = None) -> tuple[TensorSpec, ...]:
        """Return the outputs in the program's order."""
        return _specs(self._interface(function).outputs)

    def states(self, function: str | None = None) -> tuple[TensorSpec, ...]:
        """Return what lives between calls."""
        return _specs(self._interface(function).states)

    def shapes(self, name: str, function: str | None = None) -> Shapes:
        """Return the shapes that the input ``name`` may have. Raises UnknownName."""
        taken = self._interface(function).inputs
        if name not in taken:
            raise UnknownName("input", name, taken)
        return taken[name].shapes

    def state(self, function: str | None = None) -> dict[str, Array]:
        """Return a fresh state, of zeros: hand it to each call, which changes it."""
        return feeds.held(self._interface(function).states, None)

    def constants(self, function: str | None = None) -> tuple[Constant, ...]:
        """Return the weights and how they are stored."""
        return self._constants[self._named(function)].listed()

    def weight(self, name: str, function: str | None = None) -> Array:
        """Return the values of a weight, decompressed. Raises UnknownName."""
        constants = self._constants[self._named(function)]
        if name not in constants:
            raise UnknownName("weight", name, constants)
        return constants.value(name)

    def with_weights(self, weights: Mapping[str, Array]) -> Package:
        """Return a view that computes with other values for some weights and shares everything else.

        Raises UnknownName, ShapeNotAllowed.
        """
        sizes = {one.name: one.shape for name in self._functions for one in self._constants[name].listed()}
        for name, array in weights.items():
            if name not in sizes:
                raise UnknownName("weight", name, sizes)
            if np.shape(array) != sizes[name]:
                raise ShapeNotAllowed(f"the weight {name!r} has the shape {list(sizes[name])}, not {np.shape(array)}")
        view = copy(self)
        view._weights = {**self._weights, **weights}
        return view

    def check(self, function: str | None = None) -> None:
        """Check that it can be computed: its weights are there, its opset has all its ops, the evaluator knows them.

        Raises PackageDamaged, PackageFileMissing, PackageUnsafe, OperatorTooNew, UnsupportedOperator.
        """
        self._constants[self._named(function)].check()
        self._engine.opened.check(self._named(function))

    def __call__(
        self,
        inputs: Mapping[str, Value],
        *,
        precision: str = "declared",
        function: str | None = None,
        state: dict[str, Array] | None = None,
    ) -> dict[str, Value]:
        """Return the outputs for ``inputs``; ``state`` is changed.

        ``precision``: "declared" rounds what the program declares as float16; "float32" rounds nothing but the
        weights, so that errors of the graph show. Arrays are of the declared dtype (float32 for float16 in
        "float32"); images are uint8 [height, width, channels]; a classifier gives a label and a dictionary.

        Raises InputError (InputMissing, InputUnknown, InputTypeWrong, ShapeNotAllowed), UnsupportedOperator,
        OperatorTooNew, EvaluationFailed, PackageDamaged.
        """
        if precision not in PRECISIONS:
            raise UnknownName("precision", precision, PRECISIONS)
        name, declared = self._named(function), precision == "declared"
        interface = self._interfaces[name]
        values, held = feeds.arrays(interface.inputs, inputs), feeds.held(interface.states, state)
        if declared and not self._weights and self._native is not None:
            return dict(self._native(name, interface, values, held))
        made = self._engine.opened(name, values, held, declared=declared, weights=self._weights)
        missing = [output for output in interface.outputs if output not in made]
        if missing:
            raise PackageDamaged(f"the function {name!r} does not produce its output {missing[0]!r}", hint=_AGAIN)
        return {key: feeds.result(feature, made[key], declared) for key, feature in interface.outputs.items()}

    @cached_property
    def _native(self) -> Value:
        """Core ML itself, where it is and nobody has forbidden it; else None."""
        if self._wants_native is False or sys.platform != "darwin" or find_spec("coremltools.libcoremlpython") is None:
            return None
        return importlib.import_module("edgepack.coreml.mac").Native(self.path, self.default_function)

    def _named(self, function: str | None) -> str:
        name = function or self.default_function
        if name not in self._functions:
            raise UnknownName("function", name, self._functions)
        return name

    def _interface(self, function: str | None) -> Interface:
        return self._interfaces[self._named(function)]


class _Engine:
    """The evaluator, which needs torch, opened when it is first asked for: looking into a package costs nothing."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        constants: Mapping[str, Constants],
        threads: int | None,
        held: int | None,
    ) -> None:
        self._parts, self._held = (functions, constants, threads), held

    @cached_property
    def opened(self) -> Value:
        """An Evaluator."""
        sizes = [one.parameters for constants in self._parts[1].values() for one in constants.listed()]
        streamed = self._held is not None and _FLOAT * sum(sizes) > self._held
        return importlib.import_module("edgepack.coreml.evaluator").Evaluator(*self._parts, streamed=streamed)


def _described(functions: Mapping[str, Function], interfaces: Mapping[str, Interface], default: str) -> None:
    """Check that each function has its interface, and takes what that says."""
    if functions.keys() != interfaces.keys() or default not in functions:
        raise PackageDamaged("the package describes other functions than its program has", hint=_AGAIN)
    for name, function in functions.items():
        said = interfaces[name]
        taken = {one.name: one for one in function.inputs}
        if taken.keys() != said.inputs.keys() | said.states.keys():
            raise PackageDamaged(f"the package describes other inputs than the function {name!r} has", hint=_AGAIN)
        for key, variable in taken.items():
            if not _fits(variable, said.states.get(key) if variable.state else said.inputs.get(key)):
                raise PackageDamaged(f"the package describes the input {key!r} otherwise than its program", hint=_AGAIN)


def _fits(variable: Variable, feature: Feature | None) -> bool:
    """Return whether ``feature`` may describe ``variable``: of its rank, where a scalar is described as one value."""
    if feature is None or feature.kind not in ("array", "image"):
        return False
    if variable.state:
        return feature.kind == "array" and feature.shapes.default == variable.shape
    if feature.kind == "image":
        return len(variable.shape) == 4
    return len(feature.shapes.sides) == len(variable.shape) if variable.shape else feature.shapes.sides == (1,)


def _specs(found: Mapping[str, Feature]) -> tuple[TensorSpec, ...]:
    return tuple(feature.spec for feature in found.values())


def _metadata(description: Message, interfaces: Mapping[str, Interface]) -> dict[str, Value]:
    """Return author, license, version, description, user_defined (name -> text), features (name -> text)."""
    said = description.metadata
    parts = [part for one in interfaces.values() for part in (one.inputs, one.outputs, one.states)]
    words = {feature.name: feature.description for part in parts for feature in part.values() if feature.description}
    return {
        "author": said.author,
        "license": said.license,
        "version": said.versionString,
        "description": said.shortDescription,
        "user_defined": dict(sorted(said.userDefined.items())),
        "features": words,
    }
