"""``star generate``: a trained model writes behind prompts."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from star_core.analysis.terminal.output import Output, printable
from star_core.errors import ConfigError, DataError, StoreError
from star_core.exported.digests import check_files, definition
from star_core.exported.format import EXPORT_FORMATS, ExportFormat, formats_of
from star_core.exported.manifest import EXPORT_AGAIN, GENOME, WEIGHTS, Manifest
from star_core.graphs.runner import Model, Sampling, Text, generate, until

_PREFERRED = ("onnx", "torch")


@dataclass(frozen=True)
class Writing:
    """How a text is written.

    Attributes:
        new_tokens: The most that are written behind a prompt.
        seed: Of what is drawn, for each prompt anew.
        stops: Texts before which it ends.
        temperature, top_k, top_p: As of ``Sampling``.

    Raises:
        ConfigError: One of them means nothing.
    """

    new_tokens: int = 200
    seed: int = 0
    stops: tuple[str, ...] = ()
    temperature: float = Sampling.temperature
    top_k: int = Sampling.top_k
    top_p: float = Sampling.top_p

    def __post_init__(self) -> None:
        """Checks it."""
        try:
            self.sampling()
        except ValueError as error:
            raise ConfigError(str(error), place="generate", fix="use e.g. --temperature 0.8") from None
        if "" in self.stops:
            raise ConfigError("a text to stop before is not empty", place="--stop", fix="leave it out")

    def sampling(self) -> Sampling:
        """How each token is chosen."""
        return Sampling(self.temperature, self.top_k, self.top_p)


def lines(file: Path) -> list[str]:
    """The prompts in a file, one in each line that is not empty.

    Raises:
        DataError: It cannot be read, or has none.
    """
    try:
        found = [line for line in file.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot be read ({getattr(error, 'strerror', error)})",
            place=str(file),
            fix="name a file of UTF-8 text",
        ) from None
    if not found:
        raise DataError("no line has a prompt", place=str(file), fix="write one in each line")
    return found


def generate_command(
    source: str,
    prompts: Sequence[str],
    root: Path,
    writing: Writing,
    wanted: str | None = None,
    precision: str | None = None,
    scaled: str | None = None,
) -> Output:
    """Writes behind each prompt, to standard output as it is decoded.

    Args:
        source: ``RUN:NAME`` of a retraining, or the folder of an exported model.
        prompts: Texts, or numbers of tokens where tokens are no text; empty: a new document.
        root: The folder of everything DVC tracks.
        writing: How.
        wanted: Format that computes; ``None``: ONNX, or what the folder has.
        precision: Of its weights; ``None``: the most exact that there is.
        scaled: Name of a retraining at another size; ``None``: the run's.

    Returns:
        Each prompt with the text behind it.

    Raises:
        StarError: There is no such model, it cannot be run here, or a prompt is none of its.
    """
    written = []
    try:
        with _files(source, root, wanted, precision, scaled) as (entry, folder, manifest, tokenizer):
            text = Text(manifest.tokens.kind, manifest.tokens.separator, tokenizer)
            encoded = [_encoded(text, prompt, manifest.vocab_size) for prompt in prompts]
            length = max(map(len, encoded)) + writing.new_tokens
            model = entry.decoder(folder, manifest, length, precision)
            for prompt, tokens in zip(prompts, encoded, strict=True):
                if len(prompts) > 1:
                    _show(f"== {prompt or 'a new document'}\n")
                written.append({"prompt": prompt, "text": _continued(model, text, tokens, writing)})
    except MemoryError as error:
        raise ConfigError(
            "prompt and new tokens do not fit into memory",
            place=source,
            fix="shorten the prompt, or use fewer --new-tokens",
        ) from error
    except BrokenPipeError:
        raise  # of who reads the text
    except (OSError, ValueError) as error:
        raise StoreError(f"it cannot write ({error})", place=source, fix=EXPORT_AGAIN) from error
    return Output({"model": source, "format": entry.name, "writing": writing, "texts": written})


def _continued(model: Model, text: Text, tokens: Sequence[int], writing: Writing) -> str:
    """What is written behind a prompt; shown as it is found."""
    found = generate(model, tokens, writing.new_tokens, writing.sampling(), writing.seed, text.separator)
    pieces = []
    try:
        for piece in until(text.decode(found), writing.stops):
            _show(piece)
            pieces.append(piece)
    finally:  # an interrupted line is ended, too
        _show("\n")
    return "".join(pieces)


def _encoded(text: Text, prompt: str, vocab_size: int) -> list[int]:
    """Tokens of a prompt, each one of the model's."""
    try:
        tokens = text.encode(prompt)
    except ValueError as error:
        raise DataError(str(error), value=prompt, place="prompt") from None
    if not tokens or min(tokens) < 0 or max(tokens) >= vocab_size:
        raise DataError(
            f"a prompt has at least one token, each a number from 0 to {vocab_size - 1}",
            value=prompt,
            place="prompt",
            fix='write e.g. "1 2 3"',
        )
    return tokens


def _show(text: str) -> None:
    sys.stdout.write(printable(text))
    sys.stdout.flush()


@contextmanager
def _files(
    source: str, root: Path, wanted: str | None, precision: str | None, scaled: str | None
) -> Iterator[tuple[ExportFormat, Path, Manifest, bytes]]:
    """A format, the folder of its files while they are needed, what they are of, and its tokenizer."""
    if Path(source).is_dir():
        manifest = Manifest.read(Path(source) / GENOME, EXPORT_AGAIN)
        entry = _format_in(Path(source), manifest, wanted, precision)
        check_files(Path(source), manifest)
        own = Path(source) if entry.at_top else Path(source) / entry.name
        yield entry, own, manifest, definition(Path(source), manifest)
        return
    run, _, name = source.partition(":")
    if not name:
        raise ConfigError(
            "a model reads RUN:NAME, or is a folder that star export made",
            value=source,
            fix=f"use main:{source}",
        )
    from star_core.exported.trained import trained_model  # imports torch, which a folder need not

    (entry,) = formats_of([wanted or "onnx"], [precision] if precision else [])
    trained = trained_model(run, name, root, [entry], scaled)
    with TemporaryDirectory() as folder:
        entry.write(Path(folder), trained, [precision or "f32"])
        yield entry, Path(folder), trained.manifest, trained.tokenizer or b""


def _format_in(folder: Path, manifest: Manifest, wanted: str | None, precision: str | None) -> ExportFormat:
    """The format that is asked for, or the first of those in an exported folder."""
    files = manifest.files or {WEIGHTS: manifest.weights}
    there = [
        name
        for name in dict.fromkeys((*_PREFERRED, *EXPORT_FORMATS.names()))
        if (folder / name).is_dir() or (EXPORT_FORMATS[name].at_top and WEIGHTS in files)
    ]
    (entry,) = formats_of([wanted or (there or _PREFERRED)[0]], [precision] if precision else [])
    if entry.name not in there:
        fix = f"use {' or '.join(there)}" if there else EXPORT_AGAIN
        raise ConfigError("this format is not in the folder", value=entry.name, place=str(folder), fix=fix)
    return entry
