"""Two versions of one training in a report, such as two commits of a suite: what differs, and whether it is worse."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.comparison.report import compare, screen
from lvmcheck.comparison.sides import Side, belongs
from lvmcheck.report.html.report_run import ReportRun
from lvmcheck.run.alike import distinct
from lvmcheck.text.fit import clean


def two_sides(runs: Sequence[ReportRun], named: Sequence[str] = ()) -> tuple[str, ...]:
    """The lines of the comparison; none where the runs of one suite are not two versions of it.

    Args:
        named: what each run belongs to, such as a git revision; by default runs that differ in more than their seed.
    """
    groups: list[list[int]] = []
    if len({it.suite for it in runs}) != 1 or not (runs[0].suite or named) or not all(it.run.finished for it in runs):
        return ()
    for index, item in enumerate(runs):
        mine = (it for it in groups if (named[it[0]] == named[index] if named else belongs(item.run, runs[it[0]].run)))
        found = next(mine, None)
        if found is None:
            groups.append([index])
        else:
            found.append(index)
    if len(groups) != 2:
        return ()
    if not named:
        groups.sort(key=lambda it: str(runs[it[0]].run.info.get("created")))
    sides = []
    for it in groups:
        several = distinct([runs[index].run for index in it])
        sides.append(Side(named[it[0]] if named else runs[it[0]].label, several[0], several))
    return tuple(clean(line, 400) for line in screen(compare(*sides)))
