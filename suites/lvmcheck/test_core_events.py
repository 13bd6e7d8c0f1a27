"""Events: every one of them survives its line, and whatever is no event is one clear error."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lvmcheck.run import events as ev
from lvmcheck.run.event_lines import EventError, parse_line, to_line

# Any float, NaN and infinities included; names with quotes, newlines and other alphabets.
floats = st.floats(width=64)
counts = st.integers(0, 2**53)
words = st.text(max_size=12)
numbers = st.dictionaries(words, floats, max_size=4)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
terms = st.dictionaries(words, st.builds(ev.Term, weight=floats, mean=floats), max_size=3)
optional = st.none() | floats
EVENTS: dict[str, st.SearchStrategy[ev.Event]] = {
    "begin": st.builds(ev.Begin, t=floats, time=words, resumed_at_step=st.none() | counts, nonce=st.none() | words),
    "declare": st.builds(
        ev.Declare,
        metrics=st.lists(words, max_size=4).map(tuple),
        roles=st.dictionaries(
            words, st.fixed_dictionaries({"direction": st.sampled_from(["higher", "lower"])}), max_size=2
        ),
    ),
    "data": st.builds(
        ev.Data,
        name=words,
        fingerprint=words,
        facts=st.dictionaries(words, json_values, max_size=3),
        notes=st.lists(words, max_size=3).map(tuple),
    ),
    "model": st.builds(
        ev.Model, kind=words, parameters=counts, digest=words, components=st.dictionaries(words, counts, max_size=3)
    ),
    "origin": st.builds(ev.Origin, weights=st.none() | words, batch=st.none() | words),
    "device": st.builds(ev.Device, kind=words, about=words),
    "watch": st.builds(
        ev.Watch, name=words, epoch=counts, step=counts, subjects=st.lists(words, max_size=3).map(tuple), values=numbers
    ),
    "stage": st.builds(
        ev.Stage,
        index=counts,
        name=words,
        epoch=counts,
        step=counts,
        fingerprint=words,
        records=st.dictionaries(words, counts, max_size=3),
        facts=st.dictionaries(words, json_values, max_size=3),
    ),
    "sample": st.builds(
        ev.Sample,
        name=words,
        epoch=counts,
        step=counts,
        prompt=words,
        text=words,
        answer=st.none() | words,
        dataset=st.none() | words,
    ),
    "window": st.builds(
        ev.Window,
        t=floats,
        epoch=counts,
        first_step=counts,
        last_step=counts,
        samples=counts,
        seconds=floats,
        loss_mean=floats,
        loss_min=floats,
        loss_max=floats,
        terms=terms,
        ledger_error=optional,
        grad_norm_mean=optional,
        grad_norm_max=optional,
        lr=optional,
        non_finite=st.none() | st.fixed_dictionaries({"step": counts, "what": words, "value": words}),
        metrics=numbers,
    ),
    "probe": st.builds(ev.Probe, name=words, epoch=counts, step=counts, values=numbers),
    "epoch": st.builds(
        ev.Epoch, epoch=counts, step=counts, metrics=numbers, seconds=optional, samples_per_second=optional
    ),
    "log": st.builds(ev.Log, epoch=counts, step=counts, metrics=numbers),
    "checkpoint": st.builds(ev.Checkpoint, name=words, path=words, epoch=counts, step=counts, metrics=numbers),
    "evaluation": st.builds(ev.Evaluation, name=words, metrics=numbers, about=words, checkpoint=words),
    "early": st.builds(ev.Early, epoch=counts, step=counts, reason=words),
    "note": st.builds(ev.Note, text=words),
    "stop": st.builds(ev.Stop, epoch=counts, step=counts, reason=words),
}


def same(a: Any, b: Any) -> bool:
    """Equal, where NaN equals NaN and the sign of zero counts."""
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if dataclasses.is_dataclass(a) and dataclasses.is_dataclass(b):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    return type(a) is type(b) and bool(a == b)


def test_every_kind_has_a_strategy() -> None:
    assert set(EVENTS) == set(ev.KINDS)


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_survives_its_line(kind: str) -> None:
    @settings(max_examples=40, deadline=None)
    @given(EVENTS[kind])
    def survives(event: ev.Event) -> None:
        line = to_line(event)
        assert "\n" not in line
        assert "\r" not in line
        assert line.isascii()
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
        assert same(parse_line(line), event)
        assert same(parse_line(line.encode()), event)

    survives()


def test_nan_and_infinities_come_back_as_floats() -> None:
    said = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": -0.0}
    line = to_line(ev.Epoch(epoch=1, step=1, metrics=said))
    assert '"NaN"' in line
    assert '"-Infinity"' in line
    back = parse_line(line)
    assert isinstance(back, ev.Epoch)
    assert same(dict(back.metrics), said)


def test_what_was_not_measured_is_absent() -> None:
    window = ev.Window(epoch=1, first_step=1, last_step=1, loss_mean=1.0, loss_min=1.0, loss_max=1.0)
    body = json.loads(to_line(window))
    assert not {"ledger_error", "grad_norm_mean", "grad_norm_max", "lr", "non_finite"} & set(body)


BAD: list[tuple[str, str]] = [
    ("", "expected one JSON object, got ''"),
    ("nonsense", "expected one JSON object, got 'nonsense'"),
    ("[1]", "expected one JSON object, got '[1]'"),
    ("null", "expected one JSON object"),
    ('{"event":"epok"}', "unknown event 'epok'; known: begin, "),
    ('{"event":["epoch"]}', "unknown event ['epoch']"),
    ("{}", "unknown event None"),
    ('{"event":"note"}', "event 'note': missing field 'text'"),
    ('{"event":"note","text":"a","colour":"red"}', "event 'note': unknown field 'colour'"),
    ('{"event":"note","text":3}', "field 'text': expected a string, got '3'"),
    ('{"event":"note","text":"a","text":"b"}', "key 'text' occurs twice"),
    ('{"event":"note","text":"a","t":"soon"}', "field 't': expected a number, got 'soon'"),
    ('{"event":"note","text":"a","t":true}', "field 't': expected a number, got 'True'"),
    ('{"event":"epoch","epoch":1.5,"step":1}', "field 'epoch': expected an integer, got '1.5'"),
    ('{"event":"epoch","epoch":true,"step":1}', "field 'epoch': expected an integer"),
    ('{"event":"epoch","epoch":1,"step":1,"metrics":[1]}', "field 'metrics': expected an object"),
    ('{"event":"epoch","epoch":1,"step":1,"metrics":{"a":null}}', "'a': expected a number, got 'None'"),
    ('{"event":"epoch","epoch":1,"step":1,"metrics":{"a":1' + "0" * 400 + "}}", "'a': expected a number that a float"),
    ('{"event":"declare","metrics":"val_loss"}', "field 'metrics': expected a list"),
    (
        '{"event":"window","epoch":1,"first_step":1,"last_step":1,"loss_mean":1,"loss_min":1}',
        "missing field 'loss_max'",
    ),
    (
        '{"event":"window","epoch":1,"first_step":1,"last_step":1,"loss_mean":1,"loss_min":1,"loss_max":1,'
        '"terms":{"mse":{"weight":1}}}',
        "expected weight and mean",
    ),
    ('{"event":"begin","format":99}', "format 99 is newer than this lvmcheck reads (1): update it"),
    ("[" * 100_000, "expected one JSON object"),
    ('{"event":"note","text":"' + "\\u12", "expected one JSON object"),
]


@pytest.mark.parametrize(("line", "says"), BAD, ids=[f"{i}-{says[:40]}" for i, (_, says) in enumerate(BAD)])
def test_what_is_no_event_is_one_clear_error(line: str, says: str) -> None:
    with pytest.raises(EventError) as caught:
        parse_line(line)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 400, "a message quotes an excerpt, never the whole line"
    assert "\n" not in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | EVENTS["window"].map(lambda event: to_line(event).encode()), st.data())
@example(b"\xff\xfe{\x00}\x00", None)
def test_any_bytes_are_an_event_or_an_event_error(line: bytes, data: st.DataObject | None) -> None:
    """Random bytes, and real lines cut or with a byte changed: never another exception."""
    if data is not None and line:
        at = data.draw(st.integers(0, len(line) - 1))
        line = data.draw(st.sampled_from([line[:at], line[:at] + b"\x00" + line[at + 1 :], line[:at] + line[at + 1 :]]))
    try:
        parse_line(line)
    except EventError as problem:
        assert len(str(problem)) < 600  # noqa: PT017 - most lines are refused, some are still events


@settings(max_examples=30, deadline=None)
@given(EVENTS["window"], st.data())
def test_a_line_cut_anywhere_is_no_event(event: ev.Event, data: st.DataObject) -> None:
    line = to_line(event)
    with pytest.raises(EventError):
        parse_line(line[: data.draw(st.integers(0, len(line) - 1))])


def test_many_keys_of_which_one_is_double_are_refused_at_once() -> None:
    keys = ",".join(f'"k{i}":1' for i in range(200_000))
    with pytest.raises(EventError, match="'k0' occurs twice"):
        parse_line('{"event":"epoch","epoch":1,"step":1,"metrics":{' + keys + ',"k0":2}}')
