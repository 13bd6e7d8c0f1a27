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
import sys, torch, lvmcheck
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
dist.init_process_group("gloo")
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
if sys.argv[1] == "ddp":
    model = nn.parallel.DistributedDataParallel(model)
else:
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.device_mesh import init_device_mesh
    fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
optimizer = torch.optim.Adam(model.parameters(), 1e-2)
with lvmcheck.watch(model, optimizer, every=1) as watcher:
    for step in range(30):
        if sys.argv[2] != "fault":
            optimizer.zero_grad()
        F.cross_entropy(model(torch.randn(16, 6)), torch.randint(3, (16,))).backward()
        optimizer.step()
open(f"found{dist.get_rank()}", "w").write(" ".join(verdict.check for verdict in watcher.verdicts))
dist.destroy_process_group()
"""


RANKS = [("ddp", "healthy"), ("fsdp", "fault")]
if os.environ.get("LVM_RELIABILITY") == "full":
    RANKS += [("ddp", "fault"), ("fsdp", "healthy")]


@pytest.mark.parametrize(("kind", "fault"), RANKS)
def test_distributed(kind: str, fault: str, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, kind, fault], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = "gradients_cleared" if fault == "fault" else ""
    assert [(tmp_path / f"found{rank}").read_text() for rank in range(2)] == [expected] * 2
