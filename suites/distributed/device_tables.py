"""Tables of what a device does, for ``ci/device_check.sh``: ``python -m suites.distributed.device_tables PART``.

A part writes OUT/PART.md. With ``--tiny`` it runs in seconds on a CPU, to see that it works; its figures say nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from lvmcheck.run.info import make_run
from lvmcheck.run.recorder import Recorder
from models import registry
from models.cognate.model import Cognate
from models.cognate.objective import language_terms
from models.fast import amn_backward
from models.runtime.session import reproducible
from models.trainers.loop import train_step
from models.trainers.vector import VectorTask
from models.trainers.vector_config import parse

Rows = Iterator[tuple[str, ...]]
"""The heads of a table, then its rows, each as soon as it is measured."""
WIDTH, CONTEXT = 768, 5
DATA = {"source": "twin", "recipe": "wiki_584k", "context": CONTEXT, "fresh": False, "val_sequences": 64}


class Sizes:
    """How much is done: enough to measure, or just enough to run."""

    def __init__(self, device: str, *, tiny: bool) -> None:
        self.device = torch.device(device)
        self.tiny = tiny
        self.windows = 400 if tiny else 726_014
        self.seconds = 0.2 if tiny else 25.0
        self.side = 64 if tiny else 8192
        self.rounds = 2 if tiny else 20

    def done(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds_of(self, call: Callable[[], Any]) -> float:
        """Seconds of one call, after one that does not count."""
        call()
        self.done()
        began = time.perf_counter()
        for _ in range(self.rounds):
            call()
        self.done()
        return (time.perf_counter() - began) / self.rounds


def kernels(sizes: Sizes) -> Rows:
    """Peaks that others are shares of: products by number format, and a copy."""
    yield ("kernel", "rate")
    formats = (("float32", torch.float32, False), ("tf32", torch.float32, True), ("bfloat16", torch.bfloat16, False))
    for name, dtype, tf32 in formats if sizes.device.type == "cuda" else formats[:1]:
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a = torch.randn(sizes.side, sizes.side, device=sizes.device, dtype=dtype)
        seconds = sizes.seconds_of(lambda a=a: a @ a)  # type: ignore[misc]
        yield (f"product {name}", f"{2 * sizes.side**3 / seconds / 1e12:.2f} TFLOP/s")
    block = torch.empty(sizes.side * sizes.side * 4, device=sizes.device)
    seconds = sizes.seconds_of(block.clone)
    yield ("copy", f"{2 * block.numel() * 4 / seconds / 1e9:.1f} GB/s")


def epochs(sizes: Sizes) -> Rows:
    """AMN on the 790k windows, by our trainer: as much of an epoch as there is time for, and what a whole one takes."""
    yield ("batch", "how", "windows/s", "of an epoch measured", "an epoch takes")
    for batch in (32, 512) if not sizes.tiny else (32, 64):
        for compiled in (False, True) if sizes.device.type == "cuda" else (False,):
            config = parse(
                {
                    "model": {"kind": "amn"} if not sizes.tiny else {"kind": "amn", "d_model": 16, "hidden_dim": 32},
                    "data": {**DATA, "sequences": sizes.windows},
                    "loss": {"mse": 1.0},
                    "epochs": 1,
                    "batch_size": batch,
                    "seed": 0,
                    "device": sizes.device.type,
                    "compile": compiled,
                }
            )
            with reproducible(0, 1):
                task = VectorTask.make(config)
                rate, share = _rate(task, sizes)
            whole = f"{sizes.windows / rate:.1f} s"
            how = "whole step as a graph" if compiled else "eager"
            yield (str(batch), how, f"{rate:,.0f}", f"{share:.0%}", whole)


def _rate(task: VectorTask, sizes: Sizes) -> tuple[float, float]:
    """Windows a second, and how much of the epoch was trained."""
    task.model.train()
    seen, began = 0, 0.0
    with tempfile.TemporaryDirectory() as home:
        make_run(Path(home), {"config": {}, "seed": 0})
        with Recorder(Path(home)) as rec:
            rec.begin()
            for step, batch in enumerate(task.batches()):
                train_step(task, batch, rec)
                if step == 20 or (sizes.tiny and step == 2):  # what went before warmed up
                    sizes.done()
                    seen, began = 0, time.perf_counter()
                seen += task.samples(batch[0])
                if began and time.perf_counter() - began > sizes.seconds:
                    break
            sizes.done()
    return seen / (time.perf_counter() - began), seen / sizes.windows


def seeds(sizes: Sizes) -> Rows:
    """Eight seeds of AMN in one vmapped step, beside one seed alone: plain SGD steps on one batch that is there."""
    batch, many = (8, 2) if sizes.tiny else (512, 8)
    models = []
    for seed in range(many):
        torch.manual_seed(seed)
        own = {"d_model": 16, "hidden_dim": 32} if sizes.tiny else {}
        models.append(registry.build("amn", input_dim=WIDTH, **own).to(sizes.device))
    context = torch.randn(many, batch, CONTEXT, WIDTH, device=sizes.device)
    target = torch.randn(many, batch, WIDTH, device=sizes.device)
    state, buffers = stack_module_state(models)
    base = models[0]

    def loss(parameters: Any, context: Any, target: Any) -> Any:
        return nn.functional.mse_loss(functional_call(base, (parameters, {}), (context,)), target)

    step = vmap(grad_and_value(loss))

    @torch.no_grad()
    def together() -> None:
        slopes, _ = step(state, context, target)
        for name, slope in slopes.items():
            state[name].sub_(slope, alpha=1e-3)

    def alone() -> None:
        nn.functional.mse_loss(base(context[0]), target[0]).backward()
        with torch.no_grad():
            for parameter in base.parameters():
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad, alpha=1e-3)
                    parameter.grad = None

    del buffers
    one = sizes.seconds_of(alone)
    with patch.object(amn_backward, "uses_manual_backward", lambda _: False):  # which vmap does not know
        all_ = sizes.seconds_of(together)
    yield "seeds", "ms a step", "times one seed"
    yield "1", f"{one * 1e3:.2f}", "1.00"
    yield f"{many} vmapped", f"{all_ * 1e3:.2f}", f"{all_ / one:.2f}"


def cognate(sizes: Sizes) -> Rows:
    """A training step of Cognate at its own size (25.6M parameters)."""
    yield ("parameters", "format", "ms a step", "tokens/s")
    vocabulary = 64 if sizes.tiny else 50_257
    torch.manual_seed(0)
    own: dict[str, Any] = {"d_model": 16, "layers": 2, "d_ff": 24, "d_mem": 6, "head_dim": 8, "trm_heads": 2}
    model = Cognate(vocabulary, **(own if sizes.tiny else {})).to(sizes.device)
    parameters = sum(p.numel() for p in model.parameters())
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=sizes.device.type == "cuda")
    batch, length = (2, 16) if sizes.tiny else (16, 256)
    tokens = torch.randint(0, 50, (batch, length), device=sizes.device)

    def step() -> None:
        optimizer.zero_grad()
        terms = language_terms(model, model(tokens), tokens, {"ce": 1.0})
        terms["ce"][1].backward()
        optimizer.step()

    for name in ("float32", "bfloat16"):
        with torch.autocast(sizes.device.type, torch.bfloat16, enabled=name == "bfloat16"):
            seconds = sizes.seconds_of(step)
        yield (f"{parameters / 1e6:.1f}M", name, f"{seconds * 1e3:.1f}", f"{batch * length / seconds:,.0f}")


def nccl(sizes: Sizes) -> Rows:
    """An exchange of 25.6M gradients between two ranks: by NCCL where two devices are, or one can."""
    yield ("backend", "ms an exchange", "rate")
    from lvmcheck.launch.ranks.call import RanksFailedError
    from lvmcheck.launch.ranks.group import RankServer
    from lvmcheck.launch.ranks.wording import failure_text
    from suites.distributed import exchanges

    server = RankServer()
    try:
        for backend in ("gloo", "nccl") if sizes.device.type == "cuda" else ("gloo",):
            numbers = 1000 if sizes.tiny else 25_600_000
            call: dict[str, Any] = {"timeout": 40.0, "backend": None, "threads": 1}
            try:
                values, _ = server.call(2, exchanges.seconds, (backend, numbers, sizes.rounds), {}, **call)
            except RanksFailedError as problem:
                yield (backend, "-", failure_text(problem.failure).splitlines()[0])
                continue
            yield (backend, f"{max(values) * 1e3:.2f}", f"{4 * numbers / max(values) / 1e9:.2f} GB/s")
    finally:
        server.close()


PARTS = {part.__name__: part for part in (kernels, epochs, seeds, cognate, nccl)}


def main(arguments: list[str]) -> int:
    """Measure one part and write its table."""
    parser = argparse.ArgumentParser(prog="device_tables", description=__doc__)
    parser.add_argument("part", choices=PARTS, nargs="+")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("device_tables: --device: no cuda here; --tiny --device cpu shows whether the script works")
        return 2
    sizes = Sizes(options.device, tiny=options.tiny)
    name = torch.cuda.get_device_name() if options.device == "cuda" else f"{options.device}, {os.cpu_count()} cores"
    for part in options.part:
        lines = [f"## {part}", "", (PARTS[part].__doc__ or "").splitlines()[0], ""]
        lines += [f"{name}, torch {torch.__version__}" + (", tiny sizes: no figure counts" if sizes.tiny else ""), ""]
        for number, row in enumerate(PARTS[part](sizes)):
            lines += ["| " + " | ".join(cells) + " |" for cells in ((row,) if number else (row, ("---",) * len(row)))]
            (options.out / f"{part}.md").write_text("\n".join(lines) + "\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
