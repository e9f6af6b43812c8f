"""After the search: the best of a generation, and the baselines, trained for longer."""

from __future__ import annotations

from pathlib import Path

from star_core.analysis.run.nearest import in_words, nearest
from star_core.errors import StoreError
from star_core.genome.backbone import Genome
from star_core.genome.scaling import at_depth
from star_core.population.generation import Generation
from star_core.population.individual import Individual

from .baselines import baseline_genomes
from .candidates.runner import run_flow
from .comparison import comparison
from .run.session import Session


def best_of(generation: Generation, top: int) -> list[Individual]:
    """``top`` members of the front: the lowest perplexity first, then those that spread it most.

    The population is stored by front and crowding distance, so its order is the order of spread.
    """
    front = list(generation.front)
    if not front:
        limits = generation.params().objectives.constraints
        raise StoreError(
            "no individual of this generation was trained and meets the constraints",
            value=generation.index,
            place=f"run {generation.run}, generation",
            fix="relax objectives.constraints"
            + "".join(
                f"; {best.id} comes nearest: {in_words(best, limits)}" for best in nearest(generation)[:1]
            ),
        )

    def quality(individual: Individual) -> float:
        value = individual.objectives.get("perplexity")
        return float("inf") if value is None else value

    first = min(front, key=lambda individual: (quality(individual), individual.id))
    return [first, *(individual for individual in front if individual is not first)][:top]


def retrain(
    session: Session,
    generation: Generation,
    top: int | None = None,
    scaled: bool = False,
    rule: str = "repeat",
) -> Path:
    """Trains the baselines and the best of ``generation`` with ``retrain.steps`` steps each.

    Weights are kept as safetensors beside the comparison file.

    Args:
        session: The command's session, at the size at which models are built.
        generation: Stored generation of the run.
        top: How many of its front; ``None``: ``retrain.top``.
        scaled: Whether that size is another than the run's own: the file is then one of ``data/scaled``.
        rule: How genomes get another depth (``star_core.genome.scaling``).

    Returns:
        Path of the comparison file.
    """
    params, genomes = session.params, baseline_genomes(session)
    depth = params.space.depth
    for individual in best_of(generation, top or params.retrain.top):
        genome = Genome.parse(individual.genome)
        same = genome.depth == depth
        genomes[individual.id] = individual.genome if same else str(at_depth(genome, depth, rule))
    return run_flow(
        session,
        comparison,
        session,
        "scaled" if scaled else "retrain",
        genomes,
        steps=params.retrain.steps,
        keep_weights=True,
        source=generation.digest,
        name=f"width-{params.model.width}-depth-{depth}" if scaled else None,
    )


def retrain_one(session: Session, generation: Generation, name: str, genome: str) -> Path:
    """Trains one architecture with ``retrain.steps`` steps, and leaves the retraining of the run as it is.

    Args:
        session: The command's session.
        generation: Stored generation that it was picked after.
        name: Of the individual.
        genome: Text.

    Returns:
        Path of the comparison file, one of ``data/scaled``, which has the individual's name.
    """
    return run_flow(
        session,
        comparison,
        session,
        "scaled",
        {name: genome},
        steps=session.params.retrain.steps,
        keep_weights=True,
        source=generation.digest,
        name=name,
    )
