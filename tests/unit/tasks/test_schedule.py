"""scheduler_config.json, as repositories have it, read strictly."""

import json
import warnings

import pytest

from edgepack.errors import ModelError, UnreadSetting, UnsupportedModel
from edgepack.runtime.processing import Schedule
from edgepack.tasks import _schedule

XL = "StableDiffusionXLPipeline"
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
STABLE_DIFFUSION_1 = {
    "_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", **SD, "clip_sample": False,
    "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None,
}  # fmt: skip
TURBO = {
    "_class_name": "EulerAncestralDiscreteScheduler", "_diffusers_version": "0.24.0.dev0", **SD, "clip_sample": False,
    "interpolation_type": "linear", "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": False,
    "skip_prk_steps": True, "steps_offset": 1, "timestep_spacing": "trailing", "trained_betas": None,
    "use_karras_sigmas": False,
}  # fmt: skip


def test_what_is_stated_is_kept_and_nothing_else():
    found = _schedule.read(STABLE_DIFFUSION_1, XL)
    assert found == Schedule(
        algorithm="pndm", **SD, clip_sample=False, set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1
    )
    assert _schedule.read(TURBO, XL).timestep_spacing == "trailing"


def test_what_a_pipeline_corrects_in_old_files():
    config = {**STABLE_DIFFUSION_1, "steps_offset": 0, "clip_sample": True, "skip_prk_steps": False}
    found = _schedule.read(config, "StableDiffusionPipeline")
    assert (found.steps_offset, found.clip_sample, found.skip_prk_steps) == (1, False, False)
    assert _schedule.read(config, "StableDiffusionInpaintPipeline").skip_prk_steps is True
    assert _schedule.read(config, XL).steps_offset == 0


def test_the_endless_number_that_diffusers_writes(tmp_path):
    config = {"_class_name": "DPMSolverMultistepScheduler", **SD, "lambda_min_clipped": float("-inf")}
    (tmp_path / "scheduler_config.json").write_text(json.dumps(config))
    assert _schedule.schedule(tmp_path, XL, config["_class_name"]) == Schedule(algorithm="dpm_solver_multistep", **SD)
    plain = json.loads(_schedule.plain((tmp_path / "scheduler_config.json").read_text()))
    assert plain == {"_class_name": "DPMSolverMultistepScheduler", **SD}  # JSON, and the class's own default again


def test_all_that_diffusers_writes_is_known(tmp_path):
    diffusers = pytest.importorskip("diffusers")
    for name in _schedule._ALGORITHMS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside diffusers
            getattr(diffusers, name)(**SD).save_pretrained(tmp_path)
        assert _schedule.schedule(tmp_path, XL, name).beta_end == 0.012


@pytest.mark.parametrize(
    ("change", "failure", "said"),
    [
        ({"_class_name": "UniPCMultistepScheduler"}, UnsupportedModel, "UniPCMultistepScheduler"),
        ({"_class_name": None}, UnsupportedModel, "None"),
        ({"beta_shedule": "linear"}, UnreadSetting, "beta_shedule"),
        ({"beta_schedule": "laplace"}, UnsupportedModel, "beta_schedule is 'laplace'"),
        ({"thresholding": True}, UnsupportedModel, "thresholding"),
        ({"use_beta_sigmas": True}, UnsupportedModel, "use_beta_sigmas"),
        ({"variance_type": "learned_range"}, UnsupportedModel, "variance_type"),
        ({"prediction_type": "sample"}, UnsupportedModel, "prediction_type 'sample'"),
        ({"prediction_type": None}, UnsupportedModel, "prediction_type"),
        ({"algorithm_type": "sde-dpmsolver"}, UnsupportedModel, "algorithm_type"),
        ({"use_karras_sigmas": True, "use_exponential_sigmas": True}, UnsupportedModel, "use_karras_sigmas"),
        ({"steps_offset": "1"}, UnsupportedModel, "steps_offset"),
    ],
)
def test_what_cannot_be_done_is_named(change, failure, said):
    with pytest.raises(failure, match=said) as caught:
        _schedule.read({**STABLE_DIFFUSION_1, **change}, XL)
    assert caught.value.hint


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(ModelError, match=r"scheduler_config\.json"):
        _schedule.schedule(tmp_path, XL, "DDIMScheduler")
