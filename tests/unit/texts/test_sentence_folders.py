"""Folders of sentence-transformers, old and new: the vectors are its own, or the folder is refused."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file
from tests.conftest import Silent

from edgepack import pipeline, tasks
from edgepack.errors import (
    DamagedWeights,
    EdgepackError,
    ModelError,
    UnknownName,
    UnsafeModel,
    UnsupportedModel,
    UsageError,
)
from edgepack.original import text_folder, tokenizers
from edgepack.runtime.processing import Embedding
from edgepack.tasks import text_embedding

from .conftest import (
    HIDDEN,
    ROBERTA_NAMES,
    TEXTS,
    byte_level,
    edit,
    read,
    save_tokenizer,
    sizes,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as theirs

pytestmark = pytest.mark.filterwarnings("ignore")
TOLERANCE = 2e-6  # float32, the same operations in another order
OLD = "sentence_transformers.models."
FLAGS = ("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")


def flags(*modes: str) -> dict[str, bool]:
    return {f"pooling_mode_{flag}": flag in modes for flag in FLAGS}


def listed(folder: Path, *modules: tuple[str, str], prefix: str = OLD) -> None:
    entries = [
        {"idx": i, "name": str(i), "path": path, "type": prefix + kind} for i, (path, kind) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(entries))


def pooled(folder: Path, *modes: str, **more: object) -> None:
    """The usual three modules."""
    listed(folder, ("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    edit(
        folder / "1_Pooling" / "config.json",
        word_embedding_dimension=HIDDEN,
        **flags(*modes or ("mean_tokens",)),
        **more,
    )


@pytest.fixture
def folder(bert: Path, tmp_path: Path) -> Path:
    """A BERT with mean pooling that a test may change."""
    copy = Path(shutil.copytree(bert, tmp_path / "model"))
    pooled(copy)
    return copy


def check(folder: Path, texts: list[str] = TEXTS, **options: object) -> None:
    """Together, and each text alone."""
    ours, original = read(folder), SentenceTransformer(str(folder), device="cpu")
    for batch in (texts, *([text] for text in texts)):
        true = original.encode(batch, **options)
        np.testing.assert_allclose(ours.model.embed(batch, **options), true, atol=TOLERANCE)
    if not options:
        made = tokenizers.encode(ours.source, ours.text, texts)
        for name, ids in ours.feeds(texts).items():
            np.testing.assert_array_equal(ids, made[name])


def test_errors_name_the_folder_that_the_user_gave(folder: Path) -> None:
    listed(folder, ("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"))
    edit(folder / "2_Dense" / "config.json", in_features=HIDDEN, out_features=24, bias=True)
    save_file({"linear.weight": torch.zeros(24, HIDDEN)}, folder / "2_Dense" / "model.safetensors")
    for call in (pipeline.plan, lambda request: pipeline.build(request, Silent())):
        with pytest.raises(DamagedWeights) as error:
            call(pipeline.Request(model=str(folder), targets=("rpi",)))
        assert str(error.value) == f"{folder / '2_Dense'} lacks weight 'linear.bias'"


def test_a_copy_in_the_cache_is_called_by_its_own_folder(folder: Path) -> None:
    copy = text_folder.arranged(folder, tasks.load("text-embedding"))
    assert copy != folder
    with pytest.raises(ModelError) as error, text_folder.as_given():
        raise ModelError(f"{copy / 'modules.json'} is wrong", hint=f"see {copy}/config.json")
    assert str(error.value) == f"{folder / 'modules.json'} is wrong"
    assert error.value.hint == f"see {folder}/config.json"


@pytest.mark.parametrize(
    "modes", [[flag] for flag in FLAGS] + [["cls_token", "lasttoken", "mean_tokens"], list(FLAGS), []]
)
def test_old_poolings(folder: Path, modes: list[str]) -> None:
    edit(folder / "1_Pooling" / "config.json", **flags(*modes))
    check(folder)


@pytest.mark.parametrize("mode", ["mean", "lasttoken", ["mean", "cls"], ["weightedmean"], "mean_sqrt_len_tokens"])
def test_new_poolings(folder: Path, mode: object) -> None:
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"embedding_dimension": HIDDEN, "pooling_mode": mode, "include_prompt": True})
    )
    check(folder)


def test_what_sentence_transformers_saves_today(bert: Path, tmp_path: Path) -> None:
    word, pool = theirs.Transformer(str(bert), max_seq_length=12), theirs.Pooling(HIDDEN, "mean")
    dense, norm = theirs.Dense(HIDDEN, 20, activation_function=torch.nn.GELU()), theirs.LayerNorm(20)
    whole = SentenceTransformer(
        modules=[word, pool, theirs.Dropout(0.5), dense, norm, theirs.Normalize()],
        prompts={"query": "a question about the cat: "},
        similarity_fn_name="dot",
        truncate_dim=16,
        device="cpu",
    )
    whole.save(str(tmp_path / "saved"))
    ours = read(tmp_path / "saved")
    embedding = ours.processing.section(Embedding)
    assert (ours.text.max_length, embedding.width, embedding.similarity) == (12, 16, "dot")
    check(tmp_path / "saved")
    check(tmp_path / "saved", prompt_name="query")
    check(tmp_path / "saved", prompt="my own words: ")


@pytest.mark.parametrize("activation", ["linear.Identity", "activation.Tanh", "activation.ReLU", "activation.GELU"])
@pytest.mark.parametrize("bias", [True, False])
def test_dense(folder: Path, activation: str, bias: bool) -> None:
    listed(folder, ("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("", "Normalize"))
    edit(
        folder / "2_Dense" / "config.json",
        in_features=HIDDEN, out_features=24, bias=bias, activation_function=f"torch.nn.modules.{activation}",
    )  # fmt: skip
    torch.manual_seed(1)
    weights = {"linear.weight": torch.randn(24, HIDDEN), **({"linear.bias": torch.randn(24)} if bias else {})}
    save_file(weights, folder / "2_Dense" / "model.safetensors")
    check(folder)
    save_file(
        {"linear.weight": torch.randn(24, HIDDEN), "other": torch.randn(2)}, folder / "2_Dense" / "model.safetensors"
    )
    with pytest.raises(DamagedWeights, match=r"linear\.bias|other"):
        read(folder).model.embed("a")


def test_prompts(folder: Path) -> None:
    edit(
        folder / "config_sentence_transformers.json",
        prompts={"query": "search query: ", "passage": "the passage was: "}, default_prompt_name="passage",
    )  # fmt: skip
    check(folder)
    check(folder, prompt_name="query")
    check(folder, prompt="")
    model = read(folder).model
    by_hand = model.embed("the passage was: " + TEXTS[0], prompt="")
    np.testing.assert_allclose(model.predict(TEXTS)[0], by_hand, atol=TOLERANCE)
    with pytest.raises(UnknownName, match="pasage"):
        model.embed("a", prompt_name="pasage")
    with pytest.raises(UsageError, match="not both"):
        model.embed("a", prompt_name="query", prompt="x")


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarity(folder: Path, name: str) -> None:
    edit(folder / "config_sentence_transformers.json", similarity_fn_name=name)
    model, original = read(folder).model, SentenceTransformer(str(folder), device="cpu")
    a, b = original.encode(TEXTS[:2])
    rows = [{"sentence1": TEXTS[0], "sentence2": TEXTS[1], "score": 1}]
    assert text_embedding.predict(model, rows)[0] == pytest.approx(float(original.similarity(a, b)), abs=1e-5)


@pytest.mark.parametrize("form", ["bert", "roberta"])
def test_max_seq_length(folder: Path, form: str) -> None:
    edit(folder / f"sentence_{form}_config.json", max_seq_length=9, do_lower_case=False)
    check(folder)
    assert read(folder).text.max_length == 9


def test_a_length_of_the_tokenizers_arguments(folder: Path) -> None:
    edit(folder / "sentence_bert_config.json", max_seq_length=9, tokenizer_args={"model_max_length": 11})
    check(folder)
    assert read(folder).text.max_length == 11


def test_lower_case_of_a_tokenizer_that_keeps_it(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", do_lower_case=False)
    cased = read(folder).feeds(TEXTS)["input_ids"]
    edit(folder / "sentence_bert_config.json", max_seq_length=64, do_lower_case=True)
    assert not np.array_equal(read(folder).feeds(TEXTS)["input_ids"], cased)
    check(folder)


def test_a_pooling_without_its_config(folder: Path) -> None:
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"1_Pooling/config\.json is missing"):
        read(folder)


def test_a_transformer_in_a_subfolder(bert: Path, tmp_path: Path) -> None:
    shutil.copytree(bert, tmp_path / "0_Transformer")
    pooled(tmp_path)
    listed(tmp_path, ("0_Transformer", "Transformer"), ("1_Pooling", "Pooling"))
    edit(tmp_path / "0_Transformer" / "sentence_bert_config.json", max_seq_length=10)
    check(tmp_path)
    path = read(tmp_path).source.path
    assert json.loads((path / "modules.json").read_text())[0]["path"] == ""
    assert not (path / "0_Transformer").exists()
    # what was arranged is a folder of the same meaning
    again, original = (SentenceTransformer(str(place), device="cpu").encode(TEXTS) for place in (path, tmp_path))
    np.testing.assert_allclose(again, original, atol=TOLERANCE)


def test_the_paths_of_today(folder: Path) -> None:
    listed(folder, ("", "modules.transformer.Transformer"), prefix="sentence_transformers.base.")
    entries = json.loads((folder / "modules.json").read_text())
    entries.append({"path": "1_Pooling", "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"})
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": str(i), **e} for i, e in enumerate(entries)]))
    check(folder)


def test_a_causal_model_with_left_padding(tmp_path: Path) -> None:
    """The form of Qwen3-Embedding."""
    tokenizer = byte_level()
    tokenizer.post_processor = None
    names = {"pad_token": "<pad>", "eos_token": "</s>", "tokenizer_class": "PreTrainedTokenizerFast"}
    save_tokenizer(tokenizer, tmp_path, padding_side="left", **names)
    torch.manual_seed(3)
    config = transformers.Qwen3Config(
        **sizes(tokenizer.get_vocab_size(), 128), num_key_value_heads=2, head_dim=12, pad_token_id=None
    )
    transformers.Qwen3Model(config).save_pretrained(tmp_path)
    edit(tmp_path / "config.json", architectures=["Qwen3ForCausalLM"])
    for modes in (["lasttoken"], ["cls_token", "weightedmean_tokens"]):
        pooled(tmp_path, *modes, include_prompt=True)
        check(tmp_path)
    ours = read(tmp_path)
    assert ours.text.max_length == 128
    assert ours.feeds(TEXTS)["attention_mask"][0, 0] == 0


@pytest.mark.parametrize("kind", ["XLMRoberta", "MPNet", "Roberta"])
def test_a_length_beyond_the_positions(tmp_path: Path, kind: str) -> None:
    """Sentence-transformers itself fails there, with an index out of range."""
    tokenizer = byte_level()
    save_tokenizer(tokenizer, tmp_path, tokenizer_class="RobertaTokenizer", **ROBERTA_NAMES)
    torch.manual_seed(3)
    config = getattr(transformers, f"{kind}Config")(**sizes(tokenizer.get_vocab_size(), 34), pad_token_id=1)
    getattr(transformers, f"{kind}Model")(config).save_pretrained(tmp_path)
    pooled(tmp_path)
    edit(tmp_path / "sentence_bert_config.json", max_seq_length=512)
    check(tmp_path, [TEXTS[0], TEXTS[2]])
    ours = read(tmp_path)
    assert ours.text.max_length == 32
    assert ours.model.embed("word " * 500).shape == (HIDDEN,)


def test_a_folder_without_modules(bert: Path) -> None:
    check(bert)


def keys(name: str, **changes: object) -> Callable[[Path], None]:
    return lambda folder: edit(folder / name, **changes)


def types(*modules: tuple[str, str]) -> Callable[[Path], None]:
    return lambda folder: listed(folder, *modules)


def no_prompts(folder: Path) -> None:
    (folder / _MODEL).write_text('{"prompts": null}')


def foreign(folder: Path) -> None:
    listed(folder, ("", "custom_st.Transformer"), prefix="")


_DENSE = {"in_features": HIDDEN, "out_features": 4, "bias": True}
_BERT = "sentence_bert_config.json"
_MODEL = "config_sentence_transformers.json"
_POOL, _FULL = "1_Pooling/config.json", [("", "Transformer"), ("1_Pooling", "Pooling")]


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (types(("", "Transformer"), ("", "Normalize")), UnsupportedModel, "no Pooling module"),
        (types(("", "Transformer")), UnsupportedModel, "no Pooling module"),
        (types(("", "StaticEmbedding")), UnsupportedModel, "StaticEmbedding"),
        (types(("0_CLIPModel", "CLIPModel")), UnsupportedModel, "CLIPModel"),
        (types(("", "WordEmbeddings"), ("1_Pooling", "Pooling")), UnsupportedModel, "WordEmbeddings"),
        (types(("", "Router")), UnsupportedModel, "Router"),
        (types(("", "Asym")), UnsupportedModel, "Asym"),
        (types(*_FULL, ("2_CNN", "CNN")), UnsupportedModel, "CNN"),
        (
            types(("", "Transformer"), ("w", "WeightedLayerPooling"), ("1_Pooling", "Pooling")),
            UnsupportedModel,
            "Weighted",
        ),
        (types(("../x", "Transformer"), ("1_Pooling", "Pooling")), UnsafeModel, "outside"),
        (foreign, UnsafeModel, "code of its own"),
        (keys(_POOL, pooling_mode="median"), UnsupportedModel, "median"),
        (keys(_POOL, pooling_mode_median=True), UnsupportedModel, "pooling_mode_median"),
        (keys(_MODEL, default_prompt_name="nothing"), ModelError, "nothing"),
        (keys(_MODEL, similarity_fn_name="jaccard"), ModelError, "jaccard"),
        (keys(_MODEL, model_type="SparseEncoder"), UnsupportedModel, "SparseEncoder"),
        (keys(_BERT, transformer_task="fill-mask"), UnsupportedModel, "transformer_task"),
        (keys(_BERT, model_args={"add_pooling_layer": True}), UnsupportedModel, "model_args"),
        (keys(_BERT, config_args={"num_hidden_layers": 1}), UnsupportedModel, "config_args"),
        (keys(_BERT, processing_kwargs={"text": {"max_length": 4}}), UnsupportedModel, "processing_kwargs"),
        (keys(_BERT, modality_config={"message": {"method": "forward"}}), UnsupportedModel, "modality_config"),
        (keys(_BERT, pooling_head="x"), UnsupportedModel, "pooling_head"),
        (
            keys(_BERT, modality_config={"text": {"method_output_name": "pooler_output"}}),
            UnsupportedModel,
            "pooler_out",
        ),
        (keys(_MODEL, model_type="Router"), UnsupportedModel, "Router"),
        (types(("", "Transformer"), ("2_Normalize", "Normalize"), ("1_Pooling", "Pooling")), ModelError, "before Pool"),
        (keys(_BERT, max_seq_length="32"), ModelError, 'sentence_bert_config.json sets max_seq_length to "32"'),
        (keys(_BERT, max_seq_length=True), ModelError, "max_seq_length"),
        (keys(_BERT, max_seq_length=2), ModelError, "model_max_length, the longest text, to 2"),
        (keys(_BERT, do_lower_case="yes"), ModelError, "do_lower_case"),
        (keys(_BERT, tokenizer_args=["x"]), ModelError, "tokenizer_args"),
        (keys(_BERT, processor_kwargs={"model_max_length": "8"}), ModelError, "processor_kwargs.model_max_length"),
        (keys(_MODEL, truncate_dim="16"), ModelError, "config_sentence_transformers.json sets truncate_dim"),
        (keys(_MODEL, truncate_dim=0), ModelError, "truncate_dim to 0"),
        (keys(_MODEL, truncate_dim=-5), ModelError, "truncate_dim to -5"),
        (no_prompts, ModelError, "prompts to null"),
        (keys(_MODEL, prompts=["query"]), ModelError, "prompts to"),
        (keys(_MODEL, prompts={"query": 3}), ModelError, "prompts to"),
        (keys(_MODEL, default_prompt_name=["query"]), ModelError, "default_prompt_name"),
        (
            keys("tokenizer_config.json", model_max_length="64"),
            ModelError,
            'model_max_length, the longest text, to "64"',
        ),
        (keys("tokenizer_config.json", model_max_length=0), ModelError, "model_max_length, the longest text, to 0"),
        (keys("tokenizer_config.json", model_max_length=-1), ModelError, "model_max_length, the longest text, to -1"),
        (
            keys("tokenizer_config.json", model_max_length=64.0),
            ModelError,
            "model_max_length, the longest text, to 64.0",
        ),
    ],
)
def test_what_is_refused(folder: Path, change: Callable[[Path], None], kind: type[EdgepackError], words: str) -> None:
    change(folder)
    with pytest.raises(kind, match=words) as error:
        read(folder)
    assert type(error.value) is kind
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "dense",
    [
        {"activation_function": "custom.Swish"},
        {"activation_function": "torch.nn.modules.activation.PReLU"},
        {"module_input_name": "token_embeddings"},
        {"module_output_name": "other"},
        {"rank": 4},
        {"in_features": "x"},
    ],
)
def test_dense_modules_that_are_refused(folder: Path, dense: dict[str, object]) -> None:
    listed(folder, *_FULL, ("2_Dense", "Dense"))
    edit(folder / "2_Dense" / "config.json", **{**_DENSE, **dense})
    with pytest.raises(ModelError, match=next(iter(dense)).replace("_", ".")):
        read(folder)


def test_prompts_that_are_left_out_of_the_pooling(folder: Path) -> None:
    edit(folder / "1_Pooling" / "config.json", include_prompt=False)
    check(folder)  # as long as there is none
    with pytest.raises(UsageError, match="leaves prompts out"):
        read(folder).model.embed("a", prompt="Represent this: ")
    edit(folder / "config_sentence_transformers.json", prompts={"query": "Represent this: "})
    with pytest.raises(UnsupportedModel, match="include_prompt"):
        read(folder)


def test_harmless_settings(folder: Path) -> None:
    edit(
        folder / "sentence_bert_config.json",
        model_args={"attn_implementation": "eager"}, unpad_inputs=False, config_args={},
        transformer_task="feature-extraction",
        modality_config={"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        module_output_name="token_embeddings",
    )  # fmt: skip
    check(folder)


def test_pickled_weights_of_a_dense(folder: Path) -> None:
    listed(folder, *_FULL, ("2_Dense", "Dense"))
    edit(folder / "2_Dense" / "config.json", **_DENSE)
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(UnsafeModel, match="pickled"):
        read(folder).model.embed("a")
