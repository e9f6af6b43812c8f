"""A stored run as a pandas table (``pip install pandas``): open it cell by cell, or run it whole.

python examples/to_pandas.py main
"""

# %% The run: its generation files, checked as they are read
import sys

import pandas as pd

from star_core.population.generation import stored_generations

run = sys.argv[1] if len(sys.argv) == 2 else "main"
generations = stored_generations(run, "data")

# %% One row for each candidate
table = pd.DataFrame(
    {
        "name": individual.id,
        "generation": generation.index,
        "genome": individual.genome,
        "parents": " ".join(individual.parents),
        "repairs": len(individual.origin.repairs),
        "status": individual.status,
        "survived": individual in generation.population,
        "tokens": individual.cost.tokens,
        **individual.objectives,
    }
    for generation in generations
    for individual in generation.born
).set_index("name")
print(table.drop(columns="genome").to_string())

# %% How the objectives move from generation to generation
objectives = generations[-1].params().objectives.selected
print(table[table.status == "ok"].groupby("generation")[list(objectives)].agg(["min", "median"]).to_string())

# %% The genomes of the last front
front = [individual.id for individual in generations[-1].front]
print(table.loc[front, ["genome", *objectives]].sort_values(objectives[0]).to_string())
