"""Bytes as a tokenizer of transformers: token ids are the bytes of UTF-8 text, whatever the text."""

from __future__ import annotations

from typing import Any

from star_core.datasets.base import DOCUMENT_END

END = chr(DOCUMENT_END)
"""How the token between two documents is written: as its own byte, which no text has."""


def byte_letters() -> list[str]:
    """The letter that stands for each byte in the vocabularies of GPT-2 and its kin."""
    plain = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def tokenizer_files(length: int) -> dict[str, dict[str, Any]]:
    """Content of ``tokenizer.json`` and ``tokenizer_config.json``.

    Args:
        length: Tokens of a sequence in training.
    """
    letters = byte_letters()
    letters[DOCUMENT_END] = END
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    end = {
        "id": DOCUMENT_END,
        "content": END,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    model: dict[str, Any] = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {letter: byte for byte, letter in enumerate(letters)},
        "merges": [],
    }
    return {
        "tokenizer.json": {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [end],
            "normalizer": None,
            "pre_tokenizer": byte_level,
            "post_processor": None,
            "decoder": byte_level,
            "model": model,
        },
        "tokenizer_config.json": tokenizer_config(length, END),
    }


def tokenizer_config(length: int, end: str) -> dict[str, Any]:
    """Content of ``tokenizer_config.json``.

    Args:
        length: Tokens of a sequence in training.
        end: How the token between documents is written.
    """
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": end,
        "pad_token": end,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": length,
    }
