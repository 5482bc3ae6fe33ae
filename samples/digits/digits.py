"""Scikit-learn's handwritten digits, split into training and held-out; run it to write held-out.jsonl."""

import json
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

FILE = Path(__file__).parent / "held-out.jsonl"
_EVERY = 5  # one in five is held out


def training() -> tuple[np.ndarray, np.ndarray]:
    """uint8 [n, 8, 8] and labels."""
    images, labels = _all()
    kept = np.arange(len(labels)) % _EVERY != 0
    return images[kept], labels[kept]


def held_out() -> tuple[np.ndarray, np.ndarray]:
    """The fifth that training never sees."""
    images, labels = _all()
    return images[::_EVERY], labels[::_EVERY]


def _all() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    return (data.images * (255 / 16)).astype(np.uint8), data.target.astype(np.int64)


if __name__ == "__main__":
    rows = zip(*held_out(), strict=True)
    lines = [json.dumps({"image": image.tolist(), "label": str(label)}) for image, label in rows]
    FILE.write_text("\n".join(lines) + "\n", "utf-8")
    print(f"wrote {FILE.name}: {len(lines)} digits")
