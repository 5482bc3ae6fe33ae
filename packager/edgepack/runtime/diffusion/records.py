"""How a bundle makes images from prompts: the records ``diffusion`` and ``schedule`` under ``processing``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from edgepack.runtime.ranges import Id, Pixels, Special, Tokens
from edgepack.runtime.record_json import Rule

Algorithm = Literal["ddim", "dpm_solver_multistep", "euler", "euler_ancestral", "lcm", "pndm"]
Folder = Annotated[str, Rule(pattern="^[a-z][a-z0-9_]*$")]
Beta = Annotated[float, Rule(exclusiveMinimum=0, exclusiveMaximum=1)]
Channels = Annotated[int, Rule(minimum=1, maximum=1024)]
PerChannel = Annotated[tuple[float, ...], Rule(minItems=1, maxItems=1024)]
Deviations = Annotated[tuple[Annotated[float, Rule(exclusiveMinimum=0)], ...], Rule(minItems=1, maxItems=1024)]
PerLatent = Annotated[tuple[float, ...], Rule(minItems=2, maxItems=1025)]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The steps by which noise is taken away: the scheduler_config.json of diffusers, its names and meanings.

    What is not stated is the algorithm's usual value. A setting of another algorithm than the stated is used if that
    one is asked for.
    """

    algorithm: Algorithm
    num_train_timesteps: Annotated[int, Rule(minimum=1, maximum=100_000)] | None = None
    beta_start: Beta | None = None
    beta_end: Beta | None = None
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] | None = None
    trained_betas: Annotated[tuple[Beta, ...], Rule(minItems=1, maxItems=100_000)] | None = None
    prediction_type: Literal["epsilon", "v_prediction", "sample"] | None = None
    timestep_spacing: Literal["leading", "linspace", "trailing"] | None = None
    steps_offset: Annotated[int, Rule(minimum=0, maximum=100_000)] | None = None
    rescale_betas_zero_snr: bool | None = None
    set_alpha_to_one: bool | None = None
    clip_sample: bool | None = None
    clip_sample_range: Annotated[float, Rule(exclusiveMinimum=0)] | None = None
    skip_prk_steps: bool | None = None
    interpolation_type: Literal["linear", "log_linear"] | None = None
    use_karras_sigmas: bool | None = None
    use_exponential_sigmas: bool | None = None
    use_lu_lambdas: bool | None = None
    sigma_min: Annotated[float, Rule(exclusiveMinimum=0)] | None = None
    sigma_max: Annotated[float, Rule(exclusiveMinimum=0)] | None = None
    final_sigmas_type: Literal["zero", "sigma_min"] | None = None
    solver_order: Annotated[int, Rule(minimum=1, maximum=3)] | None = None
    algorithm_type: Literal["dpmsolver++", "sde-dpmsolver++"] | None = None
    solver_type: Literal["midpoint", "heun"] | None = None
    lower_order_final: bool | None = None
    euler_at_final: bool | None = None
    lambda_min_clipped: float | None = None
    original_inference_steps: Annotated[int, Rule(minimum=1, maximum=100_000)] | None = None
    timestep_scaling: Annotated[float, Rule(exclusiveMinimum=0)] | None = None


@dataclass(frozen=True, kw_only=True)
class PromptEncoder:
    """Prompts to hidden states, float32 [batch, max_length, width], by a text encoder and its tokenizer."""

    submodel: Special
    tokenizer: Folder  # in the bundle, that holds its tokenizer.json
    max_length: Tokens  # that every prompt is padded to; longer ones are cut
    pad_id: Id
    hidden: Special  # the output that the UNet reads
    skipping: Annotated[tuple[Special, ...], Rule(maxItems=100)] = ()  # that output where one, two, … more of the last
    # layers are left out (clip_skip); none: they cannot be
    pooled: Special | None = None  # the output that is one vector for a prompt, float32 [batch, width]


@dataclass(frozen=True, kw_only=True)
class Diffusion:
    """Prompts to images: noise is taken away from latents, [batch, latent_channels, height, width], step by step."""

    encoders: Annotated[tuple[PromptEncoder, ...], Rule(minItems=1, maxItems=2)]  # hidden states are joined in width
    latent_channels: Channels
    unet_channels: Channels  # of the UNet's input: the latents', or of inpainting twice as many and a mask's
    vae_scale_factor: Annotated[int, Rule(minimum=1, maximum=64)]  # pixels of a side for one of the latents
    scaling_factor: Annotated[float, Rule(exclusiveMinimum=0)]  # latents: this times what the VAE gives, less the shift
    shift_factor: float = 0.0
    latents_mean: PerChannel | None = None  # taken off each channel of what the VAE gives, before the scaling
    latents_std: Deviations | None = None  # by which each channel is divided
    height: Pixels  # of images where none is asked for
    width: Pixels
    fixed_size: bool = False  # whether the submodels take no other
    multiple_of: Pixels  # that height and width are
    timestep_cond: Annotated[int, Rule(minimum=2, maximum=65_536)] | None = None  # the width in which the UNet is told
    # the guidance (latent consistency models), which then is not computed from two predictions
    all_steps: bool = False  # whether runs that begin with an image take all steps, among the timesteps up to strength
    time_ids: bool = False  # whether the UNet takes sizes and a pooled prompt (Stable Diffusion XL)
    zeros_for_empty_prompt: bool = False  # whether no negative prompt is hidden states of zeros
    steps: Annotated[int, Rule(minimum=1, maximum=1000)]  # where none are asked for
    guidance: Annotated[float, Rule(minimum=0)]  # likewise; up to 1 there is none
    guidance_rescale: Annotated[float, Rule(minimum=0, maximum=1)] = 0.0  # arXiv 2305.08891, section 3.4
    preview: Annotated[tuple[PerLatent, ...], Rule(maxItems=3)] = ()  # rows for red, green and blue: a weight for each
    # of the latents' channels and a constant, which make colours from -1 to 1; none: there are no previews
