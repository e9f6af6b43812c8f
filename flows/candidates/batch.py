"""Many candidates trained: as many at once as there is room for, none twice, within the budget.

They are handed out one by one, so what is running is all that a stop can cost. One that another machine
is training is put off, and taken over if that machine dies. One whose worker dies is handed out again.
"""

from __future__ import annotations

import queue
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from star_core.datasets.transfer import publish
from star_core.errors import StarError
from star_core.evaluation import Evaluation, Job

from ..clusters.engine import Watch
from ..run.artifacts import Progress
from ..run.session import Session
from ..run.trainer import Trained
from ..server.outages import wait_no_more
from .task import Future, WorkerLost, outcome, submit

LOOKUPS = 16
"""Evaluations asked of the store at once."""
BUSY_SECONDS = 1.0
"""Between two looks at candidates that are in training elsewhere."""
LOSSES = 2
"""How often a candidate is handed out again because its worker died."""


def train_all(session: Session, jobs: Mapping[str, Job], at_once: int | None = None) -> dict[str, Evaluation]:
    """Trains, or probes, what the store lacks, in the order given.

    Args:
        session: The command's session.
        jobs: Name → job.
        at_once: Candidates at a time; ``None``: as many as there are workers.

    Returns:
        Name → evaluation, of all.

    Raises:
        BudgetSpent: Something is left that the budget has no room for; what was begun is stored.
        StarError: A job is wrong, or the storage or the cluster stays away.
        KeyboardInterrupt: As any signal that ends the flow does, it ends what is in training at once.
    """
    progress = Progress(session.paths, session.display.tally.title, len(jobs))
    return Batch(session, jobs, submit, progress.reached, at_once).run()


class Batch:
    """Candidates of one call, by name: waiting, in training elsewhere (busy), running, done.

    Args:
        session: The command's session.
        jobs: Name → job.
        submit: Hands a candidate to whoever trains it.
        reached: Called with the number of candidates that are done whenever it has changed.
        at_once: Candidates at a time; ``None``: as many as there are workers.
    """

    def __init__(
        self,
        session: Session,
        jobs: Mapping[str, Job],
        submit: Callable[[Session, str, Job], Future],
        reached: Callable[[int], None],
        at_once: int | None = None,
    ) -> None:
        self._session, self._jobs, self._at_once = session, jobs, at_once
        self._submit, self._reached = submit, reached
        self._waiting, self._busy = deque[str](), set[str]()
        self._running: dict[Future, str] = {}
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._done: dict[str, Evaluation] = {}
        self._losses = Counter[str]()
        self._watch: Watch | None = None
        if (cluster := session.cluster) is not None:
            patience = session.params.runtime.patience_seconds
            self._watch = Watch(cluster, patience, session.display.note)

    def run(self) -> dict[str, Evaluation]:
        """Trains them all; see ``train_all``."""
        try:
            self.look_up()
            while self.goes_on():
                self.hand_out()
                self.take()
        except Exception:
            raise
        except BaseException:
            self.abandon()  # before the flow's runner waits for it
            raise
        return self.finished()

    def look_up(self) -> None:
        """Takes what the store has; the rest waits."""
        trainer = self._session.trainer
        if self._session.cluster is not None:
            publish(self._session.data, trainer.runtime)
        with ThreadPoolExecutor(LOOKUPS) as lookups:
            found = lookups.map(trainer.stored, self._jobs.values())
            for name, evaluation in zip(self._jobs, found, strict=True):
                if evaluation is None:
                    self._waiting.append(name)
                else:
                    self._finish(name, Trained(evaluation, cached=True))

    def goes_on(self) -> bool:
        """Whether something is in training, or may begin."""
        return bool(self._running) or self._affordable()

    def hand_out(self) -> None:
        """Hands out candidates as long as there is room for another."""
        while self._affordable() and len(self._running) < (self._at_once or self._session.workers):
            name = self._waiting.popleft()
            if name in self._busy and self._session.trainer.is_busy(self._jobs[name]):
                self._waiting.append(name)
                if self._busy.issuperset(self._waiting):
                    return  # nothing but other machines' candidates is left
                continue
            self._session.account.begin(self._jobs[name])
            future = self._submit(self._session, name, self._jobs[name])
            self._running[future] = name
            future.add_done_callback(self._ended.put)

    def take(self) -> None:
        """Waits for a candidate to end, but not for long."""
        try:
            future = self._ended.get(timeout=BUSY_SECONDS)
        except queue.Empty:
            if self._watch is not None and self._running:
                self._watch.look()
            return
        name = self._running.pop(future)
        try:
            trained = outcome(self._session, name, self._jobs[name], future)
        except WorkerLost as error:
            self._begin_again(name, error)
            return
        if trained is not None:
            self._finish(name, trained)
        else:
            self._session.account.put_off(self._jobs[name])
            self._busy.add(name)
            self._waiting.append(name)

    def finished(self) -> dict[str, Evaluation]:
        """All evaluations, in the order of the jobs; raises ``BudgetSpent`` where there are not all."""
        self._session.account.require([self._jobs[name] for name in self._waiting])
        return {name: self._done[name] for name in self._jobs}

    def abandon(self) -> None:
        """Ends what is in training here; a cluster is told by its runner.

        Ctrl-C reaches all that the terminal has started, perhaps a Prefect server: it is not waited for.
        """
        wait_no_more()
        self._session.trainer.close()

    def _affordable(self) -> bool:
        return bool(self._waiting) and not self._session.account.spent(self._jobs[self._waiting[0]])

    def _finish(self, name: str, trained: Trained) -> None:
        self._done[name] = trained.evaluation
        self._session.account.count(self._jobs[name])
        if self._jobs[name].probe is not None:
            self._session.display.probed(name, trained.evaluation)
            return
        self._session.display.ended(name, trained.evaluation, trained.cached)
        self._reached(len(self._done))

    def _begin_again(self, name: str, error: WorkerLost) -> None:
        self._losses[name] += 1
        if self._losses[name] > LOSSES:
            raise StarError(
                f"the worker that trained it died {self._losses[name]} times in a row ({error})",
                value=name,
                place="training on the cluster",
                fix="see what ended it in the cluster's own logs (memory, often); what was trained is kept",
            ) from error
        self._session.display.note(
            f"{name}: the worker that trained it died ({error}); another one begins it again"
        )
        self._waiting.appendleft(name)
