"""What a person must know of a run beside its verdicts: what its reader did with it, and that it ended early."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.checks.wording import plural, sentence
from lvmcheck.errors import excerpt, nearest
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run
from lvmcheck.text.say import say

SHOWN, LONGEST = 3, 150
"""Notes that are shown without ``--verbose``, and characters of each."""
NEAR, MOST = 0.85, 100
"""Likeness of a key to one that is read, and keys of a config that are looked at."""
CUT_SHORT = ("failed", "interrupted", "open")
"""Ends that a verdict or a note of its own tells."""
READ = (
    *(
        "epochs",
        "seed",
        "lr",
        "learning_rate",
        "loss",
        "early_stop",
        "device",
        "optimizer",
        "scheduler",
        "lr_scheduler",
        "schedule",
        "lr_schedule",
    ),
    *("classes", "num_classes", "num_labels", "vocab_size", "vocabulary", "max_steps", "total_steps", "steps"),
    *("expected_initial_loss", "initial_loss"),
)
"""Keys of a config that checks read; the last is a likely name for the one before it."""
STEPS = ("max_steps", "total_steps", "num_training_steps", "steps", "max_iters")


def print_remarks(run: Run, verdicts: Sequence[Verdict], *, verbose: bool) -> None:
    """One line each."""
    end = ended_early(run)
    if end is not None:
        say(end)
    if run.over and run.curves.unrecognised:
        names = ", ".join(excerpt(name) for name in run.curves.unrecognised[:SHOWN])
        say(f"hint: no loss, score or reward was recognised by name ({names}): say which is one, with rec.declare or")
        say("      --columns, such as --columns val_loss=NAME (docs/readers.md)")
    for key, meant in unread_keys(run.config):
        say(f"hint: no check reads the config key {excerpt(key)!r}; did you mean {meant!r}?")
    for name, fix in unrecorded_roles(run):
        say(f"hint: a role is declared for {name!r}, which is not recorded. {fix}")
    other = baseline_of_another_task(run)
    if other is not None:
        say(f"hint: the baselines are those of {other[0]}, and {other[1]} is none of theirs")
    notes = [*dict.fromkeys(note.text for note in run.of(ev.Note)), *_tolerated(verdicts)]
    for note in notes if verbose else notes[:SHOWN]:
        say(f"note: {excerpt(note, LONGEST)}")
    if len(notes) > SHOWN and not verbose:
        say(f"{plural(len(notes) - SHOWN, 'more note')} (-v lists them)")


def ended_early(run: Run) -> str | None:
    """``ended after 7 of 20 epochs: val_loss did not improve``; None where a run did what was planned."""
    status = "" if run.done is None else str(run.done.get("status"))
    reason = None if run.done is None else run.done.get("reason")
    early = run.of(ev.Early)
    if status == "open":
        return f"judged as far as it goes: {excerpt(str(reason), LONGEST)}" if reason and run.path is None else None
    if not run.over or run.death is not None or status in CUT_SHORT:
        return None
    said = early[-1].reason if early else reason
    because = f": {excerpt(str(said), LONGEST)}" if said else ""
    planned, steps = run.stated_epochs, next(_planned_steps(run), None)
    if planned is not None and 0 < run.last_epoch < planned:
        return f"ended after {run.last_epoch} of {plural(planned, 'epoch')}{because}"
    if planned is None and steps is not None and 0 < run.step < steps:
        return f"ended after {run.step:,} of {plural(steps, 'step')}{because}"
    return f"ended early{because}" if early or status == "stopped" else None


def _planned_steps(run: Run) -> Iterator[int]:
    values = (run.config.get(name) for name in STEPS)
    return (value for value in values if isinstance(value, int) and not isinstance(value, bool) and value > 0)


def unrecorded_roles(run: Run) -> Iterator[tuple[str, str]]:
    """Metrics whose role was declared and that an ended run never recorded, each with the nearest that it did."""
    roles = [name for event in run.of(ev.Declare) for name in event.roles]
    if not roles or not run.over:
        return
    known = [*run.curves.roles, *(name for window in run.windows[:1] for name in window.terms)]
    yield from ((name, nearest(name, known)) for name in roles if name not in known)


def baseline_of_another_task(run: Run) -> tuple[str, str] | None:
    """The task that baselines were computed for and a metric of another one, where no metric belongs to the task."""
    if not run.facts:
        return None
    from lvmcheck.run.role_names import Quantity
    from lvmcheck.run.statements import TASKS

    task = next((name for name, fact in TASKS.items() if fact in run.facts), None)
    if task is None:
        return None
    roles = run.curves.roles.values()
    counted = [role.name for role in roles if role.quantity is Quantity.ACCURACY]
    valued = [role.name for role in roles if role.quantity in (Quantity.R2, Quantity.ERROR)]
    own, others = (valued, counted) if task == "values" else (counted, valued)
    return (task, others[0]) if others and not own else None


def unread_keys(config: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Keys that are nearly one that checks read, where that is not given, and which that is."""
    import difflib

    for key in list(config)[:MOST]:
        near = difflib.get_close_matches(str(key), READ, n=1, cutoff=NEAR)
        meant = "expected_initial_loss" if near == ["initial_loss"] else near[0] if near else ""
        if meant and meant not in config and meant != key and not (key in READ and key != "initial_loss"):
            yield str(key), meant


def _tolerated(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """NaN and infinities in a run that passed all the same."""
    for verdict in verdicts:
        finding = verdict.finding
        if verdict.check != "finite" or verdict.status is not Status.PASSED or finding is None:
            continue
        norms = finding.fact("infinite_gradient_norms")
        if norms is not None and isinstance(norms.value, int):
            yield f"{plural(norms.value, 'gradient norm')} not finite, as where a loss scale is searched"
        if finding.measured:
            yield sentence(finding)


def extent(run: Run) -> str:
    """`` in 5 steps``: how little a run holds; empty where it is no question."""
    if not run.windows and not run.last_epoch and not run.step:
        return " before the first step had ended"
    unfinished = run.death is not None or str((run.done or {}).get("status")) in ("failed", "interrupted")
    if run.last_epoch < SHOWN and 0 < run.step < LONG:
        return f" in {plural(run.step, 'step')}"
    if unfinished:
        where = plural(run.last_epoch, "epoch") if run.last_epoch else plural(run.step, "step")
        return f" in {where}"
    return ""


LONG = 50
"""Steps from which a run is long enough to be called judged without saying so."""
