"""What findings of some checks say by their codes alone: the cause, what looks the same, and how to tell them apart."""

from __future__ import annotations

from lvmcheck.causes.curves._said import ALL
from lvmcheck.causes.curves._signs import found, gradient_facts, train_facts
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.finding import Fact, Status

LATER = ("nothing_learned", "loss_diverging", "gradient_norm_grows", "metric_constant", "memorises", "overfits")
RESET = (*LATER, "settles", "learning_kept")


def by_code(cause: Cause, evidence: Evidence) -> Diagnosis | None:
    """The diagnosis of a cause that a finding names by its code."""
    for said in ALL:
        finding = evidence.failed(said.check) if said.cause == cause.name() else None
        if finding is None or finding.code != said.code:
            continue
        failed = evidence.outcome(said.check).status is Status.FAILED
        curve = Fact("term" if said.check in ("terms_descend", "terms_not_negligible") else "metric", finding.metric)
        last = Fact("last", finding.measured)
        own = tuple(fact for fact in finding.evidence if fact.name != "last")
        facts = (curve, last, *own, *gradient_facts(evidence.run), *train_facts(evidence.run))
        return found(
            cause,
            Standing.LIKELY if failed else Standing.CONSISTENT,
            said.phrase,
            facts if own else (*facts, *finding_facts(finding)),
            fix=said.fix,
            explain=said.check,
            explains=RESET if said.check == "learning_kept" else LATER,
            also=said.also,
            tell_apart=said.tell_apart,
        )
    return None


class Coded(Cause):
    """A cause that findings name by their codes; where none does, figures decide."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return by_code(self, evidence) or self.by_figures(evidence)

    def by_figures(self, evidence: Evidence) -> Diagnosis | None:
        """The diagnosis where no code says it."""
        raise NotImplementedError
