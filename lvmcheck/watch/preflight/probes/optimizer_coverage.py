"""optimizer_coverage: every trainable parameter is in exactly one group of the optimizers, and no foreign one is."""

from __future__ import annotations

from torch import nn

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Finding, Outcome, failed, passed
from lvmcheck.watch.measure.coverage import coverage
from lvmcheck.watch.preflight.setup import Setup, SkipProbe, listed

FIXES = {
    "missing": "pass model.parameters() to the optimizer after the model is complete",
    "replaced": "make the optimizer after the model was moved, copied or had its layers replaced",
    "foreign": "make the optimizer from the parameters of this model",
    "twice": "give every parameter to one group of one optimizer",
}
_PHRASES = {
    "missing": "{measured} trainable parameters are in no group of the optimizer",
    "replaced": "{measured} parameters of the optimizer are not of this model, whose own of the same "
    "shapes are missing",
    "foreign": "{measured} parameters of the optimizer are not of this model",
    "twice": "{measured} parameters are updated twice",
}


def measure(setup: Setup) -> Outcome:
    if not setup.optimizers:
        raise SkipProbe("no optimizer was given")
    whole = setup.model
    if len(setup.roots) > 1 and next(setup.roots[1].parameters(), None) is not None:
        whole = nn.ModuleDict({"model": setup.model, "loss": setup.roots[1]})
    found = coverage(whole, setup.optimizers)
    missing = [name for name in found.missing if not setup.is_frozen(name.removeprefix("model."))]
    code, names = "missing", missing
    if found.replaced:
        code, names = "replaced", list(found.foreign)
    elif not missing and found.foreign:
        code, names = "foreign", list(found.foreign)
    elif not missing and found.twice:
        code, names = "twice", list(found.twice)
    finding = Finding(
        code=code if names else "covered",
        measured=len(names),
        bounds=(equal(0),),
        evidence=listed(names),
        phrase=_PHRASES[code],
    )
    return failed(finding) if names else passed(finding, evaluated=len(found.trainable))
