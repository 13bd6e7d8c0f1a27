"""One schedule, several base rates."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.errors import InputError
from models.checkpoints.state import capture_optimizer, restore_optimizer
from models.optim.config import parse
from models.optim.factory import build
from models.optim.group_schedule import GroupLRScheduler
from models.optim.mugrokfast import MuGrokfast
from models.optim.schedule import Schedule, cosine_lr
from suites.optim.slow_twin import SmallNet, fill_gradients

torch.set_num_threads(1)


def optimizer_with(muon_lr: float, lr: float) -> MuGrokfast:
    optimizer = build(SmallNet(), parse({"muon_lr": muon_lr, "lr": lr}))
    assert isinstance(optimizer, MuGrokfast)
    return optimizer


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(["constant", "cosine"]),
    total=st.integers(1, 300),
    share=st.floats(0, 1),
    floor=st.floats(0, 1),
    lr=st.floats(1e-5, 1e-1),
)
def test_groups_keep_their_proportions_and_stay_between_floor_and_base(
    kind: str, total: int, share: float, floor: float, lr: float
) -> None:
    optimizer = optimizer_with(10 * lr, lr)
    rates = GroupLRScheduler(optimizer, kind, total=total, warmup=int(share * total), floor=floor)
    for step in range(0, total, max(1, total // 20)):
        planned = rates.before_step(step)
        assert [group["lr"] for group in optimizer.param_groups] == list(planned.values())
        assert planned["hidden"] == pytest.approx(10 * planned["embedding"])
        assert planned["embedding"] == planned["scalar"]
        assert 0 < planned["hidden"] <= 10 * lr * (1 + 1e-12) or floor == 0
        if step >= rates.warmup:
            assert planned["hidden"] >= 10 * lr * floor * (1 - 1e-12)


def test_with_one_rate_it_is_the_schedule_of_the_vector_trainer() -> None:
    optimizer = optimizer_with(3e-3, 3e-3)
    rates = GroupLRScheduler(optimizer, "cosine", total=40, warmup=5, floor=0.1)
    other = Schedule("cosine", optimizer, total=40, lr=3e-3, lr_min=3e-4, warmup=5)
    for step in range(40):
        assert rates.planned(step)["hidden"] == pytest.approx(other.before_step(step), rel=1e-12)
    assert rates.planned(4)["hidden"] == 3e-3
    assert rates.planned(39)["hidden"] == pytest.approx(3e-4)
    assert rates.probe(7) == {f"{name}/planned_lr": cosine_lr(7, 40, 3e-3, 3e-4, 5) for name in rates.base}


def test_a_continued_run_keeps_its_base_rates() -> None:
    net = SmallNet()
    optimizer = build(net, parse({"muon_lr": 1e-2}))
    rates = GroupLRScheduler(optimizer, "cosine", total=10)
    rates.before_step(6)
    fill_gradients(net, 0)
    optimizer.step()
    saved = capture_optimizer(optimizer, net)
    fresh = build(net, parse({"muon_lr": 1e-2}))
    again = GroupLRScheduler(fresh, "cosine", total=10)
    restore_optimizer(saved, fresh, net)
    assert again.before_step(7) == rates.before_step(7)
    late = build(net, parse({"muon_lr": 1e-2}))
    late.load_state_dict(optimizer.state_dict())  # its rates are those of step 7, its base rates travel along
    assert GroupLRScheduler(late, "cosine", total=10).before_step(8) == rates.before_step(8)


def test_bad_schedules_are_refused() -> None:
    optimizer = optimizer_with(1e-3, 1e-3)
    with pytest.raises(InputError, match=r"run\.schedule: no such schedule 'cosin'\. Did you mean 'cosine'\?"):
        GroupLRScheduler(optimizer, "cosin", total=10)
    with pytest.raises(InputError, match=r"run\.warmup_steps: expected 0 to 10, the steps of the run, got 11"):
        GroupLRScheduler(optimizer, "cosine", total=10, warmup=11)
    with pytest.raises(InputError, match=r"run\.lr_floor: expected a share from 0 to 1, got nan"):
        GroupLRScheduler(optimizer, "cosine", total=10, floor=float("nan"))
