"""Class labels in a package: Core ML's ``classify`` beside the logits, as Vision and Xcode look for it.

coremltools 9.0 can write the operator at the end of a program alone, and its passes put others behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import coremltools as ct
from coremltools.proto import MIL_pb2 as mil

from edgepack.coreml.folder import model_file

PROBABILITIES = "probabilities"  # the output that becomes the label and the scores
LABEL, SCORES = "classLabel", "classLabel_probs"  # coremltools' names


def distinct(names: Sequence[str]) -> list[str]:
    """Return ``names``, those that occur more than once with the class's number behind: "crane (134)", "crane (517)".

    ImageNet has two cranes, the bird and the machine; Core ML's scores are a dictionary, which would keep one of them.
    """
    counts, made = Counter(names), []
    for number, name in enumerate(names):
        own = name if counts[name] == 1 else f"{name} ({number})"
        while own in made or (own != name and own in counts):
            own += f" ({number})"
        made.append(own)
    return made


def label(package: Path, names: Sequence[str]) -> None:
    """Give the package's label and the score of each of ``names`` for its output PROBABILITIES, float32 [1, names].

    They are told apart as ``distinct`` does it; their order is that of the logits.
    """
    names = distinct(names)
    file = model_file(package)
    spec = ct.utils.load_spec(str(package))
    function = spec.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    block.operations.append(_classify(names))
    kept = [name for name in block.outputs if name != PROBABILITIES]
    del block.outputs[:]
    block.outputs.extend([LABEL, SCORES, *kept])
    said = spec.description
    features = [feature for feature in said.output if feature.name != PROBABILITIES]
    del said.output[:]
    said.output.add(name=LABEL, shortDescription="the likeliest class").type.stringType.SetInParent()
    scores = said.output.add(name=SCORES, shortDescription="the probability of each class")
    scores.type.dictionaryType.stringKeyType.SetInParent()
    said.output.extend(features)
    said.predictedFeatureName, said.predictedProbabilitiesName = LABEL, SCORES
    file.write_bytes(spec.SerializeToString(deterministic=True))


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
