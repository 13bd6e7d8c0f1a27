"""label_mismatch: validation gains nothing from what training learns."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.curves._by_code import Coded
from lvmcheck.causes.curves._signs import (
    coded,
    failed_first,
    found,
    score_lost,
    train_facts,
    training_learns,
    validation_learned,
)
from lvmcheck.causes.protocol import CauseCase, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.causes.watch._measured import preflight_finding, preflight_run
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Split
from lvmcheck.run.view import run_from

RUNS = ("above_start", "far_above_minimum", "runs_away")
"""Codes of a loss that runs away, after which ranks mean nothing."""
CLEAR = 0.01
"""How far below its best a rank metric below chance ends: one that is best at its end is on its way to chance."""


def _loss_ran_away(evidence: Evidence) -> bool:
    finding = coded(evidence, "loss_diverging", *RUNS)
    role = evidence.run.curves.roles.get(str(finding.metric)) if finding is not None else None
    return finding is not None and (role is None or role.quantity is Quantity.LOSS)


class LabelMismatch(Coded):
    """The training loss falls and validation stays at its initial level: labels may not match the inputs."""

    def by_figures(self, evidence: Evidence) -> Diagnosis | None:
        shift = preflight_finding(evidence, "target_shift")
        if shift is not None and shift.measured != 0:
            return self._shifted(shift)
        token = coded(evidence, "next_token_targets", "other_token")
        if token is not None:
            return self._shifted(token, "next_token_targets")
        apart = coded(evidence, "targets_match_rows", "one_row_off", "shuffled")
        if apart is not None:
            return self._apart(apart)
        lag = coded(evidence, "target_lags_agree", "other_lag")
        mirrored = coded(evidence, "targets_follow_flips", "mirrored")
        if mirrored is not None:
            return found(
                self,
                Standing.LIKELY,
                "predictions are like means of a mask and its mirror image, as where images alone are flipped",
                finding_facts(mirrored),
                fix="flip image and target by one draw",
                explain="targets_follow_flips",
                explains=("nothing_learned", "overfits", "memorises", "generalisation_gap", "train_val_ratio"),
            )
        columns = coded(evidence, "target_columns_learned", "every_other", "some")
        if columns is not None:
            return found(
                self,
                Standing.CONSISTENT,
                "some columns of the targets stay at their mean beside others that are learned: they may not belong to"
                " the inputs",
                finding_facts(columns),
                fix="draw five inputs with their targets after augmentation: a flip has to change coordinates, too",
                explain="target_columns_learned",
                explains=("nothing_learned", "overfits", "memorises", "generalisation_gap", "train_val_ratio"),
                also=("label_noise",),
                tell_apart="overfit 8 rows without augmentation: a column that is learned there was changed by it",
            )
        if lag is not None:
            return found(
                self,
                Standing.MEASURED,
                "the targets of training belong to the positions {lag} after theirs, those of validation {lag_of_val}",
                finding_facts(lag),
                fix="shift the targets of both sets by the same number of positions",
                explain="target_lags_agree",
                explains=("nothing_learned", "overfits", "memorises", "loss_diverging", "generalisation_gap"),
            )
        below, at = coded(evidence, "below_chance", "below_chance"), coded(evidence, "below_chance", "at_chance")
        if below is not None and evidence.failed("finite") is None and not _loss_ran_away(evidence):
            last = below.fact("last")
            clear = last is not None and isinstance(last.value, float) and last.value < below.number - CLEAR
            return found(
                self,
                Standing.LIKELY if clear else Standing.CONSISTENT,
                "ranks are worse than guessing in every evaluation: labels, order or sign are the wrong way round",
                (*finding_facts(below), *train_facts(evidence.run)),
                fix="look at ten rows with score and label, and at the order in which the loss takes them",
                explain="below_chance",
                explains=("nothing_learned", "overfits", "memorises", "loss_diverging"),
                also=("loss_sign", "label_noise", *(() if clear else ("not_learning", "validation_differs"))),
                tell_apart="compute the metric on training rows: below chance there it is the metric or the sign",
            )
        lost = score_lost(evidence)
        if lost is not None and not training_learns(evidence.run):
            return self._unlearned(evidence, lost)
        finding = failed_first(evidence, "memorises", "overfits") or _validation_alone(evidence)
        stuck = coded(evidence, "metric_constant", "constant")
        if (
            finding is None
            or stuck is not None
            or not training_learns(evidence.run)
            or (validation_learned(evidence.run) and finding.code != "validation_only_rises")
        ):
            return None if at is None else self._at_chance(evidence, at)
        return found(
            self,
            Standing.CONSISTENT,
            "the training loss falls, and validation gains nothing: labels may not belong to the inputs",
            (*finding_facts(finding), *train_facts(evidence.run)),
            fix="look at 20 samples of each set with their labels; check that shuffling moves inputs and labels "
            "together",
            explain="memorises",
            explains=("loss_diverging", "nothing_learned"),
            also=(
                *("validation_differs", "label_noise"),
                *(("overfitting",) if finding.code in ("validation_only_rises", "learned_by_heart") else ()),
                *(("loss_sign", "collapsed_representation") if lost else ()),
            ),
            tell_apart="evaluate training samples in the validation loop: good there means that the sets differ "
            "(labels or "
            "preparation of validation); train on shuffled labels: if the curves are the same the training labels "
            "are random",
        )

    def _apart(self, finding: Finding) -> Diagnosis:
        return found(
            self,
            Standing.MEASURED,
            "the targets of training belong to the neighbouring rows"
            if finding.code == "one_row_off"
            else "the targets of training do not belong to their inputs, as those of validation do",
            finding_facts(finding),
            fix="sort, shuffle and filter inputs and targets with one index",
            explain="targets_match_rows",
            explains=("nothing_learned", "overfits", "memorises", "loss_diverging", "generalisation_gap"),
        )

    def _shifted(self, finding: Finding, check: str = "preflight_passed") -> Diagnosis:
        return found(
            self,
            Standing.MEASURED,
            "the targets belong to other positions: a token is asked for the one {positions} after it",
            (Fact("positions", finding.measured), *finding_facts(finding)),
            fix="compare logits[:, :-1] with tokens[:, 1:], once: either in the data or in the model",
            explain=check,
            explains=("nothing_learned", "overfits", "memorises"),
        )

    def _at_chance(self, evidence: Evidence, finding: Finding) -> Diagnosis:
        return found(
            self,
            Standing.CONSISTENT,
            "the model ranks no better than guessing in every evaluation",
            (*finding_facts(finding), *train_facts(evidence.run)),
            fix="look at 20 samples of each set with their labels; compute the metric on training rows",
            explain="below_chance",
            explains=("nothing_learned",),
            also=("not_learning", "label_noise", "class_imbalance"),
            tell_apart="compute the metric on training rows: at chance there, too, nothing is learned",
        )

    def _unlearned(self, evidence: Evidence, finding: Finding) -> Diagnosis:
        return found(
            self,
            Standing.CONSISTENT,
            "{metric} gets worse while the loss hardly falls: labels may not belong to the inputs",
            (Fact("metric", finding.metric), *finding_facts(finding), *train_facts(evidence.run)),
            fix="look at 20 samples with their labels, at the index that joins them, and at the sign of the loss",
            explain="loss_diverging",
            explains=("nothing_learned", "memorises"),
            also=("not_learning", "loss_sign", "label_noise", "collapsed_representation"),
            tell_apart="train on 8 samples until the loss is near 0, then compute the score of those 8: bad there is "
            "the loss or the labels",
        )


def _validation_alone(evidence: Evidence) -> Finding | None:
    """A validation loss that rises from its beginning while training learns."""
    finding = coded(evidence, "loss_diverging", "above_start", "back_at_start")
    role = evidence.run.curves.roles.get(str(finding.metric)) if finding is not None else None
    return finding if role is not None and role.split is Split.VALIDATION else None


_TRAIN = made.lines(20, 2.1, 0.5, 0.05)
_FLAT = {"train_loss": _TRAIN, "val_loss": made.lines(20, 2.1, 2.6, 4.2), "val_acc": wave(0.125, 0.01)}
PASSES: Sequence[CauseCase] = (
    CauseCase(name="same_token", run=preflight_run("target_shift:shift", target_shift=0.0)),
    CauseCase(name="generalises", run=run_from({"train_loss": _TRAIN, "val_loss": made.lines(20, 2.1, 0.6, 0.5)})),
    CauseCase(name="overfits", run=run_from({"train_loss": _TRAIN, "val_loss": made.lines(20, 2.1, 0.9, 1.9)})),
)
_MIRRORED = {"alike": 0.9, "common": 0.8, "own": 0.01, "share": 0.5, "rows": 128.0}
_COLUMNS = {"learned": 2.0, "unlearned": 2.0, "columns": 4.0, "every_other": 1.0, "best": 0.9, "worst": 0.0, "rows": 99}
_ROLLED = {"train": 0.0, "shifted": 0.85, "val": 0.0, "own": 0.8, "rows": 640.0, "val_rows": 256.0}
FAILS: Sequence[CauseCase] = (
    CauseCase(name="mask_not_flipped", run=case_run("mirrored", [_MIRRORED]), standing=Standing.LIKELY),
    CauseCase(name="points_not_flipped", run=case_run("target_columns", [_COLUMNS])),
    CauseCase(name="one_row_late", run=case_run("association", [_ROLLED]), standing=Standing.MEASURED),
    CauseCase(name="two_ahead", run=preflight_run("target_shift:shift", target_shift=2.0), standing=Standing.MEASURED),
    CauseCase(
        name="wrong_order",
        run=run_from({"loss": made.lines(12, 3.5, 3.4), "val_c_index": made.lines(12, 0.46, 0.35, 0.39)}),
        standing=Standing.LIKELY,
    ),
    CauseCase(
        name="targets_off_by_one",
        run=run_from(
            {"train_loss": made.lines(20, 4.255, 4.12, 4.118), "val_loss": made.lines(20, 5.57, 5.55, 5.547)}
            | {"recall@5": made.lines(20, 0.023, 0.025, 0.004)}
        ),
    ),
    CauseCase(
        name="rows_off_by_one",
        run=run_from(
            {"train_loss": made.lines(15, 0.38, 0.209, 0.199, 0.189), "val_loss": made.lines(15, 0.2117, 0.219)}
            | {"val_mAP": made.lines(15, 0.053, 0.063)}
        ),
        standing=Standing.CONSISTENT,
    ),
    CauseCase(name="shuffled_labels", run=run_from(_FLAT, config={"num_classes": 8}), standing=Standing.CONSISTENT),
    CauseCase(
        name="shuffled_targets",
        run=run_from({"train_mse": _TRAIN, "loss": _TRAIN, "valid_mse": made.lines(20, 2.9, 2.85, 2.9)}),
    ),
)
