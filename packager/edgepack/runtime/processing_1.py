"""``processing`` of manifests of schema 1, a flat object by the task, in the form of schema 2 (processing.py)."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.documents import JsonDict, JsonObject

_TEXT = (
    "inputs", "max_length", "pad_id", "pad_token", "pad_type_id", "padding_side", "truncation_side", "stride",
    "prompts", "default_prompt", "include_prompt",
)  # fmt: skip
_GENERATION = {
    "max_length": "max_length", "layers": "layers", "kv_heads": "kv_heads", "head": "head_dim",
    "vocabulary": "vocabulary", "eos_ids": "eos_ids",
}  # fmt: skip
_ANSWERS = {
    "text-embedding": ("embedding", {"output": "output", "width": "width", "similarity": "similarity"}),
    "image-embedding": ("embedding", {"output": "output", "width": "width"}),
    "text-classification": ("classes", {"labels": "labels", "problem": "problem_type"}),
    "image-classification": ("classes", {"labels": "labels", "problem": "problem_type"}),
    "token-classification": ("entities", {"labels": "labels"}),
    "question-answering": ("span", {"max_answer": "max_answer_length"}),
    "fill-mask": ("mask", {"mask_token": "mask_token", "mask_id": "mask_id"}),
}
_USUAL = 224  # pixels of a side, of the earliest bundles, where nothing says the size


def upgraded(task: str, flat: JsonObject) -> JsonDict:
    """Return what schema 2 has for ``flat``, the ``processing`` of a ``task`` that keeps schema 1.

    Schema 1 lets other keys stand beside the known ones; they are left out.
    """
    if task == "text-generation":
        made = {new: flat[old] for old, new in _GENERATION.items()}
        return {"generation": {**made, "repetition_penalty": flat.get("repetition_penalty", 1.0)}}
    kind, names = _ANSWERS[task]
    empty = {"problem": "", "width": 0}  # which stood for nothing said
    said = {new: flat[old] for old, new in names.items() if flat.get(old, empty.get(old)) != empty.get(old)}
    answer = {"kind": kind, **said}
    if kind == "classes":
        answer.setdefault("problem_type", "single_label_classification")
    if task.startswith("image"):
        return {"image": _image(flat), "answer": answer}
    return {"text": {name: flat[name] for name in _TEXT if flat.get(name) is not None}, "answer": answer}


def _image(flat: JsonObject) -> JsonDict:
    steps = flat["steps"] if "steps" in flat else _steps(flat)
    return {
        "input": flat["inputs"][0],
        "channels": flat["channels"],
        "size": flat.get("size") or _size(steps),
        "alpha": flat.get("alpha", "drop"),
        "steps": [{**step, "op": _op(step)} for step in steps],
        "mix": flat.get("mix", []),
    }


def _steps(flat: JsonObject) -> list[JsonDict]:
    """Return the steps of a bundle from before there was a list of them."""
    found: list[JsonDict] = []
    if flat.get("resize"):
        found.append({"op": "resize", "resample": flat["resample"], **flat["resize"]})
    if flat.get("crop"):
        found.append({"op": "center_crop", **flat["crop"]})
    found.append({"op": "rescale", "factor": flat["scale"], "offset": flat.get("offset", 0.0)})
    return [*found, {"op": "normalize", "mean": flat["mean"], "std": flat["std"]}]


def _size(steps: Sequence[JsonObject]) -> dict[str, int]:
    """Return the size of the images that the last resize or crop makes; square where it keeps their proportions."""
    boxes = (step for step in reversed(steps) if step["op"] in ("center_crop", "resize"))
    box: JsonObject = next(boxes, {})
    edge = box.get("shortest_edge", _USUAL)
    return {"height": box.get("height", edge), "width": box.get("width", edge)}


def _op(step: JsonObject) -> str:
    """Return the step's name in schema 2: schema 1 has one for all kinds of sizes."""
    if step["op"] == "resize" and "height" not in step:
        return "resize_within" if "max_height" in step else "resize_shortest_edge"
    return "center_crop_ratio" if "height_ratio" in step else str(step["op"])
