"""Tokenizers and graphs that could take for ever to open are refused in time."""

from __future__ import annotations

import base64
import json
import time
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tokenizers import normalizers

from edgepack.errors import BundleDamaged, BundleError, BundleUnsafe
from edgepack.records import Bundle
from edgepack.runtime import onnx_file, tokenizer_file
from edgepack.runtime.engines import open_session

SOON = 10.0  # seconds: the stated budget
TOKENIZER: dict[str, Any] = {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
                             "post_processor": None, "decoder": None, "model": {"type": "WordLevel",
                             "vocab": {"a": 0, "decoder": 1}, "unk_token": "a"}}  # fmt: skip
_DOUBLE = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
_NOTHING = {"type": "Replace", "pattern": {"Regex": "|"}, "content": "a"}
_BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
_LIGATURE = {"type": "Replace", "pattern": {"Regex": "."}, "content": "\ufdfa"}
_MAP = base64.b64encode(bytes(4) + b"a" * 5000 + b"\0").decode()
_TANGLED = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
_MANY = {"type": "Sequence", "normalizers": [_DOUBLE] * 9}
HEAVY = {
    "a normalizer that doubles": {"normalizer": {"type": "Sequence", "normalizers": [_DOUBLE] * 30}},
    "a decoder that doubles": {"decoder": {"type": "Sequence", "decoders": [_DOUBLE] * 30}},
    "one long replacement": {"normalizer": {"type": "Replace", "pattern": {"Regex": ""}, "content": "a" * 5000}},
    "bytes of bytes": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "ByteLevel"}] * 30}},
    "bytes of bytes, split": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [_BYTES] * 30}},
    "what matches nothing": {"normalizer": {"type": "Sequence", "normalizers": [_NOTHING] * 30}},
    "a long text before": {"normalizer": {"type": "Prepend", "prepend": "a" * 5000}},
    "a map to long texts": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": _MAP}},
    "letters taken apart": {"normalizer": {"type": "Sequence", "normalizers": [_LIGATURE, {"type": "NFKD"}] * 6}},
    "sequences of sequences": {"normalizer": {"type": "Sequence", "normalizers": [_MANY] * 9}},
    "repeated repetitions": {"pre_tokenizer": _TANGLED},
}  # fmt: skip


@pytest.mark.parametrize("name", HEAVY)
@pytest.mark.parametrize("order", ["as written", "model first", "twice", "escaped"])
def test_tokenizers_that_blow_up(name: str, order: str, tmp_path: Path) -> None:
    table = {**TOKENIZER, **HEAVY[name]}
    if order == "model first":
        table = {"model": table.pop("model"), **table}
    text = json.dumps(table)
    if order == "twice":  # which of the two is taken is the library's affair
        key = next(iter(HEAVY[name]))
        text = text[:-1] + f', "{key}": null}}'
    if order == "escaped":
        text = text.replace('"normalizer"', '"\\u006eormalizer"').replace('"decoder": {', '"d\\u0065coder": {')
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(BundleError):
        tokenizer_file.check(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("table", [TOKENIZER, {"model": TOKENIZER["model"], **TOKENIZER}], ids=["last", "first"])
def test_plain_tokenizers_pass(table: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(table))
    tokenizer_file.check(tmp_path / "tokenizer.json")


_ALBERT = [{"type": "Replace", "pattern": {"String": "``"}, "content": '"'}, {"type": "NFKD"},
           {"type": "StripAccents"}, {"type": "Lowercase"},
           {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(bytes(4) + b"a" * 33 + b"\0").decode()},
           {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]  # fmt: skip
_LLAMA = [
    {"type": "Prepend", "prepend": "\u2581"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
]


@pytest.mark.parametrize("steps", [_ALBERT, _LLAMA, [{"type": "NFKC"}, {"type": "NFKD"}] * 20])
def test_usual_normalizers_pass(steps: list[Any], tmp_path: Path) -> None:
    table = {**TOKENIZER, "normalizer": {"type": "Sequence", "normalizers": steps}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(table))
    tokenizer_file.check(tmp_path / "tokenizer.json")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9**9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["String", "Regex"]), inner, max_size=2)
    ),
    max_leaves=5,
)
_KEYS = st.sampled_from(["type", "pattern", "content", "prepend", "replacement", "precompiled_charsmap", "normalizers"])


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(step=st.dictionaries(_KEYS, st.sampled_from(["NFC", "Replace", "Prepend", "Precompiled"]) | _VALUES))
def test_values_of_any_kind_are_looked_at_or_refused(step: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(TOKENIZER | {"normalizer": step}))
    with suppress(BundleUnsafe, BundleDamaged):
        tokenizer_file.check(tmp_path / "tokenizer.json")


def test_many_added_tokens_that_grow(tmp_path: Path) -> None:
    added = [{"id": i, "content": f"{i}" * 20, "normalized": True} for i in range(2000)]
    table = {**TOKENIZER, "normalizer": {"type": "Replace", "pattern": {"Regex": "."}, "content": "a" * 900}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(table | {"added_tokens": added}))
    with pytest.raises(BundleUnsafe, match="added tokens"):
        tokenizer_file.check(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("kind", ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "BertNormalizer", "ByteLevel", "Nmt",
                                  "StripAccents"])  # fmt: skip
def test_no_character_grows_more_than_is_reckoned(kind: str) -> None:
    normalizer = getattr(normalizers, kind)()
    texts = [chr(code) for code in range(0x30000) if unicodedata.category(chr(code)) not in ("Cn", "Co", "Cs")]
    worst = max(len(normalizer.normalize_str(text).encode()) / len(text.encode()) for text in texts)
    assert worst <= tokenizer_file._growth({"type": kind})


