"""A parent that holds the exit status of a pytest command to what the session said: Linux only.

Where a repository has suites or runs, the command forks before any conftest is imported. The child is the session; the
parent waits, passes signals on, and ends as the child does. Where the child ends with 0 and the session has not said 0,
such as after ``os._exit(0)`` in a conftest or in a thread, the parent ends with what the session said, or with 1 where
it said nothing. A report that is not what the session wrote when the child has ended, or with which the parent does not
agree (:mod:`lvmcheck.pytest_plugin.parent_judge`), is set aside.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from lvmcheck.launch.executed import NONCE
from lvmcheck.launch.guard import adopt, children, end_children
from lvmcheck.pytest_plugin.constants import SUITE_FILE
from lvmcheck.pytest_plugin.parent_judge import ParentJudge

UNSAID = 1
"""Exit status of a session that ended with 0 before it was over."""
DEPTH, LOOKED_AT = 3, 500
"""Levels of folders in which a suite is looked for, and how many folders at most."""
NAMES = {"pytest", "py.test"}
DIES_WITH_PARENT = 1
HEARD = 65_536
"""Bytes of what the session said that are read: a pipe holds no more."""
SHOWN = 5
"""Reasons not to believe a report that are said."""
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


class Witness:
    """Where the session says how it ended.

    Args:
        pid: the process that may say it; what it forks may not. pipe: to the parent.
    """

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self.pipe = pipe
        self.same = os.fstat(pipe).st_ino

    def say(self, status: int) -> None:
        """The session is over, with this exit status."""
        self._tell(f"status {min(max(status, 0), 255)}")

    def begins(self, report: Path) -> None:
        """The session has written that it is not finished, and is going to write a report in its place."""
        self._tell(f"report {_digest(report)} {report.absolute()}")

    def wrote(self, report: Path, limit: float) -> None:
        """The session has written its report, whose content is final.

        Args:
            limit: seconds that a check of the user's own may take for one look.
        """
        self._tell(f"judge {json.dumps([limit, *sys.path])}")
        self.begins(report)

    def _tell(self, line: str) -> None:
        if os.getpid() != self.pid:
            return
        try:
            if os.fstat(self.pipe).st_ino == self.same:  # not a file that somebody opened after closing this
                os.write(self.pipe, f"{line}\n".encode("utf-8", "surrogateescape"))
        except OSError:  # closed: nothing is said, which the parent does not take for 0
            return


def is_command(arguments: Sequence[object]) -> bool:
    """Whether this process is the command ``pytest`` or ``python -m pytest``, with these arguments of its own."""
    program = Path(sys.argv[0])
    named = program.name in NAMES or program.parts[-2:] == ("pytest", "__main__.py")
    return named and list(map(str, arguments)) == sys.argv[1:]


def concerned(root: Path, arguments: Sequence[object]) -> bool:
    """Whether the session may be one of lvmcheck: runs or a suite file below ``root``, or an option of ours.

    Where the plugin is merely installed, pytest stays the one process that it is. Looked at are the first
    :data:`LOOKED_AT` folders, three levels deep.
    """
    if (root / ".lvmcheck").exists() or any(str(word).startswith("--lvm-") for word in arguments):
        return True
    places = [str(word).partition("::")[0] for word in arguments]
    level, looked = [root, *(Path(place) for place in places if os.path.exists(place))], 0  # noqa: PTH110 - of any length
    for _ in range(DEPTH):
        below = []
        for folder in level:
            if folder.name == SUITE_FILE or (folder / SUITE_FILE).is_file():
                return True
            looked += 1
            if looked > LOOKED_AT:
                return False
            below += _folders(folder)
        level = below
    return any((folder / SUITE_FILE).is_file() for folder in level[:LOOKED_AT])


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(e.path) for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
    except OSError:  # no folder, or one that cannot be read
        return []


def can_fork() -> bool:
    """Whether this is Linux and no other thread runs: a fork would lose it."""
    try:
        return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 - cheap
    except OSError:
        return False


def guarded(root: Path) -> Witness:
    """Fork; returns in the child alone, which is the session.

    Args:
        root: of the session.
    """
    judge = ParentJudge(root) if NONCE in os.environ else None
    sys.stdout.flush()
    sys.stderr.flush()
    reads, writes = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*FORWARDED, signal.SIGCHLD})
    heeded = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, nothing can be waited for
    parent, child = os.getpid(), os.fork()
    if child != 0:
        os.close(writes)
        os.set_blocking(reads, False)
        before_us = [pid for pid in children() if pid != child]
        if judge is not None:
            adopt()
        status = _wait(child)
        if judge is not None:  # nothing that the session has started may still write
            end_children(but=before_us)
        _end(status, reads, judge)
    os.close(reads)
    ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(UNSAID)
    signal.signal(signal.SIGCHLD, heeded)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return Witness(os.getpid(), writes)


def _wait(child: int) -> int:
    """Pass signals on until the child is over; its wait status."""
    while True:
        got = signal.sigwaitinfo({*FORWARDED, signal.SIGCHLD})
        if got.si_signo != signal.SIGCHLD and got.si_code <= 0:  # a terminal sends to the whole group itself
            os.kill(child, got.si_signo)
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid == child:
            return status


def _digest(file: Path) -> str:
    import hashlib

    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""


@dataclass
class _Said:
    """What the session has said: its last exit status, its reports with their digests, and how checks are judged."""

    status: int | None = None
    reports: dict[Path, str] = field(default_factory=dict)
    limit: float = 0.0
    path: list[str] = field(default_factory=list)


def _said(pipe: int) -> _Said:
    try:
        lines = os.read(pipe, HEARD).decode("utf-8", "surrogateescape").split("\n")[:-1]
    except BlockingIOError:  # something that it has started still holds the pipe
        lines = []
    found = _Said()
    for kind, _, what in (line.partition(" ") for line in lines):
        if kind == "status":
            found.status = int(what)
        elif kind == "report":
            digest, _, file = what.partition(" ")
            found.reports[Path(file)] = digest
        elif kind == "judge":
            found.limit, *found.path = json.loads(what)
    return found


def _end(status: int, pipe: int, judge: ParentJudge | None) -> NoReturn:
    """End as the child has ended, but not with 0 where the session did not say so."""
    heard = _said(pipe)
    believed = [_believed(report, digest, heard, judge) for report, digest in heard.reports.items()]
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
        os._exit(128 + number)
    code = os.waitstatus_to_exitcode(status) or (0 if all(believed) else UNSAID)
    if code == 0 and heard.status != 0:
        code = UNSAID if heard.status is None else heard.status
        how = "before pytest was over" if heard.status is None else f"where pytest's was {heard.status}"
        from lvmcheck.text.say import complain

        complain(f"lvmcheck: the process of the session ended with exit status 0 {how}: this is exit status {code}")
    os._exit(code)


def _believed(report: Path, digest: str, heard: _Said, judge: ParentJudge | None) -> bool:
    """Whether a report is what the session wrote, and right; one that is not is set aside, and why is said."""
    same = _digest(report) == digest
    doubts = judge.doubts(report, heard.path, heard.limit) if same and judge is not None else []
    if same and not doubts:
        return True
    from lvmcheck.text.say import complain

    aside = report.with_name(f"{report.name}.edited")
    there = report.is_file()
    if there:
        report.replace(aside)
    if not same:
        now = f"it is {aside.name} now" if there else "it is gone"
        complain(f"lvmcheck: {report} was changed after the session had written it; {now}")
    for doubt in doubts[:SHOWN]:
        complain(f"lvmcheck: {report} is refused: {doubt}")
    return False
