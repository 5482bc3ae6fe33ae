"""Functions computed by torch on the processor, from numpy arrays to numpy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from edgepack.arrays import Array
from edgepack.coreml import versions
from edgepack.coreml.constants import Constants
from edgepack.coreml.ops.registry import Cell, find
from edgepack.coreml.plan import Plan
from edgepack.coreml.program import Function
from edgepack.coreml.values import Value


class Evaluator:
    """``evaluator(function, values, states, …)``; a function is bound when it is first asked for."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        constants: Mapping[str, Constants],
        threads: int | None,
        *,
        streamed: bool,
    ) -> None:
        self._functions, self._constants, self._threads, self._streamed = functions, constants, threads, streamed
        self._plans: dict[tuple[str, bool], Plan] = {}
        self._tensors: dict[object, Value] = {}

    def check(self, name: str) -> None:
        """Raises OperatorTooNew, PackageTooNew, UnsupportedOperator."""
        versions.check_opset(self._functions[name])
        for operation in self._functions[name].block.walk():
            if not operation.constant:
                find(operation.kind)

    def __call__(
        self,
        name: str,
        values: Mapping[str, Array],
        states: Mapping[str, Array],
        *,
        declared: bool,
        weights: Mapping[str, Array],
    ) -> dict[str, Value]:
        """Return the outputs by name; ``states`` are changed. Raises EvaluationFailed and what ``check`` raises."""
        cells = {key: Cell(torch.tensor(array, dtype=torch.float32)) for key, array in states.items()}
        replaced = {key: torch.from_numpy(np.array(array, np.float32)) for key, array in weights.items()}
        with torch.inference_mode(), _threads(self._threads):
            made = self._plan(name, declared)({**self._given(name, values), **cells}, replaced)
        for key, cell in cells.items():
            if cell.written:
                np.copyto(states[key], cell.tensor.numpy(), casting="same_kind")
        return {key: value.numpy() if isinstance(value, Tensor) else value for key, value in made.items()}

    def _given(self, name: str, values: Mapping[str, Array]) -> dict[str, Tensor]:
        tensors = {}
        for variable in self._functions[name].inputs:
            if not variable.state:
                tensor = torch.from_numpy(values[variable.name])
                tensor = tensor.float() if tensor.is_floating_point() else tensor
                tensors[variable.name] = tensor if variable.shape else tensor.reshape(())
        return tensors

    def _plan(self, name: str, declared: bool) -> Plan:
        key = name, declared
        if key not in self._plans:
            self.check(name)
            self._plans[key] = Plan(
                self._functions[name],
                self._constants[name],
                self._tensors,
                declared=declared,
                streamed=self._streamed,
            )
        return self._plans[key]


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Let torch use ``count`` threads meanwhile."""
    before = torch.get_num_threads()
    if count and count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count and count != before:
            torch.set_num_threads(before)
