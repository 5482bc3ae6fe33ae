"""all-MiniLM-L6-v2 for Core ML by coremltools' own compression: size and accuracy, beside edgepack's (coreml.py).

    python benchmarks/coreml_peers.py [--data stsb-en-dev.csv] [--sentences 3000]

Both compress the same float16 program, which ``edgepack build --recipe fp16`` makes. coremltools is called as its guide
calls it: one global configuration for all weights, no data. Packages are computed by edgepack.coreml.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as cto
from coreml import MODEL, built, kept, parser_of, read_pairs, vectors, wrapped

from edgepack.original import open_original
from edgepack.plans import Subject
from edgepack.runtime.engines import open_session
from edgepack.runtime.manifest import read
from edgepack.stages import resolve

logging.getLogger("coremltools").setLevel(logging.CRITICAL)


def main() -> None:
    pairs = read_pairs(parser_of("all-MiniLM-L6-v2 by coremltools' own compression").parse_args())
    source = resolve.resolve(MODEL)
    with open_original(Subject.of(source)) as original, tempfile.TemporaryDirectory() as name:
        true = vectors(wrapped(original, original), pairs)
        _, bundle = built(Path(name) / "fp16", ("--target", "iphone:ios18", "--recipe", "fp16"))
        print(f"{'coremltools':28}{'seconds':>9}{'MB':>8}{'cosine':>10}{'least':>9}{'Spearman':>10}")
        for label, compress in ways().items():
            package = Path(name) / "model.mlpackage"
            shutil.rmtree(package, ignore_errors=True)
            started = time.perf_counter()
            compress(ct.models.MLModel(str(read(bundle).model.path), skip_model_load=True)).save(str(package))
            seconds = time.perf_counter() - started
            found = vectors(wrapped(open_session(package, "coreml"), original), pairs)
            size = sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
            print(f"{label:28}{seconds:9.1f}{size / 1e6:8.2f}{kept(found, true, pairs)}", flush=True)


def ways() -> dict[str, Any]:
    """The guide's configurations: https://apple.github.io/coremltools/docs-guides/source/opt-overview.html."""

    def linear(**options: Any) -> Any:
        own = cto.OpLinearQuantizerConfig(mode="linear_symmetric", **options)
        return lambda model: cto.linear_quantize_weights(model, cto.OptimizationConfig(global_config=own))

    def palette(**options: Any) -> Any:
        own = cto.OpPalettizerConfig(mode="kmeans", **options)
        return lambda model: cto.palettize_weights(model, cto.OptimizationConfig(global_config=own))

    return {
        "int8 per channel": linear(),
        "int4 in blocks of 32": linear(dtype="int4", granularity="per_block", block_size=32),
        "palette, 6 bits": palette(nbits=6),
        "palette, 4 bits, 16 channels": palette(nbits=4, granularity="per_grouped_channel", group_size=16),
    }


if __name__ == "__main__":
    main()
