"""Signed bundles: who signed them, and that nothing but what was signed is in them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tests import signers
from tests.signers import CODE, DAY, TLS, Party, certified

import edgepack
from edgepack import outfolder, runtime
from edgepack.errors import (
    BundleDamaged,
    BundleFileMissing,
    CertificateExpired,
    CertificateUntrusted,
    EdgepackError,
    FileNotSigned,
    FileTrouble,
    KeyUnusable,
    SignatureError,
    SignatureMissing,
    SignatureWrong,
    UsageError,
)
from edgepack.records import Bundle
from edgepack.runtime import archive, manifest, signing
from edgepack.runtime.manifest import MANIFEST, MEASUREMENTS, SIGNATURE
from edgepack.runtime.opening import opened
from edgepack.runtime.signing import envelope, statement
from edgepack.runtime.signing.envelope import Envelope
from edgepack.runtime.signing.statement import Statement
from edgepack.stages import sign as stage

KEY = signers.key()
PUBLIC = signers.public_pem(KEY)


@pytest.fixture
def bundle(minilm: Bundle, tmp_path: Path) -> Path:
    """The MiniLM bundle, its files linked; ``put`` replaces one."""
    return Path(shutil.copytree(minilm.path, tmp_path / minilm.path.name, copy_function=os.link))


@pytest.fixture
def signed(bundle: Path) -> Path:
    stage.sign(bundle, stage.Signer(key=KEY))
    return bundle


def put(file: Path, text: bytes) -> None:
    file.unlink(missing_ok=True)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text)


def check(folder: Path, key: bytes = PUBLIC) -> None:
    opened(folder, verifier=signing.verifier(key))


def seal(folder: Path, said: Statement, ignored: tuple[str, ...] = signing.UNSIGNED, **changed: Any) -> None:
    """Sign ``said`` whatever is in the folder."""
    put(folder / SIGNATURE, envelope.encode(sealed(statement.encode(said, ignored), **changed)).encode())


def sealed(payload: bytes, key: ec.EllipticCurvePrivateKey = KEY, **changed: Any) -> Envelope:
    keys = signing.cryptographic("keys")
    facts = {"hint": keys.hint(key.public_key()), "signature": keys.sign(key, payload), **changed}
    return Envelope(payload=payload, **facts)


def test_what_is_signed_opens_and_computes_the_same(signed: Path, minilm: Bundle, tmp_path: Path) -> None:
    file = signers.written(tmp_path / "keys", "signing.pub", PUBLIC)
    for key in (file, str(file), PUBLIC):
        model = edgepack.load(signed, public_key=key)
    assert (model.embed("a cat") == edgepack.load(minilm.path).embed("a cat")).all()


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_each_curve(curve: ec.EllipticCurve, bundle: Path) -> None:
    key = signers.key(curve)
    stage.sign(bundle, stage.Signer(key=key))
    check(bundle, signers.public_pem(key))
    with pytest.raises(SignatureWrong, match="another key"):
        check(bundle)


def test_the_statement_covers_the_manifest_and_what_it_lists(signed: Path) -> None:
    listed = manifest.read(signed)
    found = statement.decode(envelope.decode((signed / SIGNATURE).read_bytes(), "it").payload, "it")
    assert set(found.files) == {*listed.table["files"], MANIFEST}
    assert found.name == listed.name
    assert all(manifest.digest(signed / name) == sha256 for name, sha256 in found.files.items())


def test_measurements_are_not_signed(signed: Path) -> None:
    put(signed / MEASUREMENTS, b'{"schema": 1, "accuracy": [], "timings": []}')
    check(signed)
    (signed / MEASUREMENTS).unlink()
    check(signed)


def edit_manifest(folder: Path) -> None:
    """What an attacker does who knows the format: another file, and its hash in the manifest."""
    put(folder / "NOTICE", b"other")
    table = json.loads((folder / MANIFEST).read_text())
    table["files"]["NOTICE"] = {"sha256": manifest.digest(folder / "NOTICE"), "bytes": 5}
    put(folder / MANIFEST, json.dumps(table).encode())


def list_another(folder: Path) -> None:
    table = json.loads((folder / MANIFEST).read_text())
    put(folder / "more.txt", b"more")
    table["files"]["more.txt"] = {"sha256": manifest.digest(folder / "more.txt"), "bytes": 4}
    put(folder / MANIFEST, json.dumps(table).encode())


def unlist(folder: Path) -> None:
    table = json.loads((folder / MANIFEST).read_text())
    del table["files"]["NOTICE"]
    put(folder / MANIFEST, json.dumps(table).encode())
    (folder / "NOTICE").unlink()


ATTACKS: dict[str, tuple[Callable[[Path], object], type[EdgepackError], str]] = {
    "no signature": (lambda at: (at / SIGNATURE).unlink(), SignatureMissing, "not signed"),
    "a changed file": (lambda at: put(at / "NOTICE", b"other"), BundleDamaged, "NOTICE"),
    "a changed file and its hash": (edit_manifest, BundleDamaged, "NOTICE|edgepack.json"),
    "white space in the manifest": (
        lambda at: put(at / MANIFEST, (at / MANIFEST).read_bytes() + b"\n"), BundleDamaged, "edgepack.json"
    ),
    "a file that is gone": (lambda at: (at / "NOTICE").unlink(), BundleFileMissing, "NOTICE"),
    "a file that is gone and not listed": (unlist, BundleFileMissing, "NOTICE"),
    "another file": (lambda at: put(at / "notes.txt", b""), FileNotSigned, "notes.txt"),
    "another file that is listed": (list_another, FileNotSigned, "more.txt"),
    "another file in a folder": (lambda at: put(at / ".git" / "config", b""), FileNotSigned, ".git/config"),
    "a link": (lambda at: (at / "link").symlink_to("/etc/passwd"), FileNotSigned, "link"),
    "a linked signature": (
        lambda at: ((at / SIGNATURE).rename(at.parent / "s"), (at / SIGNATURE).symlink_to(at.parent / "s")),
        EdgepackError, "link out"
    ),
    "a folder in its place": (
        lambda at: ((at / SIGNATURE).unlink(), (at / SIGNATURE).mkdir()), EdgepackError, "regular"
    ),
    "an empty signature": (lambda at: put(at / SIGNATURE, b""), SignatureError, "not valid JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack(name: str, signed: Path) -> None:
    attack, kind, said = ATTACKS[name]
    attack(signed)
    with pytest.raises(kind, match=said):
        check(signed)


def test_a_signature_of_another_bundle(signed: Path) -> None:
    said = signing.statement_of(manifest.read(signed))
    seal(signed, Statement(said.name, {**said.files, "NOTICE": "0" * 64}))
    with pytest.raises(BundleDamaged, match="NOTICE"):
        check(signed)


def test_what_the_signer_left_out_is_no_way_in(signed: Path) -> None:
    said = signing.statement_of(manifest.read(signed))
    less = {name: sha256 for name, sha256 in said.files.items() if name != "tokenizer.json"}
    seal(signed, Statement(said.name, less), ignored=("tokenizer.json", SIGNATURE))
    with pytest.raises(FileNotSigned, match=r"tokenizer\.json"):
        check(signed)


def test_what_is_signed_beside_the_manifest_is_held_to(signed: Path) -> None:
    put(signed / "README", b"read me")
    said = signing.statement_of(manifest.read(signed))
    seal(signed, Statement(said.name, {**said.files, "README": manifest.digest(signed / "README")}))
    check(signed)
    put(signed / "README", b"read this")
    with pytest.raises(BundleDamaged, match="README"):
        check(signed)


@pytest.mark.parametrize("name", ["../NOTICE", "/etc/passwd", "a//b", "NOTICE\0", "notice"])
def test_names_that_lead_out_or_are_one_file(name: str, signed: Path) -> None:
    said = signing.statement_of(manifest.read(signed))
    seal(signed, Statement(said.name, {**said.files, name: "0" * 64}))
    with pytest.raises(SignatureError):
        check(signed)


def test_a_hint_of_another_key_and_no_hint(signed: Path) -> None:
    said = signing.statement_of(manifest.read(signed))
    seal(signed, said, hint="")
    check(signed)
    seal(signed, said, hint="0" * 64)
    with pytest.raises(SignatureWrong, match="another key"):
        check(signed)


# certificates


@pytest.fixture(scope="module")
def authorities() -> tuple[Party, Party]:
    root = certified("root", authority=True, signs=False, begins=-9 * DAY)
    return root, certified("between", root, authority=True, signs=False)


def sign_with(folder: Path, signer: Party, *above: Party) -> None:
    der = signing.cryptographic("certificates").der
    chain = tuple(der(party.certificate) for party in (signer, *above))
    stage.sign(folder, stage.Signer(key=signer.key, certificates=chain))


def trusting(folder: Path, *roots: Party) -> None:
    opened(folder, verifier=signing.verifier(root_certificates=[root.pem for root in roots]))


@pytest.mark.parametrize(
    ("signs", "purposes"), [(True, ()), (True, (CODE,)), (None, (CODE,)), (True, (TLS, CODE))], ids=str
)
def test_certificates(
    signs: bool | None, purposes: tuple[Any, ...], bundle: Path, authorities: tuple[Party, Party]
) -> None:
    root, between = authorities
    sign_with(bundle, certified("ada", between, signs=signs, purposes=purposes), between)
    trusting(bundle, root)
    trusting(bundle, certified("else", authority=True), root)
    assert edgepack.load(bundle, root_certificates=[root.pem]).embed("a cat").any()


def test_a_signer_that_is_trusted_itself(bundle: Path) -> None:
    ada = certified("ada", signs=True, purposes=(CODE,))
    sign_with(bundle, ada)
    trusting(bundle, ada)


def test_the_key_of_a_certificate(bundle: Path, authorities: tuple[Party, Party]) -> None:
    ada = certified("ada", authorities[0], signs=True)
    sign_with(bundle, ada)
    check(bundle, signers.public_pem(ada.key))
    with pytest.raises(SignatureWrong):
        check(bundle)


def test_certificates_that_are_not_valid_now(bundle: Path, authorities: tuple[Party, Party]) -> None:
    root, between = authorities
    for begins, ends in ((-2 * DAY, -DAY), (DAY, 2 * DAY)):
        sign_with(bundle, certified("ada", between, signs=True, begins=begins, ends=ends), between)
        with pytest.raises(CertificateExpired, match="not valid on"):
            trusting(bundle, root)
    old = certified("old", root, authority=True, begins=-3 * DAY, ends=-DAY)
    sign_with(bundle, certified("ada", old, signs=True, begins=-2 * DAY), old)
    with pytest.raises(CertificateExpired, match="not valid on"):
        trusting(bundle, root)


def test_certificates_of_others(bundle: Path, authorities: tuple[Party, Party]) -> None:
    root, between = authorities
    ada = certified("ada", between, signs=True)
    no_authority = certified("between", root, signs=True, own=between.key)
    for above, roots in (
        ((between,), [certified("root", authority=True)]),  # another root of the same name
        ((), [root]),  # what is between is missing
        ((no_authority,), [root]),
        ((certified("between", authority=True, own=between.key),), [root]),
        ((between,), [certified("ada", signs=True)]),
    ):
        sign_with(bundle, ada, *above)
        with pytest.raises(CertificateUntrusted, match="trusted root"):
            trusting(bundle, *roots)
    stage.sign(bundle, stage.Signer(key=KEY))
    with pytest.raises(CertificateUntrusted, match="no certificate"):
        trusting(bundle, root)


@pytest.mark.parametrize(("signs", "purposes"), [(None, ()), (False, ()), (False, (CODE,)), (True, (TLS,))], ids=str)
def test_certificates_for_something_else(
    signs: bool | None, purposes: tuple[Any, ...], bundle: Path, authorities: tuple[Party, Party]
) -> None:
    sign_with(bundle, certified("ada", authorities[0], signs=signs, purposes=purposes))
    with pytest.raises(CertificateUntrusted, match="not for signing"):
        trusting(bundle, authorities[0])


def test_another_key_under_a_certificate(bundle: Path, authorities: tuple[Party, Party]) -> None:
    ada = certified("ada", authorities[0], signs=True)
    sign_with(bundle, Party("ada", KEY, ada.certificate))
    with pytest.raises(SignatureWrong):
        trusting(bundle, authorities[0])


# keys and files of the user's


@pytest.mark.parametrize(
    "key",
    [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1()), None],
    ids=["ed", "k1", "rsa"],
)
def test_keys_of_other_kinds(key: Any, tmp_path: Path) -> None:
    key = key or rsa.generate_private_key(65537, 2048)
    with pytest.raises(KeyUnusable, match="another kind"):
        signing.verifier(signers.public_pem(key))
    with pytest.raises(KeyUnusable, match="another kind"):
        stage.signer(signers.written(tmp_path, "key", signers.private_pem(key)))


def test_files_that_are_no_keys(tmp_path: Path) -> None:
    private = signers.private_pem(KEY)
    for pem in (b"", b"text", private, PUBLIC[:60], b"\xff\xfe"):
        with pytest.raises(KeyUnusable, match="not a public key"):
            signing.verifier(pem)
        with pytest.raises(KeyUnusable, match="not a certificate"):
            signing.verifier(root_certificates=[pem])
    for pem in (b"", PUBLIC, private[:80]):
        with pytest.raises(KeyUnusable, match="not a private key"):
            stage.signer(signers.written(tmp_path, "key", pem))
    with pytest.raises(KeyUnusable, match="cannot be read"):
        signing.verifier(tmp_path / "none")
    with pytest.raises(UsageError):
        signing.verifier(PUBLIC, [PUBLIC])
    for given in ({"root_certificates": []}, {"public_key": 1}, {"root_certificates": 1}, {"root_certificates": [{}]}):
        with pytest.raises(UsageError):
            signing.verifier(**given)  # type: ignore[arg-type]


def test_an_encrypted_key(tmp_path: Path) -> None:
    file = signers.written(tmp_path, "key", signers.private_pem(KEY, "secret"))
    assert stage.signer(file, password="secret").hint == stage.Signer(key=KEY).hint
    with pytest.raises(KeyUnusable, match="is encrypted"):
        stage.signer(file)
    with pytest.raises(KeyUnusable, match="another password"):
        stage.signer(file, password="else")


def test_certificates_that_do_not_fit_the_key(tmp_path: Path, authorities: tuple[Party, Party]) -> None:
    key = signers.written(tmp_path, "key", signers.private_pem(KEY))

    def given(party: Party) -> Path:
        return signers.written(tmp_path, party.name, party.pem)

    with pytest.raises(KeyUnusable, match="of another key"):
        stage.signer(key, certificate=given(certified("ada", signs=True)))
    with pytest.raises(CertificateExpired):
        stage.signer(key, certificate=given(certified("ada", signs=True, begins=-2 * DAY, ends=-DAY, own=KEY)))
    with pytest.raises(CertificateUntrusted):
        stage.signer(key, certificate=given(certified("ada", signs=False, own=KEY)))
    with pytest.raises(UsageError):
        stage.signer(key, chain=[key])
    made = stage.signer(key, certificate=given(certified("ada", signs=True, own=KEY)), chain=[given(authorities[0])])
    assert len(made.certificates) == 2


# signing


def test_signing_again_takes_the_place_of_the_signature(signed: Path) -> None:
    other = signers.key()
    stage.sign(signed, stage.Signer(key=other))
    check(signed, signers.public_pem(other))
    put(signed / SIGNATURE, b"my own notes")
    with pytest.raises(FileTrouble, match="would be replaced"):
        stage.sign(signed, stage.Signer(key=KEY))
    stage.sign(signed, stage.Signer(key=KEY), force=True)
    check(signed)
    assert sorted(path.name for path in signed.parent.iterdir()) == [signed.name]


def test_only_whole_bundles_are_signed(bundle: Path) -> None:
    (bundle / "LICENSE").rename(bundle / "elsewhere")
    (bundle / "LICENSE").symlink_to("elsewhere")
    with pytest.raises(FileNotSigned, match="elsewhere"):
        stage.sign(bundle, stage.Signer(key=KEY))
    put(bundle / "LICENSE", (bundle / "elsewhere").read_bytes())
    (bundle / "elsewhere").unlink()
    put(bundle / "NOTICE", b"other")
    with pytest.raises(BundleDamaged, match="NOTICE"):
        stage.sign(bundle, stage.Signer(key=KEY))
    assert not (bundle / SIGNATURE).exists()


def test_a_link_inside_is_not_signed(bundle: Path) -> None:
    table = json.loads((bundle / MANIFEST).read_text())
    table["files"]["again"] = table["files"]["NOTICE"]
    put(bundle / MANIFEST, json.dumps(table).encode())
    (bundle / "again").symlink_to("NOTICE")
    with pytest.raises(FileNotSigned, match="is a link"):
        stage.sign(bundle, stage.Signer(key=KEY))


def test_archives(signed: Path, minilm: Bundle, tmp_path: Path) -> None:
    file = archive.zip_folder(signed, tmp_path / "m.edgepack")
    assert edgepack.load(file, public_key=PUBLIC).embed("a cat").any()
    bare = archive.zip_folder(minilm.path, tmp_path / "bare.edgepack")
    with pytest.raises(SignatureMissing):
        check(bare)
    other = signers.key()
    stage.sign(bare, stage.Signer(key=other))
    check(bare, signers.public_pem(other))
    with pytest.raises(SignatureWrong):
        check(bare)
    assert {path.name for path in tmp_path.iterdir()} == {signed.name, "m.edgepack", "bare.edgepack"}


def test_a_signed_bundle_may_be_built_again(signed: Path) -> None:
    outfolder.check_bundle(signed)


def test_a_stale_signature_is_not_packed(signed: Path, edgepack: Callable[..., Any]) -> None:
    assert edgepack("pack", signed).returncode == 0
    edit_manifest(signed)
    done = edgepack("pack", signed, "--zip", "--out", signed.parent / "again.edgepack")
    assert done.returncode == BundleDamaged.exit_code
    assert "not what was signed" in done.stderr
    assert not (signed.parent / "again.edgepack").exists()


# between the check and the use


@pytest.mark.parametrize("when", ["open_session", "model"])
def test_a_file_that_changes_while_it_is_opened(when: str, signed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, file = getattr(runtime, when), signed / "tokenizer.json"
    put(file, file.read_bytes())  # not the one that others link to

    def slow(*arguments: Any, **options: Any) -> Any:
        file.write_bytes(file.read_bytes())
        return usual(*arguments, **options)

    monkeypatch.setattr(runtime, when, slow)
    with pytest.raises(BundleDamaged, match=r"tokenizer\.json .* was changed while the bundle was being opened"):
        runtime.load(signed, public_key=PUBLIC)


def test_the_chat_template_is_the_one_that_was_signed(speaker: Callable[[str], Any], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(speaker("llama").bundle.path, tmp_path / speaker("llama").bundle.path.name))
    stage.sign(folder, stage.Signer(key=KEY))
    model, question = runtime.load(folder, public_key=PUBLIC), [{"role": "user", "content": "Where did she go?"}]
    for file in (folder / "chat_template.jinja", folder / "tokenizer_config.json"):
        put(file, b"{}")
    assert model.tokens(question) == speaker("llama").model.tokens(question)


def test_a_signature_needs_the_hashes(signed: Path) -> None:
    with pytest.raises(UsageError, match="verify=False"):
        edgepack.load(signed, public_key=PUBLIC, verify=False)


# the commands


def test_the_commands(bundle: Path, edgepack: Callable[..., Any]) -> None:
    keys = bundle.parent / "keys"
    key = signers.written(keys, "signing.key", signers.private_pem(KEY))
    public = signers.written(keys, "signing.pub", PUBLIC)
    other = signers.written(keys, "other.pub", signers.public_pem(signers.key()))
    assert edgepack("validate", bundle, "--public-key", public).returncode == SignatureMissing.exit_code
    done = edgepack("sign", bundle, "--key", key, "--json")
    assert json.loads(done.stdout)["key"] == stage.Signer(key=KEY).hint
    done = edgepack("validate", bundle, "--public-key", public)
    assert done.returncode == 0
    assert "model.sig is valid for these files" in done.stdout
    assert edgepack("run", bundle, "a cat", "--public-key", public).returncode == 0
    assert edgepack("run", bundle, "a cat", "--public-key", other).returncode == SignatureWrong.exit_code
    assert json.loads(edgepack("inspect", bundle, "--json").stdout)["signed"] is True
    assert edgepack("sign", bundle, "--key", public).returncode == KeyUnusable.exit_code


def test_without_cryptography(signed: Path) -> None:
    program = f"""
import sys
sys.modules["cryptography"] = None
import edgepack
from edgepack.errors import MissingExtra
edgepack.load({str(signed)!r})
try:
    edgepack.load({str(signed)!r}, public_key=b"")
except MissingExtra as error:
    print(error.exit_code, error, error.hint)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "5 this needs the Python package 'cryptography', which is not installed pip install 'edgepack[sign]'\n"
    )
