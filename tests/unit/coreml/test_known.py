"""What the evaluator says that it knows, and that looking into packages costs little."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

from edgepack.coreml import ops  # noqa: F401  (registers them)
from edgepack.coreml.dense import DENSE
from edgepack.coreml.ops.registry import find, known
from edgepack.errors import UnsupportedOperator

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

_TESTED = "".join(file.read_text("utf-8") for file in Path(__file__).parent.glob("test_*.py"))
_REDUCED = ("l1_norm", "l2_norm", "log_sum", "log_sum_exp", "max", "mean", "min", "prod", "sum", "sum_square")
_ELSEWHERE = {"write_state", "classify", *(f"reduce_{kind}" for kind in _REDUCED), "avg_pool", "max_pool", "l2_pool"}
# Never made by coremltools from PyTorch, or not the same twice
UNKNOWN = {
    "affine", "conv_quantized", "crop_resize", "gru", "non_maximum_suppression", "random_bernoulli",
    "random_categorical", "random_normal", "random_uniform",
}  # fmt: skip


@pytest.mark.parametrize("kind", [*known(), *DENSE])
def test_every_op_is_tested(kind: str) -> None:
    assert f"mb.{kind}(" in _TESTED or f'"{kind}"' in _TESTED or kind in _ELSEWHERE or kind in DENSE


@pytest.mark.parametrize("kind", known())
def test_its_inputs_are_those_of_coremltools(kind: str) -> None:
    """All that some version of the op has, so that nothing of it is refused."""
    versions = SSAOpRegistry.core_ops.get(kind, {}).values()
    theirs = {name for version in versions for name in version.input_spec.input_types if not name.startswith("_")}
    ours = set(find(kind).parameters) - {"blocks", "in_place"}
    assert not theirs or ours == theirs


def test_ops_that_it_does_not_know() -> None:
    theirs = {kind for kind in SSAOpRegistry.core_ops if not kind.startswith("_")}
    assert theirs - {*known(), *DENSE, "const"} == UNKNOWN
    with pytest.raises(UnsupportedOperator, match="'softmox'") as caught:
        find("softmox")
    assert "'softmax'" in caught.value.hint


def test_looking_needs_neither_torch_nor_coremltools() -> None:
    code = "import sys, edgepack.coreml; print({'torch', 'coremltools'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
