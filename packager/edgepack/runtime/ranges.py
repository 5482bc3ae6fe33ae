"""The types of numbers and texts that several of the records under ``processing`` hold, with their ranges."""

from __future__ import annotations

from typing import Annotated

from edgepack.runtime.record_json import Rule

Words = Annotated[str, Rule(maxLength=1_000_000)]
Special = Annotated[str, Rule(minLength=1, maxLength=1000)]
Id = Annotated[int, Rule(minimum=0, maximum=2_147_483_647)]
Tokens = Annotated[int, Rule(minimum=1, maximum=10_000_000)]
Pixels = Annotated[int, Rule(minimum=1, maximum=16_384)]
