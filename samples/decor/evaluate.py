"""Do the asked colour and furniture come out? python evaluate.py [--bundle BUNDLE] [--captions 40] [--images 4]

Makes images for the captions that training never saw, by diffusers' own pipeline or a bundle, and judges their
pixels by the rules of judge.py; the same for as many captions that it did see, and for drawings, which shows what the
rules are worth. Leaves the images of the held-out captions in held-out.png.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from judge import judge
from rooms import Caption, captions, draw, held_out, sheet

import edgepack

MODEL = Path(__file__).parent / "model"
STEPS, GUIDANCE = 20, 3.0
Generate = Callable[[Caption, int], np.ndarray]


def pipeline() -> Generate:
    """Images uint8 [64, 64, 3] by a caption and a seed."""
    model = StableDiffusionPipeline.from_pretrained(MODEL)
    model.set_progress_bar_config(disable=True)

    def generate(caption: Caption, seed: int) -> np.ndarray:
        noise = torch.Generator().manual_seed(seed)
        made = model(str(caption), num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=noise)
        return np.asarray(made.images[0])

    return generate


def of_bundle(bundle: Path) -> Generate:
    """The same, by edgepack's runtime."""
    model = edgepack.load(bundle)
    return lambda caption, seed: model.generate(str(caption), steps=STEPS, guidance=GUIDANCE, seed=seed)[0].pixels


def report(name: str, asked: Sequence[Caption], each: int, generate: Generate) -> tuple[float, list[np.ndarray]]:
    """Print the shares of all images, so many of each caption; return the smaller one, and the first of each."""
    made = {(caption, seed): generate(caption, seed) for caption in asked for seed in range(each)}
    verdicts = {key: judge(key[0], image) for key, image in made.items()}
    colour, furniture = np.mean(list(verdicts.values()), axis=0)
    print(f"{name}: the colour comes out in {colour:.1%}, the furniture in {furniture:.1%} of {len(made)} images")
    missed = dict.fromkeys(str(caption) for (caption, _), verdict in verdicts.items() if not all(verdict))
    print("".join(f"  missed: {text}\n" for text in missed), end="", flush=True)
    return min(colour, furniture), [made[caption, 0] for caption in asked]


def chosen(count: int, *, unseen: bool) -> list[Caption]:
    """So many captions, the same each time, of those that training saw or did not see."""
    every = [caption for caption in captions() if held_out(caption) == unseen]
    return [every[number] for number in sorted(np.random.default_rng(0).permutation(len(every))[:count])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="judge its images, not diffusers'")
    parser.add_argument("--captions", type=int, choices=range(1, 41), metavar="1..40", default=40)
    parser.add_argument("--images", type=int, default=4, help="of each caption")
    parser.add_argument("--at-least", type=float, default=0.0, metavar="SHARE", help="of held-out captions")
    arguments = parser.parse_args()
    unseen, each = chosen(arguments.captions, unseen=True), arguments.images
    report("drawings", unseen, each, lambda caption, seed: draw(caption, 1000 + seed))
    generate = of_bundle(arguments.bundle) if arguments.bundle else pipeline()
    report("captions of the training", chosen(arguments.captions, unseen=False), each, generate)
    share, shown = report("held-out captions", unseen, each, generate)
    sheet(shown, 8).save("held-out.png")
    if share < arguments.at_least:
        raise SystemExit(f"{share:.1%} of the images show what was asked for; {arguments.at_least:.1%} have to")


if __name__ == "__main__":
    main()
