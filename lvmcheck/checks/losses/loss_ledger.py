"""loss_ledger: the loss is the sum of its declared terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Finding, Outcome, facts, failed, not_applicable, not_recorded, passed
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import awaiting, by_epoch, check_number, complete, windows_not_at_end
from lvmcheck.checks.shared.remainder import Entry, below, describe, entry, misweighted, taken_off
from lvmcheck.run.events import Epoch, Window
from lvmcheck.run.view import Run, run_from

PREFIX = "train_loss_"


@dataclass(frozen=True, kw_only=True)
class LossLedger(Check):
    """The loss equals the sum of weight times term, to `tolerance` relative, in every window and every epoch.

    Windows carry the largest difference of their steps. Epochs are compared where they log `train_loss` beside
    `train_loss_<term>` and the config states the weights (`loss = { mse = 1.0 }`); a logged term without a weight is
    only watched. One constant that is taken off the sum is no term: it trains nothing. On failure the remainder is
    described: a term that is not in the loss, or with another weight than declared; or its size, its spread, and what
    it looks like.

    Why:
    A term that is not logged is still optimised. Attempts 1 and 3 on the 790k corpus were reported as "pure MSE";
    their loss exceeded their MSE by 0.000976 in every epoch, 45 % of the loss at epoch 1: a variance term that was in
    no configuration.

    Usual causes:
    - A term is added to the loss and not to the log.
    - A weight in the code differs from the weight in the config, or a declared term is not added at all.
    - A term is logged after another reduction (sum, other batch, detached copy) than it is optimised with.
    - A term that was not computed is logged as 0.
    - A constant is added, such as 0.04 = 0.01 times a halting count without gradient.

    Fix:
    Compute the loss from the same dictionary of terms that is logged: loss = sum(weight * term). Never log 0 for a
    term that was not computed; leave it out.

    Healthy runs that must pass:
    Terms that are logged and not optimised (weight 0 or none); terms that appear in the middle of a run; rounding of
    float32 (1e-7 of the largest term).

    Source:
    Recorded histories: the identity holds to 1e-6 in every run without a hidden term.
    """

    universal = True
    metric_fields = ()

    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, 0.0, 1.0)

    def judge(self, run: Run) -> Outcome:
        weights = _weights(run)
        entries = _of_windows(run.windows) + _of_epochs(run.of(Epoch), weights or {})
        wrong = next((item for item in entries if not item.apart <= self.tolerance), None)
        if wrong is not None and below(entries) and not complete(run):
            return awaiting(run, "whether the loss and its terms stay one constant apart", evaluated=len(entries))
        if wrong is not None and not taken_off(entries):
            return failed(self._finding(run, entries, wrong), evaluated=len(entries))
        if entries:
            bare = next((window for window in run.windows if not window.terms), None)
            if bare is not None and any(window.terms for window in run.windows):
                return not_recorded(f"steps {bare.first_step:,} to {bare.last_step:,} state no loss terms, others do")
            if not complete(run):
                return awaiting(run, "the remaining steps", evaluated=len(entries))
            cut = windows_not_at_end(run)
            if cut is not None:
                return cut
            if entries[-1].epoch < run.last_epoch:
                return not_recorded(f"the loss and its terms are not recorded at epoch {run.last_epoch}, the last")
            return passed(self._finding(run, entries, max(entries, key=lambda e: e.apart)), evaluated=len(entries))
        if not run.over or not (run.metric_names or run.windows):
            return awaiting(run, "the loss and its terms")
        return _why_nothing(run, weights)

    def _finding(self, run: Run, entries: Sequence[Entry], worst: Entry) -> Finding:
        wrong = not worst.apart <= self.tolerance
        if wrong and taken_off(entries):
            return Finding(
                code="constant_taken_off",
                measured=worst.rest,
                epoch=worst.epoch,
                step=worst.step,
                phrase="the loss is the sum of its terms and a constant {measured}",
            )
        finding = Finding(
            code="balanced",
            measured=worst.apart,
            bounds=(ceiling(self.tolerance),),
            epoch=worst.epoch,
            step=worst.step,
            phrase="relative difference of the loss from the sum of its terms {measured}",
        )
        return _explained(finding, run, entries) if wrong else finding


def _explained(finding: Finding, run: Run, entries: Sequence[Entry]) -> Finding:
    """The finding of a ledger that does not balance, with what the remainder is."""
    dim = run.facts.get("dim")
    found = describe(entries, by_epoch(run, "train_cosine"), dim if isinstance(dim, int) else None)
    silent = _unlogged(run, _weights(run))
    named = None if silent or not found else misweighted(entries)
    if not found:
        return replace(finding, code="not_finite", phrase="the loss or one of its terms is not finite")
    if named is None:
        evidence = (*found, *(facts(not_logged=", ".join(silent)) if silent else ()))
        words = f"{finding.phrase}, hidden remainder {{hidden_remainder}}"
        return replace(finding, code="hidden_remainder", evidence=evidence, phrase=words)
    term, times = named
    return replace(
        finding,
        code="other_weight" if times else "term_not_in_loss",
        evidence=(*facts(term=term, times_weight=times), *found[:2]),
        phrase="the loss holds {times_weight} times the declared weight of {term}"
        if times
        else "declared term {term} is not in the loss",
    )


def _weights(run: Run) -> dict[str, float] | None:
    loss = run.config.get("loss")
    if not isinstance(loss, Mapping):
        return None
    return {str(k): float(w) for k, w in loss.items() if isinstance(w, int | float) and not isinstance(w, bool)}


def _of_windows(windows: Sequence[Window]) -> list[Entry]:
    # Weights may change inside a window, so the per-step difference is taken where the recorder measured it.
    return [
        entry(
            window.epoch,
            window.last_step,
            window.loss_mean,
            {name: term.weight * term.mean for name, term in window.terms.items() if term.weight},
            window.ledger_error,
        )
        for window in windows
        if window.terms
    ]


def _of_epochs(epochs: Sequence[Epoch], weights: Mapping[str, float]) -> list[Entry]:
    entries = []
    for event in epochs:
        logged = {name: w for name, w in weights.items() if w and PREFIX + name in event.metrics}
        if logged and "train_loss" in event.metrics:
            parts = {name: weight * event.metrics[PREFIX + name] for name, weight in logged.items()}
            entries.append(entry(event.epoch, None, event.metrics["train_loss"], parts))
    return entries


def _unlogged(run: Run, weights: Mapping[str, float] | None) -> list[str]:
    """Terms that the config weighs and nothing logs."""
    if run.windows or not weights:
        return []
    return [name for name, weight in weights.items() if weight and PREFIX + name not in run.metric_names]


def _why_nothing(run: Run, weights: Mapping[str, float] | None) -> Outcome:
    logged = [name for name in run.metric_names if name.startswith(PREFIX)]
    if not logged and not weights:
        return not_applicable("the run declares no loss terms")
    if "train_loss" not in run.metric_names:
        return not_recorded("train_loss is not recorded beside its terms")
    if weights is None:
        return not_recorded(f"the weights of {', '.join(logged)} are not recorded (config 'loss')")
    named = ", ".join(PREFIX + name for name, weight in weights.items() if weight) or "a weight above 0"
    return not_recorded(f"loss terms are not recorded: expected {named}; recorded: {', '.join(logged) or 'none'}")


_case = made.Cases(LossLedger())
_MSE_790K = (0.0011822, 0.0010459, 0.00104, 0.0010374, 0.0010357, 0.0010227)
_LOSS_790K = (0.0021568, 0.0020218, 0.0020162, 0.0020137, 0.0020121, 0.0019993)
_MSE_584K = (0.0010727, 0.0009116, 0.0009036, 0.0009011)
_PURE = {"loss": made.PURE}
_COSINES = made.MAMBA2_TRAIN[-4:]
_NCE = (0.0501195, 0.0356761, 0.0238678, 0.0204801)

PASSES = (
    _case("perfect_oracle", made.window_run([0.0] * 10, terms={"mse": (1.0, [0.0] * 10)})),
    _case(
        "amn_584k_watches_infonce",
        run_from(
            {"train_loss": _MSE_584K, "train_loss_mse": _MSE_584K, "train_loss_info": (1.328, 1.326, 1.327, 1.323)},
            config=_PURE,
        ),
    ),
    _case(
        "constant_taken_off",
        run_from({"train_loss": [-7.1, -20.3, -37.1], "train_loss_mse": [62.2, 49.0, 32.2]}, config=_PURE),
    ),
    _case(
        "two_terms_in_windows",
        made.window_run([1.5] * 10, terms={"mse": (1.0, [1.0] * 10), "aux": (0.5, [1.0] * 10)}, ledger_error=1e-7),
    ),
)
FAILS = (
    _case(
        "attempt_1_hidden_term",
        run_from({"train_loss": _LOSS_790K, "train_loss_mse": _MSE_790K}, config=_PURE),
        "hidden_remainder",
        epoch=1,
        constant=True,
        variance_hinge_weight=0.001,
        hidden_remainder=0.000976,
        share_of_loss=45.19,
    ),
    _case(
        "attempt_2_hidden_term",
        run_from(
            {"train_loss": [0.698938], "train_loss_mse": [0.00201542], "train_loss_info": [1.3939251]},
            config={"loss": {"mse": 0.5, "info": 0.5}},
            over=False,
        ),
        "hidden_remainder",
        hidden_remainder=0.000968,
    ),
    _case(
        "constant_0.04_in_windows",
        made.window_run([1.04, 0.54], terms={"ce": (1.0, [1.0, 0.5])}, ledger_error=0.038, over=False),
        "hidden_remainder",
        0.038,
        hidden_remainder=0.04,
        constant=True,
    ),
    _case(
        "hidden_mse_as_on_october_13",
        made.with_facts(
            run_from(
                {
                    "train_loss": [n + 0.05 * m for n, m in zip(_NCE, made.mse_of(_COSINES), strict=True)],
                    "train_loss_info": _NCE,
                    "train_cosine": _COSINES,
                },
                config={"loss": {"info": 1.0}},
            ),
            {"dim": made.D},
        ),
        "hidden_remainder",
        mse_weight=0.05,
    ),
    _case("nan_term", made.window_run([1.0], terms={"ce": (1.0, [float("nan")])}, ledger_error=None), "not_finite"),
    _case("nan_ledger", made.window_run([1.0], terms={"ce": (1.0, [1.0])}, ledger_error=float("nan")), "not_finite"),
    _case(
        "declared_term_is_never_added",
        made.window_run([1.0, 0.5], terms={"mse": (1.0, [1.0, 0.5]), "aux": (0.5, [0.2, 0.3])}, ledger_error=None),
        "term_not_in_loss",
        term="aux",
        times_weight=0.0,
    ),
    _case(
        "twice_the_weight_of_the_config",
        run_from(
            {"train_loss": [3.0, 1.7], "train_loss_mse": [1.0, 0.5], "train_loss_aux": [1.0, 0.6]},
            config={"loss": {"mse": 1.0, "aux": 1.0}},
        ),
        "other_weight",
        term="aux",
        times_weight=2.0,
    ),
)
