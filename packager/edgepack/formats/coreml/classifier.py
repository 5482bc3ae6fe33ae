"""Class labels in a package: Core ML's ``classify`` beside the logits, as Vision and Xcode look for it.

coremltools 9.0 adds the operator where its outputs are the only ones; with the logits beside them its exporter fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coremltools.proto import MIL_pb2 as mil

PROBABILITIES = "probabilities"  # the output that becomes the label and the scores
LABEL, SCORES = "classLabel", "classLabel_probs"  # coremltools' names


def problem(processing: Mapping[str, Any]) -> str | None:
    """The config's problem_type where a row of logits scores classes that have names of their own; else None."""
    told, names = processing.get("problem"), processing.get("labels", ())
    return None if told in (None, "regression") or len(set(names)) < len(names) else str(told)


def labelled(spec: Any, names: Sequence[str]) -> None:
    """Make the likeliest of ``names`` and the score of each of the output PROBABILITIES, float32 [1, names]."""
    function = spec.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    block.operations.append(_classify(names))
    kept = [name for name in block.outputs if name != PROBABILITIES]
    del block.outputs[:]
    block.outputs.extend([LABEL, SCORES, *kept])
    said = spec.description
    features = [feature for feature in said.output if feature.name != PROBABILITIES]
    del said.output[:]
    said.output.add(name=LABEL).type.stringType.SetInParent()
    said.output.add(name=SCORES).type.dictionaryType.stringKeyType.SetInParent()
    said.output.extend(features)
    said.predictedFeatureName, said.predictedProbabilitiesName = LABEL, SCORES


def _classify(names: Sequence[str]) -> mil.Operation:
    operation = mil.Operation(type="classify")
    operation.attributes["name"].CopyFrom(_text("classify"))
    operation.inputs["probabilities"].arguments.add(name=PROBABILITIES)
    classes = operation.inputs["classes"].arguments.add().value
    classes.type.listType.type.tensorType.dataType = mil.STRING
    classes.type.listType.length.constant.size = len(names)
    classes.immediateValue.list.values.extend(map(_text, names))
    operation.outputs.add(name=LABEL).type.tensorType.dataType = mil.STRING
    scores = operation.outputs.add(name=SCORES).type.dictionaryType
    scores.keyType.tensorType.dataType = mil.STRING
    scores.valueType.tensorType.dataType = mil.FLOAT64
    return operation


def _text(value: str) -> mil.Value:
    made = mil.Value()
    made.type.tensorType.dataType = mil.STRING
    made.immediateValue.tensor.strings.values.append(value)
    return made
