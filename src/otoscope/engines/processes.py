"""Independent tasks in worker processes, one thread each.

One thread a process gives the same numbers however many run side by side, and on a small machine two trainings side
by side finish sooner than two in turn with both cores each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from otoscope.engines.workers import Crew, Task
from otoscope.errors import OtoscopeError

__all__ = ["Failure", "run_all"]

POLL_SECONDS = 0.5

TRIES = 2
"""How often a task is begun whose worker dies under it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that raised, or whose worker died: its name and the exception."""

    task: str
    error: BaseException


def run_all(
    tasks: Mapping[str, Task],
    *,
    workers: int,
    poll: Callable[[int], None] | None = None,
    failed: Callable[[Failure], None] | None = None,
) -> tuple[dict[str, Any], list[Failure]]:
    """Runs named tasks in worker processes and returns their results and the failures.

    A task that raises does not stop the others. One whose worker dies (killed for want of memory, for the most part) is
    begun again when nothing else is left to do, alone; it fails where that worker dies too.

    Arguments:
        tasks: by name, a top-level function and its arguments.
        workers: how many at a time, at the most.
        poll: called about twice a second with the number of tasks that have ended.
        failed: called with each failure, at once.

    Returns:
        Results in the order of `tasks`, whatever order they ended in; failures in the order in which they came.

    Raises:
        OtoscopeError: workers die before they can begin.
    """
    crew = Crew(max(1, min(workers, len(tasks))))
    waiting, again = deque(tasks), deque[str]()
    results: dict[str, Any] = {}
    failures: list[Failure] = []
    begun = dict.fromkeys(tasks, 0)

    def begin(name: str) -> None:
        begun[name] += 1
        crew.begin(name, tasks[name])

    try:
        while waiting or again or crew.busy:
            while waiting and crew.idle:
                begin(waiting.popleft())
            if again and not crew.busy:
                begin(again.popleft())
            for ended in crew.ended(POLL_SECONDS):
                if ended.error is None:
                    results[ended.task] = ended.result
                elif ended.died and begun[ended.task] < TRIES:
                    again.append(ended.task)
                else:
                    error = OtoscopeError(_death(ended.exit_code)) if ended.died else ended.error
                    failures.append(Failure(ended.task, error))
                    if failed is not None:
                        failed(failures[-1])
            if poll is not None:
                poll(len(results) + len(failures))
    except BaseException:
        crew.stop()
        raise
    crew.dismiss()
    return {name: results[name] for name in tasks if name in results}, failures


def _death(exit_code: int | None) -> str:
    how = f"by signal {-exit_code}" if exit_code is not None and exit_code < 0 else f"with exit code {exit_code}"
    return (
        f"its worker process died ({how}), and again when nothing ran beside it: mostly for want of memory, where "
        "smaller batches or a smaller recogniser help"
    )
