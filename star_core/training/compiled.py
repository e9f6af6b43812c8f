"""The architecture that a job is about."""

from __future__ import annotations

from star_core.architecture import Architecture
from star_core.compiler import compile_genome
from star_core.config import Model
from star_core.errors import ConfigError
from star_core.evaluation import Job
from star_core.genome import Genome, SearchSpace
from star_core.genome.tables import MAX_GROUPS


def compiled(job: Job, vocab_size: int, model: Model | None = None) -> Architecture:
    """The job's genome for a vocabulary; ``model``: at another size than the job's.

    Raises:
        GenomeError: The genome is not valid.
        ConfigError: The genome cannot be built at that size.
    """
    # Sharing groups beyond the run's own limit were refused when the genome was made.
    space = SearchSpace.preset(job.space, groups=MAX_GROUPS)
    size = job.model if model is None else model
    return compile_genome(Genome.parse(job.genome), space, size.width, size.head_dim, vocab_size)


def as_planned(job: Job, vocab_size: int, plan: str) -> Architecture:
    """The architecture whose digest the job names.

    Args:
        job: The planned training or measurement.
        vocab_size: Vocabulary size of the data.
        plan: What to plan again if the architecture is another, in a word.

    Raises:
        GenomeError: The genome is not valid.
        ConfigError: It compiles to another architecture than the job says.
    """
    architecture = compiled(job, vocab_size)
    if architecture.digest != job.digest:
        raise ConfigError(
            f"the genome compiles to another architecture than the job says ({job.digest[:12]})",
            value=architecture.digest[:12],
            place=job.genome,
            fix=f"plan the {plan} again with this version",
        )
    return architecture
