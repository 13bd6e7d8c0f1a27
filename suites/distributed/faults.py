"""Faults that only several ranks have, each beside a healthy twin: loops that one pair of ranks runs one after another.

Every loop is a function of the run directory and of whether it is wrong; it is watched and recorded as users do.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Subset, TensorDataset, random_split

import lvmcheck
from lvmcheck.run.ranks import rank, world

ROWS, WIDTH, CLASSES = 128, 6, 3


def data(rows: int = ROWS, seed: int = 0) -> TensorDataset:
    values = torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(values, values[:, :CLASSES].argmax(1))


def network(seed: int = 0, norm: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(seed)
    middle = [nn.Linear(WIDTH, 16), *([norm] if norm else []), nn.ReLU()]
    return nn.Sequential(*middle, nn.Linear(16, CLASSES))


def sampled(rows: Dataset[Any], batch: int = 8, *, shuffle: bool = True) -> DataLoader[Any]:
    """As the documentation of torch writes it."""
    return DataLoader(rows, batch, sampler=DistributedSampler(rows, shuffle=shuffle, seed=1))


def loop(
    path: str,
    model: nn.Module,
    loader: DataLoader[Any],
    *,
    called: nn.Module | None = None,
    epochs: int = 3,
    set_epoch: bool = True,
    after: Callable[[int], None] = lambda _: None,
    val: DataLoader[Any] | None = None,
    scheduler: Any = None,
    per_step: int = 1,
    report: Callable[[lvmcheck.Recorder, float, int], dict[str, Any]] | None = None,
    wait: float = 0.0,
    seed: int = 0,
    ends: Callable[[int], None] = lambda _: None,
) -> None:
    """An ordinary loop; ``model`` is watched, and ``called`` called."""
    called = called or model
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    schedule = None if scheduler is None else scheduler(optimizer)
    torch.manual_seed(seed)
    with lvmcheck.record(path) as rec:
        watcher = rec.watch(model, optimizer, schedule, train=loader, val=val)
        for epoch in range(epochs):
            if set_epoch and isinstance(loader.sampler, DistributedSampler):
                loader.sampler.set_epoch(epoch)
            for values, labels in watcher.train:
                time.sleep(wait)
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(called(values), labels)
                loss.backward()
                optimizer.step()
                for _ in range(per_step if schedule is not None else 0):
                    schedule.step()
                rec.step(loss=loss)
                after(rec.steps)
                ends(rec.steps)
            rec.epoch(epoch, **(evaluated(rec, watcher.val, called, report) if val is not None else {}))


def evaluated(rec: lvmcheck.Recorder, val: Any, model: nn.Module, report: Any) -> dict[str, Any]:
    model.eval()
    total, rows = 0.0, 0
    with torch.no_grad():
        for values, labels in val:
            total += nn.functional.cross_entropy(model(values), labels, reduction="sum").item()
            rows += len(values)
    model.train()
    return report(rec, total, rows) if report else rec.reduce(val_loss=(total, rows))


# -- weights -----------------------------------------------------------------------------------------------------------
def raw_module_called(path: str, wrong: bool) -> None:
    model = network()
    wrapped = DistributedDataParallel(model)
    loop(path, model, sampled(data()), called=model if wrong else wrapped)


def no_wrapper(path: str, wrong: bool) -> None:
    """Wrong: nothing ever reduces. Healthy: local SGD, whose weights are averaged every fourth step."""
    model = network()

    def average(step: int) -> None:
        for parameter in model.parameters() if step % 4 == 0 and not wrong else ():
            dist.all_reduce(parameter.data)
            parameter.data /= world()

    loop(path, model, sampled(data()), after=average)


def begins_apart(path: str, wrong: bool) -> None:
    """Gradients are averaged by hand, in both."""
    model = network(rank() if wrong else 0)

    def average(gradient: Tensor) -> Tensor:
        dist.all_reduce(gradient)
        return gradient / world()

    for parameter in model.parameters():
        parameter.register_hook(average)
    loop(path, model, sampled(data()))


def drifts(path: str, wrong: bool) -> None:
    """Wrong: rank 1 alone cuts its weights after every step."""
    wrapped = DistributedDataParallel(network())

    def cut(_: int) -> None:
        for parameter in wrapped.parameters() if wrong and rank() else ():
            parameter.data.mul_(0.99)

    loop(path, wrapped, sampled(data()), after=cut)


def never_syncs(path: str, wrong: bool) -> None:
    accumulates(path, "none" if wrong else "last")


def syncs_every_pass(path: str, wrong: bool) -> None:
    accumulates(path, "all" if wrong else "last")


def accumulates(path: str, synced: str) -> None:
    """Four passes to a step."""
    wrapped = DistributedDataParallel(network())
    optimizer = torch.optim.SGD(wrapped.parameters(), 0.1)
    values, labels = data(1024).tensors
    with lvmcheck.record(path) as rec:
        rec.watch(wrapped, optimizer)
        for step in range(12):
            optimizer.zero_grad()
            for part in range(4):
                rows = slice(8 * (8 * step + 2 * part + rank()), 8 * (8 * step + 2 * part + rank() + 1))
                alone = synced == "none" or (synced == "last" and part < 3)
                with wrapped.no_sync() if alone else contextlib.nullcontext():
                    loss = nn.functional.cross_entropy(wrapped(values[rows]), labels[rows]) / 4
                    loss.backward()
            optimizer.step()
            rec.step(loss=4 * loss.detach())


# -- data --------------------------------------------------------------------------------------------------------------
def same_rows(path: str, wrong: bool) -> None:
    loader = DataLoader(data(), 8, shuffle=True) if wrong else sampled(data())
    loop(path, DistributedDataParallel(network()), loader)


def overlapping_rows(path: str, wrong: bool) -> None:
    loader = DataLoader(data(), 8, shuffle=True) if wrong else sampled(data())
    loop(path, DistributedDataParallel(network()), loader, seed=rank())


def missing_rows(path: str, wrong: bool) -> None:
    """Wrong: the sampler was told of four ranks."""
    whole = data()
    told = DistributedSampler(whole, num_replicas=4 if wrong else None, rank=rank() if wrong else None, seed=1)
    loop(path, DistributedDataParallel(network()), DataLoader(whole, 8, sampler=told), epochs=1)


def epoch_never_set(path: str, wrong: bool) -> None:
    loop(path, DistributedDataParallel(network()), sampled(data()), set_epoch=not wrong, epochs=5)


def split_unseeded(path: str, wrong: bool) -> None:
    whole = data()
    generator = torch.Generator().manual_seed(rank() if wrong else 0)
    train, val = random_split(whole, [0.75, 0.25], generator=generator)
    mine = Subset(train, range(rank(), len(train), world())) if not wrong else train
    loader = DataLoader(mine, 8, sampler=None if not wrong else DistributedSampler(mine, seed=1))
    loop(path, DistributedDataParallel(network()), loader, val=DataLoader(val, 32), epochs=2)


# -- work --------------------------------------------------------------------------------------------------------------
def own_metrics(path: str, wrong: bool) -> None:
    def own(_: lvmcheck.Recorder, total: float, rows: int) -> dict[str, float]:
        return {"val_loss": total / rows}

    val = data(48, seed=1)
    mine = DataLoader(Subset(val, range(rank(), len(val), world())), 8)
    loop(path, DistributedDataParallel(network()), sampled(data()), val=mine, report=own if wrong else None)


def few_rows_normalised(path: str, wrong: bool) -> None:
    model = DistributedDataParallel(network(norm=nn.BatchNorm1d(16)))
    loop(path, model, sampled(data(256), 4 if wrong else 32))


def scheduled_by_every_rank(path: str, wrong: bool) -> None:
    steps = 24

    def cosine(optimizer: torch.optim.Optimizer) -> Any:
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps if wrong else 2 * steps)

    loop(path, DistributedDataParallel(network()), sampled(data()), scheduler=cosine, per_step=world())


def slow_rank(path: str, wrong: bool) -> None:
    """Wrong: rank 1 waits for its rows. Healthy: both do."""
    wait = 0.04 if rank() or not wrong else 0.0
    loop(path, DistributedDataParallel(network()), sampled(data(480)), epochs=2, wait=wait)


def batches(count: int) -> Iterator[Tensor]:
    yield from torch.randn(count, 8, WIDTH, generator=torch.Generator().manual_seed(rank()))


# -- parts of one model, which are no fault ----------------------------------------------------------------------------
def stages(path: str, wrong: bool) -> None:  # noqa: ARG001 - there is nothing wrong here
    """Two stages of one size: rank 1 trains on what rank 0 computes, and sends its gradient back."""
    torch.manual_seed(rank())
    stage = nn.Linear(WIDTH, WIDTH)
    optimizer = torch.optim.SGD(stage.parameters(), 0.1)
    with lvmcheck.record(path) as rec:
        rec.watch(stage, optimizer)
        for values in batches(14):
            optimizer.zero_grad()
            if rank() == 0:
                hidden = stage(values)
                dist.send(hidden.detach(), 1)
                slope = torch.empty_like(hidden)
                dist.recv(slope, 1)
                hidden.backward(slope)
                rec.step(loss=float(hidden.detach().square().mean()))
            else:
                hidden = torch.empty(8, WIDTH)
                dist.recv(hidden, 0)
                loss = (stage(hidden.requires_grad_()) - 1).square().mean()
                loss.backward()
                dist.send(hidden.grad, 0)
                rec.step(loss=loss)
            optimizer.step()


def sharded(path: str, wrong: bool) -> None:  # noqa: ARG001
    """FSDP2: every rank holds a part of every parameter."""
    from torch.distributed.fsdp import fully_shard

    model = network()
    fully_shard(model)
    loop(path, model, sampled(data()))


# -- ranks that end early, each in a pair of its own -------------------------------------------------------------------
def dies(path: str, how: str) -> int:
    """Rank 1 raises, or leaves, in step 6: its exit code. Each rank trains in a child, whose end ends nobody else."""
    import os

    child = os.fork()
    if child == 0:
        code = 1
        try:
            dist.init_process_group("gloo", init_method="env://")
            loop(path, DistributedDataParallel(network()), sampled(data()), ends=lambda step: _end(step, how))
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _end(step: int, how: str) -> None:
    import os

    if rank() and step == 6:
        if how == "raises":
            raise ValueError("no row")
        os._exit(3)


def all_of(home: str, jobs: list[tuple[str, bool]]) -> list[str]:
    """These faults, or their twins, one after the other: how long each took."""
    said = []
    for name, wrong in jobs:
        began = time.monotonic()
        globals()[name](f"{home}/{name}_{'wrong' if wrong else 'well'}", wrong)
        dist.barrier()
        said.append(f"{name} {wrong} {time.monotonic() - began:.2f}")
    return said
