"""Arguments and options that several commands take, each described once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from star_core.paths import local_path

DATA = Path("data")
"""The folder of everything DVC tracks."""


def stored_names(incomplete: str) -> list[str]:
    """Runs whose generations are here, for the shell to complete."""
    paths = (DATA / "populations").glob("*")
    return sorted(path.name for path in paths if path.name.startswith(incomplete) and path.is_dir())


def expanded(path: Any) -> Any:
    """A path from the command line, of which a shell has not replaced the ``~``."""
    return path if path is None else type(path)(local_path(str(path)))


def names_in(texts: Sequence[str] | None, default: str) -> list[str]:
    """The names in an option that is repeated, or has several names with commas between them."""
    return [name.strip() for text in texts or [default] for name in text.split(",")]


Run = Annotated[str, typer.Argument(metavar="[RUN]", help="Name of the run.", autocompletion=stored_names)]
Individual = Annotated[
    str,
    typer.Argument(metavar="RUN:NAME", help="An individual, or a baseline's name, of a run."),
]
GENOME_HELP = "A genome, a baseline's name, or RUN:INDIVIDUAL."
ParamsFile = Annotated[
    str | None,
    typer.Option(
        "--params",
        help="Parameter file; the run's own by default, params.yaml for a new run.",
        callback=expanded,
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A parameter in place of the file's, for this call, e.g. runtime.workers=1; repeatable.",
    ),
]
Width = Annotated[int | None, typer.Option(help="Channels; the run's by default.", min=8)]
Scaled = Annotated[
    str | None,
    typer.Option(help="A retraining at another size, e.g. width-128-depth-16; the run's own by default."),
]
Formats = Annotated[
    list[str] | None,
    typer.Option("--format", help="torch (the default), hf, gguf, onnx; repeatable, or with commas."),
]
Precisions = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        help="f32 (the default), int8 or int4, for formats that have them; repeatable, or with commas.",
    ),
]
