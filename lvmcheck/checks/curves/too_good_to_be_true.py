"""too_good_to_be_true: a language model's loss is not below what its text allows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding, Outcome, not_recorded
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import settle
from lvmcheck.checks.shared.epochs import awaiting, check_number, complete, not_at_end
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class TooGoodToBeTrue(Check):
    """The validation loss never falls below the entropy of the text, nor that of the first training epoch.

    Where the data know their entropy (loss_floor, nats per scored token: generated text), val_loss is at least
    1 - `tolerance` times it in every epoch, and train_loss in the first one. Else val_bits_per_byte (and
    train_bits_per_byte of the first epoch) is at least `share` of what a general compressor needs
    (compressor_bits_per_byte). Later training losses are not judged: a training set can be learned by heart.

    Why:
    Text has information in it, and nobody can predict it away. A loss below that means that the answer was in the
    input: labels that are not shifted, no causal mask, padding that is scored, validation that was trained on. The
    original project's 0.12 nats a token stood against 1.36 nats a byte for xz, and was reported as "exceptional
    convergence". Labels that are not shifted give 0.002 nats on gsm8k, with a true next-byte loss of 10.6.

    Usual causes:
    - Labels are not shifted: the model copies the token it sees.
    - No causal mask, or one attention without it.
    - Padding is scored: most tokens of a batch are the same one.
    - The validation set, or most of it, was trained on.
    - The loss is divided by the wrong count, such as all tokens instead of the scored ones.

    Fix:
    Compute the loss by hand for one record from logits[:, :-1] and tokens[:, 1:]. Run `causal`. Generate: a model that
    has copied its labels writes gibberish.

    Healthy runs that must pass:
    A model that has reached the entropy of generated text; a training set learned by heart; good language models, at
    a third of what a compressor needs.

    Source:
    facts E 3 of the original project, measured on gsm8k.
    """

    metric_fields = ()
    may_be_missing: ClassVar[Mapping[str, str]] = {
        "train_loss": "validation is judged; of training only the first epoch",
        "train_bits_per_byte": "validation is judged; of training only the first epoch",
    }

    share: float = 0.25
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        check_number("share", self.share, 0.0, 1.0)
        check_number("tolerance", self.tolerance, 0.0, 1.0)

    def judge(self, run: Run) -> Outcome:
        data = run.of(ev.Data)
        if not data:
            ended = run.over or run.last_epoch
            return not_recorded("the run records no facts about its data") if ended else awaiting(run, "the data")
        floors = self._floors(run.facts)
        if not floors:
            return not_recorded("neither loss_floor nor compressor_bits_per_byte of the data was measured")
        kept: list[Finding] = []
        for event in run.of(ev.Epoch):
            found = [
                _finding(event, metric, low, run.facts)
                for metric, low in floors.items()
                if metric in event.metrics and (metric.startswith("val") or event.epoch == 1)
            ]
            kept += found
            if not all(finding.met for finding in found):
                return settle(found, evaluated=len(kept))
        if not complete(run):
            return awaiting(run, "the validation loss of every epoch", evaluated=len(kept))
        validation = next(metric for metric in floors if metric.startswith("val"))
        return not_at_end(run, run.series(validation)) or settle(kept)

    def _floors(self, facts: Mapping[str, object]) -> dict[str, float]:
        """Metric -> the lowest value that can be believed."""
        entropy, compressor = (facts.get(name) for name in ("loss_floor", "compressor_bits_per_byte"))
        if isinstance(entropy, int | float) and not isinstance(entropy, bool):
            return dict.fromkeys(("val_loss", "train_loss"), (1 - self.tolerance) * entropy)
        if isinstance(compressor, int | float) and not isinstance(compressor, bool):
            return dict.fromkeys(("val_bits_per_byte", "train_bits_per_byte"), self.share * compressor)
        return {}


def _finding(event: ev.Epoch, metric: str, low: float, facts: Mapping[str, object]) -> Finding:
    known = {"loss_floor": "nats", "compressor_bits_per_byte": "bits"}
    stated = [(name, facts.get(name), unit) for name, unit in known.items()]
    names = ("train_loss", "val_loss", "train_bits_per_byte", "val_bits_per_byte")
    return Finding(
        code="below_entropy" if event.metrics[metric] < low else "above_entropy",
        metric=metric,
        measured=event.metrics[metric],
        bounds=(floor(low, "entropy of the text"),),
        epoch=event.epoch,
        evidence=(
            *(Fact(name, value, unit) for name, value, unit in stated if isinstance(value, int | float)),
            *(Fact(name, event.metrics[name]) for name in names if name in event.metrics and name != metric),
        ),
    )


def _run(facts: Mapping[str, ev.Value], **columns: Sequence[float]) -> Run:
    count = len(next(iter(columns.values())))
    return made.with_facts(language.epochs(*([] for _ in range(count)), metrics=columns), facts, "text")


_case = made.Cases(TooGoodToBeTrue())
_ENTROPY: dict[str, ev.Value] = {"loss_floor": 0.62, "compressor_bits_per_byte": 1.3}
_REAL: dict[str, ev.Value] = {"compressor_bits_per_byte": 1.96}
PASSES = (
    _case("perfect_oracle", _run(_ENTROPY, val_loss=[0.62], train_loss=[0.62])),
    _case("learned_by_heart", _run(_ENTROPY, val_loss=[1.1, 0.9, 1.3], train_loss=[2.0, 0.5, 0.05])),
    _case("a_good_language_model", _run(_REAL, val_bits_per_byte=[1.6, 0.9, 0.7], train_bits_per_byte=[2.0, 0.8, 0.3])),
)
FAILS = (
    _case(
        "labels_not_shifted",
        _run(_REAL, val_bits_per_byte=[0.12, 0.004], train_bits_per_byte=[1.1, 0.01]),
        epoch=1,
        compressor_bits_per_byte=1.96,
    ),
    _case("below_the_entropy", _run(_ENTROPY, val_loss=[1.4, 0.2], train_loss=[2.0, 0.3]), epoch=2),
    _case("only_training_is_logged", _run(_REAL, train_bits_per_byte=[0.17], val_bits_per_byte=[3.6]), measured=0.17),
    _case("nan", _run(_REAL, val_bits_per_byte=[1.6, math.nan]), measured=math.nan),
)
