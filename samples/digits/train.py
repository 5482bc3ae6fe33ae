"""Train a small vision transformer on scikit-learn's handwritten digits: python train.py

Writes model/ (under 1 MB). Takes about two minutes on two cores; the seed makes it the same each time on one machine.
"""

from pathlib import Path

import numpy as np
import torch
from digits import held_out, training
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

EPOCHS, BATCH, RATE, SEED = 140, 64, 1.5e-3, 0
MODEL = Path(__file__).parent / "model"


def network() -> ViTForImageClassification:
    names = {i: str(i) for i in range(10)}
    return ViTForImageClassification(
        ViTConfig(
            image_size=8,
            patch_size=2,
            num_channels=1,
            hidden_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=192,
            hidden_dropout_prob=0.1,
            id2label=names,
            label2id={name: i for i, name in names.items()},
        )
    )


def pixels(images: np.ndarray) -> torch.Tensor:
    """Float [n, 1, 8, 8] in -1..1, as preprocessor_config.json says."""
    return torch.from_numpy(images).float()[:, None] / 255 * 2 - 1


def varied(batch: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Each digit turned, stretched and moved a little, so that the model does not learn places by heart."""
    count = len(batch)
    angle, move = rng.normal(0, 0.12, count), rng.normal(0, 0.06, (2, count))
    size = 1 + rng.normal(0, 0.08, (2, count))
    turn = np.stack(
        [[np.cos(angle) * size[0], -np.sin(angle), move[0]], [np.sin(angle), np.cos(angle) * size[1], move[1]]]
    )
    grid = torch.nn.functional.affine_grid(
        torch.from_numpy(turn).permute(2, 0, 1).float(), batch.shape, align_corners=False
    )
    return torch.nn.functional.grid_sample(batch + 1, grid, align_corners=False) - 1


def main() -> None:
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    images, labels = training()
    x, y = pixels(images), torch.from_numpy(labels)
    model = network()
    steps = EPOCHS * (len(x) // BATCH + 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        model.train()
        for chosen in torch.from_numpy(rng.permutation(len(x))).split(BATCH):
            loss = model(pixel_values=varied(x[chosen], rng), labels=y[chosen]).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if epoch % 20 == 19:
            print(f"epoch {epoch + 1}: loss {loss.item():.3f}")
    report(model.eval())
    model.save_pretrained(MODEL)
    ViTImageProcessor(
        size={"height": 8, "width": 8}, image_mean=[0.5], image_std=[0.5], do_convert_rgb=False
    ).save_pretrained(MODEL)


def report(model: ViTForImageClassification) -> None:
    images, labels = held_out()
    with torch.inference_mode():
        right = (model(pixel_values=pixels(images)).logits.argmax(1).numpy() == labels).mean()
    print(f"{right:.2%} of {len(labels)} held-out digits are right")


if __name__ == "__main__":
    main()
