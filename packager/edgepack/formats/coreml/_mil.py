"""Objects of coremltools' Model Intermediate Language, which has no types."""

from __future__ import annotations

from typing import Any

Var = Any  # a value of a program
Node = Any  # an operation, of a program or of a traced graph
Context = Any  # of a conversion
MLModel = Any
