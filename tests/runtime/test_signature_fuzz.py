"""model.sig of any kind of bytes: refused in one line, or it says what the signer said."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import signers

from edgepack.errors import BundleError
from edgepack.records import Bundle
from edgepack.runtime import manifest, signing
from edgepack.runtime.manifest import SIGNATURE, Manifest
from edgepack.runtime.signing import envelope, statement
from edgepack.stages import sign as stage

KEY = signers.key()
ROOT = signers.certified("root", authority=True, signs=False)
ADA = signers.certified("ada", ROOT, signs=True, own=KEY)
BY_KEY = signing.verifier(signers.public_pem(KEY))
BY_ROOT = signing.verifier(root_certificates=[ROOT.pem])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["sha256", "files", "00", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def signed(minilm: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("signed") / "bundle"
    shutil.copytree(minilm.path, folder, copy_function=os.link)
    own = signing.cryptographic("certificates").der(ADA.certificate)
    stage.sign(folder, stage.Signer(key=KEY, certificates=(own,)))
    return manifest.read(folder)


@pytest.fixture(scope="module")
def text(signed: Manifest) -> bytes:
    return (signed.folder / SIGNATURE).read_bytes()


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield way
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inside:
        yield from places(child, (*way, key))


def mutated(value: Any, data: st.DataObject) -> Any:
    """``value`` with a part of it gone, doubled, or another."""
    whole = [copy.deepcopy(value)]
    way = (0, *data.draw(st.sampled_from(list(places(value)))))
    parent: Any = whole
    for key in way[:-1]:
        parent = parent[key]
    kind = data.draw(st.sampled_from(["other", "gone", "wrapped", "text"]))
    old = parent[way[-1]]
    if kind == "gone" and isinstance(parent, dict):
        del parent[way[-1]]
    elif kind == "wrapped":
        parent[way[-1]] = [old, old]
    elif kind == "text" and isinstance(old, str) and old:
        at = data.draw(st.integers(0, len(old) - 1))
        parent[way[-1]] = old[:at] + data.draw(st.text(max_size=2)) + old[at + 1 :]
    else:
        parent[way[-1]] = data.draw(values)
    return whole[0]


def held(listed: Manifest, written: bytes, payload: bytes) -> None:
    """Check ``written`` with both verifiers: refused as a BundleError, or it says ``payload``, which is true."""
    (listed.folder / SIGNATURE).write_bytes(written)
    for verifier in (BY_KEY, BY_ROOT):
        assert verifier is not None
        try:
            signing.check(listed, verifier)
        except BundleError:
            continue
        assert envelope.decode(written, "it").payload == payload
        said, true = statement.decode(payload, "it").files, signing.statement_of(listed).files
        assert {name: said.get(name) for name in true} == true


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_bytes(data: st.DataObject, signed: Manifest, text: bytes) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 4)))
    broken = text[:start] + data.draw(st.binary(max_size=4)) + text[end:]
    held(signed, broken, envelope.decode(text, "it").payload)


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_parts_of_the_envelope(data: st.DataObject, signed: Manifest, text: bytes) -> None:
    broken = json.dumps(mutated(json.loads(text), data)).encode()
    held(signed, broken, envelope.decode(text, "it").payload)


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_parts_of_a_statement_that_is_signed(data: st.DataObject, signed: Manifest, text: bytes) -> None:
    usual = envelope.decode(text, "it")
    payload = json.dumps(mutated(json.loads(usual.payload), data)).encode()
    signature = signing.cryptographic("keys").sign(KEY, payload)
    made = envelope.Envelope(payload=payload, signature=signature, certificates=usual.certificates)
    held(signed, envelope.encode(made).encode(), payload)


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_bytes_of_certificates(data: st.DataObject, signed: Manifest, text: bytes) -> None:
    usual = envelope.decode(text, "it")
    own = bytearray(usual.certificates[0])
    for _ in range(data.draw(st.integers(1, 3))):
        own[data.draw(st.integers(0, len(own) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(own[: data.draw(st.integers(len(own) - 9, len(own)))])
    above = data.draw(st.lists(st.sampled_from([cut, usual.certificates[0], b"", b"\x30\x80"]), max_size=3))
    made = envelope.Envelope(
        payload=usual.payload, signature=usual.signature, certificates=(data.draw(st.sampled_from([cut, b""])), *above)
    )
    held(signed, envelope.encode(made).encode(), usual.payload)


@pytest.mark.parametrize(
    "written",
    [
        b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"mediaType": NaN}', b"9" * 10_000, b" " * 11_000_000,
        b'{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "messageSignature": {}}',
    ],
    ids=range(10),
)  # fmt: skip
def test_what_is_no_signature(written: bytes, signed: Manifest) -> None:
    (signed.folder / SIGNATURE).write_bytes(written)
    assert BY_KEY is not None
    with pytest.raises(BundleError) as caught:
        signing.check(signed, BY_KEY)
    assert len(str(caught.value).splitlines()) == 1
