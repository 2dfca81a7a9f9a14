"""Independent tasks in worker processes, one thread each.

One thread a process gives the same numbers however many run side by side, and on a small machine two trainings side
by side finish sooner than two in turn with both cores each.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import torch
from threadpoolctl import threadpool_limits

__all__ = ["Failure", "run_all"]

POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that raised: its name and the exception."""

    task: str
    error: BaseException


def _start() -> None:
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


def run_all(
    tasks: Mapping[str, tuple[Callable[..., Any], tuple[Any, ...]]],
    *,
    workers: int,
    poll: Callable[[int], None] | None = None,
) -> tuple[dict[str, Any], list[Failure]]:
    """Runs named tasks (a top-level function and its arguments) and returns their results and the failures.

    A task that raises does not stop the others. `poll` is called about twice a second with the number of tasks that
    have ended. Results come in the order of `tasks`, whatever order they ended in.
    """
    context = multiprocessing.get_context("spawn")  # forking a process that runs torch's threads can hang
    count = max(1, min(workers, len(tasks)))
    results: dict[str, Any] = {}
    failures: list[Failure] = []
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_start)
    try:
        futures: dict[Future[Any], str] = {pool.submit(f, *args): name for name, (f, args) in tasks.items()}
        left = set(futures)
        while left:
            done, left = wait(left, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                error = future.exception()
                if error is None:
                    results[futures[future]] = future.result()
                else:
                    failures.append(Failure(futures[future], error))
            if poll is not None:
                poll(len(tasks) - len(left))
    except BaseException:
        # Shutting down waits for tasks that run, which can be hours. Python 3.14 has terminate_workers() for this.
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return {name: results[name] for name in tasks if name in results}, failures
