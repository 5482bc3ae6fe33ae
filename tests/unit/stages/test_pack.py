"""A manifest that breaks its own schema is edgepack's fault, not a bundle that was copied badly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgepack import pipeline
from edgepack.errors import Unexpected
from edgepack.plans import Plan
from edgepack.runtime.processing import Text
from edgepack.stages import pack


def test_a_manifest_that_breaks_its_schema(
    build: Callable[..., object], tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pack.write_manifest

    def strange(folder: Path, plan: Plan, *rest: object, **facts: object) -> None:
        text = replace(plan.processing.section(Text), max_length=0)
        whole(folder, replace(plan, processing=replace(plan.processing, text=text)), *rest, **facts)

    monkeypatch.setattr(pipeline.pack, "write_manifest", strange)
    with pytest.raises(Unexpected, match=r"breaks its own schema: .*max_length is 0") as caught:
        build(tiny("text-classification"), "rpi", recipes=("fp32",))
    assert "report it" in caught.value.hint
