"""Worker processes, each with a pool of its own: one that dies takes its pool with it, and so only its own task."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from otoscope.errors import OtoscopeError

__all__ = ["Crew", "Ended", "Task"]

Task = tuple[Callable[..., Any], tuple[Any, ...]]
"""A top-level function and its arguments."""


@dataclass(frozen=True)
class Ended:
    """A task that has ended: with a result, with an error, or (`died`) with its worker, whose `exit_code` is known."""

    task: str
    result: Any = None
    error: BaseException | None = None
    died: bool = False
    exit_code: int | None = None


@dataclass(frozen=True)
class _Worker:
    """One process; `began` is done when it has come so far as to take a task."""

    pool: ProcessPoolExecutor
    began: Future[int]
    process: BaseProcess

    @classmethod
    def start(cls) -> _Worker:
        context = multiprocessing.get_context("spawn")  # forking a process that runs torch's threads can hang
        pool = ProcessPoolExecutor(1, mp_context=context, initializer=_ready)
        began = pool.submit(os.getpid)
        (process,) = pool._processes.values()
        return cls(pool, began, process)

    @property
    def has_begun(self) -> bool:
        return self.began.done() and self.began.exception() is None


@dataclass
class Crew:
    """Worker processes, at most `size`, each with one task at a time."""

    size: int
    busy: dict[Future[Any], tuple[str, _Worker]] = field(default_factory=dict)
    free: list[_Worker] = field(default_factory=list)
    works: bool = False

    @property
    def idle(self) -> bool:
        """Whether another task can begin."""
        return len(self.busy) < self.size

    def begin(self, name: str, task: Task) -> None:
        """Gives a task to a worker."""
        worker = self.free.pop() if self.free else _Worker.start()
        function, arguments = task
        try:
            future = worker.pool.submit(function, *arguments)
        except BrokenProcessPool:  # it died while it had nothing to do
            self.begin(name, task)
            return
        self.busy[future] = name, worker

    def ended(self, seconds: float) -> list[Ended]:
        """The tasks that have ended within so many seconds, in the order in which they began.

        Raises OtoscopeError where the first workers die before they can take a task: all others would, too.
        """
        done, _ = wait(self.busy, timeout=seconds, return_when=FIRST_COMPLETED)
        ended = []
        for future in [f for f in self.busy if f in done]:
            name, worker = self.busy.pop(future)
            error = future.exception()
            self.works = self.works or worker.has_begun
            if not isinstance(error, BrokenProcessPool):
                self.free.append(worker)
                ended.append(Ended(name, None if error else future.result(), error))
                continue
            worker.pool.shutdown()
            if not self.works:
                raise OtoscopeError(
                    f"worker processes end before they begin (exit code {worker.process.exitcode}). A script of your "
                    'own that calls Otoscope must do so under `if __name__ == "__main__":`, since workers import it; '
                    "else there is too little memory"
                ) from error
            ended.append(Ended(name, error=error, died=True, exit_code=worker.process.exitcode))
        return ended

    def dismiss(self) -> None:
        """Ends the workers, which have nothing left to do."""
        for worker in self.free:
            worker.pool.shutdown(wait=False)
        for worker in self.free:
            worker.pool.shutdown()

    def stop(self) -> None:
        """Ends the workers at once: waiting for what they do can take hours."""
        for worker in (*self.free, *(worker for _, worker in self.busy.values())):
            worker.process.terminate()
            worker.pool.shutdown(wait=False, cancel_futures=True)


def _ready() -> None:
    """Makes ready a new worker."""
    torch.set_num_threads(1)
    threadpool_limits(1)  # the linear algebra that numpy brings has threads of its own
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which ends the workers
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this worker when its parent is gone: a killed parent cannot do it, and a worker left would write on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
