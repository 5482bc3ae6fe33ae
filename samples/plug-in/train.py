"""Make model/: least squares over a few sentences of three languages. Takes a moment, and is the same every time."""

import json
from pathlib import Path

import numpy as np
from lang_id.model import Model
from safetensors.numpy import save_file

from edgepack.runtime.processing import Classes, Processing

BUCKETS = 512
TEXTS = {
    "en": "where is the house|i would like some bread and milk|the weather is good today|she reads a book in the garden"
    "|we are going to the sea tomorrow|this is the last train to the city|what is your name",
    "de": "wo ist das Haus|ich möchte Brot und Milch|das Wetter ist heute schön|sie liest ein Buch im Garten"
    "|morgen fahren wir ans Meer|das ist der letzte Zug in die Stadt|wie heißt du",
    "fr": "où est la maison|je voudrais du pain et du lait|il fait beau aujourd'hui|elle lit un livre dans le jardin"
    "|demain nous allons à la mer|c'est le dernier train pour la ville|comment tu t'appelles",
}

examples = [(text, place) for place, texts in enumerate(TEXTS.values()) for text in texts.split("|")]
answer = Classes(labels=tuple(TEXTS), problem_type="single_label_classification")
processing = Processing(answer=answer, own={"buckets": BUCKETS})
counts = Model(None, None, processing).feeds([text for text, _ in examples])["counts"].astype(np.float64)
wanted = np.eye(len(TEXTS))[[place for _, place in examples]] * 8 - 4
ridge = np.linalg.solve(counts.T @ counts + 0.1 * np.eye(BUCKETS), counts.T @ wanted)
folder = Path("model")
folder.mkdir(exist_ok=True)
save_file(
    {"weight": ridge.T.astype(np.float32).copy(), "bias": np.zeros(len(TEXTS), np.float32)},
    folder / "model.safetensors",
)
config = {
    "architectures": ["LinearLanguageIdentification"],
    "model_type": "linear",
    "languages": list(TEXTS),
    "buckets": BUCKETS,
}
(folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
