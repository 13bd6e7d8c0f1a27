"""Record every program, each in a process of its own: python -m suites.gallery.fourth.record OUT [--watch] [--tier 1] [NAME ...]."""
import atexit
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

import torch
import torch._dynamo  # what the first optimizer would import; once here, not in every process
import torch.utils.checkpoint

import lvmcheck

from suites.gallery.fourth.registry import LONG, programs, tier

WALL, CPU = 240, 60


def child(p, where, watch, log):
    """The whole life of one program, in a fresh process."""
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    sys.argv = [p.name]
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU + 5))
    code = 0
    try:
        result = p.main(where, watch)
        print("RESULT", json.dumps(result, default=str))
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    print("CPU", round(sum(os.times()[:2]), 1))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main():
    args = sys.argv[1:]
    watch = "--watch" in args
    args = [a for a in args if a != "--watch"]
    only = None
    if "--tier" in args:
        k = args.index("--tier")
        only = int(args[k + 1])
        del args[k:k + 2]
    out = Path(args[0]).absolute()
    out.mkdir(parents=True, exist_ok=True)
    logs = out.parent / (out.name + "_logs")
    logs.mkdir(exist_ok=True)
    chosen = set(args[1:])
    torch.set_num_threads(1)
    ps = programs()
    todo = [p for p in ps if (p.name in chosen if chosen else (not only or tier(p) <= only) and not (out / p.name).exists())]
    codes_file = out / "codes.json"
    codes = json.loads(codes_file.read_text()) if codes_file.exists() else {}
    running = {}
    turn = {}
    for p in todo:  # a round of all tasks, then the next round
        turn[p.name] = (sum(q.module == p.module and q.kind == p.kind for q in todo[:todo.index(p)]), p.kind, p.module)
    todo.sort(key=lambda p: (p.module in LONG, *turn[p.name]))
    todo.reverse()
    while todo or running:
        while todo and len(running) < int(os.environ.get("AT_ONCE", "2")):
            p = todo.pop()
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                child(p, str(out / p.name), watch, logs / f"{p.name}.log")
            running[pid] = (p, time.time())
        time.sleep(0.1)
        for pid, (p, t) in list(running.items()):
            if time.time() - t > WALL:
                os.kill(pid, signal.SIGKILL)
            got, status = os.waitpid(pid, os.WNOHANG)
            if got:
                del running[pid]
                code = os.waitstatus_to_exitcode(status)
                codes[p.name] = code
                codes_file.write_text(json.dumps(codes, indent=1))
                print(time.strftime("%H:%M:%S"), p.name, code, round(time.time() - t, 1), "s", flush=True)
    write_list(out, codes)


def write_list(out, codes):
    rows = [{"name": p.name, "task": p.task, "kind": p.kind, "what": p.what, "cause": p.cause, "shows": p.shows,
             "path": str(out / p.name), "base": p.base, "key": p.key, "exit": codes.get(p.name)}
            for p in programs() if (out / p.name).exists()]
    (out / "list.json").write_text(json.dumps(rows, indent=1))
    print(len(rows), "recorded,", sum(r["exit"] != 0 for r in rows), "did not end well")


if __name__ == "__main__":
    main()
