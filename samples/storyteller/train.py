"""Train a small LLaMA on Python's own help texts: python train.py

Writes model/ (under 4 MB). Takes about eight minutes on one core; the seed makes it the same each time on one machine.
"""

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from text import held_out, training
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, get_cosine_schedule_with_warmup

STEPS, BATCH, RATE, SEED = 1200, 8, 2e-3, 0
CONTEXT, VOCABULARY = 256, 1536
BOS, EOS = 0, 1  # the tokenizer's first two
MODEL = Path(__file__).parent / "model"


def tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE; every text it encodes opens with <s>."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token="</s>",
        model_max_length=CONTEXT,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def network() -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=4,
            num_attention_heads=6,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=BOS,
            eos_token_id=EOS,
        )
    )


def passages(texts: list[str], tokens: PreTrainedTokenizerFast) -> torch.Tensor:
    """Int64 [n, 256]: <s>, then what follows from the start of each paragraph, on into the next texts."""
    stream: list[int] = []
    starts: list[int] = []
    for text in texts:
        encoded = tokens(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        opens = [start == 0 or text.endswith("\n\n", 0, start) for start, _ in encoded["offset_mapping"]]
        starts += [len(stream) + place for place, new in enumerate(opens) if new]
        stream += [*encoded["input_ids"], EOS, BOS]
    return torch.tensor([[BOS, *stream[i : i + CONTEXT - 1]] for i in starts if i + CONTEXT <= len(stream)])


def batches(rows: torch.Tensor) -> Iterator[torch.Tensor]:
    """Every row in a new order, again and again."""
    while True:
        order = torch.randperm(len(rows))
        yield from rows[order[: len(rows) // BATCH * BATCH]].split(BATCH)


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # leaves the other core alone, and sums in one order
    texts = training()
    tokens, model = tokenizer(texts), network()
    rows = passages(texts, tokens)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.1)
    schedule = get_cosine_schedule_with_warmup(optimizer, STEPS // 20, STEPS)
    for step, batch in enumerate(islice(batches(rows), STEPS), 1):
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    model.half().save_pretrained(MODEL)
    tokens.save_pretrained(MODEL)
    report(model.float().eval(), tokens)


def report(model: LlamaForCausalLM, tokens: PreTrainedTokenizerFast) -> None:
    """Loss of the saved weights on the held-out topics, in rows of <s> and the next 255 tokens."""
    nats, count, size = 0.0, 0, 0
    for text in held_out():
        size += len(text.encode())
        ids = torch.tensor(tokens(text, add_special_tokens=False, verbose=False)["input_ids"])
        for piece in ids.split(CONTEXT - 1):
            row = torch.nn.functional.pad(piece, (1, 0), value=BOS)[None]
            with torch.inference_mode():
                nats += model(input_ids=row, labels=row).loss.item() * len(piece)
            count += len(piece)
    each = nats / count
    print(
        f"held out: {each:.3f} nats/token, perplexity {math.exp(each):.2f}, {nats / math.log(2) / size:.3f} bits/byte"
    )


if __name__ == "__main__":
    main()
