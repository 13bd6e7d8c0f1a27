"""windows_crossing_articles: windows were cut from the whole file, not from each article."""

from __future__ import annotations

import math

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.data import _gate_cases as gates

MANY = 0.5
"""Share of windows outside one article from which the corpus has lost its boundaries."""


class WindowsCrossingArticles(Cause):
    """Windows cross article boundaries: their targets do not follow from their context."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("windows_inside_articles")
        if finding is None or not math.isfinite(finding.number):
            return None
        few = finding.code == "outside_one_article" and finding.number < MANY
        return Diagnosis(
            name=self.name(),
            # A few crossing windows cost little: another cause that is measured comes first.
            standing=Standing.LIKELY if few else Standing.MEASURED,
            phrase="windows cross article boundaries: all {rows} rows of {part} count as one article"
            if finding.code == "one_article"
            else "windows cross article boundaries: {crossing} of {windows} in {part} touch two articles",
            evidence=finding_facts(finding),
            explains=frozenset({"windows_inside_articles", "groups"}),
            ruled_out=evidence.ruled_out({"lag_profile": "a scrambled order", "finite": "numerical problems"}),
            fix="make windows article by article; expect context windows fewer per article than it has chunks",
            next="lvmcheck explain windows_inside_articles",
        )


_JOINED = {
    "gate.data.articles": 1,
    "gate.data.largest_article": 43_387,
    "gate.data.windows": 43_382,
    "gate.data.windows_inside": 43_382,
}

PASSES = (
    case("wikitext", gates.run()),
    case("twin", gates.run(facts=gates.TWIN)),
    case("not_a_number", gates.run({"gate.data.windows_crossing": math.nan})),
)
FAILS = (
    case("every_N_minus_5_file", gates.run(_JOINED), Standing.MEASURED, rows=43_387, context=5, windows=43_382),
    case("crossing", gates.run({"gate.data.windows_crossing": 3_280}), Standing.LIKELY, crossing=3_280),
)
