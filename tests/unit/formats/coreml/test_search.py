"""A search for the bits of each weight: what it measures, what it remembers by hash, how it divides bytes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil.mil import Builder as mb
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from edgepack.errors import DoesNotFit
from edgepack.formats.coreml import export
from edgepack.formats.coreml.export import demand, excerpts, losses, search, studies
from edgepack.formats.coreml.export.compression import weights
from edgepack.formats.coreml.export.forms import CHANNELS, Form
from edgepack.formats.coreml.export.sensitivity import Study
from edgepack.original.diffusion import Denoiser, TextEncoder
from edgepack.records import Recipe
from edgepack.runtime.diffusion.guidance import guided
from edgepack.runtime.processing import Diffusion
from edgepack.tasks import _diffusion

pytestmark = pytest.mark.filterwarnings("default")  # coremltools warns of torch, numpy and protobuf

LAYERS = 6
RANDOM = np.random.default_rng(3)
MIXED = Recipe(name="mixed", scheme="mixed")
FACTS = {"format": "coreml", "task": "unet", "tools": {}, "model": "tiny", "sha256": "1"}
FEEDS = [
    {
        "sample": RANDOM.normal(size=(2, 4, 20, 20)).astype(np.float32),
        "timestep": np.array(float(step), np.float32),
        "encoder_hidden_states": RANDOM.normal(size=(2, 5, 16)).astype(np.float32),
    }
    for step in (901, 501, 301, 1)
]


def unet() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(
        UNet2DConditionModel(
            sample_size=20, block_out_channels=(16, 16), layers_per_block=1, norm_num_groups=2, cross_attention_dim=16,
            attention_head_dim=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        ).eval()
    )  # fmt: skip


def original(module: torch.nn.Module, task: Any = _diffusion.UNET) -> Any:
    return SimpleNamespace(task=task, module=module, forget=lambda: None)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six linear layers in a row."""

    @mb.program(input_specs=[mb.TensorSpec((1, 48))], opset_version=ct.target.iOS16)
    def program(x: Any) -> Any:
        for _ in range(LAYERS):
            x = mb.linear(x=x, weight=RANDOM.normal(size=(48, 48)).astype(np.float32))
        return x

    out = tmp_path_factory.mktemp("model") / "linear.mlpackage"
    ct.convert(program, minimum_deployment_target=ct.target.iOS16, skip_model_load=True).save(str(out))
    return out


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """The weights that are measured from now on, with an empty cache."""
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "cache"))
    seen: list[Any] = []
    for module in (losses, demand):
        reference = module.reference
        monkeypatch.setattr(module, "reference", lambda weight, of=reference: seen.append(weight) or of(weight))
    return seen


def test_a_fine_tune_is_tried_for_the_weights_that_it_has_changed(measured: list[Any]) -> None:
    def study(module: Denoiser, sha256: str) -> Study:
        facts = {**FACTS, "sha256": sha256}
        given = original(module)
        found: Study = studies.find(given, MIXED, FEEDS, facts, studies.shared(given, FEEDS, facts))
        return found

    first, tuned = unet(), unet()
    name, weight = next((n, p) for n, p in tuned.named_parameters() if "attn2.to_k" in n or p.numel() > 3000)
    with torch.no_grad():
        weight[0] += 0.5
    before = study(first, "1").losses
    everything = len(measured)
    assert everything == len(before) > 20
    study(first, "1")
    assert len(measured) == everything  # nothing of an unchanged model
    after = study(tuned, "2").losses
    assert len(measured) == everything + 1
    assert {key for key in before if before[key] != after[key]} == {name}


