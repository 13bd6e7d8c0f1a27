"""Cognate's halting: the distribution, the threshold, the terms that move it, and that it learns to differ."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cognate.halting import CALIBRATION_DECAY, Halting, HaltingHead
from models.cognate.memory import held_tokens
from models.cognate.objective import token_losses
from models.cognate.specialisation import SPECIALISATIONS
from suites.models.cognate_small import VOCABULARY, counting, exact, small, some_tokens, terms_of, trained

torch.set_num_threads(1)
few = settings(max_examples=20, deadline=None, derandomize=True)


def halting(steps: int, seed: int = 0, scale: float = 2.0) -> Halting:
    """Of latents that ask for all kinds of depth."""
    torch.manual_seed(seed)
    head = HaltingHead(5, steps, 3.0).double()
    generator = torch.Generator().manual_seed(seed)
    return head([scale * torch.randn(4, 9, 5, generator=generator, dtype=torch.float64) for _ in range(steps)])  # type: ignore[no-any-return]


# -- the distribution --------------------------------------------------------------------------------------------------
@given(steps=st.integers(2, 7), seed=st.integers(0, 99), scale=st.sampled_from([0.1, 3.0, 300.0]))
@few
def test_the_distribution_sums_to_one_and_expects_steps_in_range(steps: int, seed: int, scale: float) -> None:
    halts = halting(steps, seed, scale)
    torch.testing.assert_close(halts.weight.sum(dim=0), torch.ones(4, 9, dtype=torch.float64))
    assert float(halts.weight.detach().min()) >= 0.0
    assert float(halts.ponder.detach().min()) >= 1.0 - 1e-12
    assert float(halts.ponder.detach().max()) <= steps + 1e-12
    assert torch.equal(halts.probability[-1], torch.ones(4, 9, dtype=torch.float64))


@given(steps=st.integers(2, 7), seed=st.integers(0, 99))
@few
def test_a_lower_threshold_never_halts_later(steps: int, seed: int) -> None:
    halts = halting(steps, seed)
    depths = [halts.steps(threshold) for threshold in (0.01, 0.3, 0.5, 0.9, 0.99, 1.0)]
    for one, other in pairwise(depths):
        assert bool((one <= other).all())
    assert int(depths[0].min()) >= 1
    assert int(depths[-1].max()) <= steps
    assert depths[0].dtype == torch.int64


def test_the_threshold_rule_by_hand() -> None:
    probability = torch.tensor([0.5, 0.5, 1.0], dtype=torch.float64).view(3, 1, 1)
    weight = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).view(3, 1, 1)
    halts = Halting(probability, weight)
    assert [int(halts.steps(threshold)) for threshold in (0.4, 0.5, 0.6, 0.75, 0.8, 1.0)] == [1, 1, 2, 2, 3, 3]
    assert float(halts.ponder) == 1.75


def test_a_new_head_makes_all_steps_about_as_likely() -> None:
    output = small(recursion_steps=4)(some_tokens(4, 30))
    assert float(output.halt_probability[:-1].detach().mean()) == pytest.approx(0.25, abs=0.05)
    assert float(output.ponder.detach().var()) > 0.0


def test_training_reads_the_expectation_and_evaluation_the_threshold() -> None:
    model, tokens = exact(halting_threshold=0.5), some_tokens(3, 20)
    with torch.no_grad():
        model.halting.head.weight.mul_(10.0)
    by_step = torch.stack([model.head(h) for h in model(tokens).step_hidden])
    expecting = model.train()(tokens)
    expectation = (expecting.halt_weight.unsqueeze(3) * by_step).sum(dim=0)
    torch.testing.assert_close(expecting.logits, expectation, rtol=0.0, atol=1e-10)
    evaluated = model.eval()(tokens)
    assert len(evaluated.halting_steps.unique()) > 1
    index = (evaluated.halting_steps - 1).view(1, 3, 20, 1).expand(1, 3, 20, VOCABULARY)
    torch.testing.assert_close(evaluated.logits, by_step.gather(0, index)[0], rtol=0.0, atol=1e-10)


# -- calibration -------------------------------------------------------------------------------------------------------
def test_the_usual_loss_is_a_moving_average_of_batches() -> None:
    head = HaltingHead(4, 3, 5.0)
    head.calibrate(torch.tensor([1.0, 2.0, 3.0]))
    expected = CALIBRATION_DECAY * 5.0 + (1.0 - CALIBRATION_DECAY) * torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(head.usual_loss, expected)


def test_the_usual_loss_moves_in_training_alone_and_only_where_it_is_asked_for() -> None:
    model = small()
    usual = model.halting.usual_loss.clone()
    assert torch.equal(usual, torch.full((3,), math.log(VOCABULARY)))
    terms_of(model, {"halting_calibration": 1.0})
    terms_of(model.train(), {"ce": 1.0})
    assert torch.equal(model.halting.usual_loss, usual)
    terms_of(model, {"halting_calibration": 1.0})
    assert bool((model.halting.usual_loss != usual).all())


# -- what training makes of it -----------------------------------------------------------------------------------------
def test_it_learns_what_can_be_known() -> None:
    model = trained()
    tokens, targets = counting(32, 24, seed=10_000)
    with torch.no_grad():
        losses = token_losses(model, model(tokens), targets)
    noise = torch.arange(1, 25) % 3 == 0
    assert float(losses[:, ~noise].mean()) < 0.6 * math.log(VOCABULARY)
    assert float(losses[:, noise].mean()) > 0.9 * math.log(VOCABULARY)


def test_depth_differs_between_tokens_and_rises_with_their_loss() -> None:
    model = trained()
    tokens, targets = counting(32, 24, seed=10_000)
    with torch.no_grad():
        output = model(tokens)
        losses = token_losses(model, output, targets)
    assert float(output.halting_steps.double().var()) > 0.05
    assert float(torch.corrcoef(torch.stack((output.ponder.flatten(), losses.flatten())))[0, 1]) > 0.3


def test_specialisations_differ_in_depth_and_memory_on_the_same_weights() -> None:
    model = trained()
    tokens, _ = counting(32, 24, seed=10_000)
    depth, held, logits = {}, {}, {}
    own = model.specialisation
    try:
        for name in SPECIALISATIONS:
            model.specialise(name)
            with torch.no_grad():
                output = model(tokens)
            depth[name] = float(output.halting_steps.double().mean())
            held[name] = float(held_tokens(output.write, model.specialisation).mean())
            logits[name] = output.logits
    finally:
        model.specialisation = own
    assert depth["speed"] + 0.1 < depth["memory"] < depth["reasoning"] - 0.1
    assert held["speed"] < 0.98 * held["reasoning"] < 0.96 * held["memory"]
    assert not torch.allclose(logits["speed"], logits["memory"], atol=1e-3)
