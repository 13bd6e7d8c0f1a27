"""``run.check("overfit_batch")``: questions to the model that the module of a trainer offers."""

from __future__ import annotations

import pytest

from suites.lvmcheck.plugin_kit.project import OPTIONS

TRAINER = """
def model_and_batch(config):
    import torch

    torch.manual_seed(config["seed"])
    model = torch.nn.Linear(8, 4)
    label = torch.arange(16) % 4
    batch = torch.nn.functional.one_hot(label, 8).float(), label
    if config.get("offers") == "nothing":
        return None
    if config.get("offers") == "more":
        return {"model": model, "batch": batch, "learning_rate": 1}
    loss = torch.nn.functional.cross_entropy
    if config.get("stuck"):
        def loss(output, target):
            return torch.nn.functional.cross_entropy(output * 0, target)
    return {"model": model, "batch": batch, "loss": loss, "optimizer": torch.optim.SGD(model.parameters(), lr=0.5)}


def main(config, rec):
    for epoch in (1, 2):
        rec.step(loss=1 / epoch)
        rec.epoch(epoch, val_loss=1.1 / epoch)
"""
TESTS = """
def test_learns(training):
    answers = training("own:main", {"epochs": 2}, seeds=[0, 1]).check("overfit_batch", "finite")
    assert [answer.verdict.name for answer in answers] == ["overfit_batch", "finite", "finite"]

def test_stuck(training):
    training("own:main", {"epochs": 2, "stuck": True}).check("overfit_batch")

def test_nothing(training):
    training("own:main", {"epochs": 2, "offers": "nothing"}).check("overfit_batch")

def test_more(training):
    training("own:main", {"epochs": 2, "offers": "more"}).check("resume_equal")

def test_fixture_alone(training):
    training("own:main", {"epochs": 2}).check("same_trajectory")
"""


def test_the_model_is_asked_that_the_trainer_offers(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\npythonpath = .\n")
    pytester.makepyfile(own=TRAINER, test_own=TESTS)
    found = pytester.inline_run(*OPTIONS, "--lvm-inprocess")
    reports = {
        it.nodeid.partition("test_")[2].rpartition("test_")[2]: it for it in found.getreports() if it.when == "call"
    }  # type: ignore[union-attr]
    assert [name for name, report in reports.items() if report.passed] == ["learns"]
    says = {"stuck": "overfit_batch", "nothing": '"model"', "more": "learning_rate", "fixture_alone": "use the fixture"}
    for name, word in says.items():
        assert word in reports[name].longreprtext, name
    lines = {name: reports[name].longreprtext.strip().splitlines() for name in ("nothing", "more", "fixture_alone")}
    assert {name: len(said) for name, said in lines.items()} == dict.fromkeys(lines, 1)
