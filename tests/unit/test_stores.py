"""What a bundle adds to an app, against the limits of stores."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgepack import stores, targets
from edgepack.embed import app, generated
from edgepack.errors import DataError, DoesNotFit
from edgepack.records import Bundle
from edgepack.runtime import manifest
from edgepack.stores import sizes, table


def test_sizes_are_those_of_an_archive(minilm: Bundle, tmp_path: Path) -> None:
    listed = manifest.read(minilm.path)
    found = stores.measured(listed)
    assert "measurements.json" not in found.disk
    with zipfile.ZipFile(tmp_path / "app.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in found.disk:
            archive.write(minilm.path / name, name)
        assert {info.filename: info.file_size for info in archive.infolist()} == found.disk
        inside = sum(info.compress_size for info in archive.infolist())
    assert found.download == pytest.approx(inside, rel=0.001)
    assert found.total == sum((minilm.path / name).stat().st_size for name in found.disk)


def test_limits_have_sources_and_days() -> None:
    for target in ("android", "iphone"):
        known = stores.limits(target)
        assert len(known) >= 3
        assert all(limit.source and limit.read.year >= 2026 and limit.most > 0 for limit in known)
    assert stores.limits("rpi") == []
    (base,) = (limit for limit in stores.limits("android") if "base module" in limit.what)
    assert base.most == targets.load("android").store_limit == 200_000_000


@pytest.mark.parametrize(
    ("old", "new"), [('most = "200 MB"', 'most = "many"'), ("beyond", "beyand"), ("2026-11-29", "2026-13-29")]
)
def test_a_wrong_limit_is_named(old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "limits.toml"
    file.write_text(table.FILE.read_text().replace(old, new, 1))
    monkeypatch.setattr(table, "FILE", file)
    with pytest.raises(DataError, match="limit 1"):
        stores.limits("android")


def test_the_command(edgepack: Callable[..., subprocess.CompletedProcess[str]], minilm: Bundle) -> None:
    found = json.loads(edgepack("size", minilm.path, "--json").stdout)
    assert 0 < found["download"] < found["disk"]
    assert found["limits"] == []
    assert "to the download" in edgepack("size", minilm.path).stdout


def test_a_form_that_is_too_small_names_the_others(minilm: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    listed, own = manifest.read(minilm.path), app.read(targets.load("rpi"))
    (form,) = own.forms.values()
    small = replace(form, name="assets", limit=21_000_000)
    both = replace(own, forms={"package": form, "assets": small})
    generated.check_limit(both, small, listed)  # 23.7 MB, 20.7 compressed
    with pytest.raises(DoesNotFit) as caught:
        generated.check_limit(both, replace(small, limit=20_000_000), listed)
    assert caught.value.hint == "--as package"
    asked: list[object] = []
    monkeypatch.setattr(sizes, "measured", asked.append)
    generated.check_limit(both, replace(small, limit=30_000_000), listed)
    assert not asked  # what fits without compression is not compressed
