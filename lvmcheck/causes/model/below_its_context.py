"""below_its_context: a sound run of a model that is worse than the mean of its own inputs on these data."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.data import _gate_cases as gates
from lvmcheck.checks.finding import facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from

OTHERS = {
    "document_order": "another order of the rows",
    "lag_profile": "a scrambled order",
    "validation_same_space": "validation in another space",
    "loss_balance": "a dominant loss term",
    "generalisation_gap": "memorisation",
    "finite": "numerical problems",
    "not_diverging": "divergence",
}
"""Checks that fail where something else keeps the model down."""


class BelowItsContext(Cause):
    """The model learned more than a constant and less than an average of its inputs: too much model for these data."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        failed = evidence.failed("beats_baselines")
        if failed is None or failed.code != "trivial" or not evidence.run.of(ev.Epoch):
            return None
        val = evidence.last("val_cosine")
        known = [evidence.run.facts.get(name) for name in ("constant_mean", "mean_of_context", "best_linear")]
        constant, mean, linear = (float(it) if isinstance(it, int | float) else math.nan for it in known)
        if val is None or not constant < val < mean:
            return None
        if any(evidence.failed(check) is not None for check in OTHERS):
            return None
        models, windows = evidence.run.of(ev.Model), evidence.run.facts.get("train_windows")
        size = facts(model=models[-1].kind, parameters=models[-1].parameters) if models else ()
        count = facts(train_windows=windows) if isinstance(windows, int) else ()
        return Diagnosis(
            name=self.name(),
            standing=Standing.LIKELY,
            phrase="the model is below the mean of its own context on these data: val cosine {val_cosine} against "
            "{mean_of_context}, and a linear mixture of the context reaches {best_linear}",
            evidence=(
                *facts(val_cosine=val, mean_of_context=mean, best_linear=linear, constant_mean=constant),
                *size,
                *count,
            ),
            explains=frozenset({"beats_baselines", "cosine_floor"}),
            ruled_out=evidence.ruled_out(OTHERS),
            fix='more windows, or a model that starts at the mean of its context (model.kind = "linear_mixture"), '
            "judged by the data: pytest suites/vectors --lvm-data PATH",
            next="lvmcheck explain beats_baselines",
        )


_DATA: Mapping[str, ev.Value] = {
    **gates.WIKITEXT,
    "constant_mean": 0.2067,
    "persistence": 0.4421,
    "train_windows": 36_062,
}


def _run(*cosines: float, **changes: ev.Value) -> Run:
    return made.with_facts(run_from({"val_cosine": cosines}), {**_DATA, **changes})


PASSES = (
    case("above_its_context", _run(0.51, 0.5441)),
    case("below_a_constant", _run(0.15, 0.18)),
    case("another_order", _run(0.48, 0.49, **{"gate.data.order_period_excess": 27.6})),
    case("not_a_number", _run(0.5, math.nan)),
)
FAILS = (
    case(
        "amn_on_wikitext",
        _run(0.5003, 0.5222),
        Standing.LIKELY,
        val_cosine=0.5222,
        mean_of_context=0.5271,
        best_linear=0.5468,
    ),
    case("amn_on_documentation", _run(0.44, 0.4761, mean_of_context=0.549), val_cosine=0.4761),
)
