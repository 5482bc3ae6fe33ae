"""How a bundle's inputs are made and its outputs read: the records under ``processing`` in edgepack.json.

Apps in other languages are generated from these records, so that a field holds numbers, texts, truth values, lists of
them, or records. The keywords beside a type are those of JSON Schema; docs/make_bundle_schema.py writes them into
schemas/bundle-2.json. What a step does is stated in docs/bundle-format.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, TypeVar

from edgepack.documents import Json, JsonDict, JsonObject
from edgepack.errors import BundleError
from edgepack.runtime import record_json
from edgepack.runtime.audio.records import Audio as Audio
from edgepack.runtime.audio.records import LogMel as LogMel
from edgepack.runtime.audio.records import Waveform as Waveform
from edgepack.runtime.diffusion.records import Diffusion as Diffusion
from edgepack.runtime.diffusion.records import PromptEncoder as PromptEncoder
from edgepack.runtime.diffusion.records import Schedule as Schedule
from edgepack.runtime.ranges import Id, Pixels, Special, Tokens, Words
from edgepack.runtime.record_json import Rule

R = TypeVar("R")
Ratio = Annotated[float, Rule(exclusiveMinimum=0, maximum=64)]
Divisor = Annotated[float, Rule(anyOf=[{"exclusiveMinimum": 0}, {"exclusiveMaximum": 0}])]
_CHANNELS = Rule(minItems=1, maxItems=4)
PerChannel = Annotated[tuple[float, ...], _CHANNELS]
Labels = Annotated[tuple[Words, ...], Rule(minItems=1, maxItems=1_000_000)]
End = Literal["left", "right"]
ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
Resampling = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The text of a chat template around a pair: ``before``, the first text, ``between``, the second, ``end``."""

    before: Words
    between: Words
    end: Words
    tail: Annotated[tuple[Id, ...], Rule(maxItems=10_000)]  # the ids of ``end``, which stay where a pair is cut
    # with a prompt there is ``before_prompt``, the prompt and ``behind_prompt`` in the place of ``before``; without
    # these two the template has no place for one
    before_prompt: Words | None = None
    behind_prompt: Words | None = None


@dataclass(frozen=True, kw_only=True)
class Text:
    """Texts to token ids, int64 [batch, tokens], by tokenizer.json."""

    inputs: Annotated[tuple[Words, ...], Rule(minItems=1, maxItems=3)]  # input_ids, attention_mask, token_type_ids
    max_length: Tokens  # longer texts are cut
    pad_id: Id
    pad_token: Words
    pad_type_id: Id
    padding_side: End
    truncation_side: End
    # tokens that two windows share, where the second text of a pair is not cut but read in windows
    stride: Annotated[int, Rule(minimum=0, maximum=10_000_000)] | None = None
    prompts: Annotated[Mapping[str, Words], Rule(maxProperties=10_000)] = field(default_factory=dict)  # by name
    default_prompt: Words | None = None  # the name of the one that is put in front of every text
    include_prompt: bool = True  # whether a prompt's tokens are pooled with the text's
    fixed_length: Tokens | None = None  # that each text is padded to; None: to the longest of its batch
    frame: Frame | None = None  # that pairs are put into; no special tokens are added to what it makes
    pairs: bool | None = None  # False where the model knows one kind of texts alone, and a pair's second is of another


@dataclass(frozen=True, kw_only=True)
class Resize:
    """Resize to a height and a width, whatever the proportions."""

    TAG: ClassVar = ("op", "resize")
    resample: Resampling
    height: Pixels
    width: Pixels


@dataclass(frozen=True, kw_only=True)
class ResizeShortestEdge:
    """Resize so that the shorter side has a length, and the longer one no more than another."""

    TAG: ClassVar = ("op", "resize_shortest_edge")
    resample: Resampling
    shortest_edge: Pixels
    longest_edge: Pixels | None = None
    multiple_of: Pixels | None = None  # that both sides are rounded up to


