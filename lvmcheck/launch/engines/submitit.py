"""submitit: jobs of SLURM, or processes of this machine where there is none."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError, excerpt, nearest
from lvmcheck.extras import need
from lvmcheck.launch.engine import Engine
from lvmcheck.launch.engines._far import FarEngine
from lvmcheck.launch.engines._task import train
from lvmcheck.launch.plan import Plan, Settings

PACKAGE, EXTRA = "submitit", "slurm"
OPTIONS = ("cluster", "cpus_per_task", "gpus_per_node", "mem_gb", "timeout_min")
PREFIXES = ("slurm_",)
CLUSTERS = ("slurm", "local")
DAY = 24 * 60
"""Minutes that a job asks for by default. One whose time is over is queued again and goes on from its checkpoint."""
TAIL = 4096
LOOK, LINGER = 30.0, 5.0
"""Seconds between two questions to SLURM about its jobs, and that processes of this machine get to end."""


class Submitit(FarEngine):
    """Queues jobs through submitit, whose folder is ``submitit`` below ``--lvm-dir``."""

    NAME = "submitit"
    _executor: Any = None
    _asked = 0.0

    def open(self) -> None:
        if self._executor is not None:
            return
        submitit = need(PACKAGE, extra=EXTRA, purpose="--lvm-launcher submitit")
        folder = self.settings.home / "submitit"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        cluster = self.options.get("cluster")
        more = {key: value for key, value in self.options.items() if key != "cluster"}
        if cluster not in (None, *CLUSTERS):
            fix = nearest(cluster, CLUSTERS)
            raise InputError("--lvm-launcher-option", f"cluster: no cluster {excerpt(cluster)!r}", fix=fix)
        try:
            executor = submitit.AutoExecutor(folder=folder.resolve() / "%j", cluster=cluster)
            executor.update_parameters(**{"timeout_min": DAY, "name": "lvmcheck", **_typed(more)})
        except (NameError, ValueError, RuntimeError, AssertionError, TypeError) as problem:
            raise InputError("--lvm-launcher submitit", excerpt(str(problem), 300)) from None
        self._executor, self._jobs = executor, list[Any]()

    def submit(self, spec: dict[str, Any], plan: Plan) -> Any:
        asked = {
            "cpus_per_task": plan.threads * plan.ranks,
            "gpus_per_node": plan.ranks if plan.device == "cuda" else 0,
        }
        self._executor.update_parameters(**{key: n for key, n in asked.items() if key not in self.options and n})
        try:
            self._jobs.append(self._executor.submit(train, spec))
        except Exception as problem:  # whatever sbatch, or submitit about it, says
            raise InputError("--lvm-launcher submitit", f"refused: {excerpt(str(problem), 300)}") from None
        return self._jobs[-1]

    def place(self, handle: Any) -> str:
        return str(handle.job_id)

    def gone(self, handle: Any) -> str | None:
        force = time.monotonic() - self._asked > LOOK
        self._asked = time.monotonic() if force else self._asked
        if not handle.done(force_check=force) and handle.state != "PREEMPTED":
            return None  # one that SLURM itself queues again finds that another task trains its run
        said = _last_line(Path(handle.paths.stderr))
        return f"{handle.state}{f', {said}' if said else ''}"

    def cancel(self, handle: Any) -> None:
        handle.cancel(check=False)

    def close(self) -> None:
        """Let processes of this machine end: each has told already how its trainer ended."""
        super().close()
        until = time.monotonic() + LINGER
        if self._executor is not None and self._executor.cluster == "local":
            while time.monotonic() < until and not all(job.done() for job in self._jobs):
                time.sleep(0.02)


def _typed(options: Mapping[str, str]) -> dict[str, Any]:
    """Numbers as numbers."""
    return {key: int(value) if value.isascii() and value.isdigit() else value for key, value in options.items()}


def _last_line(path: Path) -> str:
    """What the job printed last."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((excerpt(line.strip(), 300) for line in reversed(lines) if line.strip()), "")


def make(settings: Settings) -> Engine:
    return Submitit(settings)
