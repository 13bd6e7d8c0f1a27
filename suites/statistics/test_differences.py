"""What differs between two configurations."""

from __future__ import annotations

import pytest

from lvmcheck.statistics.differences import ABSENT, factors


@pytest.mark.parametrize(
    ("got", "wanted", "expected"),
    [
        ({"lr": 1e-3, "early_stop": None}, {"lr": 1e-3}, []),
        ({"lr": 1e-3}, {"lr": 1e-3, "early_stop": None}, []),
        ({"clip": 0}, {}, [("clip", 0, ABSENT)]),
        ({"early_stop": {"patience": 3}}, {"early_stop": None}, [("early_stop.patience", 3, ABSENT)]),
        ({"model": {"width": 64}}, {"model": {"width": 32}}, [("model.width", 64, 32)]),
    ],
    ids=["off_and_absent", "absent_and_off", "a_zero_is_a_value", "on_and_off", "nested"],
)
def test_an_option_that_is_off_is_as_one_that_is_absent(
    got: dict[str, object], wanted: dict[str, object], expected: list[tuple[str, object, object]]
) -> None:
    assert factors(got, wanted) == expected
