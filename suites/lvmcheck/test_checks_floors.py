"""Floors written in baselines: the parser against Python's own arithmetic, and the facts of OOD sets."""

from __future__ import annotations

import ast
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.checks.curves.cosine_floor import CosineFloor
from lvmcheck.checks.finding import Fact, Status
from lvmcheck.checks.protocol import judge
from lvmcheck.checks.shared.baselines import NAMES, baselines, evidence, parse_floor
from lvmcheck.checks.shared.cases import TWIN_FACTS, val_run, with_facts
from lvmcheck.errors import BadValueError
from lvmcheck.run.view import Run, run_from

KNOWN = {name: value for name in NAMES if isinstance(value := TWIN_FACTS[name], float)}

numbers = st.floats(0, 100, allow_nan=False).map(lambda x: f"{x:.6g}")
products = st.builds(
    lambda factors, name, place: " * ".join([*factors[:place], *([name] if name else []), *factors[place:]]),
    st.lists(numbers, min_size=1, max_size=3),
    st.sampled_from([None, *NAMES]),
    st.integers(0, 3),
)
sums = st.builds(
    lambda first, sign, rest: ("- " if sign else "") + first + "".join(f" {op} {item}" for op, item in rest),
    products,
    st.booleans(),
    st.lists(st.tuples(st.sampled_from("+-"), products), max_size=3),
)


def slow_value(node: ast.AST) -> float:
    """Python's own parse of the expression, evaluated by hand."""
    match node:
        case ast.Expression():
            return slow_value(node.body)
        case ast.BinOp():
            left, right = slow_value(node.left), slow_value(node.right)
            if isinstance(node.op, ast.Mult):
                return left * right
            return left + right if isinstance(node.op, ast.Add) else left - right
        case ast.UnaryOp():
            return -slow_value(node.operand)
        case ast.Name():
            return KNOWN[node.id]
        case ast.Constant(value=int() | float() as value):
            return float(value)
    raise AssertionError(ast.dump(node))


@settings(max_examples=150)
@given(sums)
def test_expressions_mean_what_they_mean_in_python(text: str) -> None:
    if len(text) > 200:
        return
    got = parse_floor("floor", text).value(KNOWN)
    assert got is not None
    assert math.isclose(got, slow_value(ast.parse(text, mode="eval")), rel_tol=1e-9, abs_tol=1e-9)


@settings(max_examples=150)
@given(st.text(alphabet="0123456789.+-*/()eE_ abcdefghijklmnop", max_size=30) | st.text(max_size=10))
def test_anything_else_is_one_clear_error(text: str) -> None:
    try:
        floor = parse_floor("floor", text)
    except BadValueError as problem:
        assert problem.key == "floor"  # noqa: PT017 - most texts are refused, some are expressions
    else:
        assert floor.parts


@pytest.mark.parametrize(
    "text", ["", " ", "+", "0.5 +", "* 2", "2 ** 3", "best_linear best_linear", "0.5 0.1", "1/2", "(1)"]
)
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(BadValueError) as caught:
        parse_floor("floor", text)
    assert caught.value.key == "floor"


def test_unknown_baseline_offers_the_nearest() -> None:
    with pytest.raises(BadValueError, match=r"no such baseline 'mean_of_contex'.*Did you mean 'mean_of_context'"):
        parse_floor("floor", "mean_of_contex - 0.02")


# -- facts ---------------------------------------------------------------------------------------------------------
def ood(**sets: dict[str, float]) -> Run:
    facts: dict[str, Any] = {f"ood.{name}.{key}": value for name, each in sets.items() for key, value in each.items()}
    return with_facts(run_from({"ood_cosine": [0.5]}), {**TWIN_FACTS, **facts})


def test_one_ood_set_is_the_ood_set() -> None:
    run = ood(pydoc={"mean_of_context": 0.474})
    assert baselines(run, "ood_cosine") == {"mean_of_context": 0.474}
    assert baselines(run, "val_cosine")["mean_of_context"] == 0.600
    assert evidence(run, "ood_cosine") == (Fact("mean_of_context", 0.474),)


def test_a_metric_named_after_a_set_takes_its_facts() -> None:
    run = ood(wiki={"persistence": 0.5}, enwiki={"persistence": 0.4})
    assert baselines(run, "ood_cosine_enwiki") == {"persistence": 0.4}
    assert baselines(run, "ood_cosine_wiki") == {"persistence": 0.5}


def test_all_sets_together_are_weighted_with_their_windows() -> None:
    run = ood(a={"windows": 100, "mean_of_context": 0.6, "optimum": 0.7}, b={"windows": 300, "mean_of_context": 0.4})
    assert baselines(run, "ood_cosine") == pytest.approx({"mean_of_context": 0.45})


def test_sets_of_unknown_size_cannot_be_pooled() -> None:
    run = ood(a={"mean_of_context": 0.6}, b={"mean_of_context": 0.4})
    assert baselines(run, "ood_cosine") == {}
    outcome = judge(CosineFloor(metric="ood_cosine", epoch=1, floor="mean_of_context"), run)
    assert outcome.status is Status.ERROR
    assert outcome.finding is None


@pytest.mark.parametrize("value", [math.nan, math.inf, "0.6", True, None])
def test_a_fact_that_is_no_number_is_not_recorded(value: Any) -> None:
    run = with_facts(val_run([0.61]), {"best_linear": value})
    assert baselines(run, "val_cosine") == {}
    outcome = judge(CosineFloor(metric="val_cosine", epoch=1, floor="best_linear"), run)
    assert outcome.status is Status.ERROR


@settings(max_examples=60)
@given(st.floats(-1, 1), st.floats(-1, 1), st.one_of(st.floats(-1, 1), st.just(math.nan)))
def test_cosine_floor_is_a_plain_comparison(floor: float, below: float, value: float) -> None:
    abort = min(floor, below)
    check = CosineFloor(metric="m", epoch=1, floor=floor, abort_below=abort)
    outcome = judge(check, run_from({"m": [value]}))
    assert (outcome.status is Status.PASSED) is (value >= floor)
    assert outcome.abort is (outcome.status is Status.FAILED and not value >= abort)
    assert outcome.finding is not None
    assert outcome.finding.margin is not None
    assert math.isnan(value) or outcome.finding.margin == value - floor
