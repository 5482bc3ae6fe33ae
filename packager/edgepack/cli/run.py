"""edgepack run: try a bundle."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from edgepack import runtime
from edgepack.arrays import Example, TaskModel
from edgepack.cli import answers, chat, on_device, text_to_image
from edgepack.cli.options import (
    Bundle,
    Json,
    OnDevice,
    Prepare,
    PublicKey,
    RootCertificate,
    Threads,
    Trust,
    output_path,
    size_of,
)
from edgepack.errors import UsageError
from edgepack.runtime.opening import opened
from edgepack.runtime.shapes import GENERATION

ZERO_SHOT = "zero-shot-image-classification"
PAIRED = ("text-classification", "text-ranking")


def run(
    bundle: Bundle,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Texts, images, WAV files, or a question and its context. A language model without one opens a chat.",
            metavar="INPUT",
            show_default=False,
        ),
    ] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option(
            help="Second text of an input, for models that score pairs. Repeatable.",
            metavar="<text>",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            help="Candidate labels for zero-shot models, e.g. 'a cat,a dog'. Repeatable.",
            metavar="<labels>",
            show_default=False,
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(help="Prompt around a label, e.g. 'a photo of {}' (default: the model's own).", metavar="<text>"),
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Maximum new tokens (default: 256).", metavar="<n>")] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="Sampling temperature; 0 always takes the most likely token (default: 0).", metavar="<x>"),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(help="Sample from the k most likely tokens; 0: from all (default: 0).", metavar="<k>")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            help="Nucleus sampling: the smallest set of tokens with this total probability (default: 1).", metavar="<p>"
        ),
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option(
            help="Drop tokens below this share of the most likely token's probability (default: 0).", metavar="<p>"
        ),
    ] = None,
    repetition_penalty: Annotated[
        float | None, typer.Option(help="Above 1: less repetition (default: the model's own).", metavar="<x>")
    ] = None,
    stop: Annotated[list[str] | None, typer.Option(help="Stop before this text. Repeatable.", metavar="<text>")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed: the same one gives the same text or image.", metavar="<n>")
    ] = None,
    system: Annotated[str | None, typer.Option(help="System message of a chat.", metavar="<text>")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="PNG file to write.", metavar="<path>", parser=output_path),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Denoising steps (default: the model's own).", metavar="<n>")
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="How closely an image follows its prompt (default: the model's own).", metavar="<x>"),
    ] = None,
    negative: Annotated[
        str | None, typer.Option(help="Negative prompt: what the image should not show.", metavar="<text>")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Width x height of an image in pixels (default: the model's own).", metavar="<wxh>"),
    ] = None,
    images: Annotated[int | None, typer.Option(help="Images of each prompt (default: 1).", metavar="<n>")] = None,
    image: Annotated[Path | None, typer.Option(help="Image to start from.", metavar="<path>")] = None,
    strength: Annotated[
        float | None,
        typer.Option(help="How much of it may change, 0 to 1 (default: 0.8, with a mask 1).", metavar="<x>"),
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="Mask: an image that is bright where --image is repainted.", metavar="<path>")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="ddim, pndm, euler, euler_ancestral, dpm_solver_multistep or lcm.", metavar="<name>"),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(help="Decode as many pixels at a time as a tile of this side: less memory.", metavar="<n>"),
    ] = None,
    preview: Annotated[
        Path | None,
        typer.Option(
            help="PNG file of what is coming, small, written anew after each step.",
            metavar="<path>",
            parser=output_path,
        ),
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option(
            help="What the process may take while it makes an image, such as 1GB.",
            metavar="<size>",
            parser=size_of("--memory"),
        ),
    ] = None,
    public_key: PublicKey = None,
    root_certificate: RootCertificate = None,
    threads: Threads = None,
    device: OnDevice = None,
    prepare: Prepare = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Run a bundle on texts, images or sounds, make images, or chat.

    On this machine, or on a device with --device.
    """
    stated = {
        "max_tokens": max_tokens, "temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p,
        "repetition_penalty": repetition_penalty, "stop": stop or None,
    }  # fmt: skip
    drawing = {
        "steps": steps, "guidance": guidance, "negative_prompt": negative, "images": images, "image": image,
        "strength": strength, "mask": mask, "scheduler": scheduler, "tile": tile,
    }  # fmt: skip
    options = {name: value for name, value in stated.items() if value is not None}
    listed = opened(bundle, verify=False, trust=trust)  # what an archive holds was hashed when it was unpacked
    task = listed.task
    if pair and task not in PAIRED:
        raise UsageError(f"--pair is for {' and '.join(PAIRED)}; this bundle's task is {task}")
    named = _labels(task, labels, template)
    _check(task, inputs or [], [*options, *(["system"] if system is not None else [])], json)
    _check_drawing(
        task, [*drawing.items(), ("size", size), ("output", output), ("preview", preview), ("memory", memory)], seed
    )
    if seed is not None:
        options["seed"] = drawing["seed"] = seed
    file = text_to_image.check(output, listed) if task == text_to_image.TASK else None
    drawing = text_to_image.options(drawing, size)
    if file is not None and preview is not None:
        text_to_image.check_preview(preview, listed, file)
    signed = public_key is not None or bool(root_certificate)

    def act(model: TaskModel) -> None:
        if file is not None:
            text_to_image.make(model, list(inputs or []), drawing, file, json, preview=preview)
        elif task == ZERO_SHOT:
            classify = partial(model.classify, labels=named, template=template)
            answers.predict(classify, list(inputs or []), json, task=task)
        elif task != GENERATION:
            examples = _paired(inputs or [], pair) if pair else _examples(task, inputs or [])
            answers.predict(model.predict, examples, json, task=task)
        elif inputs:
            answers.complete(model, [_prompt(text, system) for text in inputs], inputs, options, json)
        else:
            chat.chat(model, options, system)

    if device is not None:
        if memory is not None or signed:
            raise UsageError("--memory and signatures are for this machine", hint="leave them out, or --device")
        checked = opened(listed.folder, trust=trust)
        with on_device.runner(checked, device, threads, prepare=prepare, say=lambda text: None) as there:
            act(there.model())
        return
    on_device.check_here(prepare=prepare)
    model = runtime.load(
        listed.folder,
        threads=threads,
        verify=bundle.is_dir() or signed,
        trust=trust,
        public_key=public_key,
        root_certificates=root_certificate or None,
        one_at_a_time=file is not None and len(inputs or []) == 1,
        memory=memory,
    )
    act(model)


