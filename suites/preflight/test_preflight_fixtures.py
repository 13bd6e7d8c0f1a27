"""The pytest fixtures."""

from __future__ import annotations

import pytest

HEAD = """
import torch
from torch import nn

def made(forgotten=False):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.GELU(), nn.Linear(32, 3))
    held = model[0].parameters() if forgotten else model.parameters()
    return model, (torch.randn(12, 6), torch.arange(12) % 3), nn.CrossEntropyLoss(), torch.optim.Adam(held, lr=1e-3)
"""
TESTS = """
def test_preflight(preflight):
    assert preflight(*made())

def test_preflight_fails(preflight):
    preflight(*made(forgotten=True))

def test_overfits(overfit_batch):
    overfit_batch(*made())

def test_does_not_overfit(overfit_batch):
    model, (x, y), loss, optimizer = made()
    overfit_batch(model, (torch.ones_like(x), y), loss)

def test_resumes(resume_equal):
    resume_equal(*made())

def test_resumes_without_optimizer(resume_equal):
    resume_equal(*made()[:3])

def steps(parts):
    model, (x, y), loss, optimizer = made()
    for _ in range(3):
        optimizer.zero_grad()
        total = 0.0
        for xs, ys in zip(x.chunk(parts), y.chunk(parts)):
            part = loss(model(xs), ys) / parts
            part.backward()
            total += part.item()
        optimizer.step()
        yield total

def whole(): return steps(1)
def accumulated(): return list(steps(3))
def other():
    yield from steps(1)
    return
def noisy():
    return [float(torch.rand(1)) for _ in range(3)]
def shorter(): return list(steps(1))[:2]

def test_accumulation(same_trajectory):
    assert len(same_trajectory(whole, accumulated, rtol=1e-4)) == 3

def test_same_generators(same_trajectory):
    same_trajectory(noisy, noisy)

def test_other_trajectory(same_trajectory):
    same_trajectory(whole, noisy)

def test_other_length(same_trajectory):
    same_trajectory(whole, shorter)

def test_bad_input(preflight):
    preflight("model", None)
"""
FAILING = {
    "test_preflight_fails": "2 trainable parameters are in no group of the optimizer",
    "test_does_not_overfit": "overfit_batch",
    "test_resumes_without_optimizer": "no optimizer was given",
    "test_other_trajectory": "losses differ from step 1 on: whole",
    "test_other_length": "whole and shorter returned 3 losses and 2",
    "test_bad_input": "expected a torch.nn.Module, got str",
}


def test_fixtures_fail_with_the_report_and_without_a_traceback(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(HEAD + TESTS)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")  # torch cannot be imported twice
    result.assert_outcomes(passed=5, failed=len(FAILING))
    text = result.stdout.str()
    for name, words in FAILING.items():
        assert f"_ {name} _" in text
        assert words in text
    assert "Traceback" not in text