def test_all_that_the_unet_reads_of_a_text_encoder_counts(measured: list[Any]) -> None:
    config = CLIPTextConfig(vocab_size=40, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                            num_attention_heads=2, projection_dim=16, eos_token_id=39)  # fmt: skip
    torch.manual_seed(0)
    module = TextEncoder(CLIPTextModelWithProjection(config).eval())
    task = _diffusion.of_layers(_diffusion.XL_TEXT_ENCODER_2, {"num_hidden_layers": 2})
    feeds = [{"input_ids": np.array([[38, *RANDOM.integers(0, 38, 4), 39]])}]
    given = original(module, task)
    found = studies.find(given, MIXED, feeds, {**FACTS, "task": task.NAME}, studies.shared(given, feeds, FACTS))
    assert found is not None
    last = [name for name in found.losses if "layers.1." in name or "text_projection" in name]
    assert len(last) == 7  # four of attention, two after it, the vector's
    assert all(found.losses[name] > 0 for name in last)


def test_errors_of_forms_are_remembered_by_hash(package: Path, measured: list[Any], tmp_path: Path) -> None:
    def asked(place: Path) -> demand.Demand:
        return demand.demand(place, {}, Study(), FACTS, newest=False)

    first = asked(package)
    everything = len(measured)
    assert everything == LAYERS
    assert asked(package) == first
    assert len(measured) == everything
    tuned = Path(shutil.copytree(package, tmp_path / "tuned.mlpackage"))
    large = weights(tuned)[2]
    (file,) = tuned.rglob("weight.bin")
    stored, values = file.read_bytes(), np.ascontiguousarray(large.value).tobytes()
    assert stored.count(values) == 1
    file.write_bytes(stored.replace(values, (large.value * np.float16(1.5)).tobytes()))
    asked(tuned)
    assert len(measured) == everything + 1


def test_bytes_go_where_noise_is_least() -> None:
    coarse, fine = Form("palette", 4), Form("palette", 8)
    options = {
        name: [search.Option(coarse, 50, loss), search.Option(fine, 100, 0.01 * loss)]
        for name, loss in (("a", 1.0), ("b", 0.1))
    }
    small = [search.Option(CHANNELS, 10, 0.0)]
    demands = {
        "first": demand.Demand(20, {"weight": options["b"], "small": small}),
        "second": demand.Demand(30, {"weight": options["a"]}),
    }
    divided = demand.divide(demands, 212)
    assert divided == {"first": {"weight": coarse, "small": CHANNELS}, "second": {"weight": fine}}
    with pytest.raises(DoesNotFit, match="at least 160 B, not 150 B"):
        demand.divide(demands, 150)


def test_steps_are_run_together() -> None:
    model, (both,) = unet(), excerpts.joined(FEEDS[:2])
    with torch.inference_mode():
        made = [model(**{name: torch.from_numpy(a) for name, a in feeds.items()}) for feeds in (both, *FEEDS[:2])]
    true = torch.cat([one["out_sample"] for one in made[1:]])
    torch.testing.assert_close(made[0]["out_sample"], true, atol=1e-5, rtol=1e-5)


def test_steps_are_spread_over_the_run() -> None:
    assert [float(feeds["timestep"]) for feeds in excerpts.spread(FEEDS)] == [901, 1]
    assert len(excerpts.spread(FEEDS[:1])) == 1
    assert len(excerpts.spread(FEEDS * 5)) == 6


SETTINGS = Diffusion(
    encoders=(), latent_channels=4, unet_channels=4, vae_scale_factor=2, scaling_factor=1.0, height=8, width=12,
    multiple_of=2, steps=1, guidance=1.0,
)  # fmt: skip


@pytest.mark.parametrize(("guidance", "conditioned"), [(7.5, False), (1.5, False), (1.0, False), (7.5, True)])
def test_guidance_enlarges_the_noise_of_its_two_predictions(guidance: float, conditioned: bool) -> None:
    """By as much as the runtime's own loop does; a model that is told the guidance predicts once."""
    settings = replace(SETTINGS, guidance=guidance, timestep_cond=64 if conditioned else None)
    noise = RANDOM.normal(size=(2, 1, 4, 100, 100)).astype(np.float32)
    made = guided(*noise, guidance, 0.0) if guidance > 1 and not conditioned else noise[1]
    assert export._enlarged(settings) == pytest.approx(float(np.var(made)), rel=0.05)
