"""Language models: edgepack's bundles beside onnxruntime-genai's and llama.cpp's.

    python benchmarks/language_models.py --build --speed     # a random TinyLlama 1.1B
    python benchmarks/language_models.py --quality           # a real small LLaMA, on stories
    python benchmarks/language_models.py --large             # what building LLaMA-2 7B takes; 18 GB of disk

--build: seconds, peak memory and bytes written of each one's conversion, from nothing. --speed: tokens per second of
reading a prompt and of greedy decoding, each contestant a process of its own, in turns; turns in which something
else ran are tried again. --quality: Kullback-Leibler divergence of the next token's distribution from the
original's, over the first tokens of every story. The peers are installed on first use (see peers.py).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import replace
from fnmatch import fnmatch
from math import prod
from pathlib import Path

import numpy as np
import peers
import random_llama
from peers import Contestant, Worker
from tokenizers import Tokenizer

from edgepack import targets, weights
from edgepack.decoders import describe
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.original.decoder import Reference

DATA = Path(__file__).parents[2] / "shared" / "data"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
WINDOW = 256  # tokens of a story that are looked at: the small model's context
BASES = ("genai int4", "llama.cpp Q4_0", "edgepack int4")  # that speeds are divided by


def main() -> None:
    parser = argparse.ArgumentParser(
        description="edgepack's language models beside onnxruntime-genai's and llama.cpp's"
    )
    for name in ("build", "speed", "quality", "large"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--work", type=Path, default=CACHE / "edgepack-benchmarks", help="where models go, and stay")
    parser.add_argument("--venvs", type=Path, default=CACHE / "peers", help="where the peers are installed")
    parser.add_argument("--data", type=Path, default=DATA, help="has babyllama361/ and tinystories/stories.txt")
    parser.add_argument("--only", nargs="+", default=["*"], help="contestants, as 'edgepack*' 'llama.cpp Q4_0'")
    parser.add_argument("--recipes", nargs="+", help="edgepack's (default: int4; for --quality int8 and fp16 too)")
    parser.add_argument("--shape", choices=random_llama.SHAPES, default="1b", help="of --build and --speed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=128, help="tokens")
    parser.add_argument("--tokens", type=int, default=64, help="that are decoded after the prompt")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if not any((arguments.build, arguments.speed, arguments.quality, arguments.large)):
        parser.error("say --build, --speed, --quality or --large")
    if arguments.build or arguments.speed:
        entries = chosen(arguments, random_model(arguments.work, arguments.shape), ["int4"])
        if arguments.build:
            show_costs(entries)
        if arguments.speed:
            show_speed([*entries, *runtimes(entries)], arguments)
    if arguments.quality:
        entries = chosen(arguments, arguments.data / "babyllama361", ["fp16", "int8", "int4"])
        show_quality(entries, arguments)
    if arguments.large:
        model, target = random_model(arguments.work, "7b"), roomy_target(arguments.work)
        show_costs([peers.edgepack(model, arguments.work / f"of-{model.name}" / "edgepack-int4", "int4", target)])


def random_model(work: Path, shape: str) -> Path:
    """The folder of random weights, written where it is not there yet."""
    folder = work / f"llama-{shape}"
    if not (folder / "config.json").exists():
        random_llama.write(folder, shape)
    return folder


def roomy_target(work: Path) -> Path:
    """The target desktop with 16 GB for a model; the built-in ones give 4 GB at most, and refuse 7B."""
    folder = work / "desktop-32gb"
    folder.mkdir(parents=True, exist_ok=True)
    text = (targets.ROOT / "desktop" / "target.toml").read_text(encoding="utf-8")
    (folder / "target.toml").write_text(text.replace('memory = "4 GB"', 'memory = "16 GB"'), encoding="utf-8")
    return folder


def chosen(arguments: argparse.Namespace, model: Path, recipes: list[str]) -> list[Contestant]:
    """The contestants that --only names."""
    out = arguments.work / f"of-{model.name}"
    found = peers.contestants(model, out, arguments.venvs, arguments.recipes or recipes)
    return [one for one in found if any(fnmatch(one.name, pattern) for pattern in arguments.only)]


def runtimes(entries: list[Contestant]) -> list[Contestant]:
    """Edgepack's bundles in edgepack's own runtime, which generates as ``edgepack run`` does."""
    ours = [entry for entry in entries if entry.script == "peer_edgepack.py"]
    return [replace(one, name=one.name.replace("edgepack", "runtime"), script="peer_runtime.py") for one in ours]


def show_costs(entries: list[Contestant]) -> None:
    """Build each from nothing."""
    print(f"\n{'build':18}{'seconds':>9}{'peak MB':>9}{'written MB':>12}{'to disk MB':>12}{'model MB':>10}")
    for entry in entries:
        cost = peers.make(entry)
        sizes = f"{cost.peak / 1e6:9.0f}{cost.written / 1e6:12.0f}{cost.stored / 1e6:12.0f}{entry.bytes / 1e6:10.1f}"
        print(f"{entry.name:18}{cost.seconds:9.1f}{sizes}", flush=True)


def show_speed(entries: list[Contestant], arguments: argparse.Namespace) -> None:
    """Tokens per second of each, and medians of the ratios to the same round of BASES."""
    workers = open_all(entries, arguments.threads)
    kinds = {
        "prefill": (arguments.prompt, ("prefill", arguments.prompt)),
        "decode": (1, ("decode", arguments.prompt, arguments.tokens)),
    }
    speeds, others = measure_speed(workers, kinds, arguments.rounds)
    bases = [base for base in BASES if base in workers]
    columns = "".join(f"{f'{kind} tok/s':>15}" + "".join(f"{f'/ {base}':>18}" for base in bases) for kind in kinds)
    print(f"\n{'speed':18}{columns}{'peak MB':>9}{'load s':>8}{'others':>8}")
    for name, worker in workers.items():
        line = f"{name:18}"
        for kind in kinds:
            line += f"{np.median(speeds[name, kind]):15.1f}"
            line += "".join(f"{np.median(speeds[name, kind] / speeds[base, kind]):18.2f}" for base in bases)
        print(f"{line}{worker.ask('memory') / 1e6:9.0f}{worker.load:8.2f}{others[name]:8.2f}")
        worker.close()
    print(f"prompt of {arguments.prompt} tokens, {arguments.tokens} decoded, {arguments.threads} threads;", end=" ")
    print("others: cores that other processes used in the worst turn; above", peers.QUIET, "do not trust the line")


def measure_speed(
    workers: dict[str, Worker], kinds: dict[str, tuple[int, tuple[object, ...]]], rounds: int
) -> tuple[dict[tuple[str, str], np.ndarray], dict[str, float]]:
    """Tokens per second [rounds] of each worker and kind (its tokens and its command), and each worker's ``others``."""
    speeds: dict[tuple[str, str], list[float]] = {(name, kind): [] for name in workers for kind in kinds}
    others = dict.fromkeys(workers, 0.0)
    for turn in range(rounds + 1):
        for kind, (tokens, command) in kinds.items():
            for name, worker in workers.items():
                seconds, used = worker.quietly(*command)
                if turn:  # the first one loads pages
                    speeds[name, kind].append(tokens / seconds)
                    others[name] = max(others[name], used)
    return {key: np.array(values) for key, values in speeds.items()}, others


