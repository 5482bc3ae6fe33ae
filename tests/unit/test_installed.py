"""What edgepack asks for, read from its own metadata, and what is installed in its place."""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path

import pytest

from edgepack import installed
from edgepack.errors import MissingExtra


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution "theirs", and in front of what is installed other versions: of numpy, transformers and torch."""
    metadata = {
        "theirs": "1\nRequires-Dist: edgepack>=0.1\nRequires-Dist: of-mars>=2; extra == 'mars'\nProvides-Extra: mars",
        "numpy": "2.4.1",
        "transformers": "4.57.1",
        "torch": "2.14.0+cpu",
    }
    for name, version in metadata.items():
        folder = tmp_path / f"{name}-{version.split()[0]}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()


@pytest.mark.parametrize("extra", ["", "llm", "build", "coreml", "images", "data", "sign"])
def test_all_that_is_asked_for_is_here(extra: str) -> None:
    assert installed.needs(extra)
    installed.check(extra)


def test_an_extra_holds_those_that_it_consists_of_and_none_of_the_base() -> None:
    names = {extra: [need.name for need in installed.needs(extra)] for extra in ("", "llm", "build", "coreml")}
    assert {"numpy", "onnxruntime", "typer"} <= set(names[""])
    assert "torch" not in names["llm"]
    assert set(names["llm"]) < set(names["build"]) < set(names["coreml"])
    assert "typer" not in names["coreml"]


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("llm", "numpy 2.4.1 is installed, and this needs numpy>=2.3,<2.4"),
        ("build", "numpy 2.4.1 is installed, and this needs numpy>=2.3,<2.4"),
    ],
)
def test_another_version_is_told_in_one_line(extra: str, said: str) -> None:
    with pytest.raises(MissingExtra) as error:
        installed.check(extra)
    assert str(error.value) == said
    assert error.value.hint == f"pip install 'edgepack[{extra}]'"


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize(("extras", "named"), [(["llm", "build"], "build"), (["llm"], "llm"), (["coreml"], "coreml")])
def test_what_several_extras_share_names_one_that_brings_them_all(extras: list[str], named: str) -> None:
    with pytest.raises(MissingExtra) as error:
        installed.check_shared(extras)
    assert str(error.value) == "numpy 2.4.1 is installed, and this needs numpy>=2.3,<2.4"
    assert error.value.hint == f"pip install 'edgepack[{named}]'"


def _refuse(error: MissingExtra) -> None:
    raise error


def test_all_that_lacks_is_one_hint() -> None:
    errors = [
        MissingExtra("torch", "build"), MissingExtra("coremltools", "coreml"), MissingExtra("diffusers", "diffusion"),
        MissingExtra("torch", "build"), MissingExtra("mars", None), MissingExtra("x", "", "theirs"),
    ]  # fmt: skip
    with pytest.raises(MissingExtra, match="'torch'") as caught:
        installed.check_all([lambda: None, *(partial(_refuse, error) for error in errors)])
    assert caught.value.hint == "pip install 'edgepack[coreml,diffusion]' mars theirs"
    with pytest.raises(MissingExtra, match="'onnx'") as again:  # the hint of one that holds several
        installed.check_all(partial(_refuse, error) for error in (MissingExtra("onnx", "llm"), caught.value))
    assert again.value.hint == "pip install 'edgepack[coreml,diffusion]' mars theirs"
    installed.check_all([lambda: None])


@pytest.mark.usefixtures("others")
def test_what_one_of_several_extras_asks_for_is_not_shared() -> None:
    installed.check_shared(["build", "sign"])  # the one asks for another transformers and torch than are here
    installed.check_shared([""])


@pytest.mark.usefixtures("others")
def test_what_is_wrong_says_so() -> None:
    told = {need.name: str(need) for need in installed.needs("build") if not need.met}
    assert told == {
        "numpy": "numpy 2.4.1 (needs >=2.3,<2.4)",
        "torch": "torch 2.14.0+cpu (needs >=2.13,<2.14)",
        "transformers": "transformers 4.57.1 (needs >=5.20,<6)",
    }
    installed.check()  # numpy 2.4 runs bundles


@pytest.mark.usefixtures("others")
def test_a_third_party_s_own_needs() -> None:
    installed.check("", "theirs")
    with pytest.raises(MissingExtra) as error:
        installed.check("mars", "theirs")
    assert "'of-mars', which is not installed" in str(error.value)
    assert error.value.hint == "pip install 'theirs[mars]'"


@pytest.mark.parametrize(
    ("module", "hint"),
    [
        ("torch.nn", "'edgepack[build]'"),
        ("onnx_ir", "'edgepack[llm]'"),
        ("PIL", "'edgepack[images]'"),
        ("pyarrow.parquet", "'edgepack[data]'"),
        ("coremltools", "'edgepack[coreml]'"),
        ("jinja2", "edgepack"),
    ],
)
def test_a_module_leads_to_the_smallest_extra_that_brings_it(module: str, hint: str) -> None:
    error = installed.missing(module)
    assert error is not None
    assert error.hint == f"pip install {hint}"


def test_a_module_that_nobody_asks_for() -> None:
    assert installed.missing("of_mars") is None
