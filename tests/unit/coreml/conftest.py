"""Packages made by coremltools' own builder and saved, to be read back by the evaluator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import Function, Program, types

from edgepack.coreml import Package

Array = np.ndarray[Any, Any]
_TYPES = {"float32": types.fp32, "int32": types.int32, "bool": types.fp32}


@dataclass(frozen=True)
class Case:
    """One op: ``build`` makes it of variables for ``inputs``; what it shall give is ``expected`` (or coremltools')."""

    name: str
    build: Callable[..., Any]
    inputs: tuple[Array, ...]
    expected: Callable[..., Any] | None = None
    within: float = 1e-5
    target: Any = field(default=ct.target.iOS15)


def values(*shape: int, seed: int = 0, low: float = -2, high: float = 2) -> Array:
    """Random floats."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def save(program: Program, path: Path, target: Any, **options: Any) -> Path:
    """``program`` as it is, with no pass over it, saved."""
    model = ct.convert(
        program,
        minimum_deployment_target=target,
        pass_pipeline=options.pop("pass_pipeline", ct.PassPipeline.EMPTY),
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
        **options,
    )
    model.save(str(path))
    return path


def package_of(cases: list[Case], path: Path) -> dict[str, Any]:
    """The outputs of all ``cases``, computed from one saved package: name -> array, or a list of them."""
    target = max(case.target for case in cases)
    feeds = {f"in_{case.name}_{place}": array for case in cases for place, array in enumerate(case.inputs)}
    inputs = {key: mb.placeholder(array.shape, _TYPES[str(array.dtype)]) for key, array in feeds.items()}
    counts = {}
    with Function(inputs, opset_version=target) as function:
        outputs = []
        for case in cases:
            given = [_given(function, f"in_{case.name}_{place}", array) for place, array in enumerate(case.inputs)]
            made = case.build(*given)
            made = made if isinstance(made, list | tuple) else [made]
            counts[case.name] = len(made)
            outputs += [_visible(var, f"{case.name}_out_{place}") for place, var in enumerate(made)]
        function.set_outputs(outputs)
    program = Program()
    program.add_function("main", function)
    save(program, path, target)
    as_fed = {key: array.astype(np.float32) if array.dtype == bool else array for key, array in feeds.items()}
    found = Package(path, threads=1, native=False)(as_fed)
    return {name: [found[f"{name}_out_{place}"] for place in range(count)] for name, count in counts.items()}


def _given(function: Function, name: str, array: Array) -> Any:
    variable = function.inputs[name]
    return mb.cast(x=variable, dtype="bool") if array.dtype == bool else variable


def _visible(variable: Any, name: str) -> Any:
    """As an output that Core ML has: floats or int32, with a rank."""
    if variable.dtype not in (types.fp32, types.int32):
        variable = mb.cast(x=variable, dtype="int32")
    return mb.identity(x=variable, name=name)


def oracle(case: Case) -> list[Array]:
    """What ``case`` shall give, by torch or by coremltools' own value inference."""
    if case.expected is not None:
        import torch

        made = case.expected(*[torch.from_numpy(array) for array in case.inputs])
        made = made if isinstance(made, list | tuple) else [made]
        return [np.asarray(one) for one in made]
    with Function({"unused": mb.placeholder((1,))}, opset_version=case.target):
        made = case.build(*[mb.const(val=array) for array in case.inputs])
        made = made if isinstance(made, list | tuple) else [made]
        assert all(one.val is not None for one in made), "coremltools does not compute this op: give expected"
        return [np.asarray(one.val) for one in made]


def compare(case: Case, found: list[Array]) -> None:
    """``found`` is what ``case`` shall give."""
    wanted = oracle(case)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape or one.size == other.size == 1
        np.testing.assert_allclose(one.reshape(other.shape), other, rtol=case.within, atol=case.within)


@pytest.fixture(scope="module")
def computed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outputs of the module's CASES, by name."""
    cases: list[Case] = request.module.CASES
    return package_of(cases, tmp_path_factory.mktemp("package") / "ops.mlpackage")
