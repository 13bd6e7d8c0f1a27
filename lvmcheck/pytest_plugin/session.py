"""What lvmcheck holds for one pytest session: options, suites, the launcher, and what the items wait for."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lvmcheck import __version__
from lvmcheck.checks.wording import plural
from lvmcheck.launch.device import guess_device
from lvmcheck.launch.executed import NONCE
from lvmcheck.launch.launcher import Launcher
from lvmcheck.launch.plan import Settings
from lvmcheck.pytest_plugin.across import settled_by
from lvmcheck.pytest_plugin.asks import asks_run
from lvmcheck.pytest_plugin.constants import ENVIRONMENT, JOBS, SESSION, UNNEEDED
from lvmcheck.pytest_plugin.needs import NO_TRAINING, ONE_SEED, Need
from lvmcheck.pytest_plugin.options import read_options
from lvmcheck.pytest_plugin.overrides import overrides
from lvmcheck.pytest_plugin.pytest_api import line_width, never_fail
from lvmcheck.pytest_plugin.reference import write_references
from lvmcheck.report.width import wrapped
from lvmcheck.suite import Suite, load_suite, with_overrides
from lvmcheck.suite.called import CalledSuite

if TYPE_CHECKING:
    from lvmcheck.launch.run_job import RunJob
    from lvmcheck.pytest_plugin.live import ProgressReporter


class LvmSession:
    """Made when the first suite file is collected.

    Raises:
        InputError: an option cannot be used.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.options = read_options(config)
        self.suites: dict[Path, Suite] = {}
        self.unasked: list[Any] = []  # trainings of the running test, at the end of which they must have ended
        self.told: dict[str, str] = {}  # name of a check -> the item that shows its usual causes
        worker = getattr(config, "workerinput", None)
        self.launcher = Launcher(
            Settings(
                home=self.options.home,
                root=config.rootpath,
                session=str(worker["testrunuid"]) if worker else uuid.uuid4().hex,
                jobs=self.options.jobs,
                fresh=self.options.fresh,
                inprocess=self.options.inprocess,
                store=self.options.store,
                parallel=self.options.parallel,
                launcher=self.options.launcher,
                launcher_options=self.options.launcher_options,
                nonce=os.environ.get(NONCE, ""),
                environment={name: value for name, value in config.stash[ENVIRONMENT].items() if name != NONCE},
                env=self.options.env,
                timeout=self.options.timeout,
                check_timeout=self.options.check_timeout,
            )
        )
        if config.pluginmanager.hasplugin("terminalreporter"):
            never_fail(config.get_terminal_writer())
        self._progress: ProgressReporter | None = None

    @classmethod
    def of(cls, config: pytest.Config) -> LvmSession:
        if SESSION not in config.stash:
            config.stash[SESSION] = cls(config)
        session = config.stash[SESSION]
        assert isinstance(session, cls)
        return session

    def suite(self, path: Path) -> Suite:
        """The suite of a file with this session's profile and overrides.

        Raises:
            InputError: the file or an option is wrong.
        """
        if path not in self.suites:
            folder = self.config.invocation_params.dir
            default = "smoke" if guess_device(self.options.device or "auto") == "cpu" else "ci"
            shown = Path(os.path.relpath(path, folder))
            suite = load_suite(shown, profile=self.options.profile, default_profile=default)
            changes = overrides(self.options, suite, folder)
            self.suites[path] = with_overrides(suite, changes) if changes else suite
        return self.suites[path]

    def changes(self) -> dict[str, object]:
        """What the options change in the config of a training that a Python test calls for."""
        found = {"device": self.options.device, "threads": self.options.threads}
        return {key: value for key, value in found.items() if value is not None}

    # -- items -------------------------------------------------------------------------------------------------------
    def needs(self, item: pytest.Item) -> tuple[Need, ...]:
        """What an item of any kind needs; a Python test needs the run that its fixture stands for."""
        own = getattr(item, "needs", None)
        if own is not None:
            return tuple(own())
        asked = asks_run(item)
        return (Need(suite=self.suite(asked[0]), seed=asked[1]),) if asked is not None else ()

    def order(self, items: list[pytest.Item]) -> None:
        """Within a seed, put the checks that are decided first first; tests that need no training come before all.

        While those run, the training runs go on in the background (:meth:`begin`).
        """
        places = [i for i, item in enumerate(items) if getattr(item, "turn", None) == ONE_SEED]
        ours = [(items[i], self.needs(items[i])[0]) for i in places]
        first = {(need.suite.path, need.seed): n for n, (_, need) in reversed(list(enumerate(ours)))}
        ours.sort(key=lambda it: (first[it[1].suite.path, it[1].seed], getattr(it[0], "due", 0)))
        for place, (item, _) in zip(places, ours, strict=True):
            items[place] = item
        items.sort(key=self._turn)  # stable

    def _turn(self, item: pytest.Item) -> int:
        return getattr(item, "turn", ONE_SEED if self.needs(item) else NO_TRAINING)

    def begin(self, option: Any) -> None:
        """Start training now, as far as places allow, if this session is to run everything it collected."""
        lazy = option.collectonly or getattr(option, "setuponly", False) or option.maxfail
        if not lazy and not hasattr(self.config, "workerinput") and not self.options.inprocess:
            self.launcher.activate_all()

    def register(self, items: Sequence[pytest.Item]) -> None:
        """Tell the launcher what was asked for, now that deselection is over."""
        for item in items:
            if item.get_closest_marker("skip") is None:  # what is not run needs no training
                item.stash[JOBS] = [self._job(need) for need in self.needs(item)]

    def _job(self, need: Need) -> RunJob:
        whole = need.entry is None or self.options.reason is not None  # a reference is made of finished runs
        return self.launcher.want(need.suite, need.seed, [need.entry] if need.entry else [], whole=whole)

    def wait_for(self, item: pytest.Item) -> None:
        """Block until the item can be decided, showing progress meanwhile (before pytest prints the item's line)."""
        jobs: list[RunJob] = item.stash.get(JOBS, [])
        for job, need in zip(jobs, self.needs(item), strict=False):
            unneeded = self._unneeded(job) if need.entry is not None else None
            item.stash[UNNEEDED] = unneeded
            if unneeded is not None:
                return
            self._wait(job, need.entry.node if need.entry is not None else None)

    def _unneeded(self, job: RunJob) -> str | None:
        """Why a seed of a sequential suite is not trained: those before it have decided the answer."""
        if not job.plan.suite.sequential:
            return None
        earlier = self.launcher.siblings(job)
        earlier = earlier[: earlier.index(job)]
        for other in earlier:
            if (settled := settled_by(job.plan.suite, earlier[: earlier.index(other)])) is not None:
                return settled
            for entry in other.entries:
                if entry.across is not None:
                    self._wait(other, entry.node)
        return settled_by(job.plan.suite, earlier)

    def wait_for_end(self, job: RunJob) -> None:
        """Block until a run that a Python test called for is over."""
        self._wait(job, None)

    def _wait(self, job: RunJob, node: str | None) -> None:
        if self._progress is None:
            from lvmcheck.pytest_plugin.live import ProgressReporter

            self._progress = ProgressReporter(self.config, self.launcher, self.options.progress)
        with self._progress.showing(job) as redraw:
            self.launcher.wait(job, node, redraw)

    # -- what is printed ---------------------------------------------------------------------------------------------
    def header(self) -> list[str]:
        """What is about to be trained, on what, and how to change that."""
        jobs = list(self.launcher.jobs.values())
        lines = []
        for suite in {job.plan.suite.path: job.plan.suite for job in jobs}.values():
            seeds = sum(job.plan.suite.path == suite.path for job in jobs)
            device = guess_device(str(suite.config.get("device", "auto")))
            why = "" if device != "cpu" or suite.config.get("device", "auto") != "auto" else " (no accelerator found)"
            others = ", ".join(name for name in suite.profiles if name != suite.profile)
            about = [suite.name, f"profile {suite.profile}{why}", f"device {device}", plural(seeds, "seed")]
            lines.append(" · ".join([f"lvmcheck {__version__}", *about]))
            lines.append(f"  data {data_text(suite)}      use your own: --lvm-data PATH      profiles: {others}")
        width = line_width(self.config.get_terminal_writer())
        return [part for line in lines for part in wrapped(line, width)]

    def references(self) -> list[str]:
        """Write the references that were asked for; what was written or refused, line by line."""
        jobs, reason = list(self.launcher.jobs.values()), self.options.reason
        jobs = [job for job in jobs if not isinstance(job.plan.suite, CalledSuite)]
        return [] if reason is None else write_references(jobs, self.config.rootpath, reason)

    def close(self, *, interrupted: bool) -> None:
        """Leave no trainer behind; an xdist worker first finishes what other workers may be waiting for."""
        if hasattr(self.config, "workerinput") and not interrupted:
            self.launcher.finish_own()
        self.launcher.close("an interrupt" if interrupted else "the end of the pytest session")


def data_text(suite: Suite) -> str:
    """``twin 'small'``, as far as the suite says it."""
    data = suite.config.get("data")
    if not isinstance(data, dict):
        return "chosen by the trainer"
    what = data.get("recipe") or data.get("path") or ""
    broken = f", broken on purpose: {', '.join(data['broken'])}" if data.get("broken") else ""
    return f"{data.get('source', '?')} {str(what)!r}{broken}" if what else f"{data.get('source', '?')}{broken}"
