"""cosine_floor: the cosine at an epoch is not below a floor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from lvmcheck.checks.bounds import BoundKind
from lvmcheck.checks.curves._bounded import Bounded
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.baselines import Floor, baselines, parse_floor
from lvmcheck.checks.shared.epochs import check_count
from lvmcheck.errors import BadValueError
from lvmcheck.run.events import Epoch
from lvmcheck.run.view import Run, run_from

_KINDS = {"floor": BoundKind.FLOOR, "abort_below": BoundKind.ABORT}


@dataclass(frozen=True, kw_only=True)
class CosineFloor(Bounded):
    """The mean cosine of predictions and targets is at least `floor` at epoch `epoch`.

    `epoch` is a number, "final" (the last planned epoch) or "best" (the first epoch that reaches the floor decides).
    `floor` and `abort_below` are numbers in [-1, 1], or expressions of what the data alone allows: "best_linear +
    0.01", "mean_of_context - 0.02", "0.9 * optimum". A value below `abort_below` stops the run. For a metric that
    begins with "ood" the baselines of the OOD set are meant. With `min_steps` a numbered epoch is judged at the first
    epoch end, from that epoch on, that has so many optimizer steps behind it: an epoch of small data is no training.

    Why:
    A run that will fail is visible in its first epoch: attempt 2 on the 790k corpus had a train cosine of 0.253 after
    epoch 1 and was trained for 29 more. A cosine means nothing without its data: 0.45 is a disaster where a constant
    predictor scores 0.48, and out of reach where the best linear predictor scores 0.43. So the failure shows both.

    Usual causes:
    - One loss term drowns the one that carries the direction, such as InfoNCE beside MSE (see loss_balance).
    - The rows of the data are in another order than the text, so that context and target do not belong together.
    - The learning rate is ten times too high or too low, or its warm-up is longer than the epoch.
    - Vectors come from another encoder or are not of unit length.
    - The floor was taken from another model or corpus: a GRU that ends at 0.59 starts at 0.35.

    Fix:
    Compare the value with the baselines in the message. Below the constant mean: look at the loss terms. Between the
    constant mean and the mean of context: look at learning rate and epochs. Above all of them: the floor is too high
    for this data; write it relative to the data, such as "best_linear - 0.02".

    Healthy runs that must pass:
    Recurrent nets and transformers that start low and end high (ask at a later epoch); a corpus whose best linear
    predictor is below the absolute floor (use a relative floor).

    Source:
    Success criteria of the seed document amn_790k_complete_diagnosis: epoch 1 at least 0.48, abort below 0.45.
    """

    epoch: int | Literal["final", "best"]
    floor: float | str
    abort_below: float | str | None = None

    def __post_init__(self) -> None:
        if self.epoch not in ("final", "best"):
            check_count("epoch", self.epoch)
        self.check_when()
        (_, required), *abort = self.asked.values()
        low, high = abort[0][1].value({}) if abort else None, required.value({})
        if low is not None and high is not None and low > high:
            raise BadValueError("abort_below", f"expected at most floor = {required.text}, got {abort[0][1].text}")

    @cached_property
    def asked(self) -> Mapping[str, tuple[BoundKind, Floor]]:
        stated = {"floor": self.floor, "abort_below": self.abort_below}
        return {key: (_KINDS[key], parse_floor(key, value)) for key, value in stated.items() if value is not None}

    def known(self, run: Run, _epoch: int, /) -> Mapping[str, float]:
        return baselines(run, self.metric)


_STEPS = CosineFloor(metric="v", epoch=1, floor=0.5, min_steps=40)


def _small_epochs(*values: float) -> Run:
    """Epochs of 20 steps."""
    return Run(events=tuple(Epoch(epoch=i, step=20 * i, metrics={"v": value}) for i, value in enumerate(values, 1)))


_SEED = CosineFloor(metric="train_cosine", epoch=1, floor=0.48, abort_below=0.45)
_FINAL = CosineFloor(metric="val_cosine", epoch="final", floor=0.55)
_LINEAR = CosineFloor(metric="val_cosine", epoch="final", floor="mean_of_context + 0.01")
_OOD_FACTS = {**made.TWIN_FACTS, "ood.coherent.mean_of_context": 0.65, "ood.coherent.optimum": 0.68}

PASSES = (
    made.case("perfect_oracle", _FINAL, made.val_run([1.0] * 3)),
    made.case("amn_584k_epoch_1", _SEED, run_from({"train_cosine": made.AMN_584K_TRAIN})),
    made.case("amn_584k_final", _FINAL, made.val_run(made.AMN_584K_VAL)),
    made.case(
        "decided_when_epoch_1_ends",
        _SEED,
        run_from({"train_cosine": made.AMN_584K_TRAIN[:1]}, over=False),
        measured=0.52813,
        epoch=1,
    ),
    made.case(
        "gru_that_starts_low_and_ends_high",
        CosineFloor(metric="val_cosine", epoch="best", floor=0.55),
        made.val_run(made.lines(20, 0.3857, 0.55, 0.5754, 0.5675)),
    ),
    made.case(
        "scrambled_corpus_judged_by_what_it_allows",
        CosineFloor(metric="val_cosine", epoch="final", floor="best_linear + 0.01"),
        made.val_run(made.AMN_790K_1_VAL, facts={"best_linear": 0.433, "mean_of_context": 0.426}),
        best_linear=0.433,
    ),
    made.case("first_epoch_of_small_data_is_no_training", _STEPS, _small_epochs(0.01, 0.52), epoch=2),
    made.case(
        "ood_against_the_baselines_of_its_own_set",
        CosineFloor(metric="ood_cosine", epoch="final", floor="mean_of_context"),
        made.val_run([0.60, 0.62], facts=_OOD_FACTS, ood_cosine=[0.65, 0.66]),
        mean_of_context=0.65,
    ),
)
FAILS = (
    made.case(
        "attempt_2_epoch_1", _SEED, run_from({"train_cosine": [0.2528]}, over=False), "at_epoch", 0.2528, epoch=1
    ),
    made.case("attempt_1_epoch_1", _SEED, run_from({"train_cosine": [0.4236]}, over=False), epoch=1),
    made.case("attempt_3_final", _FINAL, made.val_run(made.AMN_790K_3_VAL), measured=0.46206, epoch=20),
    made.case("infinite", _SEED, run_from({"train_cosine": [float("inf")]}), "not_finite"),
    made.case("nan", _SEED, run_from({"train_cosine": [float("nan")]}), measured=float("nan")),
    made.case("enough_steps_and_still_below", _STEPS, _small_epochs(0.01, 0.2, 0.9), measured=0.2, epoch=2),
    made.case(
        "passes_0.55_but_worse_than_an_average",
        _LINEAR,
        made.val_run([0.523, 0.575], facts=made.TWIN_FACTS),
        mean_of_context=0.6,
    ),
    made.case(
        "nan_before_the_best", CosineFloor(metric="v", epoch="best", floor=0.5), run_from({"v": [float("nan"), 0.6]})
    ),
)
