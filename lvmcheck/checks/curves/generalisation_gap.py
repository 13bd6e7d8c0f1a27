"""generalisation_gap: what is learned on the training set holds on the validation set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_recorded, passed
from lvmcheck.checks.protocol import Check, missing_metric
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.baselines import baselines, evidence
from lvmcheck.checks.shared.epochs import awaiting, by_epoch, check_count, check_number, complete, not_at_end
from lvmcheck.run.view import Run, run_from

EVAL_METRIC = "train_eval_cosine"
"""Measured as validation is: eval mode, after the epoch. Taken before the running train metric where it is logged."""


@dataclass(frozen=True, kw_only=True)
class GeneralisationGap(Check):
    """Train cosine minus validation cosine is at most `max_gap`, in every epoch or at the one asked for.

    `epoch` is "every", "final" or a number. The train side is train_eval_cosine where it is logged (same definition
    as validation: eval mode, after the epoch), else `train_metric`, which lags by half an epoch and pays for dropout.

    Why:
    A model that memorises looks like a success in its train metric: on October 13 a GRU with 7.4 million parameters
    and 8,106 sequences reached a train cosine of 0.498 and was announced as working, with 0.027 on validation.
    Healthy gaps at the end are at most 0.008 (AMN), 0.016 (transformer), 0.041 (LSTM) and 0.052 (GRU).

    Usual causes:
    - Too few sequences for the number of parameters.
    - The loss (InfoNCE with in-batch negatives) can be solved by telling samples apart, without predicting them.
    - Validation articles differ from training articles in source, language or encoder.
    - Train and validation data are transformed differently.

    Fix:
    More data or fewer parameters; stop at the best validation epoch. Check that the constant mean, mean of context and
    best linear predictor score alike on both sets: if they do not, the sets differ and the model is not at fault.

    Healthy runs that must pass:
    Dropout or a running average that makes the train metric the lower one (a negative gap); GRU with a gap of 0.052.

    Source:
    Seed document lvm_training_results_2025_10_13; gaps of the recorded histories.
    """

    metric_fields = ("val_metric",)
    may_be_missing: ClassVar[Mapping[str, str]] = {"train_eval_cosine": "the running metric stands in"}

    train_metric: str = "train_cosine"
    val_metric: str = "val_cosine"
    max_gap: float = 0.10
    epoch: int | Literal["every", "final"] = "every"

    def __post_init__(self) -> None:
        check_number("max_gap", self.max_gap, 0.0, 2.0)
        if self.epoch not in ("every", "final"):
            check_count("epoch", self.epoch)

    def detail(self) -> str:
        return f"{self.val_metric}@{self.epoch}"

    def due(self, epochs: int) -> int:
        return self.epoch if isinstance(self.epoch, int) else epochs

    def judge(self, run: Run) -> Outcome:
        absent = missing_metric(run, self.val_metric)
        if absent is None and EVAL_METRIC not in run.metric_names:
            absent = missing_metric(run, self.train_metric)
        if absent is not None:
            return absent
        ended = complete(run)
        wanted = {"every": range(1, run.last_epoch + 1), "final": range(run.last_epoch, run.last_epoch + 1)}
        epochs = range(self.epoch, self.epoch + 1) if isinstance(self.epoch, int) else wanted[self.epoch]
        if self.epoch == "final" and not ended:
            return awaiting(run, "the final epoch")
        findings: list[Finding] = []
        columns = {name: by_epoch(run, name) for name in (EVAL_METRIC, self.train_metric, self.val_metric)}
        for epoch in epochs:
            finding = self._at(run, columns, epoch)
            if finding is None:
                continue
            findings.append(finding)
            if not finding.number <= self.max_gap:
                return failed(finding, evaluated=len(findings))
        return self._conclude(run, findings, ended)

    def _conclude(self, run: Run, findings: list[Finding], ended: bool) -> Outcome:
        if isinstance(self.epoch, int):
            if findings:
                return passed(findings[-1])
            if run.last_epoch >= self.epoch:
                return not_recorded(f"{self.val_metric} and a train metric are not both recorded at epoch {self.epoch}")
            return awaiting(run, f"epoch {self.epoch}")
        if not ended or not run.last_epoch:
            return awaiting(run, "the remaining epochs", evaluated=len(findings))
        if not findings or findings[-1].epoch != run.last_epoch:
            cut = not_at_end(run, run.series(self.val_metric))
            return cut or not_recorded(f"{self.train_metric} is not recorded at epoch {run.last_epoch}, the last one")
        return passed(max(findings, key=lambda finding: finding.number), evaluated=len(findings))

    def _at(self, run: Run, columns: Mapping[str, Mapping[int, float]], epoch: int) -> Finding | None:
        """The gap at an epoch; None where a side was not logged."""
        val = columns[self.val_metric].get(epoch)
        name = EVAL_METRIC if epoch in columns[EVAL_METRIC] else self.train_metric
        train = columns[name].get(epoch)
        if val is None or train is None:
            return None
        gap = train - val
        trivial = baselines(run, self.val_metric).get("constant_mean", 0.1)
        memorised = gap > self.max_gap and val <= trivial
        return Finding(
            code="memorised" if memorised else "gap",
            metric=self.val_metric,
            measured=gap,
            bounds=(ceiling(self.max_gap),),
            epoch=epoch,
            evidence=(Fact(name, train), Fact(self.val_metric, val), *evidence(run, self.val_metric)),
            phrase="gap of training and {metric} {measured}",
        )


_case = made.Cases(GeneralisationGap())
_MAMBA2 = {"train_cosine": made.MAMBA2_TRAIN, "val_cosine": made.lines(20, 0.0125, 0.0280, 0.0266)}

PASSES = (
    _case("perfect_oracle", {"train_cosine": [1.0, 1.0], "val_cosine": [1.0, 1.0]}),
    _case("amn_584k", {"train_cosine": made.AMN_584K_TRAIN, "val_cosine": made.AMN_584K_VAL}, measured=0.00183),
    _case("gru_gap_0.052", {"train_cosine": [0.35, 0.6195], "val_cosine": [0.386, 0.5675]}),
    _case("dropout_lowers_train", {"train_cosine": [0.30], "val_cosine": [0.52]}),
    made.case(
        "same_definition_preferred",
        GeneralisationGap(max_gap=0.01),
        run_from({"train_cosine": [0.40], "train_eval_cosine": [0.521], "val_cosine": [0.52]}),
        train_eval_cosine=0.521,
    ),
)
_NAN = float("nan")
FAILS = (
    _case("mamba2_october_13", run_from(_MAMBA2, over=False), "memorised", epoch=6),
    made.case(
        "mamba2_final",
        GeneralisationGap(epoch="final"),
        run_from(_MAMBA2),
        epoch=20,
        train_cosine=0.4976,
        val_cosine=0.0266,
    ),
    _case("gru_phase0", {"train_cosine": [0.26, 0.563], "val_cosine": [0.261, 0.253]}),
    _case("nan_train", {"train_cosine": [_NAN], "val_cosine": [0.5]}, measured=_NAN),
    _case("nan_val", {"train_cosine": [0.5], "val_cosine": [_NAN]}, measured=_NAN),
)
