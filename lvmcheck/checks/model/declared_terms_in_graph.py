"""declared_terms_in_graph: every loss term that the configuration asks for trains something."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Finding, Outcome, error, failed, passed, pending
from lvmcheck.checks.wording import figure
from lvmcheck.checks.protocol import Case, Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.shares import active_terms
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class DeclaredTermsInGraph(Check):
    """Every loss term with a weight has a gradient: the evaluation "term_gradients" gives a norm above 0 for it.

    The norm is that of the term alone over all parameters; a term that is declared in the configuration and missing
    from the evaluation fails, too. A term whose value is exactly 0 in the first steps (a hinge that is met) needs no
    gradient. Decided at the end of the first epoch; `allow` names terms that may have none.

    Why:
    A declared term that is not in the graph is a promise that nobody keeps. The ancestors' halting loss with its
    entropy and diversity was written, tested by document and never called; what was added to the loss instead was a
    mean of integers, a constant 0.04 in every step of the run.

    Usual causes:
    - The function is never called: its weight stands in the configuration and nowhere else.
    - The term is built of integers, comparisons, argmax or detached tensors.
    - It is computed for the log and not added to the loss.
    - A hinge with a bound that nothing can reach stays constant.

    Fix:
    Build the loss from the declared weights, refuse a name that has no function, and differentiate each term by itself
    once before training.

    Healthy runs that must pass:
    A hinge that is met from the start (value 0, no gradient); a term with weight 0.

    Source:
    facts B2, C 50 and C 51 of the ancestors (compute_act_loss; 0.01 times a mean of halting steps).
    """

    metric_fields = ()

    allow: tuple[str, ...] = ()

    def due(self, epochs: int) -> int:
        return min(1, epochs)

    def judge(self, run: Run) -> Outcome:
        events: list[ev.Event] = []
        ended = run.finished
        for event in run.events:  # nothing after the first epoch counts: what is decided there stays decided
            events.append(event)
            if isinstance(event, ev.Epoch):
                ended = True
                break
        early = Run(events=tuple(events), info=run.info)
        norms: dict[str, float] = {}
        for said in early.of(ev.Evaluation):
            if said.name == "term_gradients":
                norms |= {name: max(norm, norms.get(name, 0.0)) for name, norm in said.metrics.items()}
        if not ended:
            return pending("awaits the evaluation 'term_gradients' and the end of the first epoch")
        if not norms:
            return error("no evaluation 'term_gradients' is recorded in the first epoch: not measured")
        terms = dict.fromkeys((*_declared(early), *active_terms(early), *norms))
        return self._compare([name for name in terms if name not in self.allow], norms, _values(early))

    def _compare(self, terms: Sequence[str], norms: Mapping[str, float], values: Mapping[str, float]) -> Outcome:
        if not terms:
            return error("no loss term is left to look at: all are named in allow")
        dead: list[str] = []
        for name in terms:
            norm = norms.get(name, 0.0)
            if not norm > 0 and not (norm == 0.0 and name in norms and values.get(name) == 0.0):
                dead.append(name)
        finding = Finding(
            what="declared loss terms without a gradient",
            measured=float(len(dead)),
            wanted=f"0 of {len(terms)}",
            margin=0.0 - len(dead),
            evidence=(
                *(_why(name, norms, values) for name in dead),
                ", ".join(f"{name} {figure(norm)}" for name, norm in norms.items()) + " (gradient norm of each term)",
            ),
        )
        return (failed if dead else passed)(finding, evaluated=len(terms))


def _declared(run: Run) -> list[str]:
    """Terms to which the configuration gives a weight."""
    loss = run.config.get("loss")
    return [str(name) for name, weight in loss.items() if weight] if isinstance(loss, Mapping) else []


def _why(name: str, norms: Mapping[str, float], values: Mapping[str, float]) -> str:
    if name not in norms:
        return f"{name} is declared and was not measured: it is not part of the loss"
    value = f", its value is {figure(values[name])}" if name in values else ""
    return f"{name} has gradient norm {figure(norms[name])}{value}: it trains nothing"


def _values(run: Run) -> dict[str, float]:
    """Value of each term in the first window that states it."""
    found: dict[str, float] = {}
    for window in run.windows:
        for name, term in window.terms.items():
            found.setdefault(name, term.mean)
    return found


_LOSS = {"ce": 1.0, "ponder": 0.01, "halting_diversity": 0.01}
_NORMS = {"ce": 1.2, "ponder": 0.03, "halting_diversity": 0.002}


def _run(norms: Mapping[str, float], values: Mapping[str, float] | None = None) -> Run:
    config = {"loss": _LOSS}
    if values is None:
        return language.evaluated("term_gradients", norms, config=config)
    window = ev.Window(
        epoch=1,
        first_step=1,
        last_step=50,
        loss_mean=3.0,
        loss_min=3.0,
        loss_max=3.0,
        terms={name: ev.Term(weight=_LOSS[name], mean=value) for name, value in values.items()},
    )
    said = ev.Evaluation(name="term_gradients", metrics=dict(norms))
    return language.epochs([said, window], config=config)


_CHECK = DeclaredTermsInGraph()
_VALUES = {"ce": 3.0, "ponder": 2.0, "halting_diversity": 0.0}
PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, _run(_NORMS)),
    made.case("a_hinge_that_is_met", _CHECK, _run({**_NORMS, "halting_diversity": 0.0}, _VALUES)),
    made.case(
        "allowed", DeclaredTermsInGraph(allow=("halting_diversity",)), _run({**_NORMS, "halting_diversity": 0.0})
    ),
)
FAILS: Sequence[Case] = (
    made.case(
        "a_mean_of_integers",
        _CHECK,
        _run({**_NORMS, "ponder": 0.0}, {**_VALUES, "ponder": 4.0}),
        ("ponder has gradient norm 0, its value is 4",),
    ),
    made.case("never_called", _CHECK, _run({"ce": 1.2, "ponder": 0.1}), ("halting_diversity is declared",)),
    made.case("nan", _CHECK, _run({**_NORMS, "ce": math.nan}), ("NaN",)),
)
