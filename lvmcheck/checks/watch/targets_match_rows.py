"""targets_match_rows: targets belong to the inputs beside them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

SIGMAS, SURE, CLEAR, PART = 4.0, 8.0, 0.25, 0.65


@dataclass(frozen=True, kw_only=True)
class TargetsMatchRows(Watched):
    """A linear fit finds in the training rows what it finds in validation: it is not at chance where the target of
    the next or the last row can be predicted (one row off), or where validation has something to fit (shuffled), and
    not below 65 % of it (noise). Ranks of numbers, balanced accuracy of classes; tasks that no line can see answer
    nothing. Of loaders that hold tensors or arrays, named or found, of at least 120 rows.

    Why:
    Targets that were shifted, shuffled or partly drawn at random train, slowly, and a curve cannot say why.

    Usual causes:
    - Inputs and targets were sorted, shuffled, filtered or rolled apart from each other.
    - Labels of the training set are noisy.

    Fix:
    Look at 20 rows with their targets; shuffle and filter both with one index.

    Healthy runs that must pass:
    Hard tasks; targets with heavy tails; classes that are rare in training; series whose neighbours are alike.

    Source:
    This project's list of checks: label_alignment.
    """

    event = "association"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        rows, val_rows = of.get("rows", 0.0), of.get("val_rows", 0.0)
        train, shifted = of.get("train", math.nan), of.get("shifted", 0.0)
        best = max(of.get("val", 0.0), of.get("own", 0.0))
        error = math.sqrt(2 / max(rows, 1)) + (math.sqrt(2 / val_rows) if val_rows else 0.0)
        chance = train <= SIGMAS * math.sqrt(2 / max(rows, 1))
        code, other = "belongs", best
        if chance and shifted > max(CLEAR, SURE * math.sqrt(2 / max(rows, 1))):
            code, other = "one_row_off", shifted
        elif best > max(CLEAR, SIGMAS * error) and best - train > SIGMAS * error / 2 and train < PART * best:
            code = "shuffled" if chance else "noisy"
        lost = any(map(math.isnan, of.values()))
        if not other > 0 and not lost:
            return None
        return Finding(
            code=code,
            measured=math.nan if lost else 1 - train / other if code != "belongs" else 0.0,
            bounds=(ceiling(1 - PART),),
            evidence=tuple(Fact(key, of[key]) for key in ("train", "shifted", "val", "own", "rows") if key in of),
            phrase="a linear fit predicts {train} of the targets of training rows"
            if code == "belongs"
            else "a linear fit predicts {train} of the targets of training rows, one row off {shifted}"
            if code == "one_row_off"
            else "a linear fit predicts {train} of the targets of training rows, and of validation rows {own}",
        )


_case = Cases(TargetsMatchRows())
_WELL = {"train": 0.86, "shifted": 0.01, "val": 0.88, "own": 0.8, "rows": 640.0, "val_rows": 256.0}
_SHUFFLED = {**_WELL, "train": 0.01, "val": 0.02}
PASSES = (
    _case("perfect_oracle", [{**_WELL, "train": 1.0, "val": 1.0, "own": 1.0}]),
    _case("series", [{**_WELL, "shifted": 0.86}]),
    _case("harder_in_training", [{**_WELL, "train": 0.7}]),
)
FAILS = (
    _case("rolled", [{**_SHUFFLED, "shifted": 0.85}], "one_row_off", over=False),
    _case("shuffled", [_SHUFFLED], "shuffled"),
    _case("random_labels", [{**_WELL, "train": 0.27, "val": 0.43}], "noisy"),
    _case("not_a_number", [{**_WELL, "train": math.nan}]),
)
