"""One verdict of each kind, a cause and a session that holds them: what the golden texts are made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lvmcheck.causes.protocol import Diagnosis, RuledOut, Standing
from lvmcheck.checks.bounds import abort, floor
from lvmcheck.checks.finding import (
    Asked,
    Fact,
    Finding,
    Outcome,
    Status,
    Verdict,
    Why,
    compared,
    error,
    not_applicable,
    passed,
    warning,
)
from lvmcheck.report.item import ItemReport
from lvmcheck.report.machine.session import CauseReport, CheckReport, RunReport, SessionReport, SuiteReport, Tests
from lvmcheck.run.view import Run
from suites.report.report_kit import epochs

SUITE = "suites/sums/suite.toml"
FLOORS = ("cosine_floor",)
BASELINES = (Fact("constant_mean", 0.483), Fact("mean_of_context", 0.539), Fact("best_linear", 0.5712))
TOO_LOW = Finding(
    code="at_epoch",
    metric="train_cosine",
    measured=0.25341,
    bounds=(floor(0.48), abort(0.45)),
    epoch=1,
    evidence=BASELINES,
)
FINITE = Finding(
    code="finite",
    measured=0,
    evidence=(Fact("total", 59),),
    phrase="{measured} of {total} recorded values are NaN or inf",
)
CAUSE = Diagnosis(
    name="dominant_term",
    standing=Standing.MEASURED,
    phrase="{term} dominates the loss: {share} of it",
    evidence=(Fact("term", "info_nce"), Fact("share", 98.2, "%"), Fact("gradient_ratio", 31.5, "x")),
    explains=frozenset({"cosine_floor"}),
    ruled_out=(RuledOut(problem="numerical problems", check="finite", evaluated=59),),
    fix="lower the weight of info_nce, or normalise it",
    next="lvmcheck explain loss_balance",
)


def verdict(name: str, outcome: Outcome, line: int, **fields: Any) -> Verdict:
    asked = Asked(file=SUITE, line=line)
    return Verdict(name=name, check=name.partition("[")[0], outcome=outcome, asked=asked, **{"seed": 0} | fields)


def verdicts() -> list[Verdict]:
    """Of one run that was stopped in its first epoch."""
    reached = replace(TOO_LOW, metric="val_cosine", measured=0.5013, bounds=(floor(0.45, "best_linear - 0.1212"),))
    unreached = Outcome(
        status=Status.FAILED,
        why=Why.NOT_REACHED,
        reason="not reached: run stopped at epoch 1 of 3 by cosine_floor[train_cosine@1]",
        awaits="epoch 3",
    )
    share = Finding(code="share_of_loss", measured=0.982, epoch=1, phrase="info_nce is {measured} of the loss")
    return [
        verdict("cosine_floor[val_cosine@1]", compared(reached), 11),
        verdict("cosine_floor[train_cosine@1]", compared(TOO_LOW), 17, source="success criteria, item 1"),
        verdict("cosine_floor[val_cosine@final]", unreached, 24),
        verdict("finite", passed(FINITE, evaluated=59), 31),
        verdict("loss_balance", warning(share), 34),
        verdict("gradients", error("metric 'grad_norm' is not recorded", Why.NOT_RECORDED), 38),
        verdict("ood_holds", not_applicable("its bound was chosen on 'other'", Why.OTHER_DATA), 41),
        verdict("memorisation", passed(replace(TOO_LOW, bounds=(floor(0.9),))), 45, expected_failure=True),
    ]


def run() -> Run:
    """One epoch of three."""
    said = epochs({"train_cosine": [0.25341], "val_cosine": [0.5013]}, seconds=2.0)
    done = {"status": "stopped", "reason": "cosine_floor[train_cosine@1]"}
    info = {"suite": "sums", "profile": "smoke", "device": "cpu", "seed": 0, "config": {"epochs": 3}}
    return Run(events=tuple(said), info=info, done=done)


def job() -> Any:
    """As much of a run job as the message of a failure asks for."""
    suite = SimpleNamespace(path=Path(SUITE))
    return SimpleNamespace(
        plan=SimpleNamespace(suite=suite, config={"epochs": 3}, seed=0),
        run=run(),
        problem=None,
        killed=None,
        not_started=None,
        explained_by=None,
        causes=lambda: [CAUSE],
    )


def entry(name: str) -> Any:
    return SimpleNamespace(line=17, node=name, expect=None, check=None)


def items() -> list[ItemReport]:
    ended = run().stopped_where()
    own = {"suite": "sums", "profile": "smoke", "file": SUITE, "run": ".lvmcheck/runs/sums/smoke-seed0-1a2b3c4d"}
    return [
        ItemReport(verdict=it, ended=ended, show_when_passed=it.check == "cosine_floor", **own) for it in verdicts()
    ]


def session() -> SessionReport:
    """The session as the JSON report has it."""
    outcomes = {Status.PASSED: "passed", Status.WARNING: "passed", Status.NOT_APPLICABLE: "skipped"}
    checks = tuple(
        CheckReport(verdict=it, node=f"{SUITE}::seed0::{it.name}", pytest=outcomes.get(it.status, "failed"), attempts=1)
        for it in verdicts()
    )
    own = RunReport(
        seed=0, folder=".lvmcheck/runs/sums/smoke-seed0-1a2b3c4d", key="a", required_key="a", config="c", source="s",
        inputs={}, opened={}, versions={"python": "3.11"}, device="cpu", used_device="cpu",
        created="2026-01-01T10:00:00Z",
        own=True, reused=None, status="stopped", ended=run().stopped_where(), last_epoch=1, epochs=3, step=10,
        samples_per_second=1000.0,
    )  # fmt: skip
    cause = CauseReport(seed=0, diagnosis=CAUSE, message="info_nce dominates the loss: 98.2 % of it")
    suite = SuiteReport(
        name="sums", about="sums of digits", file=SUITE, digest="d", profile="smoke", device="cpu", trainer="sums",
        seeds=(0,), sequential=False, declared=len(checks), overridden=(), runs=(own,), checks=checks, causes=(cause,),
    )  # fmt: skip
    return SessionReport(
        lvmcheck="0.1.0", python="3.11", platform="Linux", session="1", started="2026-01-01T10:00:00Z",
        ended="2026-01-01T10:00:03Z", seconds=3.0, status="failed", exit_status=1,
        tests=Tests(collected=8, passed=4, failed=3, skipped=1), suites=(suite,),
    )  # fmt: skip
