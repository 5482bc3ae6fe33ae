"""What every format's compression shares: rounding to few bits, GPTQ, its calibration, the parts of a model."""
