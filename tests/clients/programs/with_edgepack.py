"""edgepack's runtime on bundles: JSON of what to do in, JSON of the machine, answers and golden vectors out."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import edgepack
from edgepack.runtime import golden, graphs, machine, manifest
from edgepack.runtime.engines import open_session

TOKENS = 24  # that a language model goes on with
ALL = 1000  # tokens for a mask: more than there are
# to a vector, a text, or scores by what they are of
ANSWERS: dict[str, Callable[[Any, Any], Any]] = {
    "text-embedding": lambda model, text: model.embed(text).tolist(),
    "text-classification": lambda model, text: {label.name: label.score for label in model.classify(text)},
    "token-classification": lambda model, text: {f"{e.label} {e.start}-{e.end}": e.score for e in model.tag(text)},
    "question-answering": lambda model, pair: {found.text: found.score for found in [model.answer(*pair)]},
    "fill-mask": lambda model, text: {filled.token: filled.score for filled in model.fill(text, top=ALL)},
    "image-classification": lambda model, image: {label.name: label.score for label in model.classify(image)},
    "image-embedding": lambda model, image: model.embed(image).tolist(),
    "text-generation": lambda model, text: "".join(model.generate(text, max_tokens=TOKENS)),
}


def ask(task: str, folder: str, inputs: list[Any]) -> dict[str, Any]:
    """What a bundle answers to each input, one at a time, and whether its golden vectors prove it."""
    model, listed = edgepack.load(folder, threads=1), manifest.read(Path(folder))
    session = open_session(graphs.generating(listed.model.path), listed.model.format, 1)
    proof = golden.check(session, listed, model.feeds)
    answers = [ANSWERS[task](model, given) for given in inputs]
    return {"answers": answers, "golden": {**asdict(proof), "passed": proof.passed}}


if __name__ == "__main__":
    found = [ask(*job) for job in json.load(sys.stdin)]
    print(json.dumps({"isa": machine.isa(), "emulated": machine.emulated(), "bundles": found}))
