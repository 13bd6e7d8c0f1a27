"""windows_crossing_articles: windows were cut from the whole file, not from each article."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.data import _gate_cases as gates


class WindowsCrossingArticles(Cause):
    """Windows cross article boundaries: targets that nothing in their context announces."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("windows_inside_articles")
        measured = None if finding is None else finding.measured
        if finding is None or not isinstance(measured, float) or not math.isfinite(measured):
            return None
        return Diagnosis(
            name=self.name(),
            sentence="windows cross article boundaries: the corpus has lost where its articles end",
            evidence=(finding.sentence(), *finding.evidence),
            ruled_out=evidence.ruled_out({"lag_profile": "a scrambled order", "finite": "numerical trouble"}),
            fix="make windows article by article; expect context windows fewer per article than it has chunks",
            next="lvmcheck explain windows_inside_articles",
            # A few crossing windows cost little: other causes that are shown come first.
            score=0.6,
        )


_JOINED = {
    "gate.data.articles": 1,
    "gate.data.largest_article": 43_387,
    "gate.data.windows": 43_382,
    "gate.data.windows_inside": 43_382,
}

PASSES: Sequence[CauseCase] = (
    CauseCase(name="wikitext", run=gates.run()),
    CauseCase(name="twin", run=gates.run(facts=gates.TWIN)),
    CauseCase(name="not_a_number", run=gates.run({"gate.data.windows_crossing": math.nan})),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(name="every_N_minus_5_file", run=gates.run(_JOINED), says=("cross article", "rows - context 5 = 43,382")),
    CauseCase(
        name="crossing",
        run=gates.run({"gate.data.windows_crossing": 3_280}),
        says=("3,280 touch two articles", "not: a scrambled order"),
    ),
)