def test_the_original_s_tokenizer_passes(minilm: Bundle) -> None:
    tokenizer_file.check(minilm.path / "tokenizer.json")


def _graph(nodes: list[Any], weights: list[Any] = []) -> Any:  # noqa: B006 (not changed)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", "y")]
    return helper.make_graph(nodes, "g", values[:1], values[1:], weights)


def _model(graph: Any, **options: Any) -> bytes:
    made = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)], **options)
    return bytes(made.SerializeToString())


def _outside(location: str) -> TensorProto:
    tensor = TensorProto(name="w", data_type=1, dims=[4], data_location=1)
    tensor.external_data.add(key="location", value=location)
    return tensor


_ADD = [helper.make_node("Add", ["x", "w"], ["y"])]
_BODY = helper.make_graph([helper.make_node("Constant", [], ["c"], value=_outside("../deep"))], "b", [], [])
_OPSETS = [helper.make_opsetid("", 17)]
_FUNCTION = helper.make_function("own", "F", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], _OPSETS)


def test_graphs_point_to_listed_files_alone(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    for location in ("../secret", "/etc/passwd", "tokenizer.json", ""):
        file.write_bytes(_model(_graph(_ADD, [_outside(location)])))
        with pytest.raises(BundleUnsafe, match="does not list"):
            onnx_file.check(file, {"model.onnx_data"})
    file.write_bytes(_model(_graph([helper.make_node("If", ["x"], ["y"], then_branch=_BODY, else_branch=_BODY)])))
    with pytest.raises(BundleUnsafe, match=r"\.\./deep"):
        onnx_file.check(file, {"model.onnx_data"})
    file.write_bytes(_model(_graph(_ADD, [_outside("model.onnx_data")])))
    onnx_file.check(file, {"model.onnx_data"})


def test_graphs_that_grow_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    sparse = onnx.SparseTensorProto(values=_outside("x"), dims=[1 << 40])
    deep = _graph(_ADD)
    for _ in range(20):
        deep = _graph([helper.make_node("If", ["x"], ["y"], then_branch=deep, else_branch=_BODY)])
    many = _graph([helper.make_node("Neg", ["x"], ["y"])] * 400_000)
    for content in (
        _model(_graph(_ADD), functions=[_FUNCTION]),
        _model(deep),
        _model(many),
        _model(helper.make_graph(_ADD, "g", [], [], sparse_initializer=[sparse])),
    ):
        file.write_bytes(content)
        begin = time.monotonic()
        with pytest.raises(BundleUnsafe):
            onnx_file.check(file, set())
        assert time.monotonic() - begin < SOON


def _chain(count: int) -> list[Any]:
    steps = [helper.make_node("Add", [f"n{i}" if i else "x"] * 2, [f"n{i + 1}"]) for i in range(count - 1)]
    return [*steps, helper.make_node("Add", [f"n{count - 1}", "w"], ["y"])]


def _weights(count: int) -> list[Any]:
    return [
        helper.make_tensor("w", 1, [4], [1.0] * 4),
        *(helper.make_tensor(f"q{i}", 1, [], [1.0]) for i in range(count - 1)),
    ]


@pytest.mark.parametrize(("nodes", "weights"), [(12_001, 1), (1, 20_001)])
def test_graphs_of_many_parts_are_refused(nodes: int, weights: int, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(_model(_graph(_chain(nodes), _weights(weights))))
    with pytest.raises(BundleUnsafe, match="more than"):
        onnx_file.check(tmp_path / "model.onnx", set())


def test_a_graph_of_zeros_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(bytes(1_000_000))
    with pytest.raises(BundleDamaged, match="not an ONNX file, or cut short"):
        onnx_file.check(tmp_path / "model.onnx", set())


def test_the_largest_graphs_that_pass_open(tmp_path: Path) -> None:
    """Seconds differ by processor, 9 to 19, as onnxruntime's time grows with the square; the bound is far from that."""
    file = tmp_path / "model.onnx"
    file.write_bytes(_model(_graph(_chain(12_000), _weights(20_000))))
    begin = time.process_time()
    onnx_file.check(file, set())
    open_session(file, "onnx", 1)
    assert time.process_time() - begin < 120


def test_constants_are_not_computed_while_a_graph_is_opened(tmp_path: Path) -> None:
    shape = helper.make_tensor("shape", TensorProto.INT64, [1], [1 << 31])
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["large"]),
        helper.make_node("ReduceSum", ["large"], ["one"], keepdims=0),
        helper.make_node("Add", ["x", "one"], ["y"]),
    ]
    (tmp_path / "model.onnx").write_bytes(_model(_graph(nodes, [shape])))
    begin = time.monotonic()
    open_session(tmp_path / "model.onnx", "onnx", 1)
    assert time.monotonic() - begin < 1


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draws=st.data())
def test_any_bytes_of_a_graph_are_walked_or_refused(draws: st.DataObject, tmp_path: Path) -> None:
    raw = bytearray(_model(_graph(_ADD, [_outside("w")])))
    for _ in range(draws.draw(st.integers(1, 4))):
        raw[draws.draw(st.integers(0, len(raw) - 1))] = draws.draw(st.integers(0, 255))
    (tmp_path / "model.onnx").write_bytes(raw[: draws.draw(st.integers(1, len(raw)))])
    try:
        onnx_file.check(tmp_path / "model.onnx", {"w"})
    except (BundleUnsafe, BundleDamaged):
        return
