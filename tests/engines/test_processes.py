"""Tasks in worker processes: those that raise or kill their worker do not touch the others."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from otoscope.engines import run_all


def square(x):
    return x * x


def refuse(x):
    raise ValueError(f"no {x}")


def killed(marks, times):
    """Kills its own process so many times, as the kernel does for want of memory, then returns how often it began."""
    with open(marks, "a") as file:
        file.write("begun\n")
    with open(marks) as file:
        begun = len(file.readlines())
    if begun <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return begun


def test_a_worker_that_dies_takes_only_its_own_task_which_is_tried_once_more(tmp_path):
    told, counts = [], []
    tasks = {
        "refused": (refuse, (3,)),
        "dies always": (killed, (tmp_path / "always", 9)),
        "dies once": (killed, (tmp_path / "once", 1)),
        **{f"square {i}": (square, (i,)) for i in range(4)},
    }
    results, failures = run_all(
        tasks,
        workers=2,
        poll=counts.append,
        failed=lambda failure: told.append((failure.task, counts[-1] if counts else 0)),
    )
    assert list(results.items()) == [("dies once", 2), *((f"square {i}", i * i) for i in range(4))]
    by_name = {failure.task: failure.error for failure in failures}
    assert set(by_name) == {"refused", "dies always"}
    assert isinstance(by_name["refused"], ValueError)
    assert str(by_name["refused"]) == "no 3"
    assert "worker process died (by signal 9), and again" in str(by_name["dies always"])
    assert (tmp_path / "always").read_text() == "begun\n" * 2
    assert [name for name, _ in told] == [failure.task for failure in failures]
    assert told[0][1] < len(tasks) - 1, "a failure is told before the rest has ended"
    assert counts[-1] == len(tasks)


def wait_long():
    threading.Event().wait(600)


def test_an_interrupt_ends_the_workers_at_once():
    def interrupt(_done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all({"long": (wait_long, ())}, workers=1, poll=interrupt)
    deadline = time.monotonic() + 60
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert multiprocessing.active_children() == []


def test_a_script_that_its_workers_cannot_import_is_told_so_at_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import math
        from otoscope.engines import run_all
        run_all({str(i): (math.sqrt, (i,)) for i in range(50)}, workers=2)
        """)
    )
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert 'must do so under `if __name__ == "__main__":`' in ended.stderr.splitlines()[-1]
