"""The original, as its authors compute it: fits the Protocol edgepack.original.OriginalRoute."""

from safetensors.numpy import load_file

from edgepack.original import Original


class Linear(Original):
    input_difference = None  # its authors have no pre-processing that ours could be compared with
    frees = False

    def __init__(self, subject):
        self.source, self.task = subject.source, subject.task
        self._weights = subject.source.path / "model.safetensors"

    @property
    def module(self):
        return load_file(self._weights)

    def check(self, processing):
        """Read the weights, which raises where they cannot be."""
        load_file(self._weights)

    def attach(self, model, processing):
        return model

    def learn(self, feeds):
        pass

    def __call__(self, feeds):
        tensors = self.module
        return {"logits": feeds["counts"] @ tensors["weight"].T + tensors["bias"]}

    def close(self):
        pass


def open_original(subject, *, inputs, implementation):
    return Linear(subject)
