"""Check that what a manifest says of its processing goes with its models, before any of it is used."""

from __future__ import annotations

from collections.abc import Iterator

from edgepack.containment import contained
from edgepack.errors import BundleDamaged
from edgepack.records import TensorSpec
from edgepack.runtime import golden
from edgepack.runtime.diffusion import autoencoder
from edgepack.runtime.engines import Session
from edgepack.runtime.manifest import REBUILD, Manifest
from edgepack.runtime.processing import Audio, Classes, Diffusion, Embedding, LogMel, Match, Span, Waveform
from edgepack.runtime.submodel import TEXT_MODEL, UNET, VISION_MODEL, Submodel

PLACE = "{}"  # of the label in a Match's template
_SPANS = ("start_logits", "end_logits")
_IMAGE = ("batch", "channels", "height", "width")
_LOGITS = "logits"
_CHANNELS = 1  # their dimension in images and latents


def check_processing(listed: Manifest) -> None:
    """Raises BundleDamaged where the processing contradicts itself, or the inputs that the manifest lists."""
    answer, diffusion = listed.processing.answer, listed.processing.diffusion
    if isinstance(answer, Match) and PLACE not in answer.template:
        raise BundleDamaged(
            f"{listed.folder}: processing.answer.template {answer.template[:60]!r} has no {PLACE}, the label's place",
            hint=REBUILD,
        )
    if listed.processing.audio is not None and (wrong := _of_sounds(listed.processing.audio)):
        raise BundleDamaged(f"{listed.folder}: processing.audio contradicts itself: {wrong}", hint=REBUILD)
    if diffusion is not None and (uneven := _uneven(diffusion)):
        raise BundleDamaged(
            f"{listed.folder}: processing.diffusion.{uneven} has not one value for each of the latent_channels",
            hint=REBUILD,
        )
    for submodel, kind, name, channels, setting in () if diffusion is None else _channels(diffusion):
        found = _dimension(listed, submodel, kind, name)
        if found is not None and found != channels:
            raise BundleDamaged(
                f"{listed.folder}: {kind.removesuffix('s')} {name!r} of the {submodel} has {found} channels, and "
                f"processing.diffusion.{setting} makes it {channels}",
                hint=REBUILD,
            )


def _uneven(diffusion: Diffusion) -> str:
    """Return which of the values by channel are not as many as there are channels; "" where all are."""
    for name in ("latents_mean", "latents_std"):
        values = getattr(diffusion, name)
        if values is not None and len(values) != diffusion.latent_channels:
            return name
    return ""


def _of_sounds(audio: Audio) -> str:
    """Return what of ``audio`` does not go together, in a clause; "" where all does."""
    features = audio.features
    if isinstance(features, Waveform):
        return "the shortest sound is longer than the longest" if audio.min_samples > features.max_samples else ""
    if features.fft_length < features.frame_length:
        return "a frame is longer than its Fourier transform"
    if audio.min_samples < features.frame_length:
        return "the shortest sound is shorter than a frame"
    rising = features.min_frequency < features.max_frequency <= audio.sampling_rate / 2
    return "" if rising else "its bands do not lie between 0 and half the sampling rate"


def _channels(diffusion: Diffusion) -> Iterator[tuple[str, str, str, int, str]]:
    """Yield a submodel, "inputs" or "outputs", a name, the channels there, and the setting that says so."""
    latents = diffusion.latent_channels
    yield UNET, "inputs", "sample", diffusion.unet_channels, "unet_channels"
    yield UNET, "outputs", "out_sample", latents, "latent_channels"
    yield autoencoder.DECODER, "inputs", autoencoder.LATENTS, latents, "latent_channels"
    yield autoencoder.ENCODER, "outputs", autoencoder.PARAMETERS, 2 * latents, "latent_channels"
    yield autoencoder.ENCODER, "outputs", autoencoder.LATENTS, latents, "latent_channels"


def _dimension(listed: Manifest, submodel: str, kind: str, name: str) -> int | None:
    """Return the channels that the manifest lists; None where it has no such input or output, or they vary."""
    if submodel not in listed.models:
        return None
    specs: tuple[TensorSpec, ...] = getattr(listed.models[submodel], kind)
    shape = next((spec.shape for spec in specs if spec.name == name), ())
    found = shape[_CHANNELS] if len(shape) > _CHANNELS else None
    return found if isinstance(found, int) else None


def check_inputs(listed: Manifest, submodel: Submodel, run: Session) -> None:
    """Raises BundleDamaged where an opened submodel takes images of another size than the processing makes, or with
    another number of channels; or other features of sounds.
    """
    image, audio = listed.processing.image, listed.processing.audio
    if audio is not None:
        _check_sounds(listed, submodel, run, audio)
    if image is None:
        return
    size = {"height": image.size.height, "width": image.size.width}
    for spec in run.inputs:
        for side, taken in _sides(spec, image.input).items():
            made = {"channels": image.channels, **size}[side]
            if isinstance(taken, int) and taken != made:
                name = "channels" if side == "channels" else f"size.{side}"
                raise BundleDamaged(
                    f"{spec.name!r} of {submodel.path.name} in {listed.folder} takes images with {side} {taken}, and "
                    f"processing.image.{name} is {made}",
                    hint=REBUILD,
                )


