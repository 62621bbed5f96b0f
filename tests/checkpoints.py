"""Tiny random checkpoints of several architectures, as a user's folders would hold them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ARCHITECTURES = ("llama", "qwen2", "gpt_neox", "gpt2", "gemma3", "bert")
LAYERS, WIDTH = 3, 32
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CORPUS = [
    "The city of Paris is in France, and the city of Lima is in Peru!",
    "Is the river long? Yes, the river is very long; no, it is not.",
    "A model answers the question. The supervisor labels the answer: true or false.",
    "one two three four five six seven eight nine ten",
]


def save_checkpoint(architecture: str, place: Path, seed: int = 0) -> None:
    """Write a random checkpoint in safetensors, with its own tokenizer, as a user's folder would hold it."""
    import torch

    torch.manual_seed(seed)
    tokenizer = wordpiece_tokenizer() if architecture == "bert" else bpe_tokenizer(architecture)
    model = _random_model(architecture, len(tokenizer), tokenizer)
    with torch.no_grad():
        for parameter in model.parameters():  # larger than the usual 0.02, so that layers differ clearly
            if parameter.ndim > 1:
                parameter.normal_(0, 0.15)
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)


def save_gguf(file: Path) -> None:
    """Write a random Llama of one layer as a GGUF file with its own tokenizer."""
    import gguf
    import numpy as np

    letters = list(map(str, bpe_tokenizer("llama").convert_ids_to_tokens(range(256))))
    tokens = [*letters, letters[0] + letters[1], "<s>", "<|im_end|>"]
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * 257 + [gguf.TokenType.CONTROL] * 2)
    writer.add_token_merges([f"{letters[0]} {letters[1]}"])
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(258)
    draw = np.random.default_rng(0)
    half, square = (WIDTH // 2, WIDTH), (WIDTH, WIDTH)
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (len(tokens), WIDTH), "output_norm": (WIDTH,)}
    shapes |= {"blk.0.attn_q": square, "blk.0.attn_k": half, "blk.0.attn_v": half, "blk.0.attn_output": square}
    shapes |= {"blk.0.ffn_gate": (64, WIDTH), "blk.0.ffn_up": (64, WIDTH), "blk.0.ffn_down": (WIDTH, 64)}
    shapes |= {"blk.0.attn_norm": (WIDTH,), "blk.0.ffn_norm": (WIDTH,)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", draw.normal(0, 0.15, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _random_model(architecture: str, vocabulary: int, tokenizer: Any) -> Any:
    import transformers as hf

    common: dict[str, Any] = {
        "vocab_size": vocabulary,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    shape: dict[str, Any] = {
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
    }
    if architecture == "llama":
        return hf.LlamaForCausalLM(hf.LlamaConfig(**common, **shape, num_key_value_heads=2, tie_word_embeddings=True))
    if architecture == "qwen2":
        return hf.Qwen2ForCausalLM(hf.Qwen2Config(**common, **shape, num_key_value_heads=2))
    if architecture == "gpt_neox":
        return hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**common, **shape))
    if architecture == "gpt2":
        config = hf.GPT2Config(**common, n_embd=WIDTH, n_layer=LAYERS, n_head=4, n_positions=128)
        return hf.GPT2LMHeadModel(config)
    if architecture == "gemma3":
        extra = {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8}
        types = ["sliding_attention", "full_attention", "sliding_attention"]
        return hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**common, **shape, **extra, layer_types=types))
    if architecture == "bert":
        return hf.BertForMaskedLM(hf.BertConfig(**common, **shape))
    raise ValueError(architecture)


def bpe_tokenizer(architecture: str) -> Any:
    """Return a byte-level BPE tokenizer whose token 0 is an ordinary one, "!", and whose pad token is the last."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(["<s>", "<|im_start|>", "<|im_end|>", "<pad>"])
    if architecture == "gemma3":  # starts every text with <s>, as Gemma does
        start = ("<s>", tokenizer.token_to_id("<s>"))
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[start])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="<|im_end|>", pad_token="<pad>", model_max_length=128
    )
    if architecture in ("llama", "qwen2"):
        fast.chat_template = CHATML
    return fast


def wordpiece_tokenizer() -> Any:
    """Return a BERT tokenizer: [CLS] text [SEP], pad token 0. Its pieces are not learnt, which takes chance."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = sorted(set(re.findall(r"\w+|[^\w\s]", " ".join(CORPUS).lower())))
    letters = sorted(set("".join(words)))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = dict.fromkeys([*special, *letters, *(f"##{letter}" for letter in letters), *words])
    tokenizer = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        model_max_length=128,
    )
