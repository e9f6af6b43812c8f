"""What the best retrained model writes, where its weights lie beside the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from star_core.graphs.runner import Text


def written(results: Results, root: Path) -> dict[str, object] | None:
    """Samples of it; ``None`` where tokens are no text, or there are no weights that are its own."""
    found = {results.value(candidate, results.quality): candidate for candidate in results.retrained}
    best = found.get(min((value for value in found if value is not None), default=None))
    text = _text_of(results, root)
    if best is None or text is None:
        return None
    path = comparison_path(results.run, "retrain", root).parent / f"{best.name}.safetensors"
    if checkpoint_key(path) != best.key:
        return None
    from star_core.graphs.samples import SAMPLING, SEEDS, samples

    try:
        texts = [*map(printable, samples(best.architecture, load_file(path), text))]
    except (OSError, SafetensorError, ConfigError):
        return None
    return {"name": shown_name(best.name), "texts": texts, "sampling": SAMPLING, "seeds": list(SEEDS)}


def _text_of(results: Results, root: Path) -> Text | None:
    """What the tokens of a run are; ``None`` where they are no text here."""
    from star_core.graphs.runner import Text  # imports a runtime

    if results.bits.unit != "byte":
        return None
    if results.last.bytes_per_token is None:
        return Text("bytes", DOCUMENT_END)
    try:
        data = load_tokens(root / "tokens" / results.run)
    except DataError:
        return None
    if data.digest != results.last.data_digest or data.definition is None:
        return None
    return Text("tokenizer", int(data.meta["separator"]), data.definition)
