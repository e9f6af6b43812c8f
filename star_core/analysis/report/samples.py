"""What the best retrained model writes, where its weights lie beside the run."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file

from star_core.analysis.report.wording import shown_name
from star_core.analysis.run.results import Results
from star_core.analysis.terminal.output import printable
from star_core.datasets.base import DOCUMENT_END
from star_core.datasets.tokens import load_tokens
from star_core.errors import ConfigError, DataError
from star_core.population.comparison import comparison_path
from star_core.storage.weights import checkpoint_key


def written(results: Results, root: Path) -> dict[str, object] | None:
    """Samples of it; ``None`` where tokens are no text, or there are no weights that are its own."""
    found = {results.value(candidate, results.quality): candidate for candidate in results.retrained}
    best = found.get(min((value for value in found if value is not None), default=None))
    tokens = _tokens(results, root)
    if best is None or tokens is None:
        return None
    path = comparison_path(results.run, "retrain", root).parent / f"{best.name}.safetensors"
    if checkpoint_key(path) != best.key:
        return None
    from star_core.graphs.runner import Text  # imports a runtime
    from star_core.graphs.samples import SAMPLING, SEEDS, samples

    try:
        texts = [*map(printable, samples(best.architecture, load_file(path), Text(*tokens)))]
    except (OSError, SafetensorError, ConfigError):
        return None
    return {"name": shown_name(best.name), "texts": texts, "sampling": SAMPLING, "seeds": list(SEEDS)}


def _tokens(results: Results, root: Path) -> tuple[str, int, bytes] | None:
    """Their kind, the one between documents and what made them; ``None``: they are not known to be text."""
    if results.bits.unit != "byte":
        return None
    if results.last.bytes_per_token is None:
        return "bytes", DOCUMENT_END, b""
    try:
        data = load_tokens(root / "tokens" / results.run)
        if data.digest != results.last.data_digest or data.definition is None:
            return None
        return "tokenizer", int(data.meta["separator"]), data.definition
    except DataError:
        return None
