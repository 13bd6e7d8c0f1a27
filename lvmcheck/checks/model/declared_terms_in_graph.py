"""declared_terms_in_graph: every loss term that the configuration asks for trains something."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Fact, Finding, Outcome, error, failed, not_recorded, passed, pending
from lvmcheck.checks.protocol import Check
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
    A declared term that is not in the graph trains nothing. The original project's halting loss with its entropy and
    diversity was written, described and never called; what was added to the loss instead was a mean of integers, a
    constant 0.04 in every step of the run.

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
    history 10 (compute_act_loss; 0.01 times a mean of halting steps).
    """

    metric_fields = ()

    allow: tuple[str, ...] = ()

    def due(self, epochs: int) -> int:
        return min(1, epochs)

    def judge(self, run: Run) -> Outcome:
        if not run.finished and not run.of(ev.Epoch):
            return pending("the evaluation 'term_gradients' and the end of the first epoch")
        measured = TermGradients(run)
        if not measured.norms:
            return not_recorded("no evaluation 'term_gradients' is recorded in the first epoch")
        terms = [name for name in measured.terms if name not in self.allow]
        if not terms:
            return error("no loss term is left to compare: all are named in allow")
        dead = [name for name in measured.dead if name not in self.allow]
        listed = (Fact("without_gradient", ", ".join(dead)),) if dead else ()
        finding = Finding(
            code="terms_without_gradient",
            measured=len(dead),
            evidence=(Fact("total", len(terms)), *listed, *measured.facts([*dead, *measured.norms])),
            phrase="{measured} of {total} loss terms have no gradient",
        )
        return (failed if dead else passed)(finding, evaluated=len(terms))


class TermGradients:
    """Gradient norm and value of each loss term in the first epoch: nothing after it counts, so an answer stays.

    Attributes:
        norms: the largest gradient norm of each term that was measured.
        values: value of each term in the first window that states it.
        terms: every term that is declared, active or measured.
        dead: terms without a gradient, less those whose value is exactly 0 from the start.
    """

    def __init__(self, run: Run) -> None:
        end = next((i for i, event in enumerate(run.events, 1) if isinstance(event, ev.Epoch)), len(run.events))
        early = Run(events=run.events[:end], info=run.info)
        self.norms: dict[str, float] = {}
        for event in early.of(ev.Evaluation):
            if event.name == "term_gradients":
                self.norms |= {name: max(norm, self.norms.get(name, 0.0)) for name, norm in event.metrics.items()}
        self.values: dict[str, float] = {}
        for window in early.windows:
            self.values = {name: term.mean for name, term in window.terms.items()} | self.values
        self.terms = list(dict.fromkeys((*_declared(early), *active_terms(early), *self.norms)))
        self.dead = [name for name in self.terms if not self._trains(name)]

    def _trains(self, name: str) -> bool:
        norm = self.norms.get(name, math.nan)
        return norm > 0 or (norm == 0.0 and self.values.get(name) == 0.0)

    def facts(self, names: Sequence[str]) -> tuple[Fact, ...]:
        """Gradient norm of each term (None where it was not measured), and its value where it is known."""
        facts: list[Fact] = []
        for name in dict.fromkeys(names):
            facts.append(Fact(f"gradient_norm_{name}", self.norms.get(name)))
            facts += [Fact(f"value_{name}", self.values[name])] if name in self.values else []
        return tuple(facts)


def _declared(run: Run) -> list[str]:
    """Terms to which the configuration gives a weight."""
    loss = run.config.get("loss")
    return [str(name) for name, weight in loss.items() if weight] if isinstance(loss, Mapping) else []


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


_case = made.Cases(DeclaredTermsInGraph())
_VALUES = {"ce": 3.0, "ponder": 2.0, "halting_diversity": 0.0}
PASSES = (
    _case("perfect_oracle", _run(_NORMS)),
    _case("a_hinge_that_is_met", _run({**_NORMS, "halting_diversity": 0.0}, _VALUES)),
    made.case(
        "allowed", DeclaredTermsInGraph(allow=("halting_diversity",)), _run({**_NORMS, "halting_diversity": 0.0})
    ),
)
FAILS = (
    _case(
        "a_mean_of_integers",
        _run({**_NORMS, "ponder": 0.0}, {**_VALUES, "ponder": 4.0}),
        "terms_without_gradient",
        1,
        without_gradient="ponder",
        gradient_norm_ponder=0.0,
        value_ponder=4.0,
    ),
    _case("never_called", _run({"ce": 1.2, "ponder": 0.1}), without_gradient="halting_diversity"),
    _case("nan", _run({**_NORMS, "ce": math.nan}), gradient_norm_ce=math.nan),
)
