"""Ways to leave a session early: in the trainer, in a check, in conftest.py, in a test or fixture beside the suite."""

from __future__ import annotations

from collections.abc import Mapping

HEAD = """
import _thread, atexit, ctypes, faulthandler, os, signal, subprocess, sys, threading, time, unittest
import pytest

def recurse():
    recurse()

def raise_(kind, *args):
    raise kind(*args)

def by_signal(name):
    number = getattr(signal, name)
    if signal.getsignal(number) is signal.SIG_IGN:  # as below nohup
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    time.sleep(5)

def from_a_thread(act, *args, daemon=True):
    threading.Thread(target=act, args=args, daemon=daemon).start()
    time.sleep(5)

def later(act, *args, after=0.2):
    timer = threading.Timer(after, act, args)
    timer.daemon = True
    timer.start()

def fork_and_leave():
    if os.fork():
        os._exit(0)
    os._exit(0)

def default_alarm():
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(1)
    time.sleep(5)
"""
ANYWHERE: Mapping[str, str] = {
    "sys_exit_0": "sys.exit(0)",
    "sys_exit": "sys.exit()",
    "system_exit_true": "raise_(SystemExit, False)",
    "os_exit_0": "os._exit(0)",
    "sigterm": "by_signal('SIGTERM')",
    "sigkill": "by_signal('SIGKILL')",
    "sigint": "by_signal('SIGINT')",
    "sighup": "by_signal('SIGHUP')",
    "keyboard_interrupt": "raise_(KeyboardInterrupt)",
    "recursion": "recurse()",
    "generator_exit": "raise_(GeneratorExit)",
    "thread_exits": "from_a_thread(os._exit, 0)",
    "interrupt_main": "from_a_thread(_thread.interrupt_main)",
    "pytest_exit_0": "pytest.exit('enough', returncode=0)",
    "pytest_skip": "pytest.skip('not today')",
    "atexit_0": "(atexit.register(os._exit, 0), sys.exit(0))",
    "exec_true": "os.execv('/bin/true', ['true'])",
}
"""What can stand at any of the places."""
TRAINER: Mapping[str, str] = {
    **ANYWHERE,
    "return": "return",
    "return_with_a_thread": "threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); return",
    "skip_test": "raise_(unittest.SkipTest, 'no')",
    "stop_iteration": "raise_(StopIteration)",
    "memory": "raise_(MemoryError)",
    "abort": "os.abort()",
    "segfault": "ctypes.string_at(0)",
    "fork": "fork_and_leave()",
    "alarm": "default_alarm()",
    "files_closed": "os.closerange(0, 256); return",
}
CHECK: Mapping[str, str] = {
    **{name: ANYWHERE[name] for name in ("sys_exit_0", "keyboard_interrupt", "recursion", "generator_exit")},
    **{name: ANYWHERE[name] for name in ("pytest_exit_0", "pytest_skip", "os_exit_0", "sigkill")},
    "none": "return None",
    "word": "return 'passed'",
}
CONFTEST: Mapping[str, str] = {
    **{name: ANYWHERE[name] for name in ("sys_exit_0", "os_exit_0", "sigterm", "sigkill", "keyboard_interrupt")},
    **{name: ANYWHERE[name] for name in ("pytest_exit_0", "pytest_skip", "exec_true")},
    "atexit": "atexit.register(os._exit, 0)",
    "timer": "later(os._exit, 0)",
    "nothing_collected": "globals()['collect_ignore_glob'] = ['*.toml', '*suites*']",
    "ignored": "globals()['pytest_ignore_collect'] = lambda collection_path: 'toml' in str(collection_path) or None",
    "cleared": "globals()['pytest_collection_modifyitems'] = lambda items: items.clear()",
    "kept_green": "globals()['pytest_collection_modifyitems'] = lambda items: items.__delitem__(slice(1, None))",
    "status_0": "globals()['pytest_sessionfinish'] = lambda session: setattr(session, 'exitstatus', 0)",
    "finish_exit": "globals()['pytest_sessionfinish'] = lambda session: os._exit(0)",
    "unconfigure_exit": "globals()['pytest_unconfigure'] = lambda config: os._exit(0)",
    "all_skipped": "globals()['pytest_runtest_setup'] = lambda item: pytest.skip('later')",
    "logged_green": "globals()['pytest_runtest_logreport'] = lambda report: setattr(report, 'outcome', 'passed')",
}
FIXTURE: Mapping[str, str] = {
    **{name: ANYWHERE[name] for name in ("os_exit_0", "pytest_exit_0", "keyboard_interrupt", "thread_exits")}
}
PLACES: Mapping[str, Mapping[str, str]] = {"trainer": TRAINER, "check": CHECK, "conftest": CONFTEST, "fixture": FIXTURE}
WAYS = [(place, way) for place, ways in PLACES.items() for way in ways]
QUICK = {
    *(("trainer", way) for way in ("os_exit_0", "return")),
    ("check", "sys_exit_0"),
    *(("conftest", way) for way in ("os_exit_0", "kept_green")),
    ("fixture", "pytest_exit_0"),
}
"""Run by default; the others with ``LVM_RELIABILITY=full``."""
