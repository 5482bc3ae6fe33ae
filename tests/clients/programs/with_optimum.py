"""optimum's ORTModel classes and transformers' pipelines on bundles: JSON of what to do in, JSON of the answers out."""

import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from optimum.onnxruntime import (
    ORTModelForCausalLM,
    ORTModelForCustomTasks,
    ORTModelForFeatureExtraction,
    ORTModelForImageClassification,
    ORTModelForMaskedLM,
    ORTModelForQuestionAnswering,
    ORTModelForSequenceClassification,
    ORTModelForTokenClassification,
)
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, pipeline


def embed(folder: str, texts: list[str]) -> list[Any]:
    """Means of the tokens' vectors, normalised, of one text at a time."""
    model, tokenizer = ORTModelForFeatureExtraction.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    found = []
    for text in texts:
        tokens = tokenizer(text, truncation=True, return_tensors="pt")
        mean = model(**tokens).last_hidden_state.mean(1)
        found.append(torch.nn.functional.normalize(mean)[0].tolist())
    return found


def classify(folder: str, texts: list[str]) -> list[Any]:
    """Every label with its score, best first."""
    model, tokenizer = ORTModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    run = pipeline("text-classification", model=model, tokenizer=tokenizer)
    return [run(text, top_k=None) for text in texts]


def tag(folder: str, texts: list[str]) -> list[Any]:
    """The entities of each text."""
    model, tokenizer = ORTModelForTokenClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    run = pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="simple")
    return [[{**entity, "score": float(entity["score"])} for entity in run(text)] for text in texts]


def see(folder: str, images: list[str]) -> list[Any]:
    """Every label with its score, best first."""
    model, processor = (
        ORTModelForImageClassification.from_pretrained(folder),
        AutoImageProcessor.from_pretrained(folder),
    )
    run = pipeline("image-classification", model=model, image_processor=processor)
    return [run(image, top_k=len(model.config.id2label)) for image in images]


def see_vectors(folder: str, images: list[str]) -> list[Any]:
    """The vector of each image."""
    model = ORTModelForCustomTasks.from_pretrained(folder)
    processor = AutoImageProcessor.from_pretrained(folder)
    opened = [processor(Image.open(image), return_tensors="pt") for image in images]
    return [model(**pixels)["image_embedding"][0].tolist() for pixels in opened]


def compare(folder: str, images: list[str]) -> dict[str, Any]:
    """The vectors of two texts and of each image, from the two files of a bundle."""
    opened = [ORTModelForCustomTasks.from_pretrained(folder, file_name=f"{n}_model.onnx") for n in ("text", "vision")]
    tokens = AutoTokenizer.from_pretrained(folder)(["a cat", "the phone of the dog"], padding=True, return_tensors="pt")
    processor = AutoImageProcessor.from_pretrained(folder)
    pixels = processor([Image.open(image) for image in images], return_tensors="pt")
    return {
        "texts": opened[0](**tokens)["text_embeds"].tolist(),
        "images": opened[1](**pixels)["image_embeds"].tolist(),
    }


def fill(folder: str, texts: list[str]) -> list[Any]:
    """The five likeliest tokens for each text's mask."""
    model, tokenizer = ORTModelForMaskedLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    return pipeline("fill-mask", model=model, tokenizer=tokenizer)(texts)


def reply(folder: str, questions: list[Any]) -> list[Any]:
    """The span that answers each question about a text."""
    model, tokenizer = ORTModelForQuestionAnswering.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    run = pipeline("question-answering", model=model, tokenizer=tokenizer)
    return [run(question=question, context=context) for question, context in questions]


def tokenize(folder: str, pairs: list[Any]) -> dict[str, Any]:
    """The tokens of pairs of texts, and the tokenizer's class."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return {"class": type(tokenizer).__name__, "pairs": [dict(tokenizer(*pair)) for pair in pairs]}


def generate(folder: str, texts: list[str]) -> dict[str, Any]:
    """The 24 tokens that greedily follow each text, alone and in one batch; the mean loss of each text's tokens."""
    model = ORTModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", pad_token="</s>")

    def continued(batch: list[str]) -> list[str]:
        tokens = tokenizer(batch, return_tensors="pt", padding=True)
        made = model.generate(**tokens, max_new_tokens=24, do_sample=False)
        return tokenizer.batch_decode(made[:, tokens["input_ids"].shape[1] :], skip_special_tokens=True)

    def loss(text: str) -> float:
        tokens = tokenizer(text, return_tensors="pt")
        logits = model(**tokens).logits[0, :-1]
        return float(torch.nn.functional.cross_entropy(logits, tokens["input_ids"][0, 1:]))

    alone = [continued([text])[0] for text in texts]
    return {"alone": alone, "together": continued(texts), "losses": [loss(text) for text in texts]}


ASKED: dict[str, Callable[[str, list[str]], Any]] = {
    "text-embedding": embed,
    "text-classification": classify,
    "token-classification": tag,
    "question-answering": reply,
    "fill-mask": fill,
    "tokenizer": tokenize,
    "image-classification": see,
    "image-embedding": see_vectors,
    "text-generation": generate,
    "zero-shot-image-classification": compare,
}
print(json.dumps([ASKED[task](folder, inputs) for task, folder, inputs in json.load(sys.stdin)]))
