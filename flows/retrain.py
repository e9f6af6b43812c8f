"""After the search: the best of a generation, and the baselines, trained for longer."""

from __future__ import annotations

from star_core.errors import StoreError
from star_core.genome.backbone import Genome
from star_core.genome.baselines import PATTERNS, baseline
from star_core.genome.scaling import at_depth
from star_core.population.generation import Generation
from star_core.population.individual import Individual

from .candidates.runner import with_runner
from .comparison import comparison
from .run.paths import Where
from .run.session import session


def best_of(generation: Generation, top: int) -> list[Individual]:
    """``top`` members of the front: the lowest perplexity first, then those that spread it most.

    The population is stored by front and crowding distance, so its order is the order of spread.
    """
    front = list(generation.front)
    if not front:
        raise StoreError(
            "no individual of this generation was trained and meets the constraints",
            value=generation.index,
            place=f"run {generation.run}, generation",
            fix="relax objectives.constraints",
        )

    def quality(individual: Individual) -> float:
        value = individual.objectives.get("perplexity")
        return float("inf") if value is None else value

    first = min(front, key=lambda individual: (quality(individual), individual.id))
    return [first, *(individual for individual in front if individual is not first)][:top]


def retrain(where: Where, generation: Generation, top: int | None = None, rule: str = "repeat") -> str:
    """Trains the baselines and the best of ``generation`` with ``retrain.steps`` steps each.

    Where ``where`` states another size than the parameter file, they are built at that size: genomes of
    another depth by ``rule`` (``star_core.genome.scaling``), and the file is one of ``data/scaled``.
    Weights are kept as safetensors beside the comparison file.

    Returns:
        Path of the comparison file.
    """
    params, scaled = session(where).params, where.width is not None or where.depth is not None
    depth = params.space.depth
    genomes = {name: str(baseline(name, depth)) for name in PATTERNS}
    for individual in best_of(generation, top or params.retrain.top):
        genome = Genome.parse(individual.genome)
        genomes[individual.id] = (
            individual.genome if genome.depth == depth else str(at_depth(genome, depth, rule))
        )
    flow = with_runner(where, comparison)
    return flow(
        where,
        "scaled" if scaled else "retrain",
        genomes,
        steps=params.retrain.steps,
        keep_weights=True,
        source=generation.digest,
        name=f"width-{params.model.width}-depth-{depth}" if scaled else None,
    )
