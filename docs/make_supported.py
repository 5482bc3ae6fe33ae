"""Write docs/supported.md from the table that the code goes by: python docs/make_supported.py"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import popular_models

from edgepack import plugins
from edgepack.tasks import _supported

PAGE = Path(__file__).parent / "supported.md"
HEAD = """# Supported models

Generated from the code: what `config.json` may say under `architectures`, by task and `model_type`. Each entry is built
and compared with transformers in the tests. Weights are safetensors in bf16, fp16 or fp32, as transformers finds them:
`model.safetensors`, else the shards of `model.safetensors.index.json`; a file that `transformers_weights` in
config.json names comes first. Every stored tensor is used, or is known to play no part in the task, or is an error.

A LoRA or DoRA adapter of PEFT is merged into the weights with `--adapter FOLDER`. What other tools quantized (GPTQ,
AWQ, bitsandbytes, MLX, GGUF, fp8, …) is refused by name: edgepack starts from the original weights. MXFP4 is read where
it is the original, in gpt-oss.

Checkpoints of timm, as timm publishes them and in transformers' wrapper (`timm_wrapper`), need
`pip install 'edgepack[timm]'`: timm itself is the original, with its own evaluation transform (`crop_mode` center and
squash). It imports torchvision, which has to be of the same build as PyTorch: pip's own are, on Linux, macOS and Arm;
beside PyTorch for the CPU alone take torchvision from the same index. DINOv3's image processor needs torchvision too.
Of timm's architectures the tests build small MobileNetV4s, ResNets and vision transformers; there is no code for any
one family, and each bundle is measured against timm.

A model whose type is not listed for a task may still be tried with `--task`, where transformers has a class for it; it
is measured as every bundle is, but no test of edgepack covers it. Video, detection, segmentation and
encoder-decoder models, and with these speech recognition, are not supported; of T5 and its kin text-embedding takes the
encoder.

An image's vector is the model's projection where it has one, else its pooled output, else its class token; an encoder
with none of the three (SigLIP without its head, SegFormer) is refused. Models of sounds take waveforms
(Wav2Vec2FeatureExtractor) or AST's log-mel features: [sounds](sounds.md).
"""


CHECKPOINTS = """## The checkpoints that are asked for most

{packed} of these {all} are packed: a small model of the same class, with random weights, is built and compared with
transformers in the tests. Of every other one edgepack says what is told here, and a hint with the way on. The
verdicts are worked out from what each config.json says ([the list](popular-models.toml)). No ranking of checkpoints by
downloads for each task could be had: the list was put together from counts that were published between October 2025
and May 2026 (the daily lists of hyeonseo2/daily-huggingface, lbourdois' statistics of the hub, the models that Text
Embeddings Inference names), and filled up with the best known of each task; its order is no rank.
"""
RANKING = "text-ranking"
RERANKERS = """The architectures of text-classification, with one label, and language models that answer with a
word: folders of sentence-transformers' CrossEncoder, and others with `--task text-ranking` ([texts](texts.md)).

| model type | language models |
| --- | --- |
{words}
"""
IMAGES = "text-to-image"
PIPELINES = """Folders of diffusers, by `_class_name` in `model_index.json`, of
UNet2DConditionModel with AutoencoderKL or AutoencoderTiny and CLIP's text encoders: Stable Diffusion 1.x and 2.x (noise
or velocity), XL and its Turbo, latent consistency models, inpainting's UNets of nine channels. Schedulers: DDIM, PNDM,
Euler, Euler ancestral, DPM-Solver++ (multistep), LCM ([images from prompts](text-to-image.md)). How each is held
against diffusers: [Stable Diffusion](stable-diffusion.md). A LoRA in diffusers' names or kohya's is merged with
`--adapter FILE:0.8`; several one after the other, each at its scale.
"""


def text() -> str:
    """The page."""
    parts = [HEAD]
    for task, families in _supported.TABLE.items():
        title = plugins.load("tasks", task).TITLE
        if task == RANKING:
            parts.append(f"## {task}\n\n{title[0].upper()}{title[1:]}. {RERANKERS.format(words=_words(families))}")
            continue
        rows = [f"| {model_type} | {', '.join(names)} |" for model_type, names in sorted(families.items())]
        parts.append("\n".join([f"## {task}\n\n{title[0].upper()}{title[1:]}.\n", "| model type | architectures |",
                                "| --- | --- |", *rows]) + "\n")  # fmt: skip
    made = plugins.load("tasks", IMAGES)
    rows = "\n".join(f"| {name} |" for name in sorted(made.ARCHITECTURES))
    parts.append(
        f"## {IMAGES}\n\n{made.TITLE[0].upper()}{made.TITLE[1:]}. {PIPELINES}\n| pipeline |\n| --- |\n{rows}\n"
    )
    return "\n".join([*parts, _checkpoints()])


def _words(families: Mapping[str, Sequence[str]]) -> str:
    """The language models among the rerankers."""
    named = [(name, each) for name, classes in families.items() for each in classes if each.endswith("ForCausalLM")]
    return "\n".join(f"| {name} | {each} |" for name, each in sorted(named))


def _checkpoints() -> str:
    """The list of the checkpoints that are asked for most, each with edgepack's verdict."""
    found = [popular_models.verdict(row) for row in popular_models.rows()]
    packed = sum(1 for each in found if each.task)
    lines = [f"| {each.row.checkpoint} | {each.row.task} | {_told(each)} |" for each in found]
    table = "\n".join(["| checkpoint | for | verdict |", "| --- | --- | --- |", *lines])
    return f"{CHECKPOINTS.format(packed=packed, all=len(found))}\n{table}\n"


def _told(found: popular_models.Verdict) -> str:
    if not found.task:
        return f"refused: {found.reason}"
    return "packed" + (f", with `{found.how}`" if found.how else "")


if __name__ == "__main__":
    PAGE.write_text(text(), "utf-8")
