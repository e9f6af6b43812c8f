"""Small jobs on a small text, for tests that really train."""

import numpy as np

from star_core import SearchSpace, compile_genome
from star_core.config import Data, Model, Params, Training
from star_core.datasets import prepare
from star_core.evaluation import Job, evaluation_key

TEXT = "".join(f"The {word} of the matter is a {word}. " for word in ("heart", "end", "state", "point")) * 60
RECIPE = {"steps": 6, "batch_size": 2, "sequence_length": 32, "warmup_steps": 2, "accelerator": "cpu"}


def small_data(folder, tokenizer="bytes"):
    (folder / "text.txt").write_text(TEXT)
    asked = Data(source=str(folder / "text.txt"), validation_fraction=0.2, tokenizer=tokenizer)
    return prepare(asked, folder / "tokens")


def small_genome(seed=0, depth=3):
    return SearchSpace.preset("paper", depth=depth).sample(np.random.default_rng(seed))


def small_job(data, storage, genome=None, checkpoint=None, **recipe):
    genome = small_genome() if genome is None else genome
    params = Params(
        model=Model(width=16), training=Training(**{**RECIPE, "validation_tokens": 256, **recipe})
    )
    architecture = compile_genome(genome, SearchSpace.preset("paper"), 16, vocab_size=data.vocab_size)
    key = evaluation_key(architecture.digest, params, data.digest)
    return Job(
        genome=str(genome),
        space="paper",
        model=params.model,
        training=params.training,
        data=str(data.folder),
        data_digest=data.digest,
        digest=architecture.digest,
        key=key,
        storage=str(storage),
        checkpoint=checkpoint,
    )
