"""What ends up in a bundle or an archive is the model's or the bundle's own, also where links are swapped in meanwhile;
and what killed commands leave stands in nobody's way.
"""

from __future__ import annotations

import importlib
import os
import stat
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import signers

from edgepack import client_files, containment, exchange, licences, outfolder, targets
from edgepack.errors import BundleUnsafe, FileTrouble, UnsafeModel
from edgepack.records import Source
from edgepack.runtime import archive, manifest, measurements, signing
from edgepack.runtime.processing import Image, Processing, Size
from edgepack.stages import sign as stage

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
attacks: Any = importlib.import_module("attacks_files")
KEY = signers.key()
IMAGE = Image(input="pixel_values", channels=3, size=Size(height=32, width=32), alpha="refuse", steps=())


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle as small as the manifest's reader allows, with measurements."""
    attacks.varied_build(tmp_path / "out")
    folder = tmp_path / "out" / attacks.NAME
    measurements.write(folder, (), ())
    return Path(folder)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text('{"schema": 1, "private": true}')
    return file


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "2_Dense").mkdir(parents=True)
    texts = {
        "config.json": "{}",
        "chat_template.jinja": "{{ x }}",
        "merges.txt": "a b",
        "README.md": "# A model",
        "LICENSE": "theirs",
        "modules.json": '[{"path": "2_Dense", "type": "x"}]',
        "2_Dense/config.json": "{}",
        "2_Dense/model.safetensors": "weights",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(params=["from the start", "after the check"])
def swapped(
    request: pytest.FixtureRequest, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path, str], None]:
    """``swapped(folder, name)`` puts a link to the secret there, at once or when somebody has looked at the file."""
    check = containment.contained

    def link(file: Path) -> None:
        file.unlink()
        file.symlink_to(secret)

    def arrange(folder: Path, name: str) -> None:
        def late(where: Path, what: object, *rest: Any, **options: Any) -> Path:
            found = check(where, what, *rest, **options)
            if what == name and not found.is_symlink():
                link(found)
            return found

        if request.param == "from the start":
            link(folder / name)
        else:
            monkeypatch.setattr(containment, "contained", late)

    return arrange


def private(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and "private" in path.read_text("latin-1")]


@pytest.mark.parametrize(
    "name", ["config.json", "chat_template.jinja", "merges.txt", "2_Dense/config.json", "2_Dense/model.safetensors"]
)
def test_no_link_leads_a_private_file_into_a_bundle(
    name: str, model: Path, swapped: Callable[[Path, str], None], tmp_path: Path
) -> None:
    swapped(model, name)
    with pytest.raises(UnsafeModel, match="link out"):
        client_files.write(model, tmp_path / "bundle", Processing(image=IMAGE))
    assert not private(tmp_path / "bundle")


