"""model-signing: JSON of jobs in, of each what went wrong, "" for nothing, out."""

import json
import sys

from model_signing import hashing, signing, verifying


def run(what: str, folder: str, files: dict[str, str]) -> str:
    """Sign a bundle, or verify its signature, with a key or certificates."""
    signature = f"{folder}/model.sig"
    hashed = hashing.Config().set_ignored_paths(paths=["model.sig"])
    try:
        if what == "sign by key":
            config = signing.Config().use_elliptic_key_signer(private_key=files["key"])
            config.set_hashing_config(hashed).sign(folder, signature)
        elif what == "sign by certificate":
            config = signing.Config().use_certificate_signer(
                private_key=files["key"],
                signing_certificate=files["certificate"],
                certificate_chain=[files["chain"]],
            )
            config.set_hashing_config(hashed).sign(folder, signature)
        elif what == "verify by key":
            verifying.Config().use_elliptic_key_verifier(public_key=files["public"]).verify(folder, signature)
        else:
            config = verifying.Config().use_certificate_verifier(certificate_chain=[files["root"]])
            config.verify(folder, signature)
    except Exception as error:  # of any library that it uses
        return f"{type(error).__name__}: {error}"
    return ""


print(json.dumps([run(*job) for job in json.load(sys.stdin)]))
