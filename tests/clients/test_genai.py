"""onnxruntime-genai on the bundles of a language model: greedy text as edgepack's runtime gives it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime_genai as og
import pytest
from tests.clients.conftest import TOKENS, Packed


@pytest.mark.parametrize("recipe", ["fp32", "int4"])
def test_text(recipe: str, packed: Callable[..., Packed]) -> None:
    bundle = packed("text-generation", "rpi", recipe)
    model = og.Model(str(bundle.folder))
    tokenizer = og.Tokenizer(model)
    for prompt, wanted in zip(bundle.inputs, bundle.continuations, strict=True):
        opening, *rest = ids = bundle.runtime.tokens(prompt)
        assert opening == 0
        assert list(tokenizer.encode(prompt)) == rest  # its tokenizer leaves the opening token out
        wishes = og.GeneratorParams(model)
        wishes.set_search_options(max_length=len(ids) + TOKENS, do_sample=False)
        generator = og.Generator(model, wishes)
        generator.append_tokens(np.array(ids, np.int32))
        while not generator.is_done():
            generator.generate_next_token()
        made = generator.get_sequence(0)[len(ids) :]
        assert tokenizer.decode(made) == wanted
