"""Class labels beside the logits, written as coremltools writes them where it can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
import torch

from edgepack import coreml
from edgepack.formats.coreml import export
from edgepack.formats.coreml.export.classifier import LABEL, PROBABILITIES, SCORES, distinct, label
from edgepack.runtime.processing import Answer, Classes, Entities, Processing

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

NAMES = ["a cat", "a dog", "über"]


class Model(torch.nn.Module):
    """Logits, and where ``both`` the probabilities too; else these alone."""

    def __init__(self, *, both: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.linear, self.both = torch.nn.Linear(8, len(NAMES)), both

    def forward(self, x: torch.Tensor) -> Any:
        logits = self.linear(x)
        probabilities = torch.softmax(logits, dim=-1)
        return (logits, probabilities) if self.both else probabilities


def converted(*, both: bool, **options: Any) -> Any:
    traced = torch.jit.trace(Model(both=both).eval(), torch.zeros(1, 8))
    return ct.convert(
        traced,
        inputs=[ct.TensorType("x", (1, 8), np.float32)],
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
        **options,
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = converted(both=True, outputs=[ct.TensorType("logits"), ct.TensorType(PROBABILITIES)])
    path = tmp_path_factory.mktemp("labelled") / "model.mlpackage"
    model.save(str(path))
    label(path, NAMES)
    return path


def test_it_is_what_coremltools_writes(package: Path) -> None:
    own = converted(both=False, classifier_config=ct.ClassifierConfig(NAMES)).get_spec()
    made = ct.utils.load_spec(str(package))
    for said in (own.description, made.description):
        assert (said.predictedFeatureName, said.predictedProbabilitiesName) == (LABEL, SCORES)
    by_name = {one.name: one.type for one in own.description.output}
    assert {one.name for one in made.description.output} == {*by_name, "logits"}
    assert all(one.type == by_name.get(one.name, one.type) for one in made.description.output)
    theirs, ours = (_classify(spec) for spec in (own, made))
    assert ours.inputs["classes"] == theirs.inputs["classes"]
    assert list(ours.outputs) == list(theirs.outputs)


def _classify(spec: Any) -> Any:
    function = spec.mlProgram.functions["main"]
    (found,) = [op for op in function.block_specializations[function.opset].operations if op.type == "classify"]
    return found


def test_it_computes(package: Path) -> None:
    x = np.random.default_rng(1).normal(size=(1, 8)).astype(np.float32)
    made = coreml.evaluate(package, {"x": x})
    true = Model(both=True)(torch.from_numpy(x))[1][0].detach().numpy()
    assert made[LABEL] == NAMES[true.argmax()]
    assert list(made[SCORES]) == NAMES
    np.testing.assert_allclose(list(made[SCORES].values()), true, rtol=1e-5)
    np.testing.assert_allclose(np.exp(made["logits"][0]) / np.exp(made["logits"]).sum(), true, rtol=1e-5)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Classes(labels=tuple(NAMES), problem_type="single_label_classification"), "single_label_classification"),
        (Classes(labels=tuple(NAMES), problem_type="multi_label_classification"), "multi_label_classification"),
        (Classes(labels=("score",), problem_type="regression"), None),
        (Classes(labels=("one", "one"), problem_type="single_label_classification"), "single_label_classification"),
        (Entities(labels=tuple(NAMES)), None),  # of each token
        (None, None),
    ],
)
def test_which_models_have_labels(answer: Answer | None, kind: str | None) -> None:
    classes = export._classes(Processing(answer=answer))
    assert (classes.problem_type if classes else None) == kind


def test_names_that_occur_twice(tmp_path: Path) -> None:
    assert distinct(NAMES) == NAMES
    assert distinct(["crane", "dog", "crane"]) == ["crane (0)", "dog", "crane (2)"]
    assert distinct(["crane", "crane", "crane (1)", "crane (0)"]) == [
        "crane (0) (0)", "crane (1) (1)", "crane (1)", "crane (0)"
    ]  # fmt: skip
    model = converted(both=True, outputs=[ct.TensorType("logits"), ct.TensorType(PROBABILITIES)])
    model.save(str(tmp_path / "model.mlpackage"))
    label(tmp_path / "model.mlpackage", ["crane", "a dog", "crane"])
    x = np.random.default_rng(1).normal(size=(1, 8)).astype(np.float32)
    made = coreml.evaluate(tmp_path / "model.mlpackage", {"x": x})
    assert list(made[SCORES]) == ["crane (0)", "a dog", "crane (2)"]
    assert list(made[SCORES])[int(made["logits"].argmax())] == made[LABEL]
    assert sum(made[SCORES].values()) == pytest.approx(1)