@pytest.mark.parametrize("name", ["LICENSE", "README.md"])
def test_nor_into_its_notices(name: str, model: Path, swapped: Callable[[Path, str], None], tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    swapped(model, name)
    source = Source(
        model="org/small", name="small", path=model, origin=model, revision=None, architecture="A", model_type="a",
        task="text-generation", licence="mit", parameters=1, weights_bytes=4, convolutional=False, sha256="0",
    )  # fmt: skip
    place = targets.load("rpi")
    with pytest.raises(UnsafeModel, match="link out"):
        licences.write(tmp_path / "bundle", source, place, place.recipe_for(source), tools={})
    assert not private(tmp_path / "bundle")


def test_links_of_an_arranged_folder_lead_to_the_model(model: Path, tmp_path: Path) -> None:
    arranged, made = tmp_path / "arranged", tmp_path / "bundle"
    for file in [path for path in model.rglob("*") if path.is_file()]:
        (arranged / file.relative_to(model)).parent.mkdir(parents=True, exist_ok=True)
        (arranged / file.relative_to(model)).symlink_to(file)
    client_files.write(arranged, made, Processing(image=IMAGE), model)
    assert (made / "2_Dense" / "model.safetensors").read_text() == "weights"


@pytest.mark.parametrize("name", ["measurements.json", "model.sig", "3.bin", "edgepack.json"])
def test_no_link_leads_a_private_file_into_an_archive(
    name: str, bundle: Path, swapped: Callable[[Path, str], None], tmp_path: Path
) -> None:
    stage.sign(bundle, stage.Signer(key=KEY))
    swapped(bundle, name)
    with pytest.raises(BundleUnsafe, match="link out"):
        archive.zip_folder(bundle, tmp_path / "m.edgepack")
    assert not list(tmp_path.glob("*m.edgepack*"))


@pytest.fixture(params=[0o022, 0o077])
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield int(request.param)
    os.umask(before)


def test_archives_have_the_permissions_of_new_files(mask: int, bundle: Path, tmp_path: Path) -> None:
    file = archive.zip_folder(bundle, tmp_path / "m.edgepack")
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask


def test_signing_an_archive_keeps_its_permissions(bundle: Path, tmp_path: Path) -> None:
    file = archive.zip_folder(bundle, tmp_path / "m.edgepack")
    file.chmod(0o600)
    stage.sign(file, stage.Signer(key=KEY))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "model.sig" in zipfile.ZipFile(file).namelist()


def test_nothing_else_is_in_a_bundle_while_it_is_signed(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.sign(bundle, stage.Signer(key=KEY))
    seen = list[bool]()
    replace = outfolder.replace

    def late(*arguments: Any) -> None:
        seen.append(signing.signed(manifest.read(bundle)))
        replace(*arguments)

    monkeypatch.setattr(outfolder, "replace", late)
    stage.sign(bundle, stage.Signer(key=KEY))
    assert seen == [True]
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def dead(folder: Path) -> None:
    """What a killed command leaves."""
    work = folder / ".building-abcdefgh"
    (work / "new").mkdir(parents=True)
    (work / "edgepack.lock").touch()
    (work / "new" / "model.sig").write_text("{")


@pytest.mark.parametrize("where", ["beside", "inside"])
def test_what_a_killed_command_left_is_swept_first(where: str, bundle: Path) -> None:
    dead(bundle if where == "inside" else bundle.parent)
    stage.sign(bundle, stage.Signer(key=KEY))
    assert not list(bundle.parent.rglob(".building-*"))
    dead(bundle if where == "inside" else bundle.parent)
    attacks.varied_build(bundle.parent)
    assert not list(bundle.parent.rglob(".building-*"))


def test_a_bundle_on_a_disk_of_its_own_is_signed_there(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    stage.sign(bundle, stage.Signer(key=KEY))
    assert signing.signed(manifest.read(bundle))
    assert not list(bundle.glob(".*"))


def test_a_signature_that_appears_in_the_last_moment_stays(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    move = exchange.move

    def late(*arguments: Any) -> bool:
        monkeypatch.setattr(exchange, "move", move)
        (bundle / "model.sig").write_text("mine")
        return move(*arguments)

    monkeypatch.setattr(exchange, "move", late)
    with pytest.raises(FileTrouble, match=r"model\.sig is not a signature"):
        stage.sign(bundle, stage.Signer(key=KEY))
    assert (bundle / "model.sig").read_text() == "mine"


def test_archives_are_unpacked_in_the_cache(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "mine"))
    file = archive.zip_folder(bundle, tmp_path / "m.edgepack")
    folder = archive.opened(file)
    assert folder.is_relative_to(tmp_path / "mine" / "bundles")
    (folder / "notes.txt").write_text("mine")
    (folder / "3.bin").write_text("damaged")
    assert archive.opened(file) == folder
    manifest.verify(manifest.read(folder))
    assert folder.with_name(f"{folder.name}.kept-1").joinpath("notes.txt").read_text() == "mine"


def test_the_cache_cannot_be_written(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "bundles").touch()
    monkeypatch.setenv("EDGEPACK_CACHE", str(tmp_path / "mine"))
    file = archive.zip_folder(bundle, tmp_path / "m.edgepack")
    with pytest.raises(FileTrouble, match="cannot be written") as error:
        archive.opened(file)
    assert "EDGEPACK_CACHE" in error.value.hint


@pytest.fixture
def other_user(tmp_path: Path) -> Iterator[None]:
    """Somebody without rights, who may read what is below ``tmp_path``."""
    if os.geteuid() != 0:
        yield
        return
    for place in [tmp_path, *tmp_path.parents][:4]:
        place.chmod(0o755)
    os.seteuid(65534)
    yield
    os.seteuid(0)


def lock(path: Path) -> None:
    """Take the right to read it away from all."""
    before = os.geteuid()
    os.seteuid(os.getuid())
    path.chmod(0)
    os.seteuid(before)


@pytest.mark.skipif(sys.platform != "linux", reason="users are other there")
@pytest.mark.parametrize("name", [".", "edgepack.json", "model.onnx", "3.bin"])
@pytest.mark.usefixtures("bundle_of_all", "other_user")
def test_what_may_not_be_read_is_one_error(name: str, bundle_of_all: Path) -> None:
    lock(bundle_of_all / name)
    for use in (
        lambda: manifest.verify(manifest.read(bundle_of_all)),
        lambda: archive.zip_folder(bundle_of_all, bundle_of_all.parent / "m.edgepack"),
    ):
        with pytest.raises(FileTrouble, match="cannot be read: Permission denied"):
            use()


@pytest.fixture
def bundle_of_all(bundle: Path) -> Path:
    bundle.parent.chmod(0o777)
    return bundle
