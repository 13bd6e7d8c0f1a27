"""Runs that the cases of checks are made of: figures of recorded runs, and builders of events.

The recorded figures are mean cosines by epoch of the original project's training histories, to five digits. Its
validation loss is 2 (1 - cosine) / 768 exactly, so it is computed from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Scalar, Status
from lvmcheck.checks.protocol import Case, Check
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from

D = 768
PURE = {"mse": 1.0}

# AMN, 584k corpus in order, pure MSE: the best AMN on record. Its validation loss rises at epochs 8, 12, 14 and 16.
AMN_584K_VAL = (
    0.54831, 0.55539, 0.55630, 0.55687, 0.55774, 0.55841, 0.55855, 0.55826, 0.55894, 0.55915,
    0.55945, 0.55944, 0.55976, 0.55952, 0.56007, 0.56002, 0.56002, 0.56021, 0.56037, 0.56050,
)  # fmt: skip
AMN_584K_TRAIN = (
    0.52813, 0.55251, 0.55598, 0.55724, 0.55801, 0.55858, 0.55906, 0.55945, 0.55981, 0.56015,
    0.56048, 0.56076, 0.56102, 0.56127, 0.56147, 0.56166, 0.56185, 0.56200, 0.56216, 0.56230,
)  # fmt: skip
# AMN, 790k corpus in scrambled order, MSE and a hidden term: attempts 1 and 3.
AMN_790K_1_VAL = (
    0.44492, 0.45050, 0.45266, 0.45246, 0.45349, 0.45495, 0.45510, 0.45559, 0.45605, 0.45564,
    0.45594, 0.45672, 0.45656, 0.45670, 0.45597, 0.45552, 0.45958, 0.46021, 0.45995, 0.46067,
)  # fmt: skip
AMN_790K_3_VAL = (
    0.44569, 0.45147, 0.45390, 0.45377, 0.45447, 0.45518, 0.45640, 0.45603, 0.45652, 0.45691,
    0.45699, 0.45654, 0.45657, 0.45797, 0.45762, 0.45749, 0.45724, 0.45795, 0.46117, 0.46206,
)  # fmt: skip
# Attempt 2: 0.5 MSE + 0.5 InfoNCE, 30 epochs.
AMN_790K_2_VAL = (
    0.26637, 0.27147, 0.26948, 0.26740, 0.27214, 0.27501, 0.27088, 0.26811, 0.27461, 0.27140,
    0.27130, 0.26996, 0.27071, 0.27219, 0.26939, 0.27000, 0.26900, 0.27042, 0.26931, 0.26955,
    0.26953, 0.26874, 0.26788, 0.26764, 0.26839, 0.26768, 0.26761, 0.26764, 0.26785, 0.26748,
)  # fmt: skip
# "mamba2" (a GRU) of October 13, 8,106 windows: train cosine; validation ended at 0.0266 after at most 0.0280.
MAMBA2_TRAIN = (
    0.0203, 0.0084, 0.0190, 0.0407, 0.0773, 0.1326, 0.1992, 0.2591, 0.3056, 0.3396,
    0.3660, 0.3887, 0.4041, 0.4181, 0.4322, 0.4459, 0.4558, 0.4747, 0.4898, 0.4976,
)  # fmt: skip
# A transformer that collapsed when its schedule jumped (P4), and one in a single epoch (P6b).
P4_VAL = (0.459, 0.521, 0.540, 0.338)
V3_VAL = (0.459, 0.523, 0.540, 0.354)
P6B_VAL = (0.4599, 0.4758, -0.0494)
# Epoch means of a language model's train loss; its running means seemed to "diverge at epoch 7".
COGNATE_TRAIN_LOSS = (0.6848, 0.3083, 0.3148, 0.2240, 0.1548, 0.1590, 0.1457, 0.1335, 0.1210, 0.1153)

TWIN_FACTS: dict[str, ev.Value] = {
    "dim": D,
    "constant_mean": 0.484,
    "persistence": 0.480,
    "mean_of_context": 0.600,
    "best_linear": 0.638,
    "optimum": 0.641,
}


def case(
    name: str,
    check: Check,
    run: Run,
    code: str = "",
    measured: Scalar = None,
    *,
    epoch: int | None = None,
    step: int | None = None,
    status: Status | None = None,
    **facts: Scalar,
) -> Case:
    """A case with what its answer must hold; keywords beside epoch, step and status are facts of the evidence."""
    return Case(
        name=name,
        check=check,
        run=run,
        code=code,
        measured=measured,
        epoch=epoch,
        step=step,
        facts=facts,
        status=status,
    )


@dataclass(frozen=True)
class Cases:
    """Makes cases of one check, each of a run or of its metrics by epoch."""

    check: Check

    def __call__(
        self,
        name: str,
        run: Run | Mapping[str, Sequence[float]],
        code: str = "",
        measured: Scalar = None,
        *,
        epoch: int | None = None,
        step: int | None = None,
        status: Status | None = None,
        **facts: Scalar,
    ) -> Case:
        judged = run if isinstance(run, Run) else run_from(run)
        return case(name, self.check, judged, code, measured, epoch=epoch, step=step, status=status, **facts)


def mse_of(cosines: Sequence[float]) -> list[float]:
    """The validation loss that belongs to unit vectors of 768 dimensions with these mean cosines."""
    return [2 * (1 - cosine) / D for cosine in cosines]


def lines(count: int, *points: float) -> list[float]:
    """``count`` values on straight lines through ``points``, which are spaced evenly."""
    if count == 1:
        return [points[-1]]
    values = []
    for i in range(count):
        x = i * (len(points) - 1) / (count - 1)
        left = min(int(x), len(points) - 2)
        values.append(points[left] + (x - left) * (points[left + 1] - points[left]))
    return values


def with_facts(run: Run, facts: Mapping[str, ev.Value], name: str = "twin") -> Run:
    """The run, begun with a data event of these facts."""
    data = ev.Data(name=name, fingerprint="0" * 64, facts=dict(facts))
    return Run(events=(data, *run.events), info=run.info, done=run.done, death=run.death)


def val_run(
    cosines: Sequence[float], *, facts: Mapping[str, ev.Value] | None = None, over: bool = True, **more: Sequence[float]
) -> Run:
    """A run with val_cosine and the val_loss that belongs to it, and further metrics."""
    columns: dict[str, Sequence[float]] = {"val_cosine": cosines, "val_loss": mse_of(cosines), **more}
    run = run_from(columns, over=over)
    return with_facts(run, facts) if facts else run


def window_run(
    losses: Sequence[float],
    *,
    terms: Mapping[str, tuple[float, Sequence[float]]] | None = None,
    ledger_error: float | None = 0.0,
    grad_norms: Sequence[float] | None = None,
    gradients: Mapping[int, Mapping[str, float]] | None = None,
    per_epoch: int = 10,
    steps: int = 50,
    over: bool = True,
    config: Mapping[str, object] | None = None,
) -> Run:
    """A run of windows of ``steps`` steps, ``per_epoch`` windows an epoch.

    Args:
        losses: mean loss of each window.
        terms: weight and mean unweighted values by window of each loss term.
        gradients: step -> gradient norm of each weighted term, as "term_grad_norm" probes.
    """
    said: list[ev.Event] = []
    pending = sorted((gradients or {}).items())
    for i, loss in enumerate(losses):
        epoch, last = i // per_epoch + 1, (i + 1) * steps
        while pending and pending[0][0] <= last:
            step, values = pending.pop(0)
            said.append(ev.Probe(name="term_grad_norm", epoch=epoch, step=step, values=values))
        norm = None if grad_norms is None else grad_norms[i]
        finite = math.isfinite(loss)
        said.append(
            ev.Window(
                epoch=epoch,
                first_step=last - steps + 1,
                last_step=last,
                loss_mean=loss,
                loss_min=loss,
                loss_max=loss,
                terms={name: ev.Term(weight=w, mean=values[i]) for name, (w, values) in (terms or {}).items()},
                ledger_error=ledger_error if terms else None,
                grad_norm_mean=norm,
                grad_norm_max=norm,
                non_finite=None if finite else {"step": last - steps + 1, "what": "loss", "value": str(loss)},
            )
        )
        if (i + 1) % per_epoch == 0:
            said.append(ev.Epoch(epoch=epoch, step=last, metrics={"train_loss": loss}))
    info = {} if config is None else {"config": dict(config)}
    return Run(events=tuple(said), info=info, done={"status": "finished"} if over else None)


def config_run(config: Mapping[str, object]) -> Run:
    """A run that has only begun, with this configuration."""
    return Run(events=(ev.Begin(),), info={"config": dict(config)})
