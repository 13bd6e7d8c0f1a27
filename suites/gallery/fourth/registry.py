"""All programs of this package."""
from __future__ import annotations

import importlib
import json
import pkgutil
from dataclasses import dataclass
from pathlib import Path

import suites.gallery.fourth as fourth

SKIP = {"__main__", "_names", "_recorded", "common", "registry", "verify", "record", "one", "finish"}
_hidden = Path(__file__).with_name("hidden.json")
HIDDEN = set(json.loads(_hidden.read_text())) if _hidden.exists() else set()


@dataclass
class Program:
    name: str
    task: str
    base: str
    kind: str
    what: str
    cause: str
    key: str
    shows: str
    module: str
    broken: str | None
    habit: str | None
    proof: str | None

    def main(self, rec_dir: str, watch: bool):
        module = importlib.import_module(f"suites.gallery.fourth.{self.module}")
        return module.main(rec_dir, watch, self.broken, self.habit)


def programs(only: list[str] | None = None) -> list[Program]:
    out = []
    for info in sorted(pkgutil.iter_modules(fourth.__path__), key=lambda i: i.name):
        if info.name in SKIP or (only and info.name not in only):
            continue
        module = importlib.import_module(f"suites.gallery.fourth.{info.name}")
        short = info.name
        for key, what in module.HEALTHY.items():
            out.append(Program(f"{short}-{key}", module.TASK, f"{short}-base", "HEALTHY", what, "", key, "both", short,
                               None, None if key == "base" else key, None))
        for row in module.BROKEN:
            key, what, cause, shows = row[:4]
            name = f"{short}-{key}"
            out.append(Program(name, module.TASK, f"{short}-base", "HIDDEN" if name in HIDDEN else "BROKEN", what,
                               cause, key, shows, short, key, None, row[4] if len(row) > 4 else None))
    return out


LONG = {"ctc", "segment", "seq2seq", "dqn", "forecast", "pinn", "gan", "recsys"}


def tier(p: Program) -> int:
    """1: recorded first; drawn by chance within a task so that no kind of bug is preferred."""
    import random

    module = importlib.import_module(f"suites.gallery.fourth.{p.module}")
    rng = random.Random("tier " + p.module)
    if p.broken is None:
        keys = [k for k in module.HEALTHY if k != "base"]
        rng.shuffle(keys)
        return 1 if p.habit is None or p.habit in keys[: 1 if p.module in LONG else 3] else 2
    keys = [row[0] for row in module.BROKEN]
    rng.shuffle(keys)
    return 1 if p.broken in keys[: 3 if p.module in LONG else 5] else 2
