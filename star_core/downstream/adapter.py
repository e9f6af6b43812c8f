"""A model of text as lm-eval sees one. Imports lm-eval, which is an extra."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from lm_eval.api.model import TemplateLM

from star_core.datasets.tokenizer import Tokenizer
from star_core.downstream.scoring import likelihoods
from star_core.downstream.writing import Ending, write
from star_core.errors import DataError, is_whole, nearest
from star_core.models import LanguageModel

NEW_TOKENS = 256
"""Written where a task does not say how many; lm-eval's own default."""
_OF_LENGTH = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_OF_SAMPLING = ("top_k", "top_p", "min_p")
"""Mean nothing where nothing is sampled."""
_SEED = 0
"""Of texts that a task wants sampled: each request begins anew with it."""


class Adapter(TemplateLM):
    """Answers lm-eval's three kinds of requests, always the same way.

    Args:
        model: Of this tokenizer's tokens, which are on its device.
        tokenizer: What makes tokens of text.
        context: Tokens it reads at most: what it was trained with, or another number.
        done: Told how many windows of text went through the model.

    Attributes:
        max_length: The context, under the name that lm-eval's own models have for it.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        context: int,
        done: Callable[[int], None] = lambda _: None,
    ) -> None:
        super().__init__()
        self.model, self._tokenizer, self.max_length, self._done = model, tokenizer, context, done

    @property
    def eot_token_id(self) -> int:
        """The token between documents; also what an empty context is read as."""
        return self._tokenizer.separator

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """The tokens of a text; nothing is put before them."""
        return self._tokenizer.encode(string)

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """For (context, continuation): the log-probability of the latter, and whether it is greedy."""
        encoded = []
        for before, after in (request.args for request in requests):
            # Of a context of white space lm-eval leaves nothing, as it moves that to the continuation.
            tokens = self._encode_pair(before, after) if before else ([], self.tok_encode(after))
            encoded.append(((before, after), *tokens))
        return self._loglikelihood_tokens(encoded)

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        pairs = [(before or [self.eot_token_id], after) for _, before, after in requests]
        return [
            (found.log, found.greedy) for found in likelihoods(self.model, pairs, self.max_length, self._done)
        ]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = True) -> list[float]:
        """The log-probability of whole texts, in windows where they are longer than the context."""
        pairs = [([self.eot_token_id], self.tok_encode(request.args[0])) for request in requests]
        return [found.log for found in likelihoods(self.model, pairs, self.max_length, self._done)]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        """What the model writes behind each context, up to the first stop string."""
        texts = []
        for request in requests:
            before, settings = request.args
            ending, temperature = _settings(settings)
            written = write(
                self.model,
                self._tokenizer,
                self.tok_encode(before) or [self.eot_token_id],
                ending,
                self.max_length,
                temperature,
                torch.Generator().manual_seed(_SEED),
            )
            texts.append(written)
            self._done(1)
        return texts


def _settings(settings: Mapping[str, Any]) -> tuple[Ending, float]:
    """When a text ends and how it is drawn, from a task's ``generation_kwargs``.

    Raises:
        DataError: A setting that is unknown, malformed, or would be ignored.
    """
    until = settings.get("until") or []
    stops = [until] if isinstance(until, str) else until
    length = next((settings[name] for name in _OF_LENGTH if settings.get(name) is not None), NEW_TOKENS)
    temperature = 0.0 if settings.get("do_sample") is False else settings.get("temperature") or 0.0
    known = ("until", *_OF_LENGTH, "do_sample", "temperature", *(_OF_SAMPLING if temperature == 0 else ()))
    for name in settings:
        if name not in known:
            raise DataError(
                "no such setting here", value=name, place="generation_kwargs", fix=nearest(name, known)
            )
    rules: tuple[tuple[str, bool, object, str], ...] = (
        ("until", _are_texts(stops), until, "a text or a list of texts"),
        ("max_gen_toks", is_whole(length) and length > 0, length, "a whole number above 0"),
        ("temperature", isinstance(temperature, (int, float)) and temperature >= 0, temperature, "0 or more"),
    )
    for name, holds, value, rule in rules:
        if not holds:
            raise DataError(
                rule, value=value, place=f"generation_kwargs, {name}", fix="correct the task file"
            )
    return Ending(tuple(stops), length), float(temperature)


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
