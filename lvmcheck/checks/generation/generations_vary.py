"""generations_vary: what a language model writes has not collapsed to one token, one phrase or one answer."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.finding import Fact, Finding, Outcome, facts
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import Numbers, at_least, at_most, final_probe, settle
from lvmcheck.checks.shared.epochs import check_count, check_number
from lvmcheck.run.events import Probe, Sample
from lvmcheck.run.view import Run

PROBE = "generations"
SLACK = {"greedy": 0.5, "sampled": 0.25}
"""How far the share of the commonest token may lie above the corpus': greedy decoding repeats itself by nature."""
STRICT = {"greedy": 0.5, "sampled": 1.0}
"""Part of ``share`` that is asked of a mode."""
MODES = ("greedy", "sampled")
MOST = 0.95
"""A share of one token or one answer that is a collapse whatever the corpus looks like."""
RUN = 10
"""Tokens up to which a repetition is never judged."""
LONGEST = "sampled/longest_run"
WORDS = {
    "distinct_2": "share of distinct pairs of tokens",
    "entropy": "entropy over tokens",
    "top_token_share": "share of the commonest token",
    "identical_share": "share of prompts with the answer of another one",
}
UNITS = {"entropy": "nats"}


@dataclass(frozen=True, kw_only=True)
class GenerationsVary(Check):
    """Generated text, greedy and sampled, is about as varied as the corpus' own answers to the same prompts.

    The probe "generations" of the final epoch gives these numbers for greedy/, sampled/ and reference/ (the right
    answers): distinct_2 (distinct pairs of tokens over all pairs) and entropy (nats over tokens) are at least `share`
    of the reference, half of that for greedy; top_token_share is at most 0.25 above it, 0.5 for greedy; identical_share
    (prompts whose continuation equals that of a prompt with another answer) is at most `max_identical`; sampled text
    repeats no token for more than half of a continuation and more than 10 tokens. At least `min_prompts` prompts.

    Why:
    A language model that always writes the same has learned nothing, and no loss curve shows it. The original project's
    model reached a train loss of 0.115 and answered every prompt with a row of colons; it was judged by eye, on three
    prompts.

    Usual causes:
    - Labels that are not shifted, or no causal mask: the model learned to copy, and repeats the end of the prompt.
    - Padding counted in the loss: the commonest token wins.
    - Too little training: the likeliest token of the corpus is repeated ("the the the").
    - A sampler that ignores the temperature, or logits of the wrong position.

    Fix:
    If the loss is far below what a compressor needs, look for a leak of labels (too_good_to_be_true, causal); if it is
    high, train longer. Read the samples beside the right answers: they are in the run as sample events.

    Healthy runs that must pass:
    A small model that greedily repeats a common word while its samples vary; a model that answers a quarter of its
    sums right: among 40 answers of one or two digits three in four equal that of another prompt by chance.

    Source:
    docs/history.md (the output "::::::::"); Li et al. 2016, distinct-n.
    """

    metric_fields = ()

    share: float = 0.5
    max_identical: float = 0.95
    min_prompts: int = 3

    def __post_init__(self) -> None:
        check_number("share", self.share, 0.0, 1.0)
        check_number("max_identical", self.max_identical, 0.0, 1.0)
        check_count("min_prompts", self.min_prompts, low=2)

    def judge(self, run: Run) -> Outcome:
        return final_probe(run, PROBE, lambda known, probe: self._judge(known, _samples(run, probe)))

    def _judge(self, known: Numbers, samples: tuple[Fact, ...]) -> Outcome:
        phrase = "{measured} prompts continued ({mode})"
        enough = [
            at_least(
                "prompts", known.number(f"{mode}/prompts"), self.min_prompts, evidence=facts(mode=mode), phrase=phrase
            )
            for mode in MODES
        ]
        if not all(finding.met for finding in enough):
            return settle(enough)
        return settle([found for mode in MODES for found in self._compare(known, mode, samples)])

    def _compare(self, known: Numbers, mode: str, samples: tuple[Fact, ...]) -> list[Finding]:
        prompts, tokens = known.number(f"{mode}/prompts"), known.number(f"{mode}/tokens")
        base = facts(mode=mode, prompts=prompts)
        if not tokens >= 1:
            words = "{measured} tokens generated for {prompts} prompts ({mode})"
            return [at_least("tokens", tokens, 1, evidence=(*base, *samples), phrase=words)]
        keys = ["entropy", "top_token_share", "identical_share"]
        # Without two tokens in any answer there is no pair of tokens.
        if known.has(f"{mode}/distinct_2") or (known.has("reference/distinct_2") and tokens > prompts):
            keys.insert(0, "distinct_2")
        mine = {key: known.number(f"{mode}/{key}") for key in keys}
        own = {key: known.number(f"reference/{key}") for key in keys}
        both = facts({**mine, **{f"reference_{key}": value for key, value in own.items()}})
        evidence = (*base, *both, *samples)
        found = [self._bounded(key, mine[key], own[key], mode, evidence) for key in keys]
        if mode == "sampled":
            longest = max(RUN, 0.5 * tokens / prompts)
            words = "longest run of one token in sampled text {measured}"
            found.append(at_most("longest_run", known.number(LONGEST), longest, evidence=evidence, phrase=words))
        return found

    def _bounded(self, key: str, value: float, own: float, mode: str, evidence: tuple[Fact, ...]) -> Finding:
        """One number of the generated text beside what that of the right answers allows."""
        phrase, unit = f"{{mode}} text: {WORDS[key]} {{measured}}", UNITS.get(key, "")
        if key in ("distinct_2", "entropy"):
            limit = self.share * STRICT[mode] * own
            return at_least(key, value, limit, unit=unit, evidence=evidence, phrase=phrase)
        limit = self.max_identical if key == "identical_share" else min(own + SLACK[mode], MOST)
        return at_most(key, value, limit, unit=unit, evidence=evidence, phrase=phrase)


