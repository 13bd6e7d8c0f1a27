"""Ways in which a trainer can end before its time."""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path


def raise_in_step() -> None:
    raise ValueError("the loss has no gradient")


def out_of_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
    bytearray(1 << 30)


def recurse() -> None:
    recurse()


def exit_from_a_thread() -> None:
    threading.Thread(target=os._exit, args=(0,)).start()
    time.sleep(60)


def exit_inside_atexit() -> None:
    atexit.register(os._exit, 0)
    raise SystemExit(0)


def close_every_file() -> None:
    os.closerange(0, 256)


def flood_the_output() -> None:
    for _ in range(50):
        os.write(1, b"x" * (1 << 20))
    os.write(1, b"\nthe last words\n")
    os._exit(3)


def print_bytes() -> None:
    os.write(1, bytes(range(256)) * 40 + b"\n\x1b[31mred\x1b[2J\n")
    os._exit(4)


def hang() -> None:
    while True:
        time.sleep(0.1)


def leave_a_child() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(f"child {child.pid}", flush=True)
    os._exit(0)


def delete_the_run() -> None:
    for path in Path(".lvmcheck/runs").rglob("events.jsonl"):
        shutil.rmtree(path.parent)


def write_rubbish() -> None:
    for path in Path(".lvmcheck/runs").rglob("events.jsonl"):
        with path.open("a") as file:
            file.write("rubbish\n")


def forge_the_completion_record() -> None:
    for path in Path(".lvmcheck/runs").rglob("events.jsonl"):
        path.with_name("done.json").write_text('{"status": "finished", "epochs": 4}')
    os._exit(0)


def kill_by(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def read_null() -> None:
    faulthandler.enable()
    ctypes.string_at(0)


WAYS: dict[str, Callable[[], object]] = {
    "os_exit_0": lambda: os._exit(0),
    "os_exit_1": lambda: os._exit(1),
    "sys_exit_0": lambda: sys.exit(0),
    "exit_inside_atexit": exit_inside_atexit,
    "sigkill": kill_by(signal.SIGKILL),
    "sigabrt": kill_by(signal.SIGABRT),
    "sigsegv": read_null,
    "raise_in_step": raise_in_step,
    "out_of_memory": out_of_memory,
    "recursion": recurse,
    "exit_from_a_thread": exit_from_a_thread,
    "close_every_file": close_every_file,
    "flood_the_output": flood_the_output,
    "print_bytes": print_bytes,
    "hang": hang,
    "leave_a_child": leave_a_child,
    "delete_the_run": delete_the_run,
    "write_rubbish": write_rubbish,
    "forge_the_completion_record": forge_the_completion_record,
    "linger": lambda: threading.Thread(target=time.sleep, args=(600,)).start(),
    "full_disk": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1)),
}
