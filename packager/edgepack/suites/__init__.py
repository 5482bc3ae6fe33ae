"""Release suites: what a bundle must keep before it ships, read from a TOML file.

name = "release"
original = "transformers"    # of language models: transformers itself, in memory (default: read a layer at a time)

[[check]]
kind = "agreement"           # with the original, on edgepack's own inputs or on `data`
metric = "cosine"            # cosine, sqnr_db, max_error, top1; of language models kl, top1, greedy
statistic = "mean"           # mean, min, max, median, p99
at_least = 0.997

[[check]]
kind = "metric"              # the task's metric on a data set
metric = "spearman"
data = { path = "pairs.csv", columns = { sentence1 = 0, sentence2 = 1, score = 2 } }
at_least = 0.86
at_most_loss = 0.002         # below the original's value; with `sure = true` the 95 % interval must keep it

[[check]]
kind = "psnr"                # of models that make images: a whole run beside the original's, at equal seeds
metric = "image"             # latents, image
data = { path = "prompts.jsonl" }  # prompt, negative_prompt, seed, steps, guidance; default: edgepack's own prompts
at_least = "35 dB"

[[check]]
kind = "clip"                # how well images fit their prompts: the mean cosine of both, by a bundle of CLIP
clip = "dist/clip-rpi"
at_most_loss = 0.01

[[check]]
kind = "size"                # size, memory: "24 MB"; load, latency: "50 ms"
at_most = "24 MB"
at_most_share = 0.3          # of the original's

[[check]]
kind = "latency"
input = "1x128"
percentile = 50              # 50, 90, 99

[[check]]
kind = "golden"              # the bundle's own vectors
"""

from __future__ import annotations

from edgepack.suites._file import read
from edgepack.suites._records import IMAGES, LIMITS, Check, CheckResult, Suite, SuiteResult
from edgepack.suites._verdict import judge, loss

__all__ = ["IMAGES", "LIMITS", "Check", "CheckResult", "Suite", "SuiteResult", "judge", "loss", "read"]
