"""Which part of a model a weight belongs to."""

from __future__ import annotations


def component(name: str) -> str:
    """Return the part of the model that a node or weight belongs to, by the name that PyTorch's module path gave it."""
    path = name.lower().replace("::", ".").replace("/", ".")
    words = [word for word in path.split(".") if word]
    for part, signs in _SIGNS.items():
        if any(sign in word for word in words for sign in signs):
            return part
    return "mlp" if _is_output_dense(words) else "other"


# In this order: "attention.output.dense" is attention's, "output.dense" the feed-forward part's.
_SIGNS = {
    "embedding": ("embeddings", "embed_tokens", "wte", "wpe"),
    "attention": ("attention", "attn", "query", "key_proj", "qkv", "q_lin", "k_lin", "v_lin", "out_lin"),
    "mlp": ("intermediate", "mlp", "ffn", "fc1", "fc2", "lin1", "lin2", "feed_forward"),
    "head": (
        "classifier",
        "qa_outputs",
        "cls",
        "lm_head",
        "vocab_",
        "pre_classifier",
        "score",
        "predictions",
    ),
    "conv": ("conv", "patch", "stem"),
}


def _is_output_dense(words: list[str]) -> bool:
    return "output" in words and "dense" in words
