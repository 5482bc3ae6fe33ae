"""Show what a build would make, and whether it fits."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack import pipeline
from edgepack.cli import show
from edgepack.reports.table import Table
from edgepack.units import size


def show_plans(plans: Sequence[pipeline.Plan], json: bool) -> None:
    """Print the memory that each planned bundle needs, beside what its target has; or the plans as ``json``."""
    if json:
        show.as_json(
            [
                {
                    "bundle": p.name,
                    "target": p.target.name,
                    "recipe": p.recipe.name,
                    "context": p.processing.max_length,
                    "needs": p.need,
                    "tokens_per_second_estimate": _pace(p),
                    "fits": p.fits,
                }
                for p in plans
            ]
        )
        return
    head = [
        "bundle", "recipe", "weights", "key-value cache", "activations", "runtime", "total", "available", "context",
        "tokens/s (estimate)",
    ]  # fmt: skip
    rows = [_plan_row(plan) for plan in plans]
    show.table("estimated memory", Table(head, rows, [plan.fits for plan in plans], figures=head[2:]))


def _plan_row(plan: pipeline.Plan) -> list[str | None]:
    need, pace, context = plan.need, _pace(plan), plan.processing.max_length
    return [
        plan.name,
        plan.recipe.name,
        size(need.weights),
        size(need.cache) if need.cache else None,
        size(need.activations),
        size(need.runtime),
        size(need.total),
        size(plan.target.profile.memory),
        f"{context:,}" if need.cache and context is not None else None,
        f"{pace:.1f}" if pace else None,
    ]


def _pace(plan: pipeline.Plan) -> float | None:
    """Return tokens per second by the target's memory bandwidth: an estimate, never a measurement."""
    return plan.need.tokens_per_second(plan.target.profile.bandwidth) or None