@dataclass(frozen=True, kw_only=True)
class ResizeWithin:
    """Resize to the largest size of the same proportions that fits."""

    TAG: ClassVar = ("op", "resize_within")
    resample: Resampling
    max_height: Pixels
    max_width: Pixels


@dataclass(frozen=True, kw_only=True)
class CenterCrop:
    """Cut the centre out; what lies outside of the image is black."""

    TAG: ClassVar = ("op", "center_crop")
    height: Pixels
    width: Pixels
    odd: Literal["torchvision"] | None = None  # who rounds half a pixel of an odd margin; None: transformers, down


@dataclass(frozen=True, kw_only=True)
class CenterCropRatio:
    """Cut the centre out, its sides given as parts of the shorter side."""

    TAG: ClassVar = ("op", "center_crop_ratio")
    height_ratio: Ratio
    width_ratio: Ratio


@dataclass(frozen=True, kw_only=True)
class ReverseChannels:
    """Turn red, green, blue into blue, green, red."""

    TAG: ClassVar = ("op", "reverse_channels")


@dataclass(frozen=True, kw_only=True)
class Rescale:
    """Compute ``value * factor + offset``, float32."""

    TAG: ClassVar = ("op", "rescale")
    factor: float
    offset: float


@dataclass(frozen=True, kw_only=True)
class Normalize:
    """Compute ``(value - mean) / std`` per channel, float32."""

    TAG: ClassVar = ("op", "normalize")
    mean: PerChannel
    std: Annotated[tuple[Divisor, ...], _CHANNELS]


Resizing = Resize | ResizeShortestEdge | ResizeWithin
Cropping = CenterCrop | CenterCropRatio
Step = Resize | ResizeShortestEdge | ResizeWithin | CenterCrop | CenterCropRatio | ReverseChannels | Rescale | Normalize


@dataclass(frozen=True, kw_only=True)
class Size:
    """The pixels of an image."""

    height: Pixels
    width: Pixels


@dataclass(frozen=True, kw_only=True)
class Image:
    """Images to values, float32 [batch, channels, height, width]."""

    input: Words
    channels: Literal[1, 3]  # grey; red, green, blue
    size: Size  # of what the model takes
    alpha: Literal["drop", "refuse", "white"]  # what becomes of a fourth channel
    steps: Annotated[tuple[Step, ...], Rule(maxItems=16)]
    mix: Annotated[
        tuple[PerChannel, ...], Rule(maxItems=4)
    ] = ()  # the weights, a row for each of the model's channels,
    # by which the graph makes them of those that it is fed; none: it takes them as they are


@dataclass(frozen=True, kw_only=True)
class State:
    """An input for what came before, float32 [batch, *shape]: zeros where nothing did."""

    name: Words  # of the graph's input
    shape: Annotated[tuple[Annotated[int, Rule(minimum=0, maximum=10_000_000)], ...], Rule(minItems=1, maxItems=4)]


@dataclass(frozen=True, kw_only=True)
class Generation:
    """Token ids to the next token, over a cache of keys and values."""

    max_length: Tokens  # prompt and answer together
    rotary_reach: Tokens | None = None  # of a model whose longer texts are turned by other angles: what a bundle can
    # take at most; None where that is max_length
    layers: Annotated[int, Rule(minimum=1, maximum=10_000)]
    kv_heads: Annotated[int, Rule(minimum=1, maximum=65_536)]
    head_dim: Annotated[int, Rule(minimum=1, maximum=65_536)]
    # of an ONNX graph whose layers do not all keep keys and values of these heads
    states: Annotated[tuple[State, ...], Rule(minItems=1, maxItems=100_000)] | None = None
    vocabulary: Annotated[int, Rule(minimum=1, maximum=100_000_000)]  # tokens that have logits
    eos_ids: Annotated[tuple[Id, ...], Rule(maxItems=10_000)]  # that end an answer
    repetition_penalty: Annotated[float, Rule(exclusiveMinimum=0)]  # of answers where none is asked for; 1: none


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """A vector per text or image, float32 [batch, width]."""

    TAG: ClassVar = ("kind", "embedding")
    output: Words
    width: Tokens | None = None  # None where the model's files do not say it
    similarity: Similarity | None = None  # by which its authors compare two


