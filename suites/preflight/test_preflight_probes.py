"""Every probe finds its fault in a broken program, and no probe fails on a healthy one."""

from __future__ import annotations

from functools import cache

import pytest
import torch

import lvmcheck
from lvmcheck.checks.finding import Status
from lvmcheck.watch.preflight.protocol import probes
from lvmcheck.watch.preflight.report import Report
from suites.preflight.faults import BROKEN, TWINS
from suites.preflight.healthy import TEN, amn, classifier, language
from suites.preflight.ordinary import ORDINARY

HEALTHY = {**TEN, **TWINS, **ORDINARY}
LONG = 300.0
"""Seconds that no probe runs out of, also on a busy machine."""
MEANT = ("reduction_scale", "accumulation_scale")
"""Probes whose finding may be meant, such as a sum over the batch: they warn."""


@cache
def healthy(name: str) -> Report:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return lvmcheck.preflight(**HEALTHY[name](), budget_s=LONG)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_program_fails_its_probe(name: str) -> None:
    probe, code, program = BROKEN[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        report = lvmcheck.preflight(**program(), budget_s=LONG, only=[probe])
    found = report[probe]
    status = Status.WARNING if probe in MEANT else Status.FAILED
    assert (found.status, found.finding and found.finding.code) == (status, code), str(report)
    assert bool(report) == (status is Status.WARNING)
    assert report.fixes[probe]
    assert f"fix: {report.fixes[probe]}" in str(report)


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_program_fails_nothing(name: str) -> None:
    report = healthy(name)
    assert report, str(report)
    assert {verdict.status for verdict in report.verdicts} <= {Status.PASSED, Status.WARNING, Status.NOT_APPLICABLE}


@pytest.mark.parametrize("name", [probe.name for probe in probes()])
def test_a_probe_fails_one_program_and_passes_another(name: str) -> None:
    assert any(name == probe for probe, _, _ in BROKEN.values())
    assert any(healthy(program)[name].status is Status.PASSED for program in HEALTHY)


def test_warnings_on_healthy_programs_are_known() -> None:
    warnings = {(name, verdict.name) for name in HEALTHY for verdict in healthy(name).warnings}
    assert warnings == {("gan_generator", "batch_of_one"), ("masked_language_model", "accumulation_scale")}


def test_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    programs = {"AMN, batch 512": amn, "small transformer": language, "small convolutional net": classifier}
    reports = {name: lvmcheck.preflight(**program()) for name, program in programs.items()}
    with capsys.disabled():
        for name, report in reports.items():
            print(f"\npreflight of {name}: {report.seconds:.1f} s", end="")
    assert all(reports.values())


def test_what_the_budget_does_not_reach_is_no_pass() -> None:
    report = lvmcheck.preflight(**classifier(), budget_s=0)
    assert {verdict.status for verdict in report.verdicts} == {Status.NOT_RECORDED}


# -- facts -------------------------------------------------------------------------------------------------------------
def fact(program: str, name: str) -> object:
    probe, _, make = BROKEN[program]
    finding = lvmcheck.preflight(**make(), budget_s=LONG, only=[probe])[probe].finding
    found = finding and finding.fact(name)
    return found and found.value


@pytest.mark.parametrize(
    ("program", "name", "value"),
    [
        ("head_not_in_the_optimizer", "parameters", "head.weight, head.bias"),
        ("body_under_no_grad", "parameters", "first.weight, first.bias, second.weight, second.bias"),
        ("declared_frozen_and_in_the_optimizer", "parameters", "first.weight, first.bias"),
        ("side_input_not_used", "inputs", "side"),
        ("last_features_cut_off", "features", "8, 9"),
        ("mask_not_used", "masks", "attention_mask"),
        ("buffer_changes_in_eval", "buffers", "seen"),
        ("untied_by_a_copy", "parameters", "head.weight = embedding.weight"),
        ("softmax_twice", "function", "cross_entropy"),
        ("column_against_row", "target", "[24]"),
    ],
)
def test_a_finding_names_what_it_is_about(program: str, name: str, value: str) -> None:
    assert fact(program, name) == value


def test_a_bias_before_a_norm_may_stand_still() -> None:
    torch.manual_seed(0)
    asked = classifier()
    asked["optimizer"] = torch.optim.SGD(asked["model"].parameters(), lr=0.01)
    report = lvmcheck.preflight(**asked, only=["parameters_move"])
    assert report["parameters_move"].status is Status.PASSED, report
    asked["optimizer"] = torch.optim.SGD(asked["model"].parameters(), lr=1e-12)
    assert lvmcheck.preflight(**asked, only=["parameters_move"]).failed


@pytest.mark.parametrize(("program", "shift"), [("asked_for_its_input", 0), ("shifted_twice", 2)])
def test_the_shift_of_targets_is_measured(program: str, shift: int) -> None:
    finding = lvmcheck.preflight(**BROKEN[program][2](), only=["target_shift"], budget_s=LONG)["target_shift"].finding
    assert finding is not None
    assert finding.measured == shift
