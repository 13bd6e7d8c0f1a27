"""Loops of other kinds: compiled models, sharded parameters, gradients by hand, several optimizers, no recorder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lvmcheck

ROOT = Path(__file__).parents[2]


def data() -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(64, 6)
    return inputs, (inputs @ torch.randn(6, 3)).argmax(1)


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))


@pytest.mark.parametrize("handle", ["compiled", "inner"])
def test_a_compiled_model(handle: str) -> None:
    torch.manual_seed(0)
    inputs, labels = data()
    model = net()
    compiled = torch.compile(model, backend="eager")
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with lvmcheck.watch(compiled if handle == "compiled" else model, optimizer) as watcher:
        for _ in range(12):
            optimizer.zero_grad()
            F.cross_entropy(compiled(inputs).softmax(1), labels).backward()
            optimizer.step()
    found = [verdict.check for verdict in watcher.verdicts]
    # Outputs are seen where the compiled model is watched; the module below it is called by compiled code alone.
    assert found == (["softmax_once"] if handle == "compiled" else [])
    assert watcher.unseen if handle == "inner" else True


def test_gradients_by_hand_are_no_fault() -> None:
    inputs, _ = data()
    weight = nn.Linear(6, 1, bias=False)
    optimizer = torch.optim.SGD(weight.parameters(), lr=0.01)
    with lvmcheck.watch(weight, optimizer) as watcher:
        for _ in range(12):
            with torch.no_grad():
                weight.weight.grad = (inputs.T @ weight(inputs)).T / len(inputs)
            optimizer.step()
    assert watcher.verdicts == ()
    assert "backward passes" in watcher.unseen


def test_two_optimizers_of_one_model() -> None:
    inputs, labels = data()
    model = net()
    first = torch.optim.SGD(model[0].parameters(), lr=0.1)
    second = torch.optim.Adam(model[3].parameters(), 1e-2)
    with lvmcheck.watch(model, [first, second]) as watcher:
        for _ in range(12):
            loss = F.cross_entropy(model(inputs[torch.randperm(64)[:32]]), labels[:32])
            for optimizer in (first, second):
                optimizer.zero_grad()
            loss.backward()
            for optimizer in (first, second):
                optimizer.step()
    assert watcher.verdicts == ()


WORKER = """
import multiprocessing, os, sys, torch, lvmcheck
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

def train(rank, kind, fault):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    if kind == "ddp":
        model = nn.parallel.DistributedDataParallel(model)
    else:
        fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with lvmcheck.watch(model, optimizer, every=1) as watcher:
        for step in range(30):
            if fault != "fault":
                optimizer.zero_grad()
            F.cross_entropy(model(torch.randn(16, 6)), torch.randint(3, (16,))).backward()
            optimizer.step()
    open(f"{kind}_{fault}_{rank}", "w").write(" ".join(verdict.check for verdict in watcher.verdicts))

def rank_of_two(rank):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2, init_method=f"file://{os.getcwd()}/store")
    for program in sys.argv[1:]:
        train(rank, *program.split("_"))
    dist.destroy_process_group()

ranks = [multiprocessing.get_context("fork").Process(target=rank_of_two, args=(rank,)) for rank in range(2)]
for rank in ranks:
    rank.start()
for rank in ranks:
    rank.join()
sys.exit(max(abs(rank.exitcode) for rank in ranks))
"""
RANKS = ("ddp_healthy", "fsdp_fault")
if os.environ.get("LVM_RELIABILITY") == "full":
    RANKS += ("ddp_fault", "fsdp_healthy")


def test_distributed(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(WORKER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), *RANKS],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = {name: [(tmp_path / f"{name}_{rank}").read_text() for rank in range(2)] for name in RANKS}
    assert found == {name: ["gradients_cleared" if name.endswith("fault") else ""] * 2 for name in RANKS}
