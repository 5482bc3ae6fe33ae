"""model-signing 1.1 and edgepack: each verifies what the other signed, and refuses what was changed since."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests import signers
from tests.clients import environments
from tests.clients.conftest import Packed

from edgepack.errors import BundleDamaged, FileNotSigned
from edgepack.runtime import signing
from edgepack.runtime.opening import opened
from edgepack.stages import sign as stage

CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
HOW = [*CURVES, "certificate"]


def asked(jobs: list[tuple[str, Path, dict[str, str]]]) -> list[str]:
    program = environments.HERE / "programs" / "with_model_signing.py"
    command = [environments.python("model-signing"), program]
    found: list[str] = environments.ask(command, [(what, str(folder), files) for what, folder, files in jobs])
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The files of each kind of signer."""
    folder = tmp_path_factory.mktemp("keys")
    root = signers.certified("root", authority=True, signs=False)
    between = signers.certified("between", root, authority=True, signs=False)
    ada = signers.certified("ada", between, signs=True, purposes=(signers.CODE,))
    made = {}
    for how in HOW:
        key = signers.key(CURVES[how]) if how in CURVES else ada.key
        pems = {"key": signers.private_pem(key), "public": signers.public_pem(key)}
        if how not in CURVES:
            pems |= {"certificate": ada.pem, "chain": between.pem, "root": root.pem}
        made[how] = {name: str(signers.written(folder, f"{how}.{name}", pem)) for name, pem in pems.items()}
    return made


@pytest.fixture
def bundle(packed: Callable[..., Packed], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a small bundle, by a name."""
    first = packed("text-classification", "rpi").folder
    return lambda name: Path(shutil.copytree(first, tmp_path / name, copy_function=os.link))


def verify(folder: Path, files: dict[str, str]) -> None:
    roots = [files["root"]] if "root" in files else None
    opened(folder, verifier=signing.verifier(None if roots else files["public"], roots))


def sign(folder: Path, files: dict[str, str]) -> None:
    more: dict[str, Any] = {}
    if "root" in files:
        more = {"certificate": Path(files["certificate"]), "chain": [Path(files["chain"])]}
    stage.sign(folder, stage.signer(Path(files["key"]), **more))


def put(file: Path, text: str) -> None:
    file.unlink(missing_ok=True)
    file.write_text(text)


def test_model_signing_verifies_ours(bundle: Callable[[str], Path], files: dict[str, dict[str, str]]) -> None:
    jobs = []
    for how in HOW:
        folder = bundle(how)
        sign(folder, files[how])
        put(folder / "measurements.json", "measured again")
        jobs.append((f"verify by {'certificate' if how == 'certificate' else 'key'}", folder, files[how]))
    for attack in ("changed", "more"):
        folder = bundle(attack)
        sign(folder, files["P-256"])
        put(folder / ("NOTICE" if attack == "changed" else "chat_template.jinja"), "other")
        jobs.append(("verify by key", folder, files["P-256"]))
    jobs.append(("verify by key", jobs[0][1], files["P-384"]))
    *good, changed, more, wrong = asked(jobs)
    assert good == [""] * len(HOW)
    assert "Hash mismatch" in changed
    assert "NOTICE" in changed
    assert "Extra files" in more
    assert "Key mismatch" in wrong


def test_we_verify_model_signing_s(bundle: Callable[[str], Path], files: dict[str, dict[str, str]]) -> None:
    folders = {how: bundle(how) for how in HOW}
    jobs = [
        (f"sign by {'certificate' if how == 'certificate' else 'key'}", folder, files[how])
        for how, folder in folders.items()
    ]
    assert asked(jobs) == [""] * len(HOW)
    for how, folder in folders.items():
        verify(folder, files[how])
        put(folder / "measurements.json", "measured again")  # which model-signing covers when it signs
        with pytest.raises(BundleDamaged, match=r"measurements\.json"):
            verify(folder, files[how])
        put(folder / "more", "")
        with pytest.raises(FileNotSigned, match="more"):
            verify(folder, files[how])
