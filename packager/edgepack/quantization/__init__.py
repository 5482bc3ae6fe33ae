"""Compression that the formats share: rounding to few bits, GPTQ, its calibration, the parts of a model."""
