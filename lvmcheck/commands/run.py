"""``lvmcheck run``: run a training script as it is, and record, watch and judge what it trains."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import runpy
import sys
import traceback
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvmcheck.commands._exit import BAD_INPUT, FAILED, INTERRUPTED, PASSED
from lvmcheck.commands._judging import exit_code, verdicts_on
from lvmcheck.errors import InputError, nearest
from lvmcheck.text.say import complain

if TYPE_CHECKING:
    from lvmcheck.run.recorder import Recorder
    from lvmcheck.watch.script import Observer

HELP = "run a training script as it is; record, watch and judge what it trains"
EXAMPLE = "lvmcheck run --on-fail stop train.py --epochs 3"
EXITS = {BAD_INPUT: "bad input, or nothing of the script could be seen", INTERRUPTED: "interrupted by the keyboard"}
HOME = Path("runs")
NOT_SEEN = "not seen: epochs, metrics of evaluations, loaders; rec.epoch and rec.watch(train=..., val=...) record them"


class Stopped(SystemExit):
    """The run was judged, and is to end; a script does not catch it by accident."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--into", type=Path, metavar="DIR", help="run directory (default: runs/NAME of the script)")
    parser.add_argument("--suite", type=Path, help="suite whose checks judge the run, instead of the universal ones")
    parser.add_argument("--profile", help=argparse.SUPPRESS)
    parser.set_defaults(data_name=None)  # a script names its own data, or `check --data-name` does
    parser.add_argument("--on-fail", choices=("stop", "warn"), default="warn", help="what a failed check does")
    parser.add_argument("--strict", action="store_true", help="count warnings as failures")
    parser.add_argument("-m", dest="module", action="store_true", help="SCRIPT is the name of a module")
    parser.add_argument("script", help="the script")
    own = parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its own arguments")
    own.required = False


def run(options: argparse.Namespace) -> int:
    if not options.module and not Path(options.script).is_file():
        scripts = [str(path) for path in (*Path().glob("*.py"), *Path().glob("*/*.py"))][:500]
        fix = nearest(options.script, scripts) if scripts else "A module is run by -m NAME."
        raise InputError(options.script, "expected a script, got no such file", fix=fix)
    if options.into is not None and (options.into / "events.jsonl").exists():
        raise InputError(options.into, "already holds a run", fix="Give another directory: --into DIR.")
    session = Session(options)
    code, status, reason = session.execute()
    recorder = None if session.observer is None else session.observer.recorder
    if session.observer is None or recorder is None:
        return code or _nothing(options.script, session.observer)
    recorder.close(status, reason=reason)
    complain(f"lvmcheck recorded {recorder.path}; {_unseen(session.observer)}")
    from lvmcheck.run.directory import load

    recorded = load(recorder.path)
    judged = exit_code(verdicts_on(recorded, options), strict=options.strict)
    return code or judged


def _nothing(script: str, observer: Observer | None) -> int:
    what = "torch was not imported in this process" if observer is None else "no backward pass was seen"
    fix = "Record it by itself: lvmcheck.record and rec.watch (docs/watch.md)."
    complain(f"{script}: nothing can be judged: {what}. {fix}")
    return BAD_INPUT


def _unseen(observer: Observer) -> str:
    said = [NOT_SEEN]
    if observer.without_loss:
        said.append(f"no loss was seen before {observer.without_loss:,} of {observer.steps:,} steps")
    if observer.players:
        said.append("several optimizers step with losses of their own, which are watched and not judged as one curve")
    if observer.unheld:
        said.append(f"no optimizer holds {', '.join(observer.unheld)}, which training calls")
    return "; ".join(said)


class Session:
    """One script, run in this process."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.observer: Observer | None = None
        self._options = options

    def execute(self) -> tuple[int, str, str | None]:
        """Run it; returns its exit code, and how the run ended."""
        options, script = self._options, self._options.script
        before, finder = (sys.argv, sys.path[0]), WhenImported("torch", self._observe)
        sys.argv = [script, *options.arguments]
        sys.path[0] = "" if options.module else str(Path(script).resolve().parent)
        sys.meta_path.insert(0, finder)
        try:
            if options.module:
                runpy.run_module(script, run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(script, run_name="__main__")
        except BaseException as problem:
            return self._ended_by(problem)
        finally:
            if self.observer is not None:
                self.observer.close()
            sys.argv, sys.path[0] = before
            with contextlib.suppress(ValueError):
                sys.meta_path.remove(finder)
        return PASSED, "finished", None

    def _ended_by(self, problem: BaseException) -> tuple[int, str, str | None]:
        recorder = None if self.observer is None else self.observer.recorder
        if isinstance(problem, Stopped):
            return FAILED, "stopped", None if recorder is None else recorder.stop_reason
        if isinstance(problem, SystemExit):
            if not isinstance(problem.code, int | None):
                complain(problem.code)
            code = problem.code if isinstance(problem.code, int) else int(problem.code is not None)
            return code, "failed" if code else "finished", f"exit code {code}" if code else None
        if isinstance(problem, KeyboardInterrupt):
            return INTERRUPTED, "interrupted", "the keyboard"
        trace = traceback.format_exception(type(problem), problem, _of_script(problem))
        complain(*"".join(trace).splitlines())
        return FAILED, "failed", f"{type(problem).__name__}: {problem}"

    def _observe(self) -> None:
        from lvmcheck.watch.script import Observer

        self.observer = Observer(self._start, self._stop)

    def _start(self) -> Recorder:
        from lvmcheck.run.start import record

        options = self._options
        config = {"script": options.script, "arguments": options.arguments}
        folder = options.into or _free(HOME / Path(options.script).stem)
        return record(folder, config=config, suite=options.suite, on_fail=options.on_fail, watch=False)

    def _stop(self) -> None:
        raise Stopped(FAILED)


def _free(folder: Path) -> Path:
    """A run directory of that name that holds no run yet."""
    number, found = 2, folder
    while (found / "events.jsonl").exists():
        found, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return found


def _of_script(problem: BaseException) -> Any:
    """The part of a traceback that is the script's own."""
    ours, trace = {__file__, runpy.__file__, "<frozen runpy>"}, problem.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in ours:
        trace = trace.tb_next
    return trace


class WhenImported(MetaPathFinder):
    """Calls a function once a module was imported by somebody else."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self._name, self._then = name, then

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        loader: Any = None if spec is None else spec.loader
        if loader is not None:
            execute = loader.exec_module

            def executed(module: Any) -> None:
                execute(module)
                self._then()

            loader.exec_module = executed
        return spec
