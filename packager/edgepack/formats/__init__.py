"""All about one file format in one place: how models are read (pytorch) and written (onnx)."""
