"""Whether what transformers reads from a folder computes what the model does."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from star_core.errors import StoreError
from star_core.exported.hf.config import MODELING
from star_core.exported.manifest import EXPORT_AGAIN
from star_core.exported.native import Native
from star_core.models import LanguageModel

TOLERANCE = 1e-3
"""Largest difference between logits, against the largest logit."""
LENGTH, PROMPT = 160, 130
"""Tokens compared, and those of them read at once: both beyond a chunk, and a window, of 64."""


def compare(loaded: Any, model: LanguageModel, place: Path) -> None:
    """Logits of whole sequences, and of a prompt and single tokens behind it.

    Args:
        loaded: What transformers made of the files.
        model: What it should compute.
        place: Of the files.

    Raises:
        StoreError: They differ.
    """
    tokens_BL = torch.randint(
        0, model.arch.vocab_size, (2, LENGTH), generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        wanted_BLV = model(tokens_BL)
        whole_BLV = loaded(input_ids=tokens_BL, use_cache=False).logits
        seen = loaded(input_ids=tokens_BL[:, :PROMPT], use_cache=True)
        cached = [seen.logits]
        for at in range(PROMPT, LENGTH):
            seen = loaded(
                input_ids=tokens_BL[:, at : at + 1], past_key_values=seen.past_key_values, use_cache=True
            )
            cached.append(seen.logits)
    for what, found_BLV in (("its logits", whole_BLV), ("logits from its cache", torch.cat(cached, 1))):
        error = float((found_BLV - wanted_BLV).abs().max() / wanted_BLV.abs().max())
        if not error <= TOLERANCE:
            raise StoreError(
                f"{what} differ from the model's by more than {TOLERANCE} of the largest",
                value=error,
                place=str(place),
                fix=f"{EXPORT_AGAIN}; if that does not help, leave this format out",
            )


def load(folder: Path, found: Native | None) -> Any:
    """The model as transformers builds it from the files of a folder, and from nothing else."""
    import transformers

    if found is None:
        kind = _modeling(folder / f"{MODELING}.py").StarForCausalLM
    else:
        kind = transformers.LlamaForCausalLM if found.family == "llama" else transformers.Lfm2ForCausalLM
    with quiet():
        return kind.from_pretrained(folder, local_files_only=True).eval()


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars of transformers."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _modeling(path: Path) -> ModuleType:
    """The modelling file as a module that is known to nobody else."""
    spec = importlib.util.spec_from_file_location(f"exported_{MODELING}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
