"""What a schedule runs: a flow that goes on with a run, for ``star deploy`` and ``prefect.yaml``."""

from __future__ import annotations

import os
import traceback

from prefect import State, flow
from prefect.runtime import deployment
from prefect.states import Completed, Failed

from star_core.environment import settle
from star_core.errors import ConfigError, StarError
from star_core.population.generation import next_index, stored_generations

from ..commands.evolve import evolve_command
from ..run.locks import Busy, exclusive
from ..run.paths import RunPaths
from ..server.parent_death import end_with
from ..versions.ledger import read_ledger
from ..versions.stored_runs import stored


@flow(name="continue", flow_run_name="continue {run}", persist_result=False)
def continue_run(
    root: str,
    run: str = "main",
    params: str = "params.yaml",
    generations: int = 2,
    changes: list[str] | None = None,
) -> State:
    """Continues a run by some generations, after its founders where there are none; never a second at once.

    Args:
        root: The project folder.
        run: Name of the run.
        params: Its parameter file, relative to ``root``.
        generations: How many after the newest stored one.
        changes: Parameters in place of the file's, ``section.key=value`` each.
    """
    if deployment.id:
        end_with(os.getppid())  # who killed the server of schedules wants no training to live on
    paths = RunPaths(os.path.realpath(root), run, params, tuple(changes or ()))
    state: State[None]
    try:
        settle()
        os.chdir(root)
        with exclusive(paths):
            pass  # the answer to a run that is still going shall not wait for anything
        ended = evolve_command(paths, last_generation(paths, generations))
    except Busy as error:
        state = Completed(name="Skipped", message=f"{error.rule}, and never two do")
    except (StarError, OSError) as error:
        state = Failed(message=str(error))
    except Exception:
        traceback.print_exc()  # Prefect's own log is silent
        raise
    else:
        state = Completed(message=ended or f"run {run} goes to generation {_newest(paths)}")
    print(state.message, flush=True)  # on the terminal or in the log of who serves this
    return state


def last_generation(paths: RunPaths, generations: int) -> int:
    """The index that ``generations`` more generations lead to.

    Raises:
        ConfigError: ``generations`` is less than 1.
        StoreError: The run has generations that are not here.
    """
    if generations < 1:
        raise ConfigError("at least one", value=generations, place="generations", fix="use 1 or more")
    known = paths.run in read_ledger(paths).runs
    found = stored(paths.path(), paths.run) if known else stored_generations(paths.run, paths.data)
    return max(0, next_index(found) - 1) + generations


def _newest(paths: RunPaths) -> int:
    return next_index(stored_generations(paths.run, paths.data)) - 1
