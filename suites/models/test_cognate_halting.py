"""Cognate's halting: the distribution, the threshold, the terms that move it, and that it learns to differ."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lvmcheck.errors import InputError
from models.cognate import objective
from models.cognate.halting import CALIBRATION_DECAY, Halting, HaltingHead
from models.cognate.memory import held_tokens
from models.cognate.model import Cognate
from models.cognate.objective import (
    EASY,
    HARD,
    TERMS,
    divergence,
    expected_loss,
    lacking_entropy,
    lacking_variance,
    language_terms,
    token_losses,
)
from models.cognate.specialisation import SPECIALISATIONS
from suites.models.cognate_small import VOCABULARY, counting, exact, packed, small, some_tokens, trained

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


# -- the terms ---------------------------------------------------------------------------------------------------------
def terms_of(model: Cognate, weights: dict[str, float]) -> dict[str, tuple[float, Tensor]]:
    tokens, targets = counting(4, 12)
    targets[0, 5:] = -100
    return language_terms(model, model(tokens), targets, weights)


def test_all_terms_together_reach_every_parameter() -> None:
    model = small().train()
    terms = terms_of(model, dict.fromkeys(TERMS, 1.0))
    torch.stack([weight * value for weight, value in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
    silent = [name for name, p in model.named_parameters() if p.grad is None or float(p.grad.norm()) == 0.0]
    assert silent == []


def test_cross_entropy_alone_reaches_every_parameter() -> None:
    model = small().train()
    terms_of(model, {"ce": 1.0})["ce"][1].backward()  # type: ignore[no-untyped-call]
    silent = [name for name, p in model.named_parameters() if p.grad is None or float(p.grad.norm()) == 0.0]
    assert silent == []


@pytest.mark.parametrize("name", [name for name in TERMS if name != "gate_entropy"])
def test_each_halting_term_reaches_the_halting_head(name: str) -> None:
    model = small().train()
    terms = terms_of(model, {name: 2.0})
    assert list(terms) == [name]
    weight, value = terms[name]
    assert weight == 2.0
    assert float(value.detach()) > 0.0
    value.backward()  # type: ignore[no-untyped-call]
    assert float(model.halting.head.weight.grad.norm()) > 0.0


def test_a_step_against_the_ponder_cost_halts_earlier() -> None:
    model, tokens = small().train(), some_tokens(4, 12)
    before = float(model(tokens).ponder.detach().mean())
    model(tokens).ponder.mean().backward()
    with torch.no_grad():
        for parameter in model.halting.parameters():
            assert parameter.grad is not None
            parameter -= 0.1 * parameter.grad
    assert float(model(tokens).ponder.detach().mean()) < before


def test_only_declared_terms_are_made_and_zero_is_not_declared() -> None:
    assert list(terms_of(small().train(), {"ce": 1.0, "ponder": 0.0})) == ["ce"]


def test_cross_entropy_is_the_mixture_of_the_steps_losses() -> None:
    model = exact().train()
    tokens, targets = counting(3, 10)
    targets[1, 4:] = -100
    output = model(tokens)
    by_step = torch.stack(
        [F.cross_entropy(model.head(h).transpose(1, 2), targets, reduction="none") for h in output.step_hidden]
    )
    weight = 0.7 * output.halt_weight + 0.3 / 3
    wanted = (weight * by_step).sum(dim=0)[targets != -100].mean()
    torch.testing.assert_close(language_terms(model, output, targets, {"ce": 1.0})["ce"][1], wanted)


@pytest.mark.parametrize("training", [False, True])
def test_token_losses_are_those_of_the_logits(training: bool) -> None:
    model = exact().train(training)
    tokens, targets = counting(3, 10)
    targets[1, 4:] = -100
    output = model(tokens)
    losses = token_losses(model, output, targets)
    wanted = F.cross_entropy(output.logits.transpose(1, 2), targets, reduction="none")
    torch.testing.assert_close(losses, wanted)
    assert torch.equal(losses[1, 4:], torch.zeros(6, dtype=torch.float64))
    losses.sum().backward()  # type: ignore[no-untyped-call]


def test_without_a_graph_nothing_makes_one() -> None:
    model = small().train()
    tokens, targets = counting(3, 10)
    with torch.no_grad():
        output = model(tokens)
    assert not output.logits.requires_grad
    assert not token_losses(model, output, targets).requires_grad


def test_losses_made_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for most in (objective.MOST_LOGITS, 5 * VOCABULARY):
        monkeypatch.setattr(objective, "MOST_LOGITS", most)
        model = exact().train()
        terms = terms_of(model, {"ce": 1.0})
        terms["ce"][1].backward()  # type: ignore[no-untyped-call]
        results.append([terms["ce"][1].detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_targets_across_a_boundary_do_not_count() -> None:
    model = exact().train()
    tokens, targets = counting(1, 12)
    segments = packed([5, 7], 12)
    targets[0, 4] = targets[0, 11] = -100
    output = model(tokens, segments=segments)
    together = language_terms(model, output, targets, {"ce": 1.0})["ce"][1]
    parts = [
        language_terms(model, model(tokens[:, part]), targets[:, part], {"ce": 1.0})["ce"][1]
        for part in (slice(0, 5), slice(5, 12))
    ]
    torch.testing.assert_close(together, (4 * parts[0] + 6 * parts[1]) / 10)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"pondr": 1.0}, "model cognate: run.loss.pondr: no such loss term 'pondr'. Did you mean 'ponder'?"),
        ({"ce": -1.0}, "model cognate: run.loss.ce: expected a weight of at least 0, got -1.0."),
        ({"ce": math.nan}, "model cognate: run.loss.ce: expected a weight of at least 0, got nan."),
    ],
)
def test_bad_weights_are_named(weights: dict[str, float], message: str) -> None:
    with pytest.raises(InputError) as caught:
        terms_of(small(), weights)
    assert str(caught.value) == message


def test_a_batch_without_a_scored_token_is_refused() -> None:
    model, tokens = small(), some_tokens(2, 5)
    with pytest.raises(InputError, match="expected at least one scored target, got none"):
        language_terms(model, model(tokens), torch.full((2, 5), -100), {"ce": 1.0})
    with pytest.raises(InputError, match=r"expected targets \[2, 5\] of int64, got \[2, 4\]"):
        language_terms(model, model(tokens), tokens[:, 1:], {"ce": 1.0})


# -- pure functions ----------------------------------------------------------------------------------------------------
def test_what_is_lacking_is_zero_when_nothing_is() -> None:
    uniform = torch.full((4, 7), 0.25, dtype=torch.float64)
    certain = torch.zeros(4, 7, dtype=torch.float64)
    certain[2] = 1.0
    assert float(lacking_entropy(uniform)) == pytest.approx(0.0, abs=1e-12)
    assert float(lacking_entropy(certain)) == pytest.approx(math.log(4))
    assert float(lacking_variance(torch.tensor([1.0, 3.0]))) == 0.0
    assert float(lacking_variance(torch.tensor([2.0, 2.0, 2.0]))) == pytest.approx(0.1)
    assert float(lacking_variance(torch.tensor([2.0]))) == 0.0  # one token says nothing


def test_lacking_entropy_of_certainty_has_a_finite_gradient() -> None:
    p = torch.tensor([[1.0], [0.0]], requires_grad=True)
    lacking_entropy(p).backward()  # type: ignore[no-untyped-call]
    assert p.grad is not None
    assert p.grad.isfinite().all()


def test_divergence_is_least_where_the_probability_is_the_wanted_one() -> None:
    p = torch.linspace(0.0, 1.0, 101, dtype=torch.float64)
    for wanted in (EASY, HARD):
        apart = divergence(torch.full_like(p, wanted), p)
        assert apart.isfinite().all()
        assert float(p[apart.argmin()]) == pytest.approx(wanted)
        assert float(apart.min()) == pytest.approx(0.0, abs=1e-12)


def test_the_expected_loss_of_equal_losses_is_that_loss() -> None:
    weight = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    assert float(expected_loss(torch.full((2, 2), 1.5), weight)) == pytest.approx(1.5)


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
    own = model.habit
    try:
        for name in SPECIALISATIONS:
            model.specialise(name)
            with torch.no_grad():
                output = model(tokens)
            depth[name] = float(output.halting_steps.double().mean())
            held[name] = float(held_tokens(output.write, model.habit).mean())
            logits[name] = output.logits
    finally:
        model.habit = own
    assert depth["speed"] + 0.1 < depth["memory"] < depth["reasoning"] - 0.1
    assert held["speed"] < 0.98 * held["reasoning"] < 0.96 * held["memory"]
    assert not torch.allclose(logits["speed"], logits["memory"], atol=1e-3)
