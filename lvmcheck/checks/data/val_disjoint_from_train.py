"""val_disjoint_from_train: no question of validation was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.data._gate import DataFacts, Gate
from lvmcheck.checks.finding import Outcome, facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import at_least, at_most, settle
from lvmcheck.checks.shared.epochs import check_number


@dataclass(frozen=True, kw_only=True)
class ValDisjointFromTrain(Gate):
    """At most `max_overlap` of the validation records are also training records, and there are validation records.

    The data state val_overlap (compared by normalised question), train_records and val_records. For windows of vectors
    split_disjoint asks the same.

    Why:
    Validation on the training set measures how well the model remembers, and overstates how well it generalises. Two of
    three training scripts of the original project set `val_datasets = datasets`; the third had no validation set and
    logged the train loss under the name of the validation loss.

    Usual causes:
    - The training set is passed as the validation set.
    - The split is drawn after questions were repeated, augmented or rephrased.
    - Two data sets share questions, and the split is made by set.

    Fix:
    Split by normalised question before anything else is done, and test the split by hashing both sides.

    Healthy runs that must pass:
    Records of the same template with other operands.

    Source:
    docs/history.md: three training scripts.
    """

    data: ClassVar[str] = "records"

    max_overlap: float = 0.0

    def __post_init__(self) -> None:
        check_number("max_overlap", self.max_overlap, 0.0, 1.0)

    def gate(self, data: DataFacts) -> Outcome:
        overlap, train, val = (data.number(key) for key in ("val_overlap", "train_records", "val_records"))
        counts = facts(train_records=train, val_records=val)
        words = "share of validation records that are also training records {measured}"
        return settle(
            [
                at_most("overlap", overlap, self.max_overlap, evidence=counts, phrase=words),
                at_least("val_records", val, 1, evidence=counts, phrase="{measured} validation records"),
            ]
        )


_case = made.Cases(ValDisjointFromTrain())
_FACTS = {"val_overlap": 0.0, "train_records": 9_000, "val_records": 1_000}
PASSES = (
    _case("held_out", language.data(_FACTS)),
    made.case("a_few_allowed", ValDisjointFromTrain(max_overlap=0.01), language.data({**_FACTS, "val_overlap": 0.004})),
)
FAILS = (
    _case("validation_is_training", language.data({**_FACTS, "val_overlap": 1.0}), "overlap", 1.0, train_records=9_000),
    _case("one_question_in_common", language.data({**_FACTS, "val_overlap": 0.001})),
    _case("no_validation", language.data({**_FACTS, "val_records": 0}), "val_records", 0),
    _case("nan", language.data({**_FACTS, "val_overlap": math.nan}), "overlap", math.nan),
)
