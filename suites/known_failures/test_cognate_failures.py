"""What suite files cannot say of the language model's faults: which cause comes first, and the colons of real text."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from lvmcheck.causes.protocol import diagnose
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import judge, load_check
from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.pytest_plugin.constants import ENVIRONMENT
from lvmcheck.run import events as ev
from lvmcheck.run.directory import load
from lvmcheck.run.info import make_run
from lvmcheck.run.recorder import Recorder
from lvmcheck.run.view import Run
from lvmcheck.suite import load_suite
from suites.known_failures.cognate_trainers import labels_not_shifted

torch.set_num_threads(1)
ROOT = Path(__file__).parents[2]
QA = ROOT.parent / "shared" / "data" / "qa"

CAUSES = {
    "colon_collapse": "label_leak",
    "constant_validation": "metric_constant",
    "dead_halting": "dead_halting",
    "halting_detached": "dead_halting",
    "halting_frozen": "dead_halting",
    "halting_no_grad": "dead_halting",
    "halting_outside_optimizer": "dead_halting",
    "halting_threshold": "halting_threshold",
    "leaking_memory": "state_leaks",
    "missing_sets": "missing_data_sets",
    "no_causal_mask": "label_leak",
    "padding_counted": "padding_counted",
    "rates_not_wired": "lr_not_wired",
    "reversed_filter": "reversed_filter",
    "same_stage": "stage_changes_nothing",
    "token_soup": "undertrained",
    "validation_on_training": "leaked_split",
    "variance_of_one": "batch_of_one",
    "wrong_newton_schulz": "broken_orthogonalisation",
}
"""By suite: what `lvmcheck diagnose` names first."""


@pytest.fixture
def recorded(pytestconfig: pytest.Config) -> Callable[[str], Run]:
    """The finished run of a suite as it, the code and this session's environment are now."""
    return partial(_recorded, pytestconfig)


def _recorded(config: pytest.Config, suite: str) -> Run:
    plan_of = load_suite(ROOT / "suites" / suite / "suite.toml", profile="smoke")
    settings = Settings(home=ROOT / ".lvmcheck", root=ROOT, session="", environment=config.stash[ENVIRONMENT])
    plan = Plan(plan_of, plan_of.seeds[0], settings)
    if not (plan.folder / "done.json").is_file():
        pytest.skip(f"no finished run of this code here: pytest suites/{suite} makes one")
    return load(plan.folder)


def test_every_provoked_fault_has_its_cause() -> None:
    suites = {path.parent.name for path in Path(__file__).parent.glob("cognate_*/suite.toml")}
    assert suites == {f"cognate_{name}" for name in CAUSES}


@pytest.mark.parametrize("name", CAUSES)
def test_the_true_cause_is_named_first(name: str, recorded: Callable[[str], Run]) -> None:
    found = diagnose(recorded(f"known_failures/cognate_{name}"))
    assert found
    assert found[0].name == CAUSES[name]


@pytest.mark.parametrize("name", ["reasoning", "memory", "speed"])
def test_no_cause_is_named_of_healthy_runs(name: str, recorded: Callable[[str], Run]) -> None:
    assert [found.name for found in diagnose(recorded(f"cognate_phase1/{name}")) if found.name != "undertrained"] == []


def test_real_questions_collapse_to_colons(tmp_path: Path) -> None:
    """Labels not shifted and padding counted, on gsm8k: a loss of nothing, and nothing but colons (history 16)."""
    if not (QA / "gsm8k.jsonl.gz").is_file():
        pytest.skip("the real sets are not beside this checkout (../shared/data/qa)")
    config = {
        "model": {
            "kind": "cognate",
            "d_model": 32,
            "layers": 1,
            "d_ff": 64,
            "d_mem": 16,
            "head_dim": 16,
            "trm_heads": 2,
        },
        "data": {
            "source": "qa",
            "path": str(QA),
            "sets": ["gsm8k"],
            "limit": 640,
            "val_records": 16,
            "length": 192,
            "vocabulary": 512,
            "packing": False,
        },
        "loss": {"ce": 1.0},
        "epochs": 2,
        "batch_size": 4,
        "lr": 2e-2,
        "muon_lr": 2e-2,
        "schedule": "constant",
        "window": 10,
        "generation": {"questions": 8, "max_new": 8},
        "device": "cpu",
    }
    folder = tmp_path / "run"
    make_run(folder, {"config": config, "seed": 0})
    with Recorder(folder, window=10) as rec:
        rec.begin()
        labels_not_shifted(config, rec)
    run = load(folder)
    last = run.of(ev.Epoch)[-1]
    assert last.metrics["val_loss"] < 0.1, "nats a token; xz needs more than a bit a byte"
    texts = [event.text for event in run.of(ev.Sample) if event.epoch == last.epoch and event.name == "greedy"]
    assert len(texts) >= 3
    assert {text.strip() for text in texts} == {":" * 8}
    assert judge(load_check("too_good_to_be_true")(), run).status is Status.FAILED
    assert judge(load_check("generations_vary")(), run).status is Status.FAILED
    assert diagnose(run)[0].name == "label_leak"
