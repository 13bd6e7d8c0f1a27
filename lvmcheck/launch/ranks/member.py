"""One rank: joins the others, calls the function and says what came of it, or where it waits when the time is over."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import json
import linecache
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing import current_process
from multiprocessing.connection import Client, Connection
from pathlib import Path
from types import FrameType
from typing import Any

DIE_WITH_PARENT = 1
"""``PR_SET_PDEATHSIG`` of Linux."""
OURS = str(Path(__file__).parent)
RECORDED = "2000"
"""Collectives that torch's flight recorder keeps, so that the one that a rank waits in is known."""
TRACE = 20_000
"""Characters of a traceback that are passed on."""


def run_rank(request: dict[str, Any], rank: int) -> None:
    """The whole life of a rank; returns when the parent has what it said."""
    os.setsid()
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    _output(Path(request["folder"]) / f"{rank}.txt")
    key = bytes.fromhex(request["key"])
    current_process().authkey = key  # tensors travel through shared memory, by the same key
    current_process()._config["tempdir"] = request["folder"]  # type: ignore[attr-defined]  # and leave no folder behind
    with Client(request["address"], family="AF_UNIX", authkey=key) as parent:
        parent.send(rank)
        try:
            _prepare(request, rank)
            function = _function(request)
            arguments, keywords = parent.recv()
            _watch_the_time(parent, float(request["timeout"]))
            answer = _joined(request, rank, lambda: function(*arguments, **keywords))
        except BaseException as problem:
            _say(parent, ("raised", failure(problem)))
        else:
            try:
                parent.send(("returned", answer))
            except Exception as problem:
                _say(parent, ("raised", {**failure(problem), "returned": type(answer).__name__}))
        sys.stdout.flush()
        sys.stderr.flush()
        with contextlib.suppress(EOFError, OSError):
            parent.recv()  # until then the others see no closed connection, and what was sent is alive


def _output(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(file, number)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)


def _prepare(request: dict[str, Any], rank: int) -> None:
    """Environment, folder and import path of the test, and the variables that torchrun sets."""
    os.environ.clear()
    os.environ.update(request["environment"])
    own = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0}
    sizes = {"WORLD_SIZE": request["size"], "LOCAL_WORLD_SIZE": request["size"]}
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": request["port"], "TORCHELASTIC_RUN_ID": request["run"]}
    os.environ.update({name: str(value) for name, value in {**own, **sizes, **place}.items()})
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if sys.platform.startswith("linux") else "lo0")
    os.environ.setdefault("TORCH_FR_BUFFER_SIZE", RECORDED)
    os.chdir(request["cwd"])
    sys.path[:] = request["path"]
    import torch

    torch.set_num_threads(request["threads"])


def _function(request: dict[str, Any]) -> Callable[..., Any]:
    """The function of a module, which is known under the name that it has in the test's process."""
    name, file = request["module"], request["file"]
    spec = None
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None or Path(spec.origin).resolve() != Path(file).resolve():
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(name)
    found: Any = module
    for part in request["function"].split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def _joined(request: dict[str, Any], rank: int, call: Callable[[], Any]) -> Any:
    """What the call returns, in a process group unless the function makes its own."""
    if request["backend"] is None:
        return call()
    from datetime import timedelta

    import torch.distributed as dist

    dist.init_process_group(
        request["backend"],
        init_method=f"file://{request['folder']}/store",
        rank=rank,
        world_size=request["size"],
        timeout=timedelta(seconds=2 * float(request["timeout"])),
    )
    return call()


# -- what is said ------------------------------------------------------------------------------------------------------
def _say(parent: Connection[Any, Any], message: tuple[str, Any]) -> None:
    with contextlib.suppress(OSError):
        parent.send(message)


def failure(problem: BaseException) -> dict[str, Any]:
    """An exception as facts: type, words, and the last line of the user's that it came through."""
    frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if not frame.filename.startswith(OURS)]
    own = next((frame for frame in reversed(frames) if _users(frame.filename)), None)
    words = str(problem)
    if isinstance(problem, AssertionError) and not words and own is not None:
        words = own.line or ""
    return {
        "type": type(problem).__name__,
        "bases": [base.__name__ for base in type(problem).__mro__],
        "words": words,
        "file": own.filename if own else "",
        "line": own.lineno if own else None,
        "trace": "".join(traceback.format_exception(problem))[-TRACE:],
    }


def _users(file: str) -> bool:
    return not file.startswith((OURS, "<")) and "site-packages" not in file and f"{os.sep}lib{os.sep}python" not in file


def _watch_the_time(parent: Connection[Any, Any], limit: float) -> None:
    """Say where this rank is when its time is over; the parent then ends it."""
    main = threading.main_thread().ident

    def watch() -> None:
        time.sleep(limit)
        _say(parent, ("waits", {**where(sys._current_frames().get(main or 0)), **collective()}))

    threading.Thread(target=watch, name="lvmcheck-rank-time", daemon=True).start()


def where(frame: FrameType | None) -> dict[str, Any]:
    """The innermost line of the user's that a thread is in, and what it has called there."""
    called = ""
    while frame is not None and not _users(frame.f_code.co_filename):
        called = frame.f_code.co_name
        frame = frame.f_back
    if frame is None:
        return {"file": "", "line": None, "called": called}
    file, line = frame.f_code.co_filename, frame.f_lineno
    return {"file": file, "line": line, "called": called, "text": linecache.getline(file, line).strip()}


def collective() -> dict[str, Any]:
    """The first collective that this rank has begun and not ended, by torch's flight recorder; empty without one."""
    try:
        c10d: Any = importlib.import_module("torch._C._distributed_c10d")
        told = json.loads(c10d._dump_fr_trace_json())
        open_ = [entry for entry in told["entries"] if not entry["retired"]]
        entry = open_[0] if open_ else None
    except Exception:  # another torch: less is known
        return {}
    if entry is None:
        return {"begun": len(told["entries"])}
    name = str(entry["profiling_name"]).rpartition(":")[2]
    return {"collective": name, "number": entry["collective_seq_id"], "sizes": entry["input_sizes"]}
