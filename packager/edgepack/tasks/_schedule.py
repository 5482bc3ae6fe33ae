"""Read the scheduler_config.json of a diffusers folder: each key is used, known to change nothing, or an error."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from edgepack.documents import Json, JsonDict, JsonObject, parse_json, read_text
from edgepack.errors import BundleError, ModelError, UnreadSetting, UnsupportedModel, nearest
from edgepack.runtime import record_json
from edgepack.runtime.diffusion import schedulers
from edgepack.runtime.processing import Schedule

FILE = "scheduler_config.json"
_ALGORITHMS = {
    "DDIMScheduler": "ddim",
    "DPMSolverMultistepScheduler": "dpm_solver_multistep",
    "EulerAncestralDiscreteScheduler": "euler_ancestral",
    "EulerDiscreteScheduler": "euler",
    "LCMScheduler": "lcm",
    "PNDMScheduler": "pndm",
}
_USED = frozenset(each.name for each in fields(Schedule)) - {"algorithm"}
_CLASS = "_class_name"
# what must have one of these values, which turn off what the runtime does not do
_OFF: Mapping[str, tuple[Json, ...]] = {
    "thresholding": (False,),
    "use_beta_sigmas": (False,),
    "use_flow_sigmas": (False,),
    "use_dynamic_shifting": (False,),
    "timestep_type": ("discrete",),
    "variance_type": (None, "fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"),
    "shift_terminal": (None,),
}
# read by what is turned off, by training, or by schedulers that are not among these
_IRRELEVANT = frozenset(
    (
        _CLASS, "_diffusers_version", "_name_or_path", "disable_corrector", "dynamic_thresholding_ratio", "flow_shift",
        "predict_x0", "sample_max_value", "solver_p", "time_shift_type",
    )
)  # fmt: skip
_NULL = frozenset(("trained_betas", "sigma_min", "sigma_max", "lambda_min_clipped"))  # that may be null: not stated
# names of other schedulers' settings that diffusers takes for these
_ALIASES: Mapping[str, Mapping[str, str]] = {
    "solver_type": {"logrho": "midpoint", "bh1": "midpoint", "bh2": "midpoint"},
    "algorithm_type": {"deis": "dpmsolver++"},
    "prediction_type": {"original_sample": "sample"},
}
# what these pipelines set whatever the file says: files of their first years lacked it
_CORRECTED: Mapping[str, JsonObject] = {
    "StableDiffusionPipeline": {"steps_offset": 1, "clip_sample": False},
    "StableDiffusionImg2ImgPipeline": {"steps_offset": 1, "clip_sample": False},
    "StableDiffusionInpaintPipeline": {"steps_offset": 1, "skip_prk_steps": True},
}
# -Infinity is no JSON, but what diffusers writes by default
_ENDLESS = re.compile(r'("lambda_min_clipped"\s*:\s*)-Infinity')


def plain(text: str) -> str:
    """Return scheduler_config.json without the infinity that diffusers writes, which is no JSON: its default again."""
    if not _ENDLESS.search(text):
        return text
    table: JsonDict = parse_json(_ENDLESS.sub(r"\1null", text), FILE, ModelError)
    return json.dumps({key: value for key, value in table.items() if key != "lambda_min_clipped"}, indent=2) + "\n"


def schedule(folder: Path, pipeline: str, scheduler: str) -> Schedule:
    """Return the schedule of the ``folder`` that holds scheduler_config.json, as the class ``pipeline`` uses it.

    It is that of the class ``scheduler``, which model_index.json names, whatever class has saved the file.
    Raises ModelError and its subclasses UnsupportedModel (a class or a setting that the runtime does not have),
    UnreadSetting.
    """
    file = folder / FILE
    text = _ENDLESS.sub(r"\1null", read_text(file, ModelError))
    config = parse_json(text, str(file), ModelError)
    if not isinstance(config, dict):
        raise ModelError(f"{file} does not hold an object", hint="download or copy the file again")
    return read({**config, _CLASS: scheduler}, pipeline)


def read(config: JsonObject, pipeline: str) -> Schedule:
    """Return the schedule of a scheduler's config, in JSON's types. Raises as ``schedule`` does."""
    named = {key: value for key, value in _stated(config).items() if value is not None}
    stated = {"algorithm": _algorithm(config), **named, **_CORRECTED.get(pipeline, {})}
    try:
        made: Schedule = record_json.read(Schedule, stated, FILE)
        schedulers.check(made)
    except BundleError as error:
        raise UnsupportedModel(
            str(error), hint="correct the file, or save the pipeline with another scheduler"
        ) from error
    return made


def _algorithm(config: JsonObject) -> str:
    name = config.get(_CLASS)
    if name not in _ALGORITHMS:
        raise UnsupportedModel(
            f"{FILE}: the scheduler {name!r} is not supported",
            hint=f"save the pipeline with one of these: {', '.join(_ALGORITHMS)}",
        )
    return _ALGORITHMS[name]


def _stated(config: JsonObject) -> JsonDict:
    """Return the settings that a Schedule holds. Raises UnsupportedModel, UnreadSetting."""
    found: JsonDict = {}
    for key, value in config.items():
        if key in _OFF:
            if not any(type(value) is type(one) and value == one for one in _OFF[key]):
                raise UnsupportedModel(
                    f"{FILE}: {key} is {value!r}, which edgepack's schedulers do not do",
                    hint=f"save the pipeline with another scheduler, or with {key}={_OFF[key][0]!r}",
                )
        elif key in _USED:
            if value is None and key not in _NULL:
                raise UnsupportedModel(f"{FILE}: {key} is null", hint="remove the key: the class has a value for it")
            found[key] = _named(key, value)
        elif key not in _IRRELEVANT:
            close = nearest(key, _USED)
            hint = f"did you mean {close!r}?" if close else "remove it if it changes nothing"
            raise UnreadSetting(f"{FILE}: the setting {key!r} is not known", hint=hint)
    return found


def _named(key: str, value: Json) -> Json:
    return _ALIASES.get(key, {}).get(value, value) if isinstance(value, str) else value
