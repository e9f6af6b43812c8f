"""A run as `star retrain` leaves it: a corpus, a comparison and weights, of tiny models."""

from __future__ import annotations

import math

from star_core import SearchSpace, compile_genome
from star_core.config import Data, Params
from star_core.datasets import prepare
from star_core.genome.backbone import Genome
from star_core.genome.baselines import baseline
from star_core.population.comparison import Comparison, Entry, comparison_path
from star_core.population.individual import Cost
from star_core.training.fit import train
from tests.training.jobs import TEXT, small_job

GENOMES = {"transformer++": str(baseline("transformer++", 2)), "g000-00": "51111-81111-31112"}
"""Attention alone, and a recurrence, a long convolution and attention."""
STEPS = 8


def retrained_run(folder, run="main", tokenizer="bytes"):
    """Makes the project folder's ``data`` for a run of that name; returns it."""
    root = folder / "data"
    (folder / "text.txt").write_text(TEXT)
    asked = Data(source=str(folder / "text.txt"), validation_fraction=0.2, tokenizer=tokenizer)
    data = prepare(asked, root / "tokens" / run)
    path = comparison_path(run, "retrain", root)
    entries, params = [], Params()
    for name, text in GENOMES.items():
        weights = path.parent / f"{name}.safetensors"
        job = small_job(data, folder / "store", Genome.parse(text), str(weights), steps=STEPS)
        evaluation = train(job)
        assert evaluation.status == "ok"
        spec = compile_genome(Genome.parse(text), SearchSpace.preset("paper"), 16, vocab_size=data.vocab_size)
        entries.append(
            Entry(
                name=name,
                genome=text,
                digest=spec.digest,
                key=job.key,
                status="ok",
                objectives={"perplexity": math.exp(evaluation.metrics["validation_loss"])},
                cost=Cost(tokens=job.tokens, flops=evaluation.flops),
                checkpoint=weights.name,
            )
        )
        params = Params(data=asked, model=job.model, training=job.training)
    failed = entries[0].model_copy(update={"name": "g000-01", "status": "diverged", "checkpoint": None})
    Comparison(
        run=run,
        purpose="retrain",
        parameters=params.identity(),
        data_digest=data.digest,
        entries=(*entries, failed),
    ).write(path)
    return root
