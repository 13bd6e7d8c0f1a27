"""Models and optimizers that ``record`` finds by itself: what is watched, and when nothing is."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules
from torch.optim import optimizer as optimizers

import lvmcheck
from lvmcheck.run.events import Note, Watch
from suites.watch.steps import learn

STEPS = 6


def hooks() -> int:
    return sum(
        map(
            len,
            (modules._global_forward_pre_hooks, modules._global_forward_hooks, optimizers._global_optimizer_pre_hooks),
        )
    )


@pytest.fixture(autouse=True)
def nothing_is_left() -> Any:
    torch.manual_seed(0)
    before = hooks()
    yield
    gc.collect()
    assert hooks() == before


def net(width: int = 8) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))


def adam(*parts: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam([parameter for part in parts for parameter in part.parameters()], lr=1e-2)


def steps(forward: Callable[[Tensor], Tensor], optimizer: torch.optim.Optimizer, rec: Any, number: int = STEPS) -> None:
    for _ in range(number):
        rows = torch.randn(16, 4)
        loss = nn.functional.cross_entropy(forward(rows), (rows[:, 0] > 0).long())
        learn(rec, optimizer, loss)


def watched(rec: Any) -> list[tuple[str, int, int]]:
    """Class, steps and optimizers of each watcher."""
    return [(type(w.model).__name__, w.step, len(w.slots)) for w in rec.watchers]


def test_the_model_and_its_optimizer_are_found_at_the_first_call(tmp_path: Path) -> None:
    asked, found = net(), net()
    found.load_state_dict(asked.state_dict())
    events = []
    for name, model in (("asked", asked), ("found", found)):
        optimizer = adam(model)
        torch.manual_seed(1)
        with lvmcheck.record(tmp_path / name) as rec:
            if name == "asked":
                rec.watch(model, optimizer)
            steps(model, optimizer, rec)
        assert watched(rec) == [("Sequential", STEPS, 1)]
        run = lvmcheck.load(tmp_path / name)
        events.append([(e.name, e.step, e.subjects) for e in run.events if hasattr(e, "subjects")])
    assert events[0] == events[1]
    assert all(torch.equal(a, b) for a, b in zip(asked.parameters(), found.parameters(), strict=True))


def test_parts_that_one_optimizer_trains_are_watched_as_one(tmp_path: Path) -> None:
    body, head = nn.Linear(4, 8), nn.Linear(8, 3)
    optimizer = adam(body, head)
    with lvmcheck.record(tmp_path / "run") as rec:
        steps(lambda rows: head(body(rows).relu()), optimizer, rec)
    assert watched(rec) == [("ModuleDict", STEPS - 1, 1)]

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = body, head

    whole = Whole()
    with lvmcheck.record(tmp_path / "whole") as rec:
        steps(lambda rows: whole.head(whole.body(rows).relu()), adam(whole), rec)
    assert watched(rec) == [("Whole", STEPS - 1, 1)]


def test_losses_of_parts_are_seen(tmp_path: Path) -> None:
    body, head = nn.Linear(4, 8), nn.Linear(8, 3)
    with lvmcheck.record(tmp_path / "run") as rec:
        steps(lambda rows: head(body(rows).relu()).softmax(-1), adam(body, head), rec)
    verdicts = {verdict.check for watcher in rec.watchers for verdict in watcher.verdicts}
    assert "loss_inputs" in verdicts
    assert rec.watchers[0].unseen == ()


@pytest.mark.parametrize(("head_called", "found"), [(True, 1), (False, 0)])
def test_a_part_that_stays_in_train_mode(head_called: bool, found: int, tmp_path: Path) -> None:
    """A head with dropout counts where the evaluation calls it; a projection that it leaves out does not."""
    body, head = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5)), nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3))
    optimizer = adam(body, head)
    with lvmcheck.record(tmp_path / "run") as rec:
        for epoch in range(3):
            body.train()
            steps(lambda rows: head(body(rows).relu()), optimizer, rec, 8)
            body.eval()
            with torch.no_grad():
                hidden = body(torch.randn(16, 4)).relu()
                value = (head(hidden) if head_called else hidden).mean()
            rec.epoch(epoch, val_loss=value)
    modes = [event for event in lvmcheck.load(rec.path).of(Watch) if event.name == "evaluation"]
    assert modes
    assert {event.values["in_train_mode"] for event in modes} == {found}


def test_networks_that_a_loss_is_measured_with_are_left_alone(tmp_path: Path) -> None:
    """Weights as PyTorch makes them are forgotten, others are pretrained, and a scale that is changed is used."""

    def outside(critic: nn.Module) -> list[float]:
        with lvmcheck.record(tmp_path / f"run{len(list(tmp_path.iterdir()))}") as rec:
            student = net()
            steps(lambda rows: critic(student(rows).relu()), adam(student), rec, 40)
        run = lvmcheck.load(rec.path)
        return [event.values["outside"] for event in run.of(Watch) if event.name == "loss_parameters"]

    pretrained, forgotten = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 3)), nn.Linear(3, 3)
    big = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 3))
    with torch.no_grad():
        for parameter in pretrained.parameters():
            parameter.mul_(1.5)
    assert not any(outside(pretrained))
    assert not any(outside(forgotten)), "too few weights to say how they were made"
    assert outside(big)[-1] == 4


def test_the_optimizer_that_steps_is_meant(tmp_path: Path) -> None:
    model = net()
    former, optimizer = adam(model), adam(model)
    with lvmcheck.record(tmp_path / "run") as rec:
        steps(model, optimizer, rec)
    assert watched(rec) == [("Sequential", STEPS - 1, 1)]
    assert rec.watchers[0].slots[0].optimizer is optimizer is not former


def test_several_optimizers_of_one_model_are_watched_together(tmp_path: Path) -> None:
    model = net()
    first, second = adam(model[0]), adam(model[2])
    first.register_step_post_hook(lambda *_: second.step())
    with lvmcheck.record(tmp_path / "run") as rec:
        steps(model, first, rec)
    assert watched(rec) == [("Sequential", STEPS - 1, 2)]


def test_players_are_watched_one_by_one(tmp_path: Path) -> None:
    one, other = net(), net()
    with lvmcheck.record(tmp_path / "run") as rec:
        first, second = adam(one), adam(other)
        for _ in range(STEPS):
            steps(one, first, rec, 1)
            steps(other, second, rec, 1)
    assert watched(rec) == [("Sequential", STEPS, 1)] * 2


def test_a_frozen_teacher_is_not_watched(tmp_path: Path) -> None:
    teacher, model = net().requires_grad_(False), net()
    with lvmcheck.record(tmp_path / "run") as rec:
        steps(lambda rows: model(rows) + teacher(rows), adam(model), rec)
    assert watched(rec) == [("Sequential", STEPS, 1)]
    assert rec.watchers[0].model is model


def test_a_scheduler_is_found_with_its_optimizer(tmp_path: Path) -> None:
    model = net()
    optimizer = adam(model)
    scheduler = torch.optim.lr_scheduler.SequentialLR(
        optimizer, [torch.optim.lr_scheduler.ConstantLR(optimizer), torch.optim.lr_scheduler.ConstantLR(optimizer)], [3]
    )
    with lvmcheck.record(tmp_path / "run") as rec:
        steps(model, optimizer, rec)
    assert rec.watchers[0].scheduler is scheduler


def test_who_asks_takes_the_place_of_what_was_found(tmp_path: Path) -> None:
    model = net()
    optimizer = adam(model)
    with lvmcheck.record(tmp_path / "run") as rec:
        steps(model, optimizer, rec, 2)
        asked = rec.watch(model, optimizer)
        steps(model, optimizer, rec)
        assert [w.closed for w in rec.watchers] == [True, False]
    assert asked.step == STEPS
    with lvmcheck.record(tmp_path / "beside") as rec, lvmcheck.watch(model, optimizer) as beside:
        steps(model, optimizer, rec)
    assert (rec.watchers, beside.step) == ([], STEPS)


def test_an_optimizer_of_a_second_phase_is_found(tmp_path: Path) -> None:
    first, second = net(), net()
    with lvmcheck.record(tmp_path / "run") as rec:
        steps(first, adam(first), rec, 9)
        steps(second, adam(second), rec, 9)
    assert [w.model for w in rec.watchers] == [first, second]


def test_nothing_is_watched_where_nobody_wants_it(tmp_path: Path) -> None:
    model = net()
    with lvmcheck.record(tmp_path / "run", watch=False) as rec:
        steps(model, adam(model), rec)
    assert rec.watchers == []


@pytest.mark.own_process
def test_nor_where_the_environment_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVMCHECK_WATCH", "0")
    model = net()
    with lvmcheck.record(tmp_path / "run") as rec:
        steps(model, adam(model), rec)
    assert rec.watchers == []


class _Scripted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 2)

    def forward(self, rows: Tensor) -> Tensor:
        out: Tensor = self.net(rows)
        return out


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("kind", ["scripted", "by_hand", "evaluated", "watched"])
def test_a_model_that_cannot_be_watched_is_said_to_be_none(kind: str, tmp_path: Path) -> None:
    model: Any = torch.jit.script(_Scripted()) if kind == "scripted" else _Scripted()
    weights = list(model.parameters())
    optimizer = None if kind == "by_hand" else torch.optim.SGD(weights, 0.1)
    with lvmcheck.record(tmp_path / "run") as rec, torch.set_grad_enabled(kind != "evaluated"):
        for _ in range(STEPS):
            loss = model(torch.randn(8, 4)).square().mean()
            if optimizer is None:
                for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                    weight.data.sub_(0.1 * gradient)
            elif kind != "evaluated":
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            rec.step(loss=loss.item())
    notes = [note.text for note in lvmcheck.load(tmp_path / "run").of(Note)]
    assert any(note.startswith("no model was watched") for note in notes) is (kind in ("scripted", "by_hand"))


def test_of_two_open_records_none_takes_the_models_of_the_other(tmp_path: Path) -> None:
    one, other = net(), net()
    first, second = adam(one), adam(other)
    with lvmcheck.record(tmp_path / "a") as a, lvmcheck.record(tmp_path / "b") as b:
        for _ in range(STEPS):
            steps(one, first, a, 1)
            steps(other, second, b, 1)
    assert (a.watchers, b.watchers) == ([], [])


def test_a_record_that_nobody_closed_does_not_stand_in_the_way(tmp_path: Path) -> None:
    for name in ("first", "second"):
        model = net()
        rec = lvmcheck.record(tmp_path / name)
        steps(model, adam(model), rec)
        assert [w.model for w in rec.watchers] == [model]
    rec.close("finished")


def test_what_goes_wrong_in_watching_ends_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lvmcheck.watch.collectors.sizes import SizesCollector

    def fails(*_: Any) -> None:
        raise ZeroDivisionError("in a collector")

    monkeypatch.setattr(SizesCollector, "before_step", fails)
    model = net()
    with lvmcheck.record(tmp_path / "run") as rec:
        steps(model, adam(model), rec)
    run = lvmcheck.load(tmp_path / "run")
    assert run.finished
    assert any(isinstance(event, Note) and "ZeroDivisionError" in event.text for event in run.events)


def test_an_optimizer_of_a_former_model_is_watched_with_the_model_that_is_trained(tmp_path: Path) -> None:
    optimizer = adam(net())
    former, model = optimizer, net()
    with lvmcheck.record(tmp_path / "run") as rec:
        steps(model, former, rec)
    assert rec.watchers[0].model is model
    assert {"optimizer_holds_this_model", "missing_from_optimizer"} <= {found.check for found in rec.findings}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("once", [False, True], ids=["made_in_the_loop", "phases"])
def test_a_scheduler_of_a_former_optimizer(once: bool, tmp_path: Path) -> None:
    model = net()
    optimizer = adam(model)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.9)
    with lvmcheck.record(tmp_path / "run") as rec:
        for epoch in range(5):
            steps(model, optimizer, rec, 12)
            scheduler.step()
            rec.epoch(epoch)
            optimizer = adam(model)
            if once:
                scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.9)
    seen = [event for event in lvmcheck.load(rec.path).of(Watch) if event.name == "stale_scheduler"]
    assert len(seen) > 1
    assert any(event.values["steps"] > 0 for event in seen) is not once


def test_a_watched_model_goes_to_another_process(tmp_path: Path) -> None:
    model = net()
    with lvmcheck.record(tmp_path / "run") as rec:
        steps(model, adam(model), rec, 2)
        assert any(parameter._backward_hooks for parameter in model.parameters())
        for parameter in model.parameters():
            torch.utils.hooks.warn_if_has_hooks(parameter)


@pytest.mark.own_process  # loops beside a compiled one are looked at less
@pytest.mark.parametrize("in_place", [False, True])
def test_compiled_models_are_found(in_place: bool, tmp_path: Path) -> None:
    model = net()
    called: Any = model
    if in_place:
        model.compile(backend="eager")
    else:
        called = torch.compile(model, backend="eager")
    with lvmcheck.record(tmp_path / "run") as rec:
        steps(called, adam(model), rec)
    assert [w.model for w in rec.watchers] == [called]
