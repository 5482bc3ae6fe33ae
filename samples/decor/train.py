"""Train a small latent-diffusion model on drawn rooms: python train.py

Writes model/ (under 8 MB), a folder that diffusers' StableDiffusionPipeline loads. Takes about 24 minutes on one
core; the seed makes it the same each time on one machine.
"""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.training_utils import EMAModel
from rooms import SIZE, captions, draw, held_out
from tokens import LENGTH, write
from torch.nn.functional import l1_loss, mse_loss
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, get_cosine_schedule_with_warmup

SEED = 0
VARIANTS = 32  # images of each caption
VAE_STEPS, VAE_BATCH, VAE_RATE = 1500, 16, 2e-3
DECODER_STEPS, DECODER_BATCH, DECODER_RATE = 4000, 8, 1e-3
BLUR = 0.05  # of noise in the latents that the decoder learns from, since the UNet's are not exact
STEPS, BATCH, RATE = 1600, 64, 1.5e-3
UNTOLD = 0.1  # of the images are learnt without their caption, for classifier-free guidance
WIDTH = 64  # of a token
MODEL = Path(__file__).parent / "model"


def autoencoder() -> AutoencoderKL:
    """64 x 64 pixels of three colours into 16 x 16 latents of four."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 32),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=SIZE,
        mid_block_add_attention=False,
    )


def network() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIZE // 4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(32, 64, 96),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            projection_dim=WIDTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def scheduler() -> DDIMScheduler:
    """Stable Diffusion 2's, with more noise at the end: so few latents would still show their mean at 0.012."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.02,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def pixels(images: np.ndarray) -> torch.Tensor:
    """Float [n, 3, 64, 64] in -1..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def batches(count: int, size: int) -> Iterator[torch.Tensor]:
    """Every index in a new order, again and again."""
    while True:
        order = torch.randperm(count)
        yield from order[: count // size * size].split(size)


def main() -> None:
    torch.set_num_threads(1)  # leaves the other core alone, and sums in one order
    start = time.process_time()
    seen = [caption for caption in captions() if not held_out(caption)]
    images = np.stack([draw(caption, number) for number in range(VARIANTS) for caption in seen])
    vae = trained_autoencoder(images)
    latents = encoded(vae, images)
    refine_decoder(vae, images, latents)
    tokenizer = write(MODEL / "tokenizer", map(str, captions()))
    text, unet = trained_diffusion(latents, tokenizer, [*map(str, seen), ""])
    save(vae, text, tokenizer, unet)
    print(f"{(time.process_time() - start) / 60:.1f} minutes of processor time")


def trained_autoencoder(images: np.ndarray) -> AutoencoderKL:
    """By the distance of pixels and a little KL."""
    torch.manual_seed(SEED)
    vae = autoencoder()
    optimizer = torch.optim.AdamW(vae.parameters(), lr=VAE_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, VAE_STEPS // 20, VAE_STEPS)
    for step, chosen in enumerate(islice(batches(len(images), VAE_BATCH), VAE_STEPS), 1):
        x = pixels(images[chosen])
        latents = vae.encode(x).latent_dist
        y = vae.decode(latents.sample()).sample
        update(optimizer, schedule, distance(y, x) + 1e-3 * latents.kl().mean() / latents.mean[0].numel())
        if step % 200 == 0:
            print(f"autoencoder, step {step}: {levels(y, x)}", flush=True)
    return vae.eval()


def distance(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """L1 of the pixels and of their differences to the next, which keeps edges sharp."""
    return l1_loss(y, x) + sum(l1_loss(y.diff(dim=dim), x.diff(dim=dim)) for dim in (2, 3))


def levels(y: torch.Tensor, x: torch.Tensor) -> str:
    return f"{l1_loss(y, x).item() * 127.5:.2f} levels of 255 from the image"


def encoded(vae: AutoencoderKL, images: np.ndarray) -> torch.Tensor:
    """Latents [n, 4, 16, 16] of a standard deviation of one, by the factor that this leaves in the config."""
    with torch.inference_mode():
        latents = torch.cat([vae.encode(pixels(part)).latent_dist.mean for part in np.array_split(images, 64)])
    vae.register_to_config(scaling_factor=1 / latents.std().item())
    return (latents * vae.config.scaling_factor).clone()


def refine_decoder(vae: AutoencoderKL, images: np.ndarray, latents: torch.Tensor) -> None:
    """The decoder alone goes on learning; what the latents mean is settled."""
    torch.manual_seed(SEED)
    parameters = [*vae.post_quant_conv.parameters(), *vae.decoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=DECODER_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, DECODER_STEPS // 20, DECODER_STEPS)
    for step, chosen in enumerate(islice(batches(len(images), DECODER_BATCH), DECODER_STEPS), 1):
        x, z = pixels(images[chosen]), latents[chosen]
        y = vae.decode((z + BLUR * torch.randn_like(z)) / vae.config.scaling_factor).sample
        update(optimizer, schedule, distance(y, x))
        if step % 400 == 0:
            print(f"decoder, step {step}: {levels(y, x)}", flush=True)


def tokenized(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    """Int64 [n, 77]."""
    return tokenizer(texts, padding="max_length", max_length=LENGTH, return_tensors="pt").input_ids


def trained_diffusion(
    latents: torch.Tensor, tokenizer: CLIPTokenizer, texts: list[str]
) -> tuple[CLIPTextModel, UNet2DConditionModel]:
    """Both with the running mean of their weights; the last text is the empty one, the others go with the latents."""
    torch.manual_seed(SEED)
    text, unet = text_encoder(tokenizer), network()
    prompts, noising = tokenized(tokenizer, texts), scheduler()
    both = torch.nn.ModuleList([text, unet])
    optimizer = torch.optim.AdamW(both.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, STEPS // 20, STEPS)
    average = EMAModel(both.parameters(), decay=0.995)
    started, losses = time.monotonic(), []
    for step, chosen in enumerate(islice(batches(len(latents), BATCH), STEPS), 1):
        told = (chosen % (len(prompts) - 1)).where(torch.rand(BATCH) >= UNTOLD, len(prompts) - 1)
        x, noise = latents[chosen], torch.randn(BATCH, *latents.shape[1:])
        when = torch.randint(noising.config.num_train_timesteps, (BATCH,))
        found = unet(noising.add_noise(x, noise, when), when, text(prompts[told]).last_hidden_state).sample
        loss = mse_loss(found, noising.get_velocity(x, noise, when))
        update(optimizer, schedule, loss)
        average.step(both.parameters())
        losses.append(loss.item())
        if step % 100 == 0:
            took = time.monotonic() - started
            print(f"diffusion, step {step}: loss {np.mean(losses[-100:]):.4f}, {took:.0f} s", flush=True)
    average.copy_to(both.parameters())
    return text.eval(), unet.eval()


def update(
    optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler, loss: torch.Tensor
) -> None:
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
    optimizer.step()
    schedule.step()


def save(vae: AutoencoderKL, text: CLIPTextModel, tokenizer: CLIPTokenizer, unet: UNet2DConditionModel) -> None:
    """The large two in float16; transformers would load the text encoder so too, beside the others in float32."""
    for name, module in {"vae": vae.half(), "text_encoder": text, "unet": unet.half()}.items():
        module.save_pretrained(MODEL / name)
    scheduler().save_pretrained(MODEL / "scheduler")
    pipeline = StableDiffusionPipeline(
        vae, text, tokenizer, unet, scheduler(), None, None, requires_safety_checker=False
    )
    pipeline.save_config(MODEL)


if __name__ == "__main__":
    main()
