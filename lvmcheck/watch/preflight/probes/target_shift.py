"""target_shift: a language model is asked for the next token, not for the same, the one before or the one after."""

from __future__ import annotations

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding, Outcome, compared
from lvmcheck.watch.preflight.language import tokens
from lvmcheck.watch.preflight.probes.inputs_matter import other
from lvmcheck.watch.preflight.setup import Setup, SkipProbe, difference

FIXES = {"shift": "compare logits[:, :-1] with tokens[:, 1:], once: either in the data or in the model"}


def measure(setup: Setup) -> Outcome:
    found = None if setup.causal is False else tokens(setup)
    if found is None or found.shift is None:
        raise SkipProbe("the targets are not tokens of the input")
    if found.shift == 0 and not setup.causal and not causal_output(setup, found.path):
        raise SkipProbe("the model sees all positions and is asked for its own input")
    return compared(
        Finding(
            code="shift",
            measured=found.shift,
            unit="positions",
            bounds=(equal(1),),
            evidence=(Fact("input", found.path),),
            phrase="targets are the tokens of {input} shifted by {measured}",
        )
    )


def causal_output(setup: Setup, path: str) -> bool:
    """Whether the outputs depend on no later token."""
    setup.model.eval()
    given = setup.call.inputs[path]
    changed = given.clone()
    changed[:, -1:] = other(given)[:, -1:]
    plain, outputs = setup.outputs(), setup.outputs({path: changed})
    shared = [key for key, tensor in plain.items() if tensor.ndim > 2 and tensor.shape[:2] == given.shape]
    return all(difference(plain[key][:, :-1], outputs[key][:, :-1]) <= setup.tolerance for key in shared)
