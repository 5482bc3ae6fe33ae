"""One module per way to compress, each with ``quantize(model, out, recipe, calibration) -> Coverage``."""
