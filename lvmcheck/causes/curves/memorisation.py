"""memorisation: the model fits its training set and nothing beyond it."""

from __future__ import annotations

import math

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.view import Run, run_from

LEAST = 3
"""Epochs of the training cosine from which it can be seen to rise."""


class Memorisation(Cause):
    """Train cosine rises while validation cosine does not: the training set is memorised."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = _gap(evidence)
        if finding is None:
            return None
        likely = finding.code == "memorised" or evidence.failed("memorises") is not None
        return Diagnosis(
            name=self.name(),
            standing=Standing.LIKELY if likely else Standing.CONSISTENT,
            phrase="memorisation: the model fits its training set, and {metric} does not follow",
            evidence=(Fact("metric", finding.metric), *finding_facts(finding), *_latest(evidence), *_size(evidence)),
            explains=frozenset({"memorises", "generalisation_gap", "overfits", "val_loss_descends", "cosine_floor"}),
            ruled_out=evidence.ruled_out({"finite": "numerical problems", "loss_diverging": "divergence"}),
            fix="more sequences or fewer parameters, and stop at the best validation epoch",
            next="lvmcheck explain memorises",
        )


def _gap(evidence: Evidence) -> Finding | None:
    """What failed on a score of both sets."""
    asked = evidence.failed("generalisation_gap")
    course = max((len(evidence.run.series(name)) for name in ("train_cosine", "train_eval_cosine")), default=0)
    if asked is not None and math.isfinite(asked.number) and course >= (2 if asked.code == "memorised" else LEAST):
        return asked
    finding = evidence.failed("memorises")
    role = evidence.run.curves.roles.get(str(finding.metric)) if finding is not None else None
    return finding if role is not None and role.quantity is Quantity.COSINE else None


def _latest(evidence: Evidence) -> tuple[Fact, ...]:
    train, val = evidence.last("train_cosine"), evidence.last("val_cosine")
    if train is None or val is None:
        return ()
    epoch = evidence.run.last_epoch
    return (Fact("latest_train_cosine", train, epoch=epoch), Fact("latest_val_cosine", val, epoch=epoch))


def _size(evidence: Evidence) -> tuple[Fact, ...]:
    """Parameters for each training sequence, where both are recorded."""
    models, windows = evidence.run.of(ev.Model), evidence.run.facts.get("train_windows")
    if not models or isinstance(windows, bool) or not isinstance(windows, int) or windows < 1:
        return ()
    parameters = models[-1].parameters
    return (
        Fact("parameters", parameters),
        Fact("training_sequences", windows),
        Fact("parameters_for_each", parameters / windows),
    )


_MAMBA2 = run_from({"train_cosine": made.MAMBA2_TRAIN, "val_cosine": made.lines(20, 0.0125, 0.0280, 0.0266)})
_SIZED = Run(
    events=(
        ev.Data(name="wiki_8k", fingerprint="0", facts={"train_windows": 7_296}),
        ev.Model(kind="gru", parameters=7_359_232),
        *_MAMBA2.events,
    ),
    done=_MAMBA2.done,
)

PASSES = (
    case("amn_584k", {"train_cosine": made.AMN_584K_TRAIN, "val_cosine": made.AMN_584K_VAL}),
    case("not_a_number", {"train_cosine": [math.nan], "val_cosine": [0.5]}),
)
FAILS = (
    case("mamba2_october_13", _MAMBA2, Standing.LIKELY),
    case("with_sizes", _SIZED, parameters=7_359_232, training_sequences=7_296),
)
