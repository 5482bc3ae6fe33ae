"""Pairs in the chat template of a reranker: its frame, read off what transformers renders, and its own tokens.

As sentence-transformers' CrossEncoder does it (5.4 and later): messages with the roles query and document, with a
prompt as the system's message before them; of a pair that is cut the end of the template stays. A Qwen3-Reranker whose
template does not know these roles is taken as its model card has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgepack.errors import ModelError, UnsupportedModel
from edgepack.original.library import PretrainedConfig, PretrainedTokenizer
from edgepack.runtime.processing import Frame
from edgepack.tasks import _reranking, _sentence_folder, read_config
from edgepack.tasks._reranking import Reranking
from edgepack.tasks._sentence_settings import PairTemplate

Render = Callable[[str, str, str], str]  # (query, document, prompt) -> text
Ids = list[int]

_QUERY, _DOCUMENT, _PROMPT = "Qq7xqQ", "Dd7xdD", "Pp7xpP"  # that no template has
# texts that a template has to put in as they are
_PROBES = (("", ""), (" a\n", "\n b "), ("{{ c }}", "<d>é🙂"), ("Ä  e", "0"))
_FILLERS = ("0", "1 2 3 4")  # sentence-transformers' own: their tokens have nothing in common
_WORDS = ("yes", "no")  # whose logits make the score where no LogitScore says otherwise
_QWEN3 = "qwen3"
# Of the model card of Qwen3-Reranker
_CARD = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n',
    "<Instruct>: {prompt}\n<Query>: {query}\n<Document>: {document}",
    "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
)
_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
_ROLES = "give it a chat template that puts messages of the roles query and document in: chat_template.jinja"


def reranking(tokenizer: PretrainedTokenizer, folder: Path, config: PretrainedConfig) -> Reranking:
    """Return how ``tokenizer`` makes one text of a pair, and the words of a language model that score it.

    ``folder`` is the model's own. Raises UnsupportedModel for a template that changes the texts that it is given.
    """
    render = _renderer(tokenizer, folder)
    made = None if render is None else _frame(render, tokenizer, folder)
    stated = _sentence_folder.read(folder) if _sentence_folder.is_one(folder) else None
    causal = stated.words is not None if stated else _reranking.is_causal(read_config(folder / "config.json"))
    if stated and made and made.before_prompt is None and any(stated.prompts.values()):
        raise UnsupportedModel(
            f"the chat template of {folder.name} has no place for its prompts in front of the query",
            hint="remove the prompts from a copy of config_sentence_transformers.json",
        )
    if not causal:
        return Reranking(frame=made)
    words = stated.words if stated and stated.words else _words(tokenizer, folder)
    rows = config.get_text_config().vocab_size
    true, false = (None if word is None else _reranking.checked_id(word, folder.name, rows) for word in words)
    return Reranking(frame=made, true_id=true, false_id=false)


def encode(tokenizer: PretrainedTokenizer, folder: Path, pairs: Sequence[Any], prompt: str, longest: int) -> list[Ids]:
    """Return the tokens of each of ``pairs`` as the model's authors have them: one of ``longest`` keeps its end.

    Nothing of the frame takes part.
    """
    render = _renderer(tokenizer, folder)
    if render is None:
        raise ModelError(f"{folder.name} has no chat template", hint=_ROLES)
    if isinstance(render, _Card):
        return [render.ids(tokenizer, query, document, prompt, longest) for query, document in pairs]
    return [_cut(tokenizer, render, query, document, prompt, longest) for query, document in pairs]


class _Template:
    """The tokenizer's chat template, with messages whose contents are texts (flat) or lists of parts."""

    def __init__(self, tokenizer: PretrainedTokenizer, template: PairTemplate, form: str) -> None:
        self._tokenizer, self._arguments, self._form = tokenizer, template.arguments, form

    def __call__(self, query: str, document: str, prompt: str) -> str:
        said = [("system", prompt)] if prompt else []
        said += [("query", query), ("document", document)]
        messages = [{"role": role, "content": self._content(text)} for role, text in said]
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, **self._arguments))

    def _content(self, text: str) -> object:
        return text if self._form == "flat" else [{"type": "text", "text": text}]

    def carries(self) -> bool:
        """Return whether both texts of a pair reach what is rendered."""
        try:
            made = self(_QUERY, _DOCUMENT, "")
        except Exception:  # whatever a template raises
            return False
        return made.count(_QUERY) == made.count(_DOCUMENT) == 1


class _Card:
    """The text of Qwen3-Reranker's model card, whose three parts become tokens one by one."""

    def __call__(self, query: str, document: str, prompt: str) -> str:
        return f"{_CARD[0]}{self._content(query, document, prompt)}{_CARD[2]}"

    def ids(self, tokenizer: PretrainedTokenizer, query: str, document: str, prompt: str, longest: int) -> Ids:
        before, content, end = (
            list(tokenizer(part, add_special_tokens=False)["input_ids"])
            for part in (_CARD[0], self._content(query, document, prompt), _CARD[2])
        )
        return [*before, *content[: max(longest - len(before) - len(end), 0)], *end][-longest:]

    def _content(self, query: str, document: str, prompt: str) -> str:
        return _CARD[1].format(prompt=prompt or _INSTRUCTION, query=query, document=document)


