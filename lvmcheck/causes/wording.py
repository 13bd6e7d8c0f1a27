"""Words for a diagnosis, for every surface."""

from __future__ import annotations

from lvmcheck.causes.protocol import Diagnosis, RuledOut, Standing
from lvmcheck.checks.wording import fact_text, phrase_names, plural, scalar, spaced
from lvmcheck.text.fit import one_line

STANDINGS = {
    Standing.MEASURED: "cause (measured)",
    Standing.LIKELY: "likely cause",
    Standing.CONSISTENT: "consistent with",
}


def diagnosis_sentence(diagnosis: Diagnosis) -> str:
    """What is wrong, with its figures; a figure that a recorded verdict does not hold is not measured."""
    values = dict.fromkeys(phrase_names(diagnosis.phrase), scalar(None))
    values |= {fact.name: scalar(fact.value, fact.unit) for fact in diagnosis.evidence}
    return one_line(diagnosis.phrase.format_map(values))


def ruled_out_text(item: RuledOut) -> str:
    """``numerical problems (finite: 59 comparisons, 0 failed)``."""
    return f"{one_line(item.problem)} ({item.check}: {plural(item.evaluated, 'comparison')}, 0 failed)"


def diagnosis_evidence(diagnosis: Diagnosis) -> list[str]:
    """One line for each figure that the sentence does not hold already."""
    said = phrase_names(diagnosis.phrase)
    return [fact_text(fact) for fact in diagnosis.evidence if fact.name not in said]


def diagnosis_lines(diagnosis: Diagnosis) -> list[str]:
    """Lines for a terminal: standing and sentence, evidence, what looks the same, what was ruled out, fix, next."""
    also = ", ".join(map(spaced, diagnosis.also))
    return [
        f"{STANDINGS[diagnosis.standing]}: {diagnosis_sentence(diagnosis)}",
        *(f"  - {line}" for line in diagnosis_evidence(diagnosis)),
        *([f"  looks the same: {also}"] if also else []),
        *([f"  to tell them apart: {one_line(diagnosis.tell_apart)}"] if diagnosis.tell_apart else []),
        *(f"  ruled out: {ruled_out_text(item)}" for item in diagnosis.ruled_out),
        f"fix: {one_line(diagnosis.fix)}",
        f"next: {one_line(diagnosis.next)}",
    ]