def open_all(entries: list[Contestant], threads: int) -> dict[str, Worker]:
    """Every contestant's process; what was not built before is built."""
    for entry in entries:
        if not entry.out.exists():
            peers.make(entry)
    return {entry.name: Worker(entry, threads) for entry in entries}


def show_quality(entries: list[Contestant], arguments: argparse.Namespace) -> None:
    """How far each one's next-token distributions are from the original's."""
    model = arguments.data / "babyllama361"
    ids = windows(arguments.data / "tinystories" / "stories.txt", model / "tokenizer.json")
    decoder = describe(json.loads((model / "config.json").read_text()))
    original = Reference(Checkpoint(model, decoder)).logits(ids)
    parameters = sum(prod(tensor.shape) for file in weights.files(model) for tensor in weights.tensors(file))
    print(f"\n{'quality':18}{'MB':>8}{'bits':>7}{'KL mean':>11}{'median':>11}{'p99':>10}{'same top':>10}")
    for entry, worker in zip(entries, open_all(entries, arguments.threads).values(), strict=True):
        found = logits(worker, ids)
        divergence = kullback_leibler(original, found)
        same = 100 * np.mean(original.argmax(-1) == found.argmax(-1))
        mean, median, high = divergence.mean(), np.median(divergence), np.quantile(divergence, 0.99)
        line = f"{entry.bytes / 1e6:8.3f}{8 * entry.bytes / parameters:7.2f}{mean:11.6f}{median:11.6f}{high:10.4f}"
        print(f"{entry.name:18}{line}{same:9.2f}%")
    print(
        f"{ids.shape[0]} stories, {ids.shape[1]} tokens of each; bits: of the file, for each of {parameters} parameters"
    )


def logits(worker: Worker, ids: np.ndarray) -> np.ndarray:
    """float32 [windows, tokens, vocabulary], and the end of the worker."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answer = Path(folder) / "ids.npy", Path(folder) / "logits.npy"
        np.save(asked, ids)
        worker.ask("logits", asked, answer)
        worker.close()
        return np.load(answer)


def windows(stories: Path, tokenizer: Path) -> np.ndarray:
    """int64 [stories, WINDOW]: how each story begins, <s> first; those that are shorter are left out."""
    read = Tokenizer.from_file(str(tokenizer))
    texts = stories.read_text(encoding="utf-8").split("\n\n")
    ids = [read.encode(text).ids for text in texts]
    return np.array([story[:WINDOW] for story in ids if len(story) >= WINDOW], np.int64)


def kullback_leibler(original: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Sum of p log(p / q) in nats, float64 [windows, tokens], for logits [windows, tokens, vocabulary]."""
    result = np.empty(original.shape[:2])
    for index, (own, other) in enumerate(zip(original, found, strict=True)):
        p, q = log_softmax(own.astype(np.float64)), log_softmax(other.astype(np.float64))
        result[index] = (np.exp(p) * (p - q)).sum(-1)
    return result


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


if __name__ == "__main__":
    main()
