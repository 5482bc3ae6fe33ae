"""Which digits are these? Needs edgepack alone (numpy, onnxruntime, tokenizers): python classify.py"""

import sys
from pathlib import Path

import numpy as np

import edgepack

SEVEN = """
........
.######.
......#.
.....#..
....#...
...#....
...#....
........
"""


def picture(drawing: str) -> np.ndarray:
    """uint8 [8, 8] of a drawing in characters."""
    return np.array([[255 if mark == "#" else 0 for mark in row] for row in drawing.split()], np.uint8)


if __name__ == "__main__":
    bundle = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "dist" / "digits-rpi"
    model = edgepack.load(bundle)
    for label in model.classify(picture(SEVEN))[:3]:
        print(f"{label.name}  {label.score:.1%}")
