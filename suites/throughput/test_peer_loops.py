"""Our trainer beside loops by hand, Lightning, the Hugging Face Trainer and Accelerate: the same training, first; then
how long each takes (docs/performance-peers.md). Libraries that are not installed are left out and named.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck.testing.speed.stopwatch import Place
from lvmcheck.testing.speed.turns import Spread, bracketed
from models.runtime.session import reproducible
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures
from suites.throughput.peers import FAST, HUGGING_FACE, LIGHTNING, OURS, PEERS, Peer, Task, as_written

pytestmark = pytest.mark.filterwarnings("default")  # what the libraries warn of is theirs

TITLE = "training beside peers"
SAME = 1e-5  # relative: how well the losses of two loops agree after an epoch
STEPS = {32: 48, 512: 6} if FULL else {32: 12}
ROUNDS = {32: 5, 512: 5} if FULL else {32: 1}
GOALS = {FAST: 1.0, LIGHTNING: 1.5, HUGGING_FACE: 1.5}
GOAL_BATCH = 32


def final_loss(task: Task, model: nn.Module) -> float:
    """Of the whole epoch's windows, at the end."""
    with torch.no_grad():
        return float(F.mse_loss(model.eval().raw(task.context), task.target))  # type: ignore[operator]


def trained(task: Task, peer: Peer) -> float:
    """The loss that ``peer`` reaches."""
    if peer.missing:
        pytest.skip(f"not installed: {', '.join(peer.missing)}; pip install -e .[peers]")
    with reproducible(0, threads=1):
        return final_loss(task, peer.train(task)[1])


# -- the same training -------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """An epoch in which the gradient is clipped: its norm is about 1.8 at first, and the limit below it."""
    return Task.make(32, 12, tmp_path_factory.mktemp("peers"), clip_norm=0.5)


@pytest.fixture(scope="module")
def reference(task: Task) -> float:
    """The loss by hand."""
    return trained(task, FAST)


@pytest.mark.parametrize("peer", [OURS, *(peer for peer in PEERS if peer is not FAST)], ids=lambda peer: peer.name)
def test_every_loop_trains_the_same(peer: Peer, task: Task, reference: float) -> None:
    assert trained(task, peer) == pytest.approx(reference, rel=SAME)


def test_and_another_training_would_show(task: Task, reference: float) -> None:
    untrained = final_loss(task, task.model())
    assert reference < 0.9 * untrained
    others = {"clip": 10.0, "weight_decay": 0.5, "lr": 1.01 * task.lr, "order": sorted(task.order), "batch": 31}
    for name, value in others.items():
        changed = dataclasses.replace(task, **{name: value})  # type: ignore[arg-type]
        assert trained(changed, FAST) != pytest.approx(reference, rel=SAME), name


# -- how long it takes -------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("timing")
@pytest.mark.parametrize("batch", sorted(STEPS))
def test_rates_beside_each_other(batch: int, place: Place, figures: Figures, tmp_path: Path) -> None:
    if place.device.type != "cpu":
        pytest.skip(f"on the CPU alone, got {place.device.type}: each library moves models to devices in its own way")
    threads = place.threads
    task = Task.make(batch, STEPS[batch], tmp_path, threads=threads)
    here = [peer for peer in PEERS if not peer.missing]
    with reproducible(0, threads=threads):
        seconds = take_turns(task, here, rounds=ROUNDS[batch])
        assert torch.get_num_threads() == threads, "a library changed the number of threads"
    goals = {name: goal for peer, goal in GOALS.items() for name in (peer.name, as_written(peer).name)}
    figures.say(TITLE, "Seconds of an epoch over the mean of ours before and after; above 1, ours is the faster.")
    for peer in (OURS, *here):
        spread = Spread.of(bracketed(seconds[peer.name], seconds[OURS.name])) if peer is not OURS else None
        rate = len(task.order) / Spread.of(seconds[peer.name]).median
        ratio, half = (f"{spread.median:.2f}", f"{spread.low:.2f} to {spread.high:.2f}") if spread else ("1", "")
        figures.add(TITLE, peer.name, str(batch), str(threads), f"{rate:,.0f}", ratio, half, peer.how)
        goal = goals.get(peer.name)
        if spread and goal and batch == GOAL_BATCH:
            asked = f"trainer, batch {batch}: >= {goal:g}x {peer.name}"
            figures.target(asked, f"{spread.median:.2f}x", spread.median >= goal, f"{half}, {place.words()}")


def take_turns(task: Task, peers: list[Peer], *, rounds: int) -> dict[str, list[float]]:
    """Seconds of each: ours, all peers, ours, all peers, ..., ours. A first round of everything does not count."""
    seconds: dict[str, list[float]] = {peer.name: [] for peer in (OURS, *peers)}
    for _ in range(rounds + 1):
        for peer in (OURS, *peers):
            seconds[peer.name].append(peer.train(task)[0])
    last = OURS.train(task)[0]
    return {name: values[1:] + ([last] if name == OURS.name else []) for name, values in seconds.items()}
