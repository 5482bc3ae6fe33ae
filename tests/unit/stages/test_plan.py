"""What a target's clients can, of what a task says."""

from edgepack import targets
from edgepack.runtime.processing import Diffusion, Processing, PromptEncoder
from edgepack.stages import plan

ENCODER = PromptEncoder(
    submodel="text_encoder", tokenizer="tokenizer", max_length=77, pad_id=0, hidden="last_hidden_state",
    skipping=("clip_skip.1", "hidden_states.0"),
)  # fmt: skip
SETTINGS = Diffusion(
    encoders=(ENCODER,), latent_channels=4, unet_channels=4, vae_scale_factor=8, scaling_factor=1.0, height=512,
    width=512, multiple_of=8, steps=1, guidance=1.0,
)  # fmt: skip


def test_packages_of_a_pipeline_have_one_size_and_the_layers_that_they_give():
    whole = Processing(diffusion=SETTINGS)
    assert plan._processing(targets.load("rpi"), whole) == whole
    made = plan._processing(targets.load("iphone"), whole).section(Diffusion)
    assert made.fixed_size
    assert made.encoders[0].skipping == ("hidden_states.0",)
