"""Go on from a few words in the manner of Python's help: python tell.py "The following"

Needs edgepack alone (numpy, onnxruntime, tokenizers).
"""

import argparse
from pathlib import Path

import edgepack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompt")
    parser.add_argument("--bundle", default=Path(__file__).parent / "dist" / "storyteller-rpi")
    arguments = parser.parse_args()
    model = edgepack.load(arguments.bundle)
    print(arguments.prompt, end="", flush=True)
    for piece in model.generate(arguments.prompt, max_tokens=80, temperature=0.8, seed=1):
        print(piece, end="", flush=True)
    print()


if __name__ == "__main__":
    main()
