"""What a loop says is written as it was said: every field of every statement, and what is a number."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import lvmcheck
from lvmcheck.errors import InputError
from lvmcheck.run import events as ev
from lvmcheck.run import values
from lvmcheck.run.directory import load
from lvmcheck.run.origin import digest_of
from lvmcheck.run.recorder import Recorder

LONG = "x" * 5000
AS_TEXT: Any = "loss"
FULL: dict[str, Any] = {"records": {"a": 3}, "facts": {"b": 2.5}}
TARGETS = np.array([0, 1, 1, 2])
BATCH = np.array([1.5, 2.5])
STATEMENTS: list[tuple[Callable[[Recorder], object], ev.Event]] = [
    (lambda rec: rec.origin(batch=BATCH), ev.Origin(batch=digest_of(BATCH))),
    (lambda rec: rec.origin(model=BATCH), ev.Origin(weights=digest_of(BATCH))),
    (lambda rec: rec.data(name="n", fingerprint="f"), ev.Data(name="n", fingerprint="f")),
    (
        lambda rec: rec.data(name="n", fingerprint="f", facts={"a": 1}, notes=["b"]),
        ev.Data(name="n", fingerprint="f", facts={"a": 1}, notes=("b",)),
    ),
    (lambda rec: rec.model(kind="k", parameters=3), ev.Model(kind="k", parameters=3)),
    (
        lambda rec: rec.model(kind="k", parameters=3, digest="d", components={"a": 1}),
        ev.Model(kind="k", parameters=3, digest="d", components={"a": 1}),
    ),
    (
        lambda rec: rec.stage(index=2, name="n", fingerprint="f"),
        ev.Stage(index=2, name="n", epoch=2, step=3, fingerprint="f"),
    ),
    (
        lambda rec: rec.stage(index=2, name="n", fingerprint="f", **FULL),
        ev.Stage(index=2, name="n", epoch=2, step=3, fingerprint="f", **FULL),
    ),
    (
        lambda rec: rec.sample("n", prompt=LONG, text=LONG),
        ev.Sample(name="n", epoch=2, step=3, prompt=LONG[:4000], text=LONG[:4000]),
    ),
    (
        lambda rec: rec.sample("n", prompt="p", text="t", answer="a", dataset="d"),
        ev.Sample(name="n", epoch=2, step=3, prompt="p", text="t", answer="a", dataset="d"),
    ),
    (lambda rec: rec.declare(["a", "b"]), ev.Declare(metrics=("a", "b"))),
    (lambda rec: rec.declare(roles={"a": {"direction": "higher"}}), ev.Declare(roles={"a": {"direction": "higher"}})),
    (lambda rec: rec.declare(roles={"a": AS_TEXT}), ev.Declare(roles={"a": {"quantity": "loss"}})),
    (lambda rec: rec.probe("n", {"a": 1, "b": None}), ev.Probe(name="n", epoch=2, step=3, values={"a": 1.0})),
    (
        lambda rec: rec.checkpoint("last", "checkpoints/1", epoch=1, step=2),
        ev.Checkpoint(name="last", path="checkpoints/1", epoch=1, step=2),
    ),
    (
        lambda rec: rec.checkpoint("last", rec.path / "a", epoch=1, step=2, metrics={"m": 1}),
        ev.Checkpoint(name="last", path="a", epoch=1, step=2, metrics={"m": 1.0}),
    ),
    (lambda rec: rec.evaluation("n", {"m": 2}), ev.Evaluation(name="n", metrics={"m": 2.0})),
    (
        lambda rec: rec.evaluation("n", {"m": 2}, "a", checkpoint="c"),
        ev.Evaluation(name="n", metrics={"m": 2.0}, about="a", checkpoint="c"),
    ),
    (lambda rec: rec.early("r"), ev.Early(epoch=1, step=3, reason="r")),
    (lambda rec: rec.note("t"), ev.Note(text="t")),
]


@pytest.fixture
def rec(tmp_path: Path) -> Recorder:
    """After one epoch of two steps and a step of the second."""
    made = lvmcheck.record(tmp_path / "run", config={"epochs": 2}, window=9, watch=False)
    for loss in (3.0, 2.0):
        made.step(loss=loss)
    made.epoch(1, val_loss=0.5)
    made.step(loss=1.0)
    return made


def written(rec: Recorder) -> tuple[ev.Event, ...]:
    return load(rec.path).events


@pytest.mark.parametrize("number", range(len(STATEMENTS)))
def test_a_statement_is_one_event_with_every_field(rec: Recorder, number: int) -> None:
    say, expected = STATEMENTS[number]
    before = len(written(rec))
    say(rec)
    *others, last = written(rec)[before:]
    assert last.t > 0
    assert replace(last, t=0.0) == expected
    closes = isinstance(last, ev.Stage | ev.Early)  # what was learned until then is a window of its own
    assert [type(event) for event in others] == [ev.Window] * closes
    rec.close("finished")


def test_nothing_is_said_of_nothing(rec: Recorder) -> None:
    before = len(written(rec))
    rec.origin()
    assert len(written(rec)) == before


def test_means_are_handed_back(rec: Recorder) -> None:
    assert rec.reduce(a=(3.0, 2), b=(1.0, 0)) == {"a": 1.5, "b": None}


SETS_UP: list[Callable[[Recorder], object]] = [
    lambda rec: rec.data(name="n", fingerprint="f"),
    lambda rec: rec.model(kind="k", parameters=3),
    lambda rec: rec.stage(index=0, name="n", fingerprint="f"),
    lambda rec: rec.declare(["val_loss"]),
]


@pytest.mark.parametrize("number", range(len(SETS_UP)))
@pytest.mark.parametrize("begun", [False, True])
def test_what_is_said_before_the_first_step_belongs_to_no_epoch(tmp_path: Path, number: int, begun: bool) -> None:
    rec = lvmcheck.record(tmp_path / "run", window=1, watch=False)
    if begun:
        rec.step(loss=1.0)
    rec._epoch_began -= 1000  # as if loading had taken so long
    SETS_UP[number](rec)
    rec.epoch(1, val_loss=0.5)
    (ended,) = load(rec.path).of(ev.Epoch)
    assert ended.seconds is not None
    assert (ended.seconds > 500) == begun


def test_training_waits_for_what_is_judged_of_the_data(tmp_path: Path) -> None:
    asked: list[tuple[int, bool]] = []
    rec = Recorder(tmp_path, judge=lambda it, waits: asked.append((len(load(it.path).of(ev.Data)), waits)))
    rec.data(name="n", fingerprint="f")
    assert asked == [(1, True)]


def test_baselines_are_facts_of_one_task(rec: Recorder) -> None:
    rec.data(name="mine", fingerprint="f")
    rec.baselines(TARGETS)
    said = load(rec.path).of(ev.Data)[-1]
    assert (said.name, said.facts["classes"]) == ("mine", 3)
    assert said.fingerprint == hashlib.sha256(TARGETS.tobytes()).hexdigest()
    rec.baselines(TARGETS[:3])
    with pytest.raises(InputError) as caught:
        rec.baselines([0.5, 1.5, 2.5])
    assert (caught.value.where, caught.value.key) == (__file__, "baselines")


def test_a_table_is_facts(rec: Recorder) -> None:
    rec.table((np.eye(4), np.array([0, 1, 0, 1])), (np.eye(4)[:2], np.array([0, 1])))
    said = load(rec.path).of(ev.Data)[-1]
    assert said.name == "data"
    assert said.fingerprint == hashlib.sha256(repr(sorted(said.facts.items())).encode()).hexdigest()
    assert len(said.facts) > 2


def test_a_role_is_declared_once(rec: Recorder) -> None:
    rec.declare(roles={"a": {"direction": "higher"}})
    rec.declare(roles={"a": {"direction": "higher"}})
    for name, said in (("a", {"direction": "lower"}), ("b", {"direction": "sideways"}), ("b", "nothing")):
        with pytest.raises(InputError) as caught:
            rec.declare(roles={name: cast("Any", said)})
        assert caught.value.where == __file__
        assert caught.value.line is not None
        assert f"roles.{name}" in str(caught.value)
    rec.declare(roles={"b": {"direction": "lower"}})  # what was refused is not kept


# -- numbers -----------------------------------------------------------------------------------------------------------
class Tensor:
    """As much of a 0-d tensor as is asked for."""

    def __init__(self, value: float, dtype: str = "torch.float32", ndim: int = 0) -> None:
        self.value, self.dtype, self.ndim, self.shape = value, dtype, ndim, (2,) * ndim
        self.detached = False

    def detach(self) -> Tensor:
        self.detached = True
        return self

    def __float__(self) -> float:
        return self.value


GOOD: list[Any] = [0, 2, 1.5, -1, math.inf, np.float32(1.5), np.int64(3), np.array(2.5), Fraction(3, 2), Tensor(2.0)]
BAD: list[Any] = [
    *(True, False, np.bool_(True), Tensor(1.0, "torch.bool"), Tensor(1.0, "torch.complex64"), Tensor(1.0, ndim=1)),
    *(
        np.array([1.0]),
        np.array("1"),
        np.array(b"1"),
        np.array(1j),
        np.datetime64(1, "s"),
        "1",
        b"1",
        None,
        [1.0],
        {},
        object(),
    ),
]


@pytest.mark.parametrize("value", GOOD, ids=range(len(GOOD)))
def test_what_is_a_number(value: Any) -> None:
    found = values.number(value, "m")
    assert type(found) is float
    assert found == float(value)
    assert values.numbers({"m": value, "n": None}, "what") == {"m": found}
    assert getattr(value, "detached", True)


@pytest.mark.parametrize("value", BAD, ids=range(len(BAD)))
def test_what_is_none(value: Any) -> None:
    with pytest.raises(InputError) as caught:
        values.number(value, "m")
    assert (caught.value.where, caught.value.key) == (__file__, "m")
    assert caught.value.line is not None
    assert len(str(caught.value)) < 400
    whole = bool(getattr(value, "ndim", 0)) or "bool" in str(getattr(value, "dtype", type(value)))
    assert bool(caught.value.fix) == whole


@pytest.mark.parametrize("value", [-1, 0.5, math.nan, math.inf, "1", True])
def test_what_is_no_count(value: Any) -> None:
    with pytest.raises(InputError):
        values.count(value, "m")
    assert [values.count(good, "m") for good in (0, 3, 4.0, np.int64(5))] == [0, 3, 4, 5]


@pytest.mark.parametrize("given", [None, [("a", 1)], {1: 1.0}, {"": 1.0}, {"a": "1"}])
def test_what_is_no_mapping_of_numbers(given: Any) -> None:
    with pytest.raises(InputError) as caught:
        values.numbers(given, "what")
    assert caught.value.key == ("a" if isinstance(given, dict) and "a" in given else "what")
    assert values.numbers({}, "what") == {}


def test_where_a_call_came_from() -> None:
    file, line = values.caller()
    assert (file, line) == (__file__, test_where_a_call_came_from.__code__.co_firstlineno + 1)
    inside: dict[str, Any] = {"caller": values.caller}
    exec(compile("found = caller()", f"{values.PACKAGE}/x.py", "exec"), inside)
    assert inside["found"][0] == __file__
