"""ray: tasks of a Ray cluster, or of one that is started on this machine and ends with the session."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from lvmcheck.errors import InputError, excerpt
from lvmcheck.extras import need
from lvmcheck.launch.device import cores
from lvmcheck.launch.engine import Engine
from lvmcheck.launch.engines._far import FarEngine
from lvmcheck.launch.engines._task import train
from lvmcheck.launch.plan import Plan, Settings

PACKAGE, EXTRA = "ray", "ray"
OPTIONS = ("address", "num_cpus", "num_gpus", "memory_gb")
PREFIXES: tuple[str, ...] = ()
EMBEDDED = "local"
ANSWER = 30.0
"""Seconds that a cluster may take to answer."""
STORE = 100 << 20
"""Bytes of an embedded cluster's object store: runs go through files."""


class Ray(FarEngine):
    """Queues tasks in the cluster at ``address`` (or ``RAY_ADDRESS``); without one, in a cluster of this machine."""

    NAME = "ray"
    _ray: Any = None
    _refused: InputError | None = None
    _began = False

    def open(self) -> None:
        if self._ray is not None:
            return
        if self._refused is not None:
            raise self._refused
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
        ray = need(PACKAGE, extra=EXTRA, purpose="--lvm-launcher ray")
        address = self.options.get("address") or os.environ.get("RAY_ADDRESS") or EMBEDDED
        embedded: dict[str, Any] = {"num_cpus": cores(), "include_dashboard": False, "object_store_memory": STORE}
        try:
            if not ray.is_initialized():
                quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
                if address == EMBEDDED:
                    ray.init(address=address, **quiet, **embedded)
                else:
                    _within(ANSWER, lambda: ray.init(address=address, **quiet))
                self._began = True
        except Exception as problem:  # whatever Ray says of an address, a version or this machine
            self._refused = InputError("--lvm-launcher ray", f"{address}: {excerpt(str(problem), 300)}")
            raise self._refused from None
        self._ray = ray

    def submit(self, spec: dict[str, Any], plan: Plan) -> Any:
        asked: dict[str, Any] = {
            "num_cpus": self._number("num_cpus", plan.threads * plan.ranks),
            "num_gpus": self._number("num_gpus", plan.ranks if plan.device == "cuda" else 0),
            "memory": int(self._number("memory_gb", 0) * 1e9),
        }
        there = self._ray.cluster_resources()
        for key, name in (("num_cpus", "CPU"), ("num_gpus", "GPU")):
            if asked[key] > there.get(name, 0):
                has = f"the cluster has {there.get(name, 0):g}"
                raise InputError("--lvm-launcher ray", f"a run asks for {asked[key]:g} {name}, {has}")
        return self._ray.remote(max_retries=0, **{k: n for k, n in asked.items() if n})(train).remote(spec)

    def _number(self, key: str, usual: float) -> float:
        try:
            return float(self.options.get(key, usual))
        except ValueError:
            problem = f"{key}: expected a number, got {excerpt(self.options[key])!r}"
            raise InputError("--lvm-launcher-option", problem) from None

    def place(self, handle: Any) -> str:
        return str(handle.task_id().hex())

    def gone(self, handle: Any) -> str | None:
        ready, _ = self._ray.wait([handle], timeout=0)
        if not ready:
            return None
        try:
            self._ray.get(handle)
        except Exception as problem:  # what the task raised, or what Ray says of its worker
            return excerpt(str(problem).strip().rpartition("\n")[2], 300)
        return "its task returned"

    def cancel(self, handle: Any) -> None:
        self._ray.cancel(handle, force=True)

    def close(self) -> None:
        super().close()
        if self._began:
            self._ray.shutdown()
            self._began = False


def _within(seconds: float, call: Callable[[], object]) -> None:
    """Call it, and give up on it where it takes longer: Ray asks a wrong address for minutes."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as problem:
            raised.append(problem)

    thread = threading.Thread(target=run, name="lvmcheck-ray", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"has not answered within {seconds:.0f} s")
    if raised:
        raise raised[0]


def make(settings: Settings) -> Engine:
    return Ray(settings)
