"""edgepack sign: a signature beside a bundle's manifest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from edgepack.cli import show
from edgepack.cli.options import Bundle, Json, Trust
from edgepack.runtime.manifest import SIGNATURE
from edgepack.stages import sign as stage

_PASSWORD = "EDGEPACK_KEY_PASSWORD"


def sign(
    bundle: Bundle,
    key: Annotated[
        Path,
        typer.Option(
            help=f"Private key (PEM): ECDSA on P-256, P-384 or P-521. The password of an encrypted key is read from "
            f"{_PASSWORD}.",
            show_default=False,
        ),
    ],
    certificate: Annotated[
        Path | None,
        typer.Option(help="Certificate of the key (PEM), to sign with certificates.", show_default=False),
    ] = None,
    chain: Annotated[
        list[Path] | None,
        typer.Option(help="Intermediate certificates (PEM). Repeatable.", metavar="<path>", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a model.sig that is not a signature.")] = False,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Sign a bundle with OpenSSF Model Signing.

    Writes model.sig beside the manifest; edgepack validate --public-key checks it.
    """
    signer = stage.signer(key, password=os.environ.get(_PASSWORD), certificate=certificate, chain=chain or ())
    listed = stage.sign(bundle, signer, force=force, trust=trust)
    found = {"files": len(listed.table["files"]) + 1, "manifest_sha256": listed.sha256, "key": signer.hint}
    if json:
        show.as_json({"file": bundle if bundle.is_file() else bundle / SIGNATURE, **found})
        return
    place = f"{SIGNATURE} in {bundle}" if bundle.is_file() else str(bundle / SIGNATURE)
    show.line(f"wrote {place}, over {found['files']} files, with the key {signer.hint[:16]}")
