"""Five equal seeds are one run: the seeds of a mean, of k of n, of a reference and of calibrate must differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lvmcheck
from lvmcheck.comparison.reference.make import reference_of
from lvmcheck.errors import InputError
from lvmcheck.run import events as ev
from lvmcheck.run.alike import Repeated, distinct, origin, repeated
from lvmcheck.run.origin import digest_of
from lvmcheck.run.view import Run
from suites.lvmcheck.plugin_kit.project import Project, floor

TRAINER = """
WAYS = {
    "ignored": lambda seed, i: 0.0,
    "rounding": lambda seed, i: 1e-9 * seed,
    "used": lambda seed, i: 1e-3 * ((seed * 7919 + i * 31) % 101) / 101,
}


def train(config, rec):
    noise = WAYS[config["way"]]
    for epoch in range(1, config["epochs"] + 1):
        for step in range(config["steps"]):
            i = epoch * config["steps"] + step
            rec.step(loss=1 / (i + 0.3) + noise(config["seed"], i), samples=8)
        rec.epoch(epoch, val_cosine=round(0.5 + epoch / 40, 2))
"""
"""Seeds agree in the rounded score of every epoch; in "used" alone their losses tell them apart."""


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    made = Project(pytester)
    (made.path / "seeded.py").write_text(TRAINER)
    return made


def suite(project: Project, way: str, across: str, seeds: int = 3) -> None:
    check = floor("final", 0.5, f'across = "{across}"')
    project.suite(check, trainer="seeded:train", way=way, seeds=list(range(seeds)), curve=None)


@pytest.mark.parametrize("across", ["mean", "1 of 3"])
@pytest.mark.parametrize("way", ["ignored", "rounding"])
def test_equal_seeds_are_an_error_and_never_a_pass(project: Project, way: str, across: str) -> None:
    suite(project, way, across)
    result = project.pytest("-v", "--lvm-inprocess")
    result.assert_outcomes(failed=1)
    assert "could not be judged: identical runs: 1 distinct of 3 (seed0 and seed1" in result.stdout.str()


@pytest.mark.parametrize("across", ["mean", "2 of 3"])
def test_seeds_that_agree_in_rounded_scores_are_several_runs(project: Project, across: str) -> None:
    suite(project, "used", across)
    project.pytest("--lvm-inprocess").assert_outcomes(passed=1)


def test_sequential_seeds_end_with_the_first_that_is_equal(project: Project) -> None:
    suite(project, "ignored", "mean")
    file = project.suite_file
    file.write_text(file.read_text().replace("checks = 1", "checks = 1\nsequential = true"))
    project.pytest("--lvm-inprocess").assert_outcomes(failed=1)
    assert len(project.runs()) == 2


@pytest.mark.own_process
def test_calibrate_refuses_them(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lvmcheck.commands.main import main

    to_its_end = '[[check]]\ncheck = "finite"\n'
    project.suite(floor("final", 0.5), to_its_end, trainer="seeded:train", way="ignored", seeds=[0], curve=None)
    monkeypatch.chdir(project.path)
    assert main(["calibrate", "suites/toy", "--seeds", "3"]) == 2
    assert "identical runs: 1 distinct of 3" in capsys.readouterr().err


# -- the comparison by itself ------------------------------------------------------------------------------------------
def run(seed: int, losses: list[float], accuracy: float = 0.5, *, over: bool = True) -> Run:
    """Windows of one step, and one epoch of a coarse score."""
    said: list[ev.Event] = [
        ev.Window(epoch=1, first_step=i, last_step=i, loss_mean=loss, loss_min=loss, loss_max=loss)
        for i, loss in enumerate(losses, start=1)
    ]
    said.append(ev.Epoch(epoch=1, step=len(losses), metrics={"val_acc": accuracy, "seconds": float(seed)}))
    info: dict[str, Any] = {"suite": "s", "profile": "p", "device": "cpu", "seed": seed, "config": {"seed": seed}}
    return Run(events=tuple(said), info=info, done={"status": "finished"} if over else None)


LOSSES = [2.3025851, 2.21345678, 2.1034567]


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ([run(0, LOSSES), run(1, LOSSES), run(2, LOSSES)], Repeated((0, 1), 1, 3, exact=True)),
        ([run(0, LOSSES), run(1, [2.3, 2.2, 2.1]), run(2, LOSSES)], Repeated((0, 2), 2, 3, exact=True)),
        ([run(0, LOSSES), run(1, [x * (1 + 1e-8) for x in LOSSES])], Repeated((0, 1), 1, 2, exact=False)),
        ([run(0, LOSSES), run(1, [*LOSSES, 2.05])], Repeated((0, 1), 1, 2, exact=True)),
        ([run(0, []), run(1, [])], Repeated((0, 1), 1, 2, exact=True)),
        ([run(0, [float("nan")]), run(1, [float("nan")])], Repeated((0, 1), 1, 2, exact=True)),
    ],
)
def test_runs_that_are_one(runs: list[Run], found: Repeated) -> None:
    assert repeated(runs) == found
    assert len(distinct(runs)) == found.distinct


@pytest.mark.parametrize(
    "runs",
    [
        [run(0, LOSSES)],
        [],
        [run(0, LOSSES), run(1, [2.3025851, 2.2119, 2.1012])],  # a head of zeros begins with ln(10) at every seed
        [run(0, LOSSES), run(1, [x * (1 + 1e-5) for x in LOSSES])],
        [run(0, [], 0.5), run(1, [], 0.51)],
        [run(0, [], over=False), run(1, [])],  # a coarse score of its first epoch is no evidence while it goes on
        [run(0, [2.5, 2.25]), run(1, [2.5, 2.26])],
    ],
)
def test_runs_that_are_several(runs: list[Run]) -> None:
    assert repeated(runs) is None
    assert list(distinct(runs)) == runs


def longer(seed: int, losses: list[float], first: float, second: float) -> Run:
    """A run with two epochs after its windows."""
    one = run(seed, losses, first)
    last = ev.Epoch(epoch=2, step=len(losses), metrics={"val_acc": second})
    return replace(one, events=(*one.events, last))


NEAR = [x * (1 + 1e-8) for x in LOSSES]
SCORE = 0.51234567


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (longer(0, [*LOSSES, 1.9], SCORE, 0.6), longer(1, [*NEAR, 1.2], SCORE * (1 + 1e-8), 0.7), True),
        (longer(0, [*LOSSES, 1.9], SCORE, 0.6), longer(1, [*NEAR, 1.2], SCORE + 0.01, 0.6), False),
        (longer(0, [*LOSSES, 1.9], SCORE, 0.6), longer(1, [*NEAR[:2], 2.0, 1.9], SCORE, 0.6), False),
        (longer(0, [], SCORE, 0.6), longer(1, [], SCORE * (1 + 1e-8), 0.7), True),
        (longer(0, [], 0.5, SCORE), longer(1, [], 0.5 * (1 + 1e-8), 0.7), True),
    ],
)
def test_what_counts_as_the_beginning(one: Run, other: Run, found: bool) -> None:
    """Three windows, and the first epoch; what comes later may differ by chance of the machine."""
    assert (repeated([one, other]) is not None) is found


def begun(run: Run, weights: str | None, batch: str | None) -> Run:
    said = (ev.Origin(weights=weights), ev.Origin(batch=batch))
    return replace(run, events=(*said, *run.events))


OTHER = [x * 1.01 for x in LOSSES]


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (begun(run(0, LOSSES), "w", "b"), begun(run(1, OTHER), "w", "b"), True),  # curves differ: dropout, say
        (begun(run(0, LOSSES), "w", "b"), begun(run(1, LOSSES), "w", "c"), False),
        (begun(run(0, LOSSES), "w", "b"), begun(run(1, LOSSES), "v", "b"), False),
        (begun(run(0, []), "w", "b"), begun(run(1, []), "w", "c"), False),  # one coarse score each
        (begun(run(0, LOSSES), "w", None), begun(run(1, OTHER), "w", None), False),  # half of it is no proof
        (begun(run(0, LOSSES), "w", None), run(1, LOSSES), True),
    ],
)
def test_what_runs_begin_with_tells_them_apart(one: Run, other: Run, found: bool) -> None:
    assert (repeated([one, other]) is not None) is found


def test_digests_are_of_content() -> None:
    layer, same = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    assert digest_of(layer) != digest_of(same)
    same.load_state_dict(layer.state_dict())
    assert digest_of(layer) == digest_of(same) != ""
    batch = [torch.arange(6.0), {"ids": torch.tensor([1, 2])}, (np.ones(2), 3)]
    assert digest_of(batch) == digest_of([*batch])
    assert len({digest_of(b) for b in (batch, batch[::-1], batch[:2], torch.ones(6), torch.ones(2, 3))}) == 5
    assert digest_of(torch.ones(1, dtype=torch.bfloat16)) != digest_of(torch.ones(1))
    assert digest_of([object(), None]) == ""


def test_a_watched_loop_records_what_it_begins_with(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 1)
    first = digest_of(model)
    batches = [torch.randn(4, 3) for _ in range(3)]
    with lvmcheck.record(tmp_path / "run", seed=0) as rec:
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        rec.watch(model, optimizer)
        with torch.no_grad():
            model(torch.zeros(1, 3))  # validation before training is no first batch
        for batch in batches:
            optimizer.zero_grad()
            loss = model(batch).square().mean()
            loss.backward()
            optimizer.step()
            rec.step(loss=loss)
        rec.epoch(1, val_loss=0.5)
    assert origin(lvmcheck.load(tmp_path / "run")) == (first, digest_of(((batches[0],), {})))


def test_a_reference_counts_runs_and_not_seeds() -> None:
    equal = [run(seed, LOSSES) for seed in range(5)]
    with pytest.raises(InputError, match="1 distinct of 5"):
        reference_of(equal, reason="test", by="me")
    several = [run(seed, [x + 0.01 * seed for x in LOSSES]) for seed in range(5)]
    assert reference_of(several, reason="test", by="me").seeds == (0, 1, 2, 3, 4)
