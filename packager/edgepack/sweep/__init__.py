"""Many builds, checks and measurements at once, as a TOML file tells them.

name = "nightly"                   # optional: the file's name
out = "dist"                       # optional: where bundles, records and the report lie
models = ["sentence-transformers/all-MiniLM-L6-v2", "./my-model"]
targets = ["rpi", "web"]
recipes = ["int8", "int8-fine"]    # optional: the target's default for the task
suites = ["release.toml"]          # optional: each bundle is held to each of them
devices = ["pi5"]                  # optional: each bundle is measured on each of them, the suites run there
threads = 1                        # optional: of each unit; another number may give other bytes

[[model]]                          # a model with options that `edgepack build` knows
model = "gpt2"
context = 512                      # task, adapter, lengths, max_size, fit, allow_loss, allow_unread, original
memory = "3 GB"                    # optional: what its build takes, in the estimate's place
folder = "short"                   # optional: below out, where bundles of other options have the same names

[[exclude]]                        # of the product: what has all of these
target = "web"
recipe = "int8-fine"

[[include]]                        # beside the product
model = "gpt2"
target = "android"

[slurm]                            # optional, for --on slurm: partition, account, qos, minutes
partition = "cpu"
"""

from __future__ import annotations

from edgepack.sweep._file import read
from edgepack.sweep._records import Job, ModelEntry, Result, Sweep, Unit
from edgepack.sweep.course import Course, Listener, run
from edgepack.sweep.folder import SweepFolder
from edgepack.sweep.planning import Plan, plan

__all__ = [
    "Course",
    "Job",
    "Listener",
    "ModelEntry",
    "Plan",
    "Result",
    "Sweep",
    "SweepFolder",
    "Unit",
    "plan",
    "read",
    "run",
]
