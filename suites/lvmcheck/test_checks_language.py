"""Checks of language models: their bounds, what they say where nothing was measured, and false alarms."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import cases
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.levels import course
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from
from suites.lvmcheck.checks_kit import answer, text

PASSED, FAILED, PENDING = Status.PASSED, Status.FAILED, Status.PENDING
NOT_APPLICABLE, NOT_RECORDED = Status.NOT_APPLICABLE, Status.NOT_RECORDED


def halting(**changes: float) -> Run:
    values = {"mean": 2.0, "variance": 0.05, "p_variance": 1e-4, "tokens": 100.0, "max": 3.0, "loss_correlation": 0.3}
    return language.probed("halting", {**values, **changes})


def causality(before: float, after: float = 1.0) -> Run:
    return language.evaluated("causality", {"max_change_before": before, "change_after": after, "positions": 1.0})


def answers(share: float, questions: float = 20.0) -> Run:
    return language.epochs([], metrics={"exact_match": [share], "exact_match_questions": [questions]})


def rates(used: float, planned: float = 1.0) -> Run:
    values = {"hidden/lr": used, "hidden/planned_lr": planned, "hidden/update_rms": used}
    return language.probed("learning_rates", values, config={"lr": 1.0})


def model(parameters: int, **components: int) -> Run:
    return Run(events=(ev.Model(kind="m", parameters=parameters, components=dict(components)),))


def text_run(loss: float, **facts: ev.Value) -> Run:
    return made.with_facts(language.epochs([], metrics={"val_loss": [loss], "val_bits_per_byte": [loss]}), facts)


# -- bounds ------------------------------------------------------------------------------------------------------------
EDGES: list[tuple[str, dict[str, Any], Run, Status]] = [
    ("halting_variance", {}, halting(), PASSED),
    ("halting_variance", {}, halting(variance=0.0499), FAILED),
    ("halting_variance", {}, halting(p_variance=0.99e-4), FAILED),
    ("halting_variance", {}, halting(tokens=99), FAILED),
    ("halting_adapts", {}, halting(), PASSED),
    ("halting_adapts", {}, halting(loss_correlation=0.2999), FAILED),
    ("halting_adapts", {}, halting(loss_correlation=0.05, tokens=3600), PASSED),
    ("causal", {"tolerance": 0.25}, causality(0.25), PASSED),
    ("causal", {"tolerance": 0.25}, causality(0.2501), FAILED),
    ("causal", {}, causality(0.0, after=0.0), FAILED),
    ("answers_correct", {"floor": 0.5}, answers(0.5), PASSED),
    ("answers_correct", {"floor": 0.5}, answers(0.4999), FAILED),
    ("answers_correct", {"floor": 0.5}, answers(1.0, questions=19), FAILED),
    ("answers_correct", {"floor": 0.5}, answers(1.0001), FAILED),
    ("effective_lr_matches_config", {"tolerance": 0.25}, rates(1.25), PASSED),
    ("effective_lr_matches_config", {"tolerance": 0.25}, rates(1.2501), FAILED),
    ("effective_lr_matches_config", {}, rates(0.5, planned=0.5), PASSED),
    ("effective_lr_matches_config", {}, rates(0.4999, planned=0.4999), FAILED),
    ("parameter_budget", {"at_least": 10, "at_most": 10}, model(10), PASSED),
    ("parameter_budget", {"at_least": 11}, model(10), FAILED),
    ("parameter_budget", {"at_most": 9}, model(10), FAILED),
    ("parameter_budget", {"max_share": {"a": 0.5}}, model(10, a=5, b=5), PASSED),
    ("parameter_budget", {"max_share": {"a": 0.4999}}, model(10, a=5, b=5), FAILED),
    ("parameter_budget", {"at_least": 1}, model(10, a=5, b=6), FAILED),
    ("too_good_to_be_true", {"tolerance": 0.5}, text_run(0.5, loss_floor=1.0), PASSED),
    ("too_good_to_be_true", {"tolerance": 0.5}, text_run(0.4999, loss_floor=1.0), FAILED),
    ("too_good_to_be_true", {}, text_run(0.5, compressor_bits_per_byte=2.0), PASSED),
    ("too_good_to_be_true", {}, text_run(0.4999, compressor_bits_per_byte=2.0), FAILED),
    ("plausible_range", {}, run_from({"perplexity": [1.0]}), PASSED),
    ("plausible_range", {}, run_from({"perplexity": [0.999]}), FAILED),
    ("plausible_range", {"metric": "x", "at_most": 2.0}, run_from({"x": [2.0]}), PASSED),
    ("tokens_scored_once", {"tolerance": 0.25}, language.staged(1000, [1250]), PASSED),
    ("tokens_scored_once", {"tolerance": 0.25}, language.staged(1000, [1251]), FAILED),
    ("no_late_divergence", {}, run_from({"train_loss": [2.0, 1.0, 1.5]}), PASSED),
    ("no_late_divergence", {}, run_from({"train_loss": [2.0, 1.0, 1.51]}), FAILED),
    ("no_late_divergence", {}, run_from({"train_loss": [2.0, 1.0, 1.51, 1.0]}), PASSED),
]


@pytest.mark.parametrize(
    ("check", "keys", "run", "status"), EDGES, ids=[f"{i}-{row[0]}-{row[3]}" for i, row in enumerate(EDGES)]
)
def test_the_bound_itself_passes_and_beyond_it_fails(
    check: str, keys: dict[str, Any], run: Run, status: Status
) -> None:
    outcome = answer(check, run, **keys)
    assert outcome.status is status, text(outcome)


# -- reasons -----------------------------------------------------------------------------------------------------------
DATA = ev.Data(name="text", fingerprint="0", facts={"missing": []})
EMPTY = language.epochs([], [])
REASONS: list[tuple[str, dict[str, Any], Run, Status]] = [
    ("halting_variance", {}, EMPTY, NOT_RECORDED),
    ("halting_variance", {}, language.probed("halting", {"tokens": 200.0}), NOT_RECORDED),
    ("halting_variance", {}, language.epochs(halting().events[1:2], []), NOT_RECORDED),
    ("generations_vary", {}, EMPTY, NOT_RECORDED),
    ("causal", {}, EMPTY, NOT_RECORDED),
    ("causal", {}, language.evaluated("causality", {"positions": 2.0}), NOT_RECORDED),
    ("gradients_reach_every_parameter", {}, EMPTY, NOT_RECORDED),
    ("declared_terms_in_graph", {}, EMPTY, NOT_RECORDED),
    ("effective_lr_matches_config", {}, EMPTY, NOT_RECORDED),
    ("update_orthogonal", {}, EMPTY, NOT_RECORDED),
    ("stage_changes_data", {}, EMPTY, NOT_APPLICABLE),
    ("stage_changes_data", {}, language.epochs([], config={"curriculum": [{}, {}]}), NOT_RECORDED),
    ("datasets_present", {}, Run(events=(DATA,)), NOT_RECORDED),
    ("datasets_present", {}, language.data({"sets": {}, "missing": []}), NOT_RECORDED),
    ("val_disjoint_from_train", {}, Run(events=(DATA,)), NOT_RECORDED),
    ("parameter_budget", {"max_share": {"memry": 0.5}}, model(5, memory=5), NOT_RECORDED),
    ("too_good_to_be_true", {}, text_run(1.0), NOT_RECORDED),
    ("plausible_range", {}, run_from({"loss": [1.0]}), NOT_APPLICABLE),
    ("plausible_range", {"metric": "los", "at_least": 0.0}, run_from({"loss": [1.0]}), NOT_RECORDED),
    ("no_late_divergence", {}, run_from({"val_loss": [1.0, 1.0]}), NOT_RECORDED),
    ("no_late_divergence", {}, run_from({"train_loss": [1.0]}), NOT_APPLICABLE),
    ("tokens_scored_once", {}, EMPTY, NOT_RECORDED),
    ("evaluated_weights_are_saved", {}, EMPTY, NOT_RECORDED),
    ("specialisations_differ", {}, EMPTY, NOT_RECORDED),
    (
        "specialisations_differ",
        {},
        language.evaluated("specialisations", {"a/halting_mean": 2.0, "b/halting_mean": 1.0, "a/memory_use": 0.5}),
        NOT_RECORDED,
    ),
    ("answers_correct", {"floor": 0.5}, EMPTY, NOT_RECORDED),
]


@pytest.mark.parametrize(
    ("check", "keys", "run", "status"), REASONS, ids=[f"{i}-{row[0]}" for i, row in enumerate(REASONS)]
)
def test_says_what_was_not_recorded(check: str, keys: dict[str, Any], run: Run, status: Status) -> None:
    outcome = answer(check, run, **keys)
    assert outcome.status is status, text(outcome)
    assert outcome.reason
    assert outcome.finding is None


def test_every_evaluation_must_hold_not_the_last_one_alone() -> None:
    leaked = {"max_change_before": 0.9, "change_after": 1.0, "positions": 4.0}
    run = language.evaluated("causality", leaked, {**leaked, "max_change_before": 0.0})
    assert answer("causal", run).status is FAILED


def test_a_hinge_that_is_met_differs_from_a_term_that_trains_nothing() -> None:
    for value, status in ((0.0, PASSED), (0.04, FAILED)):
        window = ev.Window(
            epoch=1,
            first_step=1,
            last_step=50,
            loss_mean=1.0,
            loss_min=1.0,
            loss_max=1.0,
            terms={"ce": ev.Term(weight=1.0, mean=1.0), "diversity": ev.Term(weight=0.1, mean=value)},
        )
        norms = ev.Evaluation(name="term_gradients", metrics={"ce": 1.0, "diversity": 0.0})
        outcome = answer("declared_terms_in_graph", language.epochs([norms, window]))
        assert outcome.status is status, text(outcome)


def test_the_rate_of_a_group_comes_before_that_of_its_rule_and_of_all() -> None:
    def run(config: Mapping[str, object]) -> Run:
        values = {"hidden/lr": 0.5, "hidden/planned_lr": 0.5, "hidden/update_rms": 0.1}
        return language.probed("learning_rates", values, config=config)

    for config, status in (
        ({"lr": 0.5}, PASSED),
        ({"lr": 0.001, "muon_lr": 0.5}, PASSED),
        ({"lr": 0.5, "muon_lr": 0.02}, FAILED),
        ({"muon_lr": 0.02, "optimizer": {"group_lr": {"hidden": 0.5}}}, PASSED),
        ({}, PASSED),  # nothing is configured that could differ
    ):
        outcome = answer("effective_lr_matches_config", run(config))
        assert outcome.status is status, (config, text(outcome))


def test_data_sets_of_every_stage_are_looked_for() -> None:
    facts: dict[str, ev.Value] = {"sets": {"a": 5}, "missing": []}
    assert answer("datasets_present", language.data(facts, curriculum=[{"sets": ["a"]}])).status is PASSED
    outcome = answer("datasets_present", language.data(facts, curriculum=[{"sets": ["a", "b"]}]))
    assert outcome.status is FAILED
    missing = outcome.finding.fact("missing") if outcome.finding else None
    assert missing is not None
    assert missing.value == "b"


# -- late divergence on curves with noise ------------------------------------------------------------------------------
def falling(count: int, start: float, end: float) -> list[float]:
    return [end + (start - end) * math.exp(-6 * i / max(count - 1, 1)) for i in range(count)]


def windows(losses: Sequence[float], per: int, noise: float, seed: int, stages: Sequence[int] = (1,)) -> Run:
    """Windows of these losses with log-normal noise, ``per`` an epoch; stages begin at these epochs."""
    rng = random.Random(seed)
    spoken: list[list[ev.Event]] = []
    for i in range(len(losses) // per):
        spoken.append([])
        if i + 1 in stages:
            name = f"stage {i}"
            spoken[-1].append(ev.Stage(index=i, name=name, epoch=i + 1, step=i * per * 50, fingerprint=name))
        for j in range(i * per, (i + 1) * per):
            loss = losses[j] * math.exp(noise * rng.gauss(0.0, 1.0))
            spoken[-1].append(language.window(i + 1, (j + 1) * 50, loss=loss))
    return language.epochs(*spoken)


@pytest.mark.parametrize("per", [4, 12, 40])
def test_noise_is_no_divergence_and_a_rise_is_one(per: int) -> None:
    half, found = 4 * per, {"in vain": 0, "jump in vain": 0, "stage missed": 0, "rise missed": 0}
    for seed in range(25):
        learned = falling(2 * half, 5.0, 0.1 + 0.05 * seed)
        jump = falling(half, 5.0, 0.3) + falling(half, 2.5, 0.6)
        stuck = falling(half, 5.0, 0.5) + [2.0] * half
        risen = learned[: -3 * per // 2] + [3 * learned[-1]] * (3 * per // 2)
        found["in vain"] += answer("no_late_divergence", windows(learned, per, 0.05, seed)).status is FAILED
        found["jump in vain"] += answer("no_late_divergence", windows(jump, per, 0.05, seed, (1, 5))).status is FAILED
        found["stage missed"] += answer("no_late_divergence", windows(stuck, per, 0.05, seed, (1, 5))).status is PASSED
        found["rise missed"] += answer("no_late_divergence", windows(risen, per, 0.05, seed)).status is PASSED
    assert set(found.values()) == {0}, found


@settings(max_examples=60)
@given(st.lists(st.floats(0.0, 1e3), min_size=1, max_size=60))
def test_levels_lie_within_the_windows(values: list[float]) -> None:
    found = course(1, None, values)
    slack = 1e-9 * (1 + max(values))
    assert all(min(values) - slack <= level <= max(values) + slack for level in found.levels)
    assert found.noise >= 0
    assert found.levels[0] - slack <= found.peak <= max(values) + slack
    assert len(found.levels) == 1 or len(values) >= 4


def test_checks_that_judge_before_training_say_so() -> None:
    for name in ("val_disjoint_from_train", "datasets_present"):
        assert all(case.check.due(20) == 0 for case in cases(name)[0])
    for name in ("gradients_reach_every_parameter", "declared_terms_in_graph"):
        assert all(case.check.due(20) == 1 for case in cases(name)[0])