@dataclass(frozen=True, kw_only=True)
class Classes:
    """A score per class, of the logits [batch, classes]."""

    TAG: ClassVar = ("kind", "classes")
    labels: Labels  # in the order of the logits
    # the scores are the logits themselves, their softmax, or the sigmoid of each
    problem_type: ProblemType


@dataclass(frozen=True, kw_only=True)
class Entities:
    """Named spans of a text, of the logits [batch, tokens, labels]."""

    TAG: ClassVar = ("kind", "entities")
    labels: Labels  # in the order of the logits; B-, I- and O as in CoNLL-2003


@dataclass(frozen=True, kw_only=True)
class Span:
    """The part of the second text that answers the first, of start_logits and end_logits [batch, tokens]."""

    TAG: ClassVar = ("kind", "span")
    max_answer_length: Annotated[int, Rule(minimum=1, maximum=1_000_000)]  # tokens


@dataclass(frozen=True, kw_only=True)
class Mask:
    """The tokens that fit in the place of the mask, of the logits [batch, tokens, vocabulary]."""

    TAG: ClassVar = ("kind", "mask")
    mask_token: Special
    mask_id: Id


@dataclass(frozen=True, kw_only=True)
class Match:
    """A score per label of the caller's, of ``scale`` times the cosine of its vector and the image's: the softmax over
    the labels, or with a ``bias`` that is added the sigmoid of each.
    """

    TAG: ClassVar = ("kind", "match")
    text_output: Words  # float32 [labels, width], of the text encoder
    image_output: Words  # float32 [images, width], of the image encoder
    width: Tokens
    scale: Annotated[float, Rule(exclusiveMinimum=0)]
    template: Words  # the text that a label becomes, with {} in its place
    bias: float | None = None


Answer = Embedding | Classes | Entities | Span | Mask | Match


@dataclass(frozen=True, kw_only=True)
class Processing:
    """All of a bundle's pre- and post-processing, by what it is about; a model may take both texts and images."""

    text: Text | None = None
    image: Image | None = None
    audio: Audio | None = None
    generation: Generation | None = None
    diffusion: Diffusion | None = None
    schedule: Schedule | None = None
    answer: Answer | None = None
    own: JsonObject | None = None  # of a third party's task, in JSON's types, which that task alone understands

    @classmethod
    def from_json(cls, value: Json, place: str = "processing") -> Processing:
        """Read ``processing`` of a manifest. Raises BundleError, which names an unknown kind or key and its place."""
        made: Processing = record_json.read(cls, value, place)
        return made

    def to_json(self) -> JsonDict:
        """Return the value that ``from_json`` reads, in JSON's types."""
        made: JsonDict = record_json.write(self)
        return made

    @property
    def mix(self) -> tuple[tuple[float, ...], ...]:
        """The part of the images' preparation that the graph does (Image.mix); none where it does nothing of it."""
        return self.image.mix if self.image else ()

    def section(self, kind: type[R]) -> R:
        """Return the record of a ``kind``, such as Text or Embedding. Raises BundleError where there is none."""
        sections = (self.text, self.image, self.audio, self.generation, self.diffusion, self.schedule, self.answer)
        for value in sections:
            if isinstance(value, kind):
                return value
        raise BundleError(
            f"processing holds no {kind.__name__}, which the task needs",
            hint="copy the bundle again, or build it again",
        )

    @property
    def max_length(self) -> int | None:
        """The tokens of the longest text; None of a model that takes images or sounds alone."""
        limited = self.text or self.generation
        return limited.max_length if limited else None
