"""Callbacks that watch and judge, against the trainers themselves; and what they rest on, in a loop of our own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import lvmcheck
from lvmcheck.checks.finding import Status
from lvmcheck.integrations._watching import watched_part
from lvmcheck.run.events import Watch
from suites.readers.test_peers import ROOT, needs

LOOPS = Path(__file__).parent / "loops"
SEEN = {"coverage", "leftover", "gradient_reach", "movement", "output_form", "loss_form", "train_mode", "evaluation"}
"""Measurements of every part of a step: optimizer, gradients, parameters, outputs, loss, modes."""


def trained(library: str, folder: Path, how: str) -> tuple[lvmcheck.Run, set[str]]:
    """The run of a loop of that library, and the checks that failed."""
    done = subprocess.run(
        [sys.executable, LOOPS / f"{library}_loop.py", folder, how],
        env={
            **os.environ,
            "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{ROOT}",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        },
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    run = lvmcheck.load(folder)
    return run, {v.check for v in lvmcheck.evaluate(run) if v.status in (Status.FAILED, Status.ERROR)}


@pytest.mark.parametrize(
    ("library", "how", "check"),
    [
        *(
            pytest.param("lightning", how, check, marks=needs("lightning", "torch"))
            for how, check in (("well", ""), ("head", "missing_from_optimizer"), ("zero", "gradients_cleared"))
        ),
        *(
            pytest.param("hf", how, check, marks=needs("transformers", "accelerate", "torch"))
            for how, check in (("well", ""), ("head", "missing_from_optimizer"), ("cut", "gradient_reaches"))
        ),
        *(
            pytest.param("accelerate", how, check, marks=needs("accelerate", "torch"))
            for how, check in (
                ("well", ""),
                ("accumulates", ""),
                ("head", "missing_from_optimizer"),
                ("zero", "gradients_cleared"),
            )
        ),
    ],
)
def test_a_callback_watches_and_stops(library: str, how: str, check: str, tmp_path: Path) -> None:
    run, failed = trained(library, tmp_path / "run", how)
    assert run.done is not None
    if check:
        assert check in failed
        assert run.done["status"] == "stopped"
    else:
        assert not failed
        assert run.finished
        seen = {event.name for event in run.of(Watch)}
        assert not SEEN - seen - ({"evaluation"} if library == "accelerate" else set())


# -- what they rest on -------------------------------------------------------------------------------------------------
def by_closure(announced: bool, clears: bool) -> set[str]:
    """Names of failed checks, and what was measured, of a loop that computes gradients inside of ``step``."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    watcher = lvmcheck.watch(model, optimizer)
    if announced:
        watcher.announce()

    def closure() -> torch.Tensor:
        if clears:
            optimizer.zero_grad()
        rows = torch.randn(16, 8)
        loss = nn.functional.cross_entropy(model(rows), rows[:, :2].argmax(1))
        loss.backward()
        if announced:
            watcher.gradients_complete(optimizer)
        return loss

    for _ in range(20):
        optimizer.step(closure)
    watcher.close()
    return {verdict.check for verdict in watcher.verdicts} | {what[:9] for what in watcher.unseen}


def test_a_loop_that_announces_its_gradients_is_seen_whole() -> None:
    assert by_closure(announced=True, clears=True) == set()
    assert by_closure(announced=True, clears=False) == {"gradients_cleared"}
    assert by_closure(announced=False, clears=True) == {"gradients"}  # it says that it cannot see them


def test_a_step_that_is_given_no_closure_by_place_has_none() -> None:
    """As Accelerate calls it."""
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with lvmcheck.watch(model, optimizer) as watcher:
        for _ in range(5):
            model(torch.randn(8, 4)).square().mean().backward()
            optimizer.step(None)  # type: ignore[arg-type]
    assert "gradients_cleared" in {verdict.check for verdict in watcher.verdicts}
    assert not watcher.unseen


def test_the_part_of_a_module_that_is_watched() -> None:
    whole = nn.ModuleDict({"net": nn.Sequential(nn.Linear(4, 4), nn.ReLU()), "metric": nn.Flatten()})
    assert watched_part(whole, watch=True, called=False) is whole["net"]
    assert watched_part(whole, watch=True, called=True) is whole
    assert watched_part(whole, watch="net.0", called=False) is whole["net"][0]
    with pytest.raises(lvmcheck.InputError) as caught:
        watched_part(whole, watch="body", called=False)
    assert caught.value.key == "watch"
    assert "net" in str(caught.value)
