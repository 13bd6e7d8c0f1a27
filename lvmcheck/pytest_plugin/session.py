"""What lvmcheck keeps for one pytest session: settings from options, the launcher, and what the items wait for."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from lvmcheck import __version__
from lvmcheck.errors import InputError, nearest
from lvmcheck.launch.device import check_device, cores, guess_device
from lvmcheck.launch.launcher import Launcher
from lvmcheck.launch.plan import Settings
from lvmcheck.pytest_plugin.across import AcrossItem, settled_by
from lvmcheck.pytest_plugin.fixture import asks_run
from lvmcheck.pytest_plugin.hooks import INI, OPTIONS, SESSION
from lvmcheck.pytest_plugin.reference import reason, write_references
from lvmcheck.report.width import never_fail, wrapped
from lvmcheck.suite import Suite, find_trainer, load_suite, with_overrides

if TYPE_CHECKING:
    from lvmcheck.launch.run_job import RunJob
    from lvmcheck.report.live import Teller


def option(config: pytest.Config, flag: str) -> Any:
    """Command line, then the ini setting of the same name, then None.

    Raises:
        InputError: the command line gives nothing, as ``--lvm-data "$UNSET"`` does.
    """
    name = flag[2:].replace("-", "_")
    value = config.getoption(name)
    if value is not None and (value == "" or (isinstance(value, list) and "" in value)):
        raise InputError(flag, "expected a value, got nothing")
    return value if value is not None or flag not in INI else (config.getini(name) or None)


def whole_number(value: Any, flag: str) -> int:
    """An option that counts; an ini file gives it as text.

    Raises:
        InputError: not an integer >= 0.
    """
    if value is None:
        return 0
    if not (str(value).isascii() and str(value).isdigit()):
        raise InputError(flag, f"expected an integer >= 0, got {value}")
    return int(value)


def check_progress(asked: str) -> str:
    """The way to show progress; refuses what the choices of the command line would, for an ini file has none.

    Raises:
        InputError: there is no such way.
    """
    known = OPTIONS["--lvm-progress"]["choices"]
    if asked not in known:
        raise InputError("lvm_progress", f"no way to show progress {asked!r}", fix=nearest(asked, known))
    return asked


def home_folder(config: pytest.Config) -> Path:
    """Where runs are kept: the command line counts from where it is typed, an ini setting from the root."""
    home = Path(option(config, "--lvm-dir") or ".lvmcheck")
    typed = config.getoption("lvm_dir") is not None
    return (config.invocation_params.dir if typed else config.rootpath) / home


class LvmSession:
    """Made when the first suite file is collected."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.suites: dict[Path, Suite] = {}
        self._progress = check_progress(option(config, "--lvm-progress") or "auto")
        worker = getattr(config, "workerinput", None)
        self.launcher = Launcher(
            Settings(
                home=home_folder(config),
                root=config.rootpath,
                session=str(worker["testrunuid"]) if worker else uuid.uuid4().hex,
                jobs=whole_number(option(config, "--lvm-jobs"), "--lvm-jobs"),
                fresh=bool(config.getoption("lvm_fresh")),
                inprocess=bool(config.getoption("lvm_inprocess")),
            )
        )
        if config.pluginmanager.hasplugin("terminalreporter"):
            never_fail(config.get_terminal_writer())
        self._teller: Teller | None = None
        self.update = reason(config)

    @classmethod
    def of(cls, config: pytest.Config) -> LvmSession:
        if SESSION not in config.stash:
            config.stash[SESSION] = cls(config)
        return config.stash[SESSION]

    # -- suites ------------------------------------------------------------------------------------------------------
    def suite(self, path: Path) -> Suite:
        """The suite of a file with this session's profile and overrides.

        Raises:
            InputError: the file or an option is wrong.
        """
        if path not in self.suites:
            shown = Path(os.path.relpath(path, self.config.invocation_params.dir))
            device = option(self.config, "--lvm-device")
            default = "smoke" if guess_device(device or "auto") == "cpu" else "ci"
            profile = option(self.config, "--lvm-profile")
            suite = load_suite(shown, profile=profile, default_profile=default)
            overrides = self._overrides(suite)
            self.suites[path] = with_overrides(suite, overrides) if overrides else suite
        return self.suites[path]

    def _overrides(self, suite: Suite) -> dict[str, object]:
        changes: dict[str, object] = {}
        device = option(self.config, "--lvm-device")
        if device:
            changes["device"] = check_device(device, "--lvm-device")
        threads = whole_number(option(self.config, "--lvm-threads"), "--lvm-threads")
        if threads > cores():  # they would wait for each other: measured at a tenth of one thread's speed
            raise InputError("--lvm-threads", f"expected at most the {cores()} cores of this machine, got {threads}")
        if threads:
            changes["threads"] = threads
        data = option(self.config, "--lvm-data")
        about_data = [flag for flag in ("--lvm-data-name", "--lvm-ood") if option(self.config, flag)]
        if data is not None:
            changes |= self._data(str(data), suite)
        if about_data and "path" not in changes.get("data", {}):  # type: ignore[operator]
            raise InputError(about_data[0], "expected --lvm-data PATH beside it", fix="It says more about that path.")
        seeds = option(self.config, "--lvm-seeds")
        if seeds is not None:
            changes["seeds"] = parse_seeds(str(seeds))
        return changes

    def _data(self, path: str, suite: Suite) -> dict[str, object]:
        """What changes in [run] for the person's own data; a trainer's schema may say so itself, with ``data_at``."""
        own = suite.config.get("data")
        data_at = getattr(find_trainer(suite.trainer).schema(), "data_at", None)
        if data_at is not None:
            place = (self.config.invocation_params.dir / path).resolve()
            return dict(data_at(place, suite.config))
        return {"data": self._vectors(path, own)}

    def _vectors(self, path: str, own: object) -> dict[str, object]:
        kept = {key: value for key, value in own.items() if key == "context"} if isinstance(own, dict) else {}
        base = self.config.invocation_params.dir
        if path == "text" and not (base / path).exists():
            return {"source": "text", **kept}
        changes = {"source": "path", "path": str((base / path).resolve()), **kept}
        name = option(self.config, "--lvm-data-name")
        ood = [str((base / other).resolve()) for other in option(self.config, "--lvm-ood") or ()]
        return {**changes, **({"name": name} if name else {}), **({"ood": ood} if ood else {})}

    # -- items -------------------------------------------------------------------------------------------------------
    def order(self, items: list[pytest.Item]) -> None:
        """Within a seed, put the checks that are decided first first; tests that need no training come before all.

        While those run, the training runs go on in the background (:meth:`begin`).
        """
        from lvmcheck.pytest_plugin.items import CheckItem

        places = [i for i, item in enumerate(items) if isinstance(item, CheckItem)]
        ours = [cast(CheckItem, items[i]) for i in places]
        first = {item.group: n for n, item in reversed(list(enumerate(ours)))}
        for place, item in zip(places, sorted(ours, key=lambda it: (first[it.group], it.due)), strict=True):
            items[place] = item
        # A stable sort: what all seeds answer together comes when their own checks are through.
        items.sort(
            key=lambda item: 2 * isinstance(item, AcrossItem) or isinstance(item, CheckItem) or bool(asks_run(item))
        )

    def begin(self, option: Any) -> None:
        """Start training now, as far as places allow, if this session is to run everything it collected."""
        lazy = option.collectonly or getattr(option, "setuponly", False) or option.maxfail
        if not lazy and not hasattr(self.config, "workerinput") and not self.launcher.settings.inprocess:
            self.launcher.activate_all()

    def register(self, items: Sequence[pytest.Item]) -> None:
        """Tell the launcher what was asked for, now that deselection is over."""
        from lvmcheck.pytest_plugin.items import CheckItem

        for item in items:
            if item.get_closest_marker("skip") is not None:
                continue  # what is not run needs no training
            if isinstance(item, CheckItem):
                whole = self.update is not None  # a reference is made of finished runs
                item.job = self.launcher.want(item.suite, item.seed, [item.entry], whole=whole)
            elif isinstance(item, AcrossItem):
                item.jobs = [self.launcher.want(item.suite, seed, [item.entry]) for seed in item.suite.seeds]
            elif (asked := asks_run(item)) is not None:
                self.launcher.want(self.suite(asked[0]), asked[1], whole=True)

    def wait_for(self, item: pytest.Item) -> None:
        """Block until the item can be decided, showing progress meanwhile (before pytest prints the item's line)."""
        from lvmcheck.pytest_plugin.items import CheckItem

        if isinstance(item, CheckItem):
            if item.job is not None:
                item.unneeded = self._unneeded(item.job)
                if item.unneeded is None:
                    self._wait(item.job, item.entry.node)
        elif isinstance(item, AcrossItem):
            for job in item.jobs:
                if self._unneeded(job) is not None:
                    break
                self._wait(job, item.entry.node)
        elif item.get_closest_marker("skip") is None and (asked := asks_run(item)):
            self._wait(self.launcher.want(self.suite(asked[0]), asked[1], whole=True), None)

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

    def _wait(self, job: RunJob, node: str | None) -> None:
        if self._teller is None:
            from lvmcheck.report.live import Teller

            self._teller = Teller(self.config, self.launcher, self._progress)
        with self._teller.showing(job) as tell:
            self.launcher.wait(job, node, tell)

    def header(self) -> list[str]:
        """What is about to be trained, on what, and how to change that."""
        lines = []
        for suite in {job.plan.suite.path: job.plan.suite for job in self.launcher.jobs.values()}.values():
            seeds = [t.plan.seed for t in self.launcher.jobs.values() if t.plan.suite.path == suite.path]
            device = guess_device(str(suite.config.get("device", "auto")))
            why = "" if device != "cpu" or suite.config.get("device", "auto") != "auto" else " (no accelerator found)"
            others = ", ".join(name for name in suite.profiles if name != suite.profile)
            lines.append(
                f"lvmcheck {__version__} · {suite.name} · profile {suite.profile}{why} · device {device} · "
                f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
            )
            lines.append(f"  data {data_words(suite)}      use your own: --lvm-data PATH      profiles: {others}")
        tw = self.config.get_terminal_writer()
        return [part for line in lines for part in wrapped(line, tw)]

    def references(self) -> list[str]:
        """Write the references that were asked for; what was written or refused, line by line."""
        jobs = list(self.launcher.jobs.values())
        return [] if self.update is None else write_references(jobs, self.config.rootpath, self.update)

    def close(self, *, interrupted: bool) -> None:
        """Leave no trainer behind; an xdist worker first finishes what other workers may be waiting for."""
        if hasattr(self.config, "workerinput") and not interrupted:
            self.launcher.finish_own()
        self.launcher.close("an interrupt" if interrupted else "the end of the pytest session")


def data_words(suite: Suite) -> str:
    data = suite.config.get("data")
    if not isinstance(data, dict):
        return "as the trainer says"
    what = data.get("recipe") or data.get("path") or ""
    broken = f", broken on purpose: {', '.join(data['broken'])}" if data.get("broken") else ""
    return f"{data.get('source', '?')} {str(what)!r}{broken}" if what else f"{data.get('source', '?')}{broken}"


def parse_seeds(text: str) -> list[int]:
    """``0,1,2`` as seeds.

    Raises:
        InputError: not a list of distinct integers >= 0.
    """
    parts = [part.strip() for part in text.split(",")]
    seeds = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 20]
    if len(seeds) != len(parts) or len(set(seeds)) != len(seeds):
        raise InputError("--lvm-seeds", f"expected distinct integers such as 0,1,2, got {text!r}")
    return seeds
