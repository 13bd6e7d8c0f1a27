"""Runs every program with a recorder that only takes notes, and asks whether the fault is there.

``python -m suites.gallery.silent._verify [name ...]`` prints one line for each program.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from pathlib import Path
from typing import Any

import torch

from suites.gallery.silent._kit import Program


class Loader:
    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __iter__(self) -> Any:
        return iter(self.loader)

    def __len__(self) -> int:
        return len(self.loader)


class Notes:
    """Takes the place of a recorder: notes modes, inputs, gradients, steps and metrics with torch's own hooks."""

    def __init__(self) -> None:
        self.forwards: list[dict[str, Any]] = []
        self.steps: list[dict[str, Any]] = []
        self.losses: list[float] = []
        self.epochs: list[dict[str, float]] = []
        self.logs: list[Any] = []
        self.models: list[Any] = []
        self.optimizers: list[Any] = []
        self.initial: list[dict[str, torch.Tensor]] = []
        self.lrs: list[list[float]] = []
        self.train = self.val = None
        self.first: list[str] = []

    def watch(self, model: Any, optimizer: Any, scheduler: Any = None, *, train: Any = None, val: Any = None) -> Any:
        del scheduler
        at = len(self.models)
        self.models.append(model)
        optimizers = optimizer if isinstance(optimizer, (list, tuple)) else [optimizer]
        self.optimizers.append(optimizers)
        self.initial.append({n: p.detach().clone() for n, p in model.named_parameters()})

        def forward(module: Any, args: Any, output: Any) -> None:
            first = args[0] if args and isinstance(args[0], torch.Tensor) else None
            out = output[0] if isinstance(output, tuple) else output
            self.forwards.append(
                {
                    "model": at,
                    "training": module.training,
                    "grad": torch.is_grad_enabled(),
                    "input": None if first is None else first.detach().clone(),
                    "output": out.detach().clone() if isinstance(out, torch.Tensor) else None,
                    "after": len(self.steps),
                }
            )

        model.register_forward_hook(forward)
        names = {id(p): f"{n}" for n, p in model.named_parameters()}
        for k, opt in enumerate(optimizers):

            def before(opt: Any, _args: Any, _kwargs: Any, k: int = k) -> None:
                held = [p for g in opt.param_groups for p in g["params"]]
                self.steps.append(
                    {
                        "model": at,
                        "optimizer": k,
                        "forwards": len(self.forwards),
                        "lr": [g["lr"] for g in opt.param_groups],
                        "grads": {
                            names.get(id(p), f"foreign{i}"): p.grad.detach().to_dense().clone()
                            for i, p in enumerate(held)
                            if p.grad is not None
                        },
                        "weights": {names.get(id(p), f"foreign{i}"): p.detach().clone() for i, p in enumerate(held)},
                    }
                )

            opt.register_step_pre_hook(before)
        self.train, self.val = train, val
        note = self

        class Watcher:
            train, val = Loader(note.train), Loader(note.val)

        return Watcher()

    def step(self, *, loss: Any, **more: Any) -> None:
        del more
        self.losses.append(float(loss))

    def epoch(self, epoch: int, **metrics: Any) -> None:
        self.epochs.append({"epoch": epoch, **{k: float(v) for k, v in metrics.items()}})

    def log(self, metrics: Any, *, step: Any = None) -> None:
        del step
        self.logs.append(metrics)


def programs() -> list[Program]:
    found: list[Program] = []
    for module in sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name[0] != "_"):
        found += importlib.import_module(f"suites.gallery.silent.{module}").PROGRAMS
    assert len({p.name for p in found}) == len(found)
    return found


def main() -> int:
    torch.set_num_threads(1)
    from suites.gallery.silent import _proofs

    bad = 0
    for program in programs():
        if sys.argv[1:] and not any(word in program.name for word in sys.argv[1:]):
            continue
        notes, start = Notes(), time.perf_counter()
        torch.manual_seed(0)
        try:
            result = program.train(notes)
            took = time.perf_counter() - start
            good, text = _proofs.judge(program, notes, result)
        except Exception as error:
            took, good, text = time.perf_counter() - start, False, f"{type(error).__name__}: {error}"
        bad += not good
        print(f"{'ok ' if good else 'BAD'} {took:4.1f}s {program.name:44s} {text}", flush=True)
    print(bad, "bad")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