def _check(task: str, inputs: list[str], options: list[str], json: bool) -> None:
    """Raises UsageError for what the task cannot use, before the model is opened."""
    if task == GENERATION:
        if json and not inputs:
            raise UsageError(
                "--json needs an input: a chat has no JSON form", hint='edgepack run BUNDLE "Once upon a time" --json'
            )
        return
    if not inputs:
        raise UsageError(f"a model for {task} needs an input", hint='edgepack run BUNDLE "…"')
    if options:
        raise UsageError(f"--{options[0].replace('_', '-')} is for language models; this bundle's task is {task}")


def _check_drawing(task: str, options: list[tuple[str, object]], seed: int | None) -> None:
    """Raises UsageError for what only models that make images, or these and language models, can use."""
    stated = ["--" + name.removesuffix("_prompt") for name, value in options if value is not None]
    if stated and task != text_to_image.TASK:
        raise UsageError(f"{stated[0]} is for models that make images; this bundle's task is {task}")
    if seed is not None and task not in (GENERATION, text_to_image.TASK):
        raise UsageError(f"--seed is for models that generate; this bundle's task is {task}")


def _labels(task: str, given: list[str] | None, template: str | None) -> list[str]:
    """Return the labels that the options name. Raises UsageError where the task needs some, or has no use for them."""
    if task != ZERO_SHOT and (given or template is not None):
        raise UsageError(
            f"--{'labels' if given else 'template'} is for {ZERO_SHOT}; this bundle's task is {task}",
            hint="edgepack inspect BUNDLE shows what it takes",
        )
    found = [label.strip() for text in given or () for label in text.split(",") if label.strip()]
    if task == ZERO_SHOT and not found:
        raise UsageError("no labels given", hint='edgepack run BUNDLE image.png --labels "a cat,a dog"')
    return found


def _prompt(text: str, system: str | None) -> str | list[dict[str, str]]:
    """Return a text to go on from; with a system message a question to answer."""
    if system is None:
        return text
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def _examples(task: str, inputs: list[str]) -> list[Example]:
    if task != "question-answering":
        return list(inputs)
    if len(inputs) != 2:
        raise UsageError(
            "question answering takes a question and a context", hint='edgepack run BUNDLE "Who?" "Ada wrote it."'
        )
    return [(inputs[0], inputs[1])]


def _paired(inputs: list[str], pair: list[str]) -> list[Example]:
    """Return each input with its second text; one input with each of several, as a query with its passages."""
    firsts = inputs * len(pair) if len(inputs) == 1 else inputs
    if len(firsts) != len(pair):
        raise UsageError(
            f"{len(inputs)} inputs and {len(pair)} second texts",
            hint='edgepack run BUNDLE "a question" --pair "one passage" --pair "another"',
        )
    return list(zip(firsts, pair, strict=True))
