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


def run(*changes: dict[str, float], config: dict[str, Any] | None = None, note: str = "") -> Run:
    """A finished run; each epoch's probe is whole but for these values, or empty where they are None."""
    values = [{key: value for key, value in {**WHOLE, **change}.items() if value is not None} for change in changes]
    made = probed("throughput", *values, config=config)
    return replace(made, events=(ev.Note(text=note), *made.events)) if note else made


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
    ("config", "note", "environment", "says"),
    [
        ({"device": "cuda"}, "device cpu, 1 thread", {}, "asks for the device cuda, and the trainer used cpu"),
        ({"device": "cpu"}, "device mps, float32", {}, "asks for the device cpu, and the trainer used mps"),
        ({}, "device mps, float32", {"PYTORCH_ENABLE_MPS_FALLBACK": "1"}, "run on the CPU unsaid"),
        ({"device": "mps"}, "", {"PYTORCH_ENABLE_MPS_FALLBACK": "1"}, "run on the CPU unsaid"),
    ],
    ids=["cuda on cpu", "cpu on mps", "mps falls back", "mps asked for falls back"],
)
def test_another_device_than_the_one_asked_for_is_refused(
    config: dict[str, Any], note: str, environment: dict[str, str], says: str
) -> None:
    made = run({}, {}, config=config, note=note)
    made = replace(made, info={**made.info, "environment": environment})
    outcome = asked(made, floor=0.1)
    assert outcome.status is Status.ERROR
    assert outcome.reason.startswith("refused: ")
    assert says in outcome.reason


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_the_device_that_was_asked_for_is_judged(device: str) -> None:
    made = run({}, {}, config={"device": device}, note="device cpu, 1 thread")
    made = replace(made, info={**made.info, "environment": {"PYTORCH_ENABLE_MPS_FALLBACK": "1"}})
    assert asked(made, floor=0.1).status is Status.PASSED


@pytest.mark.parametrize(
    ("made", "keys", "says"),
    [
        (run({"kernel_after": None}), {}, "the probe 'throughput' of epoch 1 records no 'kernel_after'"),  # type: ignore[dict-item]
        (run({}, {"flops_per_sample": None}), {}, "of epoch 2 records no 'flops_per_sample'"),  # type: ignore[dict-item]
        (run({"kernel_before": 0.0}), {}, "epoch 1 times its kernel at 0 flop/s: not measured"),
        (run({"kernel_after": -1.0}), {}, "epoch 1 times its kernel at -1 flop/s"),
        (
            run({}, {"flops_per_sample": 30e6}, {"flops_per_sample": 30e6}),
            {},
            "share of 1.73 of the kernel's rate cannot be",
        ),
        (run({}), {}, "the pace of one epoch is known (1 of 1 epochs undisturbed): no fall can be measured"),
        (epochs([]), {"floor": 0.1}, "neither a probe 'throughput' nor an epoch records 'samples_per_second'"),
        (
            probed("throughput", *[{"samples_per_second": 9.0}] * 2),
            {"floor": 0.1},
            "floor: the run times no calibration",
        ),
        (probed("throughput", {"samples_per_second": 9.0}, WHOLE), {}, "some epochs time a calibration kernel"),
        (probed("throughput", {}), {}, "of epoch 1 records no 'samples_per_second'"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_what_is_not_measured_is_an_error_and_no_pass(made: Run, keys: dict[str, Any], says: str) -> None:
    outcome = asked(made, **keys)
    assert outcome.status is Status.ERROR
    assert says in outcome.reason


def test_throughput_that_is_not_recorded_to_the_end_is_an_error() -> None:
    made = run({}, {})
    later = replace(made, events=(*made.events, ev.Epoch(epoch=3, step=300, metrics={"val_loss": 1.0})))
    assert asked(later).reason == "no throughput is recorded after epoch 2, of 3 epochs"


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
