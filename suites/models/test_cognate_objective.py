"""Cognate's loss terms: what each is, what it reaches, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from lvmcheck.errors import InputError
from models.cognate import objective
from models.cognate.objective import (
    EASY,
    HARD,
    divergence,
    expected_loss,
    lacking_entropy,
    lacking_variance,
    language_terms,
    token_losses,
)
from models.terms import LANGUAGE_TERMS
from suites.models.cognate_small import VOCABULARY, counting, exact, packed, small, some_tokens, terms_of

torch.set_num_threads(1)


def test_all_terms_together_reach_every_parameter() -> None:
    model = small().train()
    terms = terms_of(model, dict.fromkeys(LANGUAGE_TERMS, 1.0))
    torch.stack([weight * value for weight, value in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
    silent = [name for name, p in model.named_parameters() if p.grad is None or float(p.grad.norm()) == 0.0]
    assert silent == []


def test_cross_entropy_alone_reaches_every_parameter() -> None:
    model = small().train()
    terms_of(model, {"ce": 1.0})["ce"][1].backward()  # type: ignore[no-untyped-call]
    silent = [name for name, p in model.named_parameters() if p.grad is None or float(p.grad.norm()) == 0.0]
    assert silent == []


@pytest.mark.parametrize("name", [name for name in LANGUAGE_TERMS if name != "gate_entropy"])
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