def _renderer(tokenizer: PretrainedTokenizer, folder: Path) -> _Template | _Card | None:
    """Return what makes one text of a pair; None where the model takes pairs as they are.

    Raises UnsupportedModel for a template that does not know the roles of a pair.
    """
    if _sentence_folder.is_one(folder):
        stated = _sentence_folder.read(folder).pairs
        if stated is None:
            return None
        found = _carrying(tokenizer, stated)
        if found is None:
            raise UnsupportedModel(
                f"the chat template of {folder.name} does not put the query and the document of a pair in", hint=_ROLES
            )
        return found
    config = read_config(folder / "config.json")
    if not _reranking.is_causal(config):  # as transformers' pipeline takes it
        return None
    found = _carrying(tokenizer, PairTemplate())
    if found is None and config.get("model_type") != _QWEN3:
        raise UnsupportedModel(
            f"{folder.name} is a language model, and nothing says how it takes a query and a passage", hint=_ROLES
        )
    return found or _Card()


def _carrying(tokenizer: PretrainedTokenizer, template: PairTemplate) -> _Template | None:
    if tokenizer.chat_template is None:
        return None
    tried = (_Template(tokenizer, template, form) for form in ((template.form,) if template.form else _FORMS))
    return next((each for each in tried if each.carries()), None)


_FORMS = ("flat", "structured")


def _frame(render: Render, tokenizer: PretrainedTokenizer, folder: Path) -> Frame:
    before, between, end = _split(render(_QUERY, _DOCUMENT, ""), folder)
    for query, document in _PROBES:
        if render(query, document, "") != f"{before}{query}{between}{document}{end}":
            raise UnsupportedModel(
                f"the chat template of {folder.name} changes the texts that it puts in, which a bundle does not",
                hint="take a template that puts message.content in as it is",
            )
    around = _around_prompt(render, (between, end))
    return Frame(
        before=before,
        between=between,
        end=end,
        tail=_tail(render, tokenizer),
        before_prompt=around[0] if around else None,
        behind_prompt=around[1] if around else None,
    )


def _split(made: str, folder: Path) -> tuple[str, str, str]:
    before, _, rest = made.partition(_QUERY)
    between, found, end = rest.partition(_DOCUMENT)
    if not found:
        raise UnsupportedModel(
            f"the chat template of {folder.name} has the document before the query, which edgepack does not support",
            hint="take a template that has the query first",
        )
    return before, between, end


def _around_prompt(render: Render, behind: tuple[str, str]) -> tuple[str, str] | None:
    """Return what stands around a prompt in front of the query; None where there is no place for one."""
    try:
        made = render(_QUERY, _DOCUMENT, _PROMPT)
    except Exception:  # a template that raises over a system's message
        return None
    before, _, rest = made.partition(_QUERY)
    if before.count(_PROMPT) != 1 or rest != f"{behind[0]}{_DOCUMENT}{behind[1]}":
        return None
    start, _, end = before.partition(_PROMPT)
    for text in (" a\n", "{{ b }} ."):
        if render(_QUERY, _DOCUMENT, text) != f"{start}{text}{end}{_QUERY}{rest}":
            return None
    return start, end


def _tail(render: Render, tokenizer: PretrainedTokenizer) -> tuple[int, ...]:
    """Return the tokens that texts end with whatever they hold, as sentence-transformers finds them."""
    one, other = (_ids(tokenizer, render(filler, filler, "")) for filler in _FILLERS)
    common = 0
    while common < min(len(one), len(other)) and one[-1 - common] == other[-1 - common]:
        common += 1
    return tuple(one[len(one) - common :]) if 0 < common < min(len(one), len(other)) else ()


def _cut(tokenizer: PretrainedTokenizer, render: Render, query: str, document: str, prompt: str, longest: int) -> Ids:
    """Return the tokens of a rendered pair: of a text that is too long the end of the template stays."""
    ids = _ids(tokenizer, render(query, document, prompt))
    if len(ids) <= longest:
        return ids
    if tokenizer.truncation_side == "left":
        return ids[-longest:]
    tail = _tail(render, tokenizer)[-longest:]
    return [*ids[: longest - len(tail)], *tail]


def _ids(tokenizer: PretrainedTokenizer, text: str) -> Ids:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _words(tokenizer: PretrainedTokenizer, folder: Path) -> tuple[int, int]:
    """Return the ids of yes and no. Raises UnsupportedModel where one of them is no token."""
    found = [tokenizer.convert_tokens_to_ids(word) for word in _WORDS]
    if None in found or tokenizer.unk_token_id in found:
        raise UnsupportedModel(
            f"the tokenizer of {folder.name} has no tokens for yes and no, whose logits make a reranker's score",
            hint="save it as a CrossEncoder of sentence-transformers whose LogitScore names the tokens",
        )
    return found[0], found[1]
