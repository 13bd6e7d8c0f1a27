"""throughput_floor on runs that say too little, too much, or something else than their configuration."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from lvmcheck.checks.finding import Outcome, Status
from lvmcheck.checks.protocol import judge
from lvmcheck.checks.shared.language_cases import epochs, probed
from lvmcheck.checks.shared.pace import fall
from lvmcheck.checks.system.throughput_floor import ThroughputFloor
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

WHOLE = {"samples_per_second": 5290.0, "kernel_before": 92e9, "kernel_after": 92e9, "flops_per_sample": 11.4e6}


def run(*changes: dict[str, float], config: dict[str, Any] | None = None, device: str = "") -> Run:
    """A finished run; each epoch's probe is whole but for these values, or empty where they are None."""
    values = [{key: value for key, value in {**WHOLE, **change}.items() if value is not None} for change in changes]
    made = probed("throughput", *values, config=config)
    return replace(made, events=(ev.Device(kind=device), *made.events)) if device else made


def asked(made: Run, **keys: Any) -> Outcome:
    return judge(ThroughputFloor(**keys), made)


def test_a_run_that_was_disturbed_in_every_epoch_is_not_judged() -> None:
    outcome = asked(run(*[{"kernel_after": 40e9}] * 3), floor=0.01)
    assert outcome.status is Status.ERROR
    said = "not idle: 3 of 3 epochs were disturbed: the kernel's rate before and after them differs by 79 %, 79 %, 79 %"
    assert outcome.reason == said
    assert asked(run(*[{"kernel_after": 40e9}] * 3), floor=0.01, agree=0.8).status is Status.PASSED


@pytest.mark.parametrize(("disturbed", "status"), [(2, Status.PASSED), (3, Status.ERROR)])
def test_half_of_the_epochs_must_be_undisturbed(disturbed: int, status: Status) -> None:
    made = run(*[{"kernel_after": 40e9}] * disturbed, *[{}] * (4 - disturbed))
    assert asked(made, floor=0.1).status is status


@pytest.mark.parametrize(
    ("config", "device", "environment"),
    [
        ({"device": "cuda"}, "cpu", {}),
        ({"device": "cpu"}, "mps", {}),
        ({}, "mps", {"PYTORCH_ENABLE_MPS_FALLBACK": "1"}),
        ({"device": "mps"}, "", {"PYTORCH_ENABLE_MPS_FALLBACK": "1"}),
    ],
    ids=["cuda on cpu", "cpu on mps", "mps falls back", "mps asked for falls back"],
)
def test_another_device_than_the_one_asked_for_is_refused(
    config: dict[str, Any], device: str, environment: dict[str, str]
) -> None:
    made = run({}, {}, config=config, device=device)
    made = replace(made, info={**made.info, "environment": environment})
    outcome = asked(made, floor=0.1)
    assert outcome.status is Status.ERROR
    assert outcome.finding is None


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_the_device_that_was_asked_for_is_judged(device: str) -> None:
    made = run({}, {}, config={"device": device}, device="cpu")
    made = replace(made, info={**made.info, "environment": {"PYTORCH_ENABLE_MPS_FALLBACK": "1"}})
    assert asked(made, floor=0.1).status is Status.PASSED


@pytest.mark.parametrize(
    ("made", "keys"),
    [
        (run({"kernel_after": None}), {}),  # type: ignore[dict-item]
        (run({}, {"flops_per_sample": None}), {}),  # type: ignore[dict-item]
        (run({"kernel_before": 0.0}), {}),
        (run({"kernel_after": -1.0}), {}),
        (run({}), {}),
        (epochs([]), {"floor": 0.1}),
        (probed("throughput", *[{"samples_per_second": 9.0}] * 2), {"floor": 0.1}),
        (probed("throughput", {"samples_per_second": 9.0}, WHOLE), {}),
        (probed("throughput", {}), {}),
    ],
    ids=[
        "one kernel rate",
        "no operations",
        "kernel rate 0",
        "negative kernel rate",
        "one epoch",
        "no throughput",
        "no kernel for a floor",
        "a kernel in some epochs",
        "empty probe",
    ],
)
def test_what_is_not_measured_is_not_recorded(made: Run, keys: dict[str, Any]) -> None:
    assert asked(made, **keys).status is Status.NOT_RECORDED


def test_an_impossible_share_is_an_error() -> None:
    assert asked(run({}, {"flops_per_sample": 30e6}, {"flops_per_sample": 30e6})).status is Status.ERROR


def test_throughput_that_is_not_recorded_to_the_end_is_missing() -> None:
    made = run({}, {})
    later = replace(made, events=(*made.events, ev.Epoch(epoch=3, step=300, metrics={"val_loss": 1.0})))
    assert asked(later).status is Status.NOT_RECORDED


def test_rates_of_probes_and_epochs_are_judged_alike() -> None:
    rates = [6700.0, 6700.0, 3700.0]
    of_probes = asked(probed("throughput", *({"samples_per_second": rate} for rate in rates)))
    said = tuple(ev.Epoch(epoch=i, step=i, samples_per_second=rate) for i, rate in enumerate(rates, 1))
    of_epochs = asked(Run(events=said, done={"status": "finished"}))
    assert of_probes == of_epochs
    assert of_probes.status is Status.FAILED


@pytest.mark.parametrize("keys", [{"floor": 0.3}, {"samples_per_second": 5000}], ids=str)
def test_an_infinite_rate_is_no_pass(keys: dict[str, Any]) -> None:
    assert asked(run({}, {"samples_per_second": math.inf}), **keys).status is Status.FAILED


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"floor": 0.0}, "floor: expected 1e-06 to 1, got 0"),
        ({"floor": 45}, "floor: expected 1e-06 to 1, got 45"),
        ({"samples_per_second": -1}, "samples_per_second: expected at least 1e-09, got -1"),
        ({"slowdown": 1.0}, "slowdown: expected at least 1.01, got 1"),
        ({"agree": math.nan}, "agree: expected a finite number, got nan"),
    ],
    ids=str,
)
def test_wrong_keys_are_refused_by_name(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=r"^\w+: ") as caught:
        ThroughputFloor(**keys)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("values", "times"),
    [([4, 2], 2), ([1, 4, 4, 4, 2, 2], 1.25), ([1, 4, 4, 2, 2, 2, 2, 2, 2], 2), ([4, 4, 4, 0], math.inf)],
    ids=str,
)
def test_a_fall_is_that_of_the_thirds(values: list[float], times: float) -> None:
    assert fall(values) == times
