"""batch_of_one: a last batch of one row does not break batch norm in train mode."""

from __future__ import annotations

from torch.nn.modules.batchnorm import _BatchNorm

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Finding, Outcome, failed, passed, warning
from lvmcheck.watch.preflight.nested import first_rows
from lvmcheck.watch.preflight.setup import Setup, SkipProbe, listed

FIXES = {
    "refused": "pass drop_last=True to the DataLoader, or make sure that no batch has one row",
    "statistics_of_one": "batches of one row are normalised by themselves: use group norm or larger batches",
}


def measure(setup: Setup) -> Outcome:
    setup.train()
    norms = [name for name, m in setup.model.named_modules() if isinstance(m, _BatchNorm) and m.training]
    if not norms:
        raise SkipProbe("the model has no batch norm")
    if setup.rows is None:
        raise SkipProbe("the tensors of the batch differ in their first dimension")
    if setup.rows == 1:
        phrase = "{measured} batch norms normalise a batch of one row by itself"
        return failed(
            Finding(code="statistics_of_one", measured=len(norms), evidence=listed(norms, "modules"), phrase=phrase)
        )
    try:
        setup.loss(first_rows(setup.batch, 1, setup.rows))
    except (ValueError, RuntimeError) as problem:
        kind = type(problem).__name__
        evidence = listed(norms, "modules")
        phrase = "a batch of one row raises {measured} in train mode"
        return warning(
            Finding(code="refused", measured=kind, bounds=(equal("no exception"),), evidence=evidence, phrase=phrase)
        )
    return passed(Finding(code="taken", measured=1, phrase="a batch of {measured} row is taken"))