def _check_labels(listed: Manifest, submodel: Submodel, run: Session, count: int) -> None:
    for spec in run.outputs:
        scored = spec.shape[-1] if spec.name == _LOGITS and spec.shape else None
        if isinstance(scored, int) and scored != count:
            raise BundleDamaged(
                f"{spec.name!r} of {submodel.path.name} in {listed.folder} scores {scored} labels, and "
                f"processing.answer names {count}",
                hint=REBUILD,
            )


def _check_sounds(listed: Manifest, submodel: Submodel, run: Session, audio: Audio) -> None:
    features = audio.features
    if audio.input not in {spec.name for spec in run.inputs}:
        raise BundleDamaged(
            f"{submodel.path.name} in {listed.folder} has no input {audio.input[:60]!r}, as processing.audio calls it",
            hint=REBUILD,
        )
    made = (features.frames, features.mel_bins) if isinstance(features, LogMel) else (None,)  # of any length
    for spec in run.inputs:
        taken = [side if isinstance(side, int) else None for side in spec.shape[1:]]
        if spec.name == audio.input and taken != list(made):
            raise BundleDamaged(
                f"{spec.name!r} of {submodel.path.name} in {listed.folder} has the shape {list(spec.shape)}, and "
                f"processing.audio makes {features.TAG[1]} features",
                hint=REBUILD,
            )


def _sides(spec: TensorSpec, image: str) -> dict[str, int | str]:
    """Return the sides of an image that an input states: those of the input ``image``, or of Core ML's images, whose
    colours are made inside; nothing of other inputs.
    """
    if spec.name == image and len(spec.shape) == len(_IMAGE):
        return {side: value for side, value in zip(_IMAGE, spec.shape, strict=True) if side != "batch"}
    if spec.dtype == "uint8" and len(spec.shape) == len(_IMAGE) - 1:
        return {"height": spec.shape[0], "width": spec.shape[1]}
    return {}


def check_outputs(listed: Manifest, submodel: Submodel, run: Session) -> None:
    """Raises BundleDamaged where an opened submodel lacks an output that its task reads, or gives vectors of another
    width, or scores for another number of labels, than the manifest says.
    """
    given = {spec.name: spec for spec in run.outputs}
    missing = _read(listed, submodel) - given.keys()
    if missing:
        raise BundleDamaged(
            f"{submodel.path.name} in {listed.folder} does not give {min(missing)!r}, which its task needs",
            hint=REBUILD,
        )
    answer, output = listed.processing.answer, _vectors(listed, submodel)
    if isinstance(answer, Classes):
        _check_labels(listed, submodel, run, len(answer.labels))
    width = answer.width if isinstance(answer, Embedding | Match) else None
    if width is None or not output:
        return
    found = _width(listed, submodel, given[output])
    if found is not None and found != width:
        raise BundleDamaged(
            f"{submodel.path.name} in {listed.folder} gives vectors of {found} numbers, and processing.answer.width "
            f"is {width}",
            hint=REBUILD,
        )


def _read(listed: Manifest, submodel: Submodel) -> set[str]:
    """Return the outputs that are read of a submodel: by its task, and by its golden vectors."""
    read = {submodel.golden.output, *(_SPANS if isinstance(listed.processing.answer, Span) else ())}
    read |= {output} if (output := _vectors(listed, submodel)) else set()
    diffusion = listed.processing.diffusion
    for encoder in () if diffusion is None else diffusion.encoders:
        if encoder.submodel == submodel.name:
            read |= {encoder.hidden, *encoder.skipping, *([encoder.pooled] if encoder.pooled else [])}
    return read


def _vectors(listed: Manifest, submodel: Submodel) -> str:
    """Return the output that holds a submodel's vectors; "" where its task reads none."""
    answer = listed.processing.answer
    if isinstance(answer, Match):
        return {TEXT_MODEL: answer.text_output, VISION_MODEL: answer.image_output}.get(submodel.name, "")
    return answer.output if isinstance(answer, Embedding) else ""


def _width(listed: Manifest, submodel: Submodel, output: TensorSpec) -> int | None:
    """Return the numbers of a vector, as the graph states them, else as the golden vectors have them."""
    stated = output.shape[-1] if output.shape else None
    if isinstance(stated, int) or submodel.golden.output != output.name:
        return stated if isinstance(stated, int) else None
    tensors = golden.read(contained(listed.folder, submodel.golden.file))
    ending = f".output.{output.name}"
    return next((value.shape[-1] for key, value in tensors.items() if key.endswith(ending) and value.ndim), None)
