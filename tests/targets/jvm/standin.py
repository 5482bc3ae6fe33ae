"""Python's onnxruntime, tokenizers and onnxruntime-genai for a JVM: a line of JSON asks, a line of JSON answers."""

from __future__ import annotations

import base64
import json
import sys
from functools import cache
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

GENERATORS: list[Any] = []


@cache
def session(path: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@cache
def genai(path: str) -> Any:
    import onnxruntime_genai  # language models alone need it

    return onnxruntime_genai, onnxruntime_genai.Model(path)


@cache
def tokenizer(path: str, options: str) -> Tokenizer:
    """As DJL sets it up: its options take the place of the file's."""
    made, wanted = Tokenizer.from_file(path), json.loads(options)
    made.no_truncation()
    made.no_padding()
    if wanted["truncation"] == "true":
        made.enable_truncation(min(int(wanted["maxLength"]), int(wanted["modelMaxLength"])))
    return made


def array(tensor: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(tensor["data"]), tensor["type"]).reshape(tensor["shape"])


def opened(asked: dict[str, Any]) -> dict[str, Any]:
    session(asked["path"])
    return {}


def run(asked: dict[str, Any]) -> dict[str, Any]:
    feeds = {name: array(tensor) for name, tensor in asked["feeds"].items()}
    made = session(asked["path"]).run(asked["outputs"], feeds)
    return {
        "outputs": {
            name: {"type": str(value.dtype), "shape": value.shape, "data": base64.b64encode(value.tobytes()).decode()}
            for name, value in zip(asked["outputs"], made, strict=True)
        }
    }


def encode(asked: dict[str, Any]) -> dict[str, Any]:
    words = tokenizer(asked["path"], json.dumps(asked["options"], sort_keys=True))
    found = words.encode(*asked["texts"], add_special_tokens=asked["special"])
    names = ("ids", "type_ids", "attention_mask", "special_tokens_mask")
    spans = {"starts": [start for start, _ in found.offsets], "ends": [end for _, end in found.offsets]}
    return {**{name: getattr(found, name) for name in names}, **spans}


def decode(asked: dict[str, Any]) -> dict[str, Any]:
    words = tokenizer(asked["path"], json.dumps(asked["options"], sort_keys=True))
    return {"text": words.decode(asked["ids"], skip_special_tokens=asked["skip"])}


def generator(asked: dict[str, Any]) -> dict[str, Any]:
    library, model = genai(asked["path"])
    options = library.GeneratorParams(model)
    options.set_search_options(**asked["options"])
    GENERATORS.append(library.Generator(model, options))
    return {"number": len(GENERATORS) - 1}


def append(asked: dict[str, Any]) -> dict[str, Any]:
    GENERATORS[asked["number"]].append_tokens(asked["ids"])
    return {}


def next_token(asked: dict[str, Any]) -> dict[str, Any]:
    GENERATORS[asked["number"]].generate_next_token()
    return {}


def chat(asked: dict[str, Any]) -> dict[str, Any]:
    library, model = genai(asked["path"])
    given = {"template_str": asked["template"], "tools": asked["tools"], "add_generation_prompt": asked["answers"]}
    return {"text": library.Tokenizer(model).apply_chat_template(asked["messages"], **given)}


CALLS = {
    "onnxruntime.open": opened,
    "onnxruntime.run": run,
    "tokenizers.encode": encode,
    "tokenizers.decode": decode,
    "genai.open": lambda asked: (genai(asked["path"]), {})[1],
    "genai.generator": generator,
    "genai.append": append,
    "genai.next": next_token,
    "genai.last": lambda asked: {"token": int(GENERATORS[asked["number"]].get_sequence(0)[-1])},
    "genai.chat": chat,
    "genai.done": lambda asked: {"done": bool(GENERATORS[asked["number"]].is_done())},
}


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answered = CALLS[asked["call"]](asked)
        except Exception as error:  # whatever a library raises is the caller's to tell
            answered = {"failure": f"{type(error).__name__}: {error}"}
        print(json.dumps(answered), flush=True)


if __name__ == "__main__":
    main()
