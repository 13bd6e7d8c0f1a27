"""Every program with a fault is caught by the check that is meant for it, live and from its record."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

import lvmcheck
from lvmcheck.causes.protocol import diagnose
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import judge, load_check
from suites.watch.faults import FAULTS, Fault

FROM_THE_RECORD = {
    "plateau_mode_fits",
    "activations_sized",
    "loss_is_optimised",
    "beats_class_frequencies",
    "norm_statistics_settle",
    "class_weights_fit",
    "arguments_vary",
    "beats_target_mean",
    "scheduler_drives_optimizer",
    "similarities_spread",
    "targets_follow_flips",
    "inputs_without_sentinels",
    "target_columns_learned",
}
"""They need losses that the loop reports, or a run that is over: suites/gallery/silent, test_class_frequencies.py,
test_at_the_end.py and test_found.py."""
OF_RANKS = "ranks_"
"""They need two processes: suites/distributed."""
FULL = os.environ.get("LVM_RELIABILITY") == "full"
SHOWN = FAULTS if FULL else list({fault.check: fault for fault in FAULTS}.values())
"""Every program of a check in the long form, the last one of each by default."""


@pytest.mark.parametrize("fault", SHOWN, ids=lambda fault: fault.name)
def test_is_caught(fault: Fault, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    with lvmcheck.record(tmp_path / "run") as rec:
        fault.train(rec, fault.name)
        (watcher,) = rec.watchers
    found = {verdict.check: verdict for verdict in watcher.verdicts}
    assert fault.check in found, f"found only {sorted(found)}"
    finding = found[fault.check].finding
    assert finding is not None
    assert finding.step is not None
    assert finding.step <= 50, "first evidence within 50 steps"
    assert sum(f"[{fault.check}]" in line for line in capfd.readouterr().err.splitlines()) == 1, "said once"
    run = lvmcheck.load(tmp_path / "run")
    assert judge(load_check(fault.check)(), run).status in (Status.FAILED, Status.WARNING)


@pytest.mark.parametrize("name", ["head_left_out", "softmax_outside", "validated_in_train_mode", "never_cleared"])
def test_its_cause_comes_first(name: str, tmp_path: Path) -> None:
    fault = next(fault for fault in FAULTS if fault.name == name)
    torch.manual_seed(0)
    with lvmcheck.record(tmp_path / "run") as rec:
        fault.train(rec, fault.name)
    first = diagnose(lvmcheck.load(tmp_path / "run"))[0]
    assert fault.check in first.explains


@pytest.mark.parametrize(
    ("name", "cause", "not_named"),
    [
        ("term_times_zero", "graph_cut", "updates_out_of_range"),
        ("hinge_never_active", "loss_not_computed", "zero_grad_before_step"),
    ],
)
def test_a_consequence_is_not_its_cause(name: str, cause: str, not_named: str, tmp_path: Path) -> None:
    """A part or a whole loss that is multiplied by zero has no dead units, and nobody cleared its gradients."""
    fault = next(fault for fault in FAULTS if fault.name == name)
    torch.manual_seed(0)
    with lvmcheck.record(tmp_path / "run") as rec:
        fault.train(rec, fault.name)
    named = [found.name for found in diagnose(lvmcheck.load(tmp_path / "run"))]
    assert named[0] == cause
    assert not {"units_dead", not_named} & set(named[:1])


def test_every_check_of_a_watched_loop_has_a_program() -> None:
    checks = Path(lvmcheck.__file__).parent / "checks" / "watch"
    live = {path.stem for path in checks.glob("[!_]*.py") if not path.stem.startswith(OF_RANKS)} - FROM_THE_RECORD
    assert live == {fault.check for fault in FAULTS}
