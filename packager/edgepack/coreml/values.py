"""The two things that have no type of their own: values of a program, and messages of its file."""

from __future__ import annotations

from typing import Any

Value = Any  # of the Model Intermediate Language: a tensor, a number, a string, a list, a tuple or a dictionary
Message = Any  # protobuf's, by the classes that coremltools generates without types
