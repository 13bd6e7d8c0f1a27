"""A trainer's process as the parent sees it: started in its own group, its output kept within bounds, always ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from lvmcheck.checks.wording import plural
from lvmcheck.errors import excerpt
from lvmcheck.launch import guard as guard_file
from lvmcheck.launch.elastic import RANKS
from lvmcheck.launch.environment import WITHHELD, passed_on, withheld
from lvmcheck.launch.plan import Plan
from lvmcheck.launch.stacks import ALL_STACKS, STACKS, WHERE
from lvmcheck.run import directory as rundir
from lvmcheck.run.regular_file import open_regular, read_json

MOST_STACKS = 40
"""Lines of stacks that are shown."""
GUARDED = hasattr(signal, "sigtimedwait")
"""Whether a guard stands between (not on macOS): else only the trainer's process group is ended with it."""
HEAD_BYTES = 1 << 20
TAIL_BYTES = 256 << 10
"""Of everything the trainer prints, the first megabyte and the last quarter are kept."""


class TrainerProcess:
    """A running ``lvmcheck.launch.worker``."""

    began, lost = True, False  # a place on this machine is there at once, and nobody takes it

    def __init__(self, folder: Path, *, cwd: Path, environment: Mapping[str, str], resume: Path | None = None) -> None:
        self.folder = folder
        # -P: the trainer imports what this process can and nothing else, or the digest of its source would lie.
        parent = str(os.getpid())
        guard = [sys.executable, "-I", "-S", guard_file.__file__, str(folder), parent] if GUARDED else []
        module = "elastic" if environment.get(RANKS) else "worker"
        command = [sys.executable, "-P", "-m", f"lvmcheck.launch.{module}", str(folder), "0" if GUARDED else parent]
        command = [*(guard or command), *([str(resume)] if resume else [])]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=environment,
            start_new_session=True,  # a Ctrl-C reaches the parent alone, which then asks the trainer to stop
        )
        self._pump = threading.Thread(target=self._keep_output, name="lvmcheck-output", daemon=True)
        self._pump.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll()

    def ended(self) -> str:
        """How it ended, in words."""
        code = self._process.poll()
        if code is None:
            return "still running"
        if code >= 0:
            return f"exited {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"killed by {name}" + (_of_memory(self.folder) if name == "SIGKILL" else "")

    def dump_stacks(self) -> None:
        """Have the trainer write the stacks of all its threads; does not wait."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self._process.pid, ALL_STACKS)

    def ask(self) -> None:
        """Ask the whole process group to end; does not wait."""
        self._signal(signal.SIGTERM)

    def ask_again(self) -> None:
        """Ask the whole process group to end, and have the trainer print where it is; does not wait."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self._process.pid, WHERE)
        self.ask()

    def stop(self, *, grace: float = 8.0) -> None:
        """Ask the trainer to end, then insist; its whole process group goes."""
        if self._process.poll() is None:
            self.ask()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=grace)
        if GUARDED and self._process.poll() is None:
            self._signal(guard_file.KILL)  # the guard kills everything below it, and ends
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=10.0)
        self._signal(signal.SIGKILL)  # also what it may have left behind in its group
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5.0)
        self._pump.join(timeout=2.0)

    def wait_output(self) -> None:
        """Let the last output arrive after the process has ended."""
        self._pump.join(timeout=2.0)

    def _signal(self, number: signal.Signals) -> None:
        """To the whole group of the guard, which passes it on to the trainer's."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _keep_output(self) -> None:
        assert self._process.stdout is not None
        head, tail, tail_size, dropped = 0, deque[bytes](), 0, 0
        try:
            with (self.folder / rundir.OUTPUT).open("ab", buffering=0) as log:
                while block := os.read(self._process.stdout.fileno(), 1 << 16):
                    if head < HEAD_BYTES:
                        head += log.write(block) or 0
                        continue
                    tail.append(block)
                    tail_size += len(block)
                    while tail_size > TAIL_BYTES + (1 << 16):
                        gone = tail.popleft()
                        tail_size -= len(gone)
                        dropped += len(gone)
                if tail:
                    log.write(f"\n[... {dropped:,} bytes not kept ...]\n".encode() + b"".join(tail))
        except OSError:  # a full disk must not block the trainer on a full pipe
            while os.read(self._process.stdout.fileno(), 1 << 16):
                pass
        finally:
            self._process.stdout.close()


def start_trainer(plan: Plan, resume: Path | None, more: Mapping[str, str]) -> TrainerProcess:
    """The plan's trainer in a process of its own.

    Args:
        more: variables of the environment, of its place.
    """
    environment = {**environment_of(plan), **more}
    return TrainerProcess(plan.folder, cwd=plan.settings.root, environment=environment, resume=resume)


def environment_of(plan: Plan) -> dict[str, str]:
    """The environment of the plan's trainer."""
    settings = plan.settings
    environment = trainer_environment(
        settings.environment, settings.start, threads=plan.threads, seed=plan.seed, named=plan.env
    )
    if plan.ranks > 1:  # torchrun starts its ranks without -P
        environment |= {RANKS: str(plan.ranks), "PYTHONSAFEPATH": "1"}
    return environment


def _of_memory(folder: Path) -> str:
    """What is known of a trainer's memory when it was killed, by its guard's measurement."""
    ended = read_json(folder / guard_file.ENDED) or {}
    peak, kills = ended.get("peak_bytes"), ended.get("oom_kills")
    if ended.get("killed_by_us") or not isinstance(peak, int):
        return ""
    held = f"it held up to {peak / 1e6:,.0f} MB"
    if not isinstance(kills, int):
        return f" (not by lvmcheck; {held}; nobody counts out-of-memory kills here)"
    many = plural(kills, "such kill")
    if kills > 0:
        return f" (likely out of memory: the kernel counted {many} in its control group meanwhile; {held})"
    return f" (not by lvmcheck; {held}; its control group counted no out-of-memory kill)"


def trainer_environment(
    inherited: Mapping[str, str], start: Path, *, threads: int, seed: int, named: Sequence[str] = ()
) -> dict[str, str]:
    """The trainer's environment: it can import what the parent can, and its threads and hashes are fixed.

    Args:
        inherited: the environment that the session began with.
        start: the working directory then, against which relative import paths are resolved.
        named: variables that are passed on beside those of :mod:`lvmcheck.launch.environment`.
    """
    return {
        # A thread that waits spins for some microseconds and then sleeps. Spinning on takes the core that another needs
        # (2 to 5 times slower beside a busy process), sleeping at once halves the speed of an idle machine.
        "GOMP_SPINCOUNT": "1000",
        # Tensors on huge pages where glibc can: fewer misses of the TLB, no other effect.
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        **passed_on(inherited, named),
        WITHHELD: withheld(inherited, named),
        "PYTHONPATH": os.pathsep.join(str(start / path) for path in sys.path),
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": str(seed % 4294967296),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }


def last_lines(folder: Path) -> list[str]:
    """The last lines that the trainer printed, at most 12, fit to be shown."""
    return _lines(folder / rundir.OUTPUT)[-12:]


def stack_lines(folder: Path) -> list[str]:
    """The stacks of a trainer that hung."""
    return _lines(folder / STACKS)[:MOST_STACKS]


def _lines(path: Path) -> list[str]:
    try:
        with open_regular(path) as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 16_384))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = [excerpt(line, 300) for line in text.splitlines()]
    return [line.rstrip() for line in lines if line.strip()]