def _samples(run: Run, probe: Probe) -> tuple[Fact, ...]:
    """Two generated texts of the final epoch, beside their prompts."""
    final = [event for event in run.of(Sample) if event.epoch == probe.epoch][:2]
    texts = {f"sample_{i}": f"{event.prompt[-40:]!r} -> {event.text[:60]!r}" for i, event in enumerate(final, 1)}
    return facts(texts)


_REFERENCE = {"distinct_2": 0.6, "entropy": 2.8, "top_token_share": 0.15, "identical_share": 0.05}
_HEALTHY = {
    "distinct_2": 0.55,
    "entropy": 2.6,
    "top_token_share": 0.2,
    "identical_share": 0.06,
    "longest_run": 3.0,
    "prompts": 32.0,
    "tokens": 512.0,
}
_REPEATS = {**_HEALTHY, "distinct_2": 0.2, "entropy": 1.2, "top_token_share": 0.5, "longest_run": 14.0}
_COLONS = {
    **_HEALTHY,
    "distinct_2": 0.002,
    "entropy": 0.0,
    "top_token_share": 1.0,
    "identical_share": 1.0,
    "longest_run": 16.0,
}


def _run(greedy: dict[str, float], sampled: dict[str, float], reference: dict[str, float] = _REFERENCE) -> Run:
    sets = {"greedy": greedy, "sampled": sampled, "reference": reference}
    return language.probed(
        PROBE, {f"{mode}/{key}": value for mode, each in sets.items() for key, value in each.items()}
    )


_case = made.Cases(GenerationsVary())
_ONE = {key: value for key, value in _HEALTHY.items() if key != "distinct_2"} | {"tokens": 32.0}
_SHORT = {"distinct_2": 0.9, "entropy": 2.2, "top_token_share": 0.3, "identical_share": 0.45}
PASSES = (
    _case("perfect_oracle", _run({**_HEALTHY, **_REFERENCE}, {**_HEALTHY, **_REFERENCE})),
    _case("greedily_repeats_a_common_word", _run(_REPEATS, _HEALTHY)),
    _case("answers_of_one_token", _run(_ONE, _ONE, {k: _ONE[k] for k in _REFERENCE if k in _ONE})),
    _case(
        "a_quarter_of_its_sums_right",
        _run({**_HEALTHY, "identical_share": 0.725}, {**_HEALTHY, "identical_share": 0.475}, _SHORT),
    ),
)
FAILS = (
    _case("colons", _run(_COLONS, _COLONS), mode="sampled", top_token_share=1.0, reference_top_token_share=0.15),
    _case("samples_repeat_one_word", _run(_REPEATS, _REPEATS), mode="sampled"),
    _case(
        "one_answer_to_all", _run({**_HEALTHY, "identical_share": 1.0}, _HEALTHY), "identical_share", 1.0, mode="greedy"
    ),
    _case("nothing_generated", _run(_HEALTHY, {"prompts": 32.0, "tokens": 0.0}), "tokens", mode="sampled"),
    _case("nan", _run(_HEALTHY, {**_HEALTHY, "entropy": float("nan")}), "entropy", float("nan")),
)
