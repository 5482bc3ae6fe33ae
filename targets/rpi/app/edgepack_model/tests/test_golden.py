"""The bundle that ships still answers as the original model did, from raw inputs on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from edgepack_model._bundle import BUNDLE, check

from edgepack.errors import BundleDamaged
from edgepack.runtime.opening import opened
from edgepack.runtime.runner import Here

LISTED = opened(BUNDLE, verify=False)


@pytest.mark.parametrize("submodel", LISTED.models)
def test_golden_vectors(submodel: str) -> None:
    result = Here(LISTED).golden(submodel)
    assert result.cosines, "there are no golden vectors"
    assert result.passed, f"cosine {result.worst:.4f}, at least {result.least} is wanted; {result.inputs}"


def test_every_file_is_the_bundles() -> None:
    check(BUNDLE)


# edgepack:if text generation
def test_another_tokenizer_is_found_and_both_files_are_named(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(BUNDLE, tmp_path / "bundle"))
    names = [name for name in LISTED.table["files"] if name.endswith("tokenizer.json")]
    with (copy / names[0]).open("ab") as file:
        file.write(b" ")
    model = next(iter(LISTED.models.values())).files[0]
    with pytest.raises(BundleDamaged, match=f"{names[0]} and {model} do not belong together"):
        check(copy)


# edgepack:end
