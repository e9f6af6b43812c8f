"""The weights that ``star retrain`` kept: which there are, and reading them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional

from star_core.config import Training
from star_core.datasets.tokens import TokenData, load_tokens
from star_core.errors import ConfigError, StoreError, nearest
from star_core.models import LanguageModel, build_model
from star_core.population.comparison import Comparison, Entry, comparison_path, read_comparison
from star_core.training.checkpoint import Checkpoint, load_checkpoint
from star_core.training.data import TokenModule

TOLERANCE = 0.02
"""Nats per token by which a validation loss may differ on another machine, or in another precision."""


@dataclass(frozen=True)
class Retrained:
    """A stored retraining.

    Attributes:
        comparison: What was trained, how, and how well.
        folder: Where the comparison file is; weights are named relative to it.
        again: Command that trains it again.
    """

    comparison: Comparison
    folder: Path
    again: str

    @classmethod
    def read(cls, run: str, root: Path, scaled: str | None = None) -> Retrained:
        """The retrained best of a run and its baselines.

        Args:
            run: Name of the run.
            root: The folder of everything DVC tracks.
            scaled: Name of a retraining at another size, e.g. ``width-128-depth-16``; ``None``: the run's.

        Raises:
            StoreError: There is none, or its file is not what was written.
        """
        purpose = "retrain" if scaled is None else "scaled"
        if scaled is not None and Path(scaled).name != scaled:
            raise ConfigError(
                "the name of a retraining at another size", value=scaled, place="--scaled", fix=_NAME_A_SIZE
            )
        path = comparison_path(run, purpose, root, scaled)
        again = f"star retrain {run}" + ("" if scaled is None else " --width W --depth D")
        if not path.exists():
            others = ", ".join(sorted(file.stem for file in path.parent.glob("*.json"))) if scaled else ""
            raise StoreError(
                "this run has no retrained weights" + (" of that size" if scaled else ""),
                value=scaled or run,
                place=str(path),
                fix=f"use one of {others}" if others else f"{again}, or dvc pull where it was made elsewhere",
            )
        comparison = read_comparison(path, run, purpose)
        if scaled in {entry.name for entry in comparison.entries}:
            again = f"star pick {run} --export FOLDER"
        return cls(comparison, path.parent, again)

    def entries(self, names: Sequence[str] = ()) -> list[Entry]:
        """The entries of these names, or all of which weights were kept.

        Raises:
            ConfigError: No such entry.
            StoreError: No weights were kept of it, or of any.
        """
        found = {entry.name: entry for entry in self.comparison.entries}
        for name in names:
            if name not in found:
                raise ConfigError(
                    "no such architecture among the retrained ones",
                    value=name,
                    place=f"run {self.comparison.run}",
                    fix=nearest(name, found),
                )
            if found[name].checkpoint is None:
                raise StoreError(
                    f"it has no weights: its training ended as {found[name].status}",
                    value=name,
                    place=f"run {self.comparison.run}",
                    fix=self.again,
                )
        chosen = [found[name] for name in dict.fromkeys(names)] if names else list(found.values())
        chosen = [entry for entry in chosen if entry.checkpoint is not None]
        if not chosen:
            raise StoreError(
                "no weights were kept", value=self.comparison.run, place=str(self.folder), fix=self.again
            )
        return chosen

    def corpus(self, root: Path) -> TokenData:
        """The corpus that all were trained on.

        Raises:
            DataError: The prepared corpus is missing or malformed.
            StoreError: The prepared corpus is not the one they were trained on.
        """
        data = load_tokens(root / "tokens" / self.comparison.run)
        if data.digest != self.comparison.data_digest:
            raise StoreError(
                "the prepared corpus is not the one these weights were trained on",
                value=data.digest,
                place=str(data.folder),
                fix=self.again,
            )
        return data

    def weights(self, entry: Entry) -> Path:
        """The file of an entry's weights.

        Raises:
            StoreError: The comparison names a file outside of its folder.
        """
        parts = Path(entry.checkpoint or "").parts
        if not parts or Path(*parts).is_absolute() or ".." in parts:
            raise StoreError(
                "weights are named below their comparison",
                value=entry.checkpoint,
                place=f"{self.folder}, {entry.name}",
                fix=self.again,
            )
        return self.folder.joinpath(*parts)

    def load(self, entry: Entry) -> Checkpoint:
        """The weights of an entry, found to be its own.

        Raises:
            StoreError: Missing, damaged, or of another training.
        """
        path = self.weights(entry)
        try:
            found = load_checkpoint(path)
        except StoreError as error:
            raise StoreError(
                error.rule, value=error.value, place=error.place, fix=self._replace(path)
            ) from error
        if (found.architecture.digest, found.metadata.get("key")) != (entry.digest, entry.key):
            raise StoreError(
                f"the weights are not those of {entry.name} in the comparison beside them",
                value=found.metadata.get("key"),
                place=str(path),
                fix=self._replace(path),
            )
        return found

    def model(self, entry: Entry, data: TokenData, device: str = "cpu") -> LanguageModel:
        """The trained model of an entry, found to do what it did when it was trained.

        Args:
            entry: An entry of the comparison.
            data: The corpus, on whose validation split its loss is measured again.
            device: Torch device.

        Raises:
            StoreError: As ``load``; or its loss is another: the weights were damaged, or this version
                computes something else from them.
        """
        path, found = self.weights(entry), self.load(entry)
        model = build_model(found.architecture, device=device)
        recipe = Training.model_validate(self.comparison.parameters["training"])
        try:
            found.restore(model)
            stated = float(found.metadata.get("validation_loss", "nan"))
            loss = validation_loss(model.eval(), data, recipe)
        except (StoreError, ValueError) as error:
            place, rule = getattr(error, "place", ""), getattr(error, "rule", str(error))
            raise StoreError(
                f"{_NOT_THE_MODEL} ({rule})", value=place or None, place=str(path), fix=self._replace(path)
            ) from error
        if not abs(loss - stated) <= TOLERANCE:
            raise StoreError(
                f"{_NOT_THE_MODEL}, with a validation loss of {stated:.4f}",
                value=loss,
                place=str(path),
                fix=self._replace(path),
            )
        return model

    def _replace(self, path: Path) -> str:
        trained_again = f"delete {path}, then {self.again} (it trains only what is missing)"
        return f"{trained_again}, or dvc checkout {path.parent}"


@torch.no_grad()
def validation_loss(model: LanguageModel, data: TokenData, recipe: Training) -> float:
    """Nats per token on the windows that a training with ``recipe`` is measured on, in float32."""
    batches = TokenModule(data, recipe).val_dataloader()
    summed, counted = 0.0, 0
    for window_BL in batches:
        tokens_BL = window_BL.to(model.embedding.device)
        logits_BLV = model(tokens_BL[:, :-1])
        targets_BL = tokens_BL[:, 1:]
        summed += float(functional.cross_entropy(logits_BLV.mT, targets_BL, reduction="sum"))
        counted += targets_BL.numel()
    return summed / counted


_NOT_THE_MODEL = (
    "damaged, or trained by another version of STAR: this is not the model that was measured then"
)
_NAME_A_SIZE = "use e.g. width-128-depth-16, a file of data/scaled/RUN without its suffix"
