"""The judged gallery as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from suites.gallery.counts import Counts, count, tie_size
from suites.gallery.judge import Conclusion, Judgement, Kind
from suites.gallery.peer_logs import FORMS
from suites.gallery.peers import PEERS, Answers, Peer, versions


@dataclass(frozen=True)
class JudgedHalf:
    """A half of the gallery; ``answers`` of other tools, each in the order of the judgements."""

    name: str
    judgements: Sequence[Judgement]
    answers: Answers = field(default_factory=dict)


def half_lines(half: JudgedHalf) -> list[str]:
    """All tables of a half."""
    lines = [f"## {half.name.capitalize()} set", *_summary(half.judgements), "", *_by_task(half.judgements)]
    if half.answers:
        lines += ["", f"### Other tools, {half.name} set", *_peers(half)]
    lost = [(item, reason) for item in half.judgements if (reason := loss_of(item))]
    lines += ["", f"### Lost rows, {half.name} set", *(_lost(half, lost) if lost else ["None."])]
    return lines


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


# -- counts ------------------------------------------------------------------------------------------------------------
def _summary(judgements: Sequence[Judgement]) -> list[str]:
    total = count(judgements)
    return [
        f"{total.broken} broken programs whose figures show it: {_share(total.flagged, total.broken)} flagged; "
        f"the right cause first, or in the tie of the first, for {_share(total.first + total.tied, total.broken)} "
        f"({tie_size(judgements):.1f} causes in that place on average).",
        f"{total.healthy} healthy programs: {_share(total.failed, total.healthy)} failed, "
        f"{_share(total.healthy_warned, total.healthy)} only warned of.",
        f"{total.hidden} broken programs whose figures do not show it: {total.hidden_flagged} flagged; not counted.",
    ]


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.0%})" if whole else str(part)


_BY_TASK = (
    *("task", "broken", "flagged (exit 1)", "only warned", "right cause first", "in the tie"),
    *("healthy", "failed (exit 1)", "only warned"),
)


def _by_task(judgements: Sequence[Judgement]) -> list[str]:
    tasks = dict.fromkeys(item.task for item in judgements)
    rows = [(task, count(item for item in judgements if item.task == task)) for task in tasks]
    return _table(_BY_TASK, [_counts_row(task, counts) for task, counts in [*rows, ("all", count(judgements))]])


def _counts_row(task: str, counts: Counts) -> tuple[object, ...]:
    broken = (counts.broken, counts.flagged, counts.warned, counts.first, counts.tied)
    return (task.replace("_", " "), *broken, counts.healthy, counts.failed, counts.healthy_warned)


# -- other tools -------------------------------------------------------------------------------------------------------
def _peers(half: JudgedHalf) -> list[str]:
    total, known = count(half.judgements), versions()
    ours = (
        "lvmcheck",
        "recorder",
        total.flagged,
        total.warned,
        total.failed,
        total.healthy_warned,
        0,
        "exit 1 of `check`",
    )
    rows: list[Sequence[object]] = [ours]
    for peer in PEERS:
        named = f"{peer.name} {known.get(peer.name, '')}".strip()
        if peer.cannot:
            rows.append((named, *["cannot"] * 6, peer.cannot))
        else:
            rows += [(named, form, *_peer_counts(peer, form, half), _red(peer, form)) for form in FORMS]
    broken, healthy = f"of {total.broken} broken", f"of {total.healthy} healthy"
    header = (
        "tool",
        "log",
        f"red {broken}",
        "only warned",
        f"red {healthy}",
        "only warned",
        "not readable",
        "red means",
    )
    return _table(header, rows)


def _peer_counts(peer: Peer, form: str, half: JudgedHalf) -> Sequence[int]:
    paired = list(zip(half.judgements, half.answers[peer.name, form], strict=True))
    counts: list[int] = []
    for kind in (Kind.BROKEN, Kind.HEALTHY):
        of_it = [answer for item, answer in paired if item.kind is kind]
        counts += [sum(answer.red for answer in of_it), sum(answer.warned for answer in of_it)]
    return [*counts, sum(bool(answer.error) for _, answer in paired)]


def _red(peer: Peer, form: str) -> str:
    return f"{peer.red}; warned: {peer.warned}" if form == FORMS[0] else "the same"


# -- what was lost -----------------------------------------------------------------------------------------------------
def loss_of(item: Judgement) -> str:
    """In what way the judgement on a program is not as it should be; empty where it is."""
    if item.kind is Kind.HEALTHY:
        if item.concluded.exit:
            return "false alarm"
        return "warned of" if item.only_warned else "error" if item.concluded.error else ""
    if item.kind is Kind.HIDDEN:
        return ""
    missed = "" if item.flagged else "only warned of" if item.only_warned else "missed"
    cause = "" if item.right else "wrong cause" if item.concluded.named else "no cause"
    return ", ".join(part for part in (missed, cause) if part)


def _lost(half: JudgedHalf, lost: Sequence[tuple[Judgement, str]]) -> list[str]:
    places = {item.name: index for index, item in enumerate(half.judgements)}
    rows = []
    for item, reason in lost:
        best = {peer.name: half.answers.get((peer.name, peer.best), ()) for peer in PEERS}
        red = [name for name, answers in best.items() if answers and answers[places[item.name]].red]
        others = [", ".join(red) or "none"] if half.answers else []
        what = f"{item.fault}: {', '.join(sorted(item.causes))}" if item.causes else "healthy"
        rows.append((f"{item.name} ({item.task.replace('_', ' ')})", what, reason, _concluded(item.concluded), *others))
    return _table(("program", "what is wrong", "lost", "lvmcheck", *["red by"] * bool(half.answers)), rows)


def _concluded(said: Conclusion) -> str:
    """Failed checks, warnings and the first cause with its tie."""
    parts = [f"failed: {', '.join(said.failed)}" if said.failed else f"exit {said.exit}"]
    parts += [f"warned: {', '.join(said.warned)}"] if said.warned else []
    parts += [f"{first.standing}: {' or '.join((first.name, *first.also))}" for first in said.named[:1]]
    parts += [" ".join(said.error.replace("|", "/").split())[:200]] if said.error else []
    return "; ".join(parts)
