"""A suite from recorded runs: one, or several seeds of one configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from lvmcheck.causes.protocol import diagnose
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import evaluate
from lvmcheck.commands.init.bounds import RATE, SEEDS
from lvmcheck.commands.init.draft import Draft, check_name, plain_name, require_pass
from lvmcheck.commands.init.propose import propose
from lvmcheck.commands.init.started import Started, of_script, of_trainer
from lvmcheck.commands.init.suite_text import NOT_CONFIG, is_object_text, suite_text
from lvmcheck.errors import InputError
from lvmcheck.run.alike import FIX, repeated
from lvmcheck.run.one_epoch import with_one_epoch
from lvmcheck.run.view import Run
from lvmcheck.run.weights import with_weights

Named = tuple[str, Run]
"""A path as it was given, and the run there."""


def from_runs(
    given: Sequence[Named], *, trainer: str | None, script: str | None, name: str | None, anyway: bool = False
) -> Draft:
    """A suite that every one of the runs passes.

    Args:
        trainer: as a suite names it. script: command line of a script, in its place.
        anyway: also from runs that checks or causes find something wrong with.

    Raises:
        InputError: a run is not healthy, none has finished, they are not seeds of one training, or the trainer is not
            known.
    """
    if script is not None:  # which counts as one epoch where it records none
        given = [(path, with_one_epoch(run)) for path, run in given]
    found, left = _finished(given)
    wrong = _wrong(found, anyway=anyway)
    runs = [run for _, run in found]
    _same_training(found)
    label, said = _labels(found)
    chosen = check_name(name or _name(found))
    checks, omitted = propose(runs, said)
    if not checks:
        raise InputError(found[0][0], "nothing in it that a check could judge", fix="lvmcheck check RUN shows why.")
    started = of_script(script, runs[0].config) if script is not None else of_trainer(trainer, found[0][1], found[0][0])
    seeds, todo = _seeds(runs, started)
    config, dropped = started.config, list(_none_of(runs[0].config))
    if started.takes_config:
        config = {**started.config, **runs[0].config}
    else:
        dropped = [
            f"{key}: recorded as {str(value)[:60]!r}, and {started.shown} gets no option for it"
            for key, value in runs[0].config.items()
            if key not in (*NOT_CONFIG, "script", "arguments", *started.handed)
        ]
    every = [*left, *omitted, *dropped]
    text = suite_text(
        about=f"{chosen}: what {label} showed",
        head=[*_head(label, len(runs)), *(f"NOT A HEALTHY RUN: {item}" for item in wrong)],
        trainer=started.trainer,
        epochs=max(1, runs[0].planned_epochs or runs[0].last_epoch),
        seeds=seeds,
        config=config,
        checks=checks,
        left=every,
    )
    for run in runs:
        require_pass(text, run)
    return Draft(
        chosen, text, started.trainer, left=tuple(every), todo=tuple(todo), shown=tuple(path for path, _ in found)
    )


def _finished(given: Sequence[Named]) -> tuple[list[Named], list[str]]:
    """The finished ones, and a sentence for each other one.

    Raises:
        InputError: none of them has finished.
    """
    found, left = [], []
    for path, run in given:
        if run.finished and run.last_epoch and run.last_epoch >= (run.planned_epochs or 0):
            found.append((path, run))
        else:
            left.append(f"{path}: {run.stopped_where()}")
    if not found:
        path, run = given[0]
        raise InputError(path, f"expected a finished run with epochs, got: {run.stopped_where()}")
    return found, left


def _wrong(found: Sequence[Named], *, anyway: bool) -> list[str]:
    """What is wrong with the runs; a seed that is not healthy is not left out, for the rest would look better.

    Raises:
        InputError: something, and it is not to be taken anyway.
    """
    wrong = []
    for path, run in found:
        bad = problems(run)
        if bad and not anyway:
            fix = f"lvmcheck diagnose {path} shows more; --anyway makes a suite of it nevertheless."
            raise InputError(path, f"expected a healthy run, got one with: {', '.join(bad)}", fix=fix)
        wrong += bad
    return list(dict.fromkeys(wrong))


def problems(run: Run) -> list[str]:
    """What is wrong with a run that floors were to be taken from; empty for a healthy one.

    A check without data to judge is no problem; it is left out of the suite.
    """
    verdicts = evaluate(with_weights(run)[0])
    failed = [f"{verdict.check} failed" for verdict in verdicts if verdict.status is Status.FAILED]
    return failed + [f"cause {item.name}" for item in diagnose(run, verdicts)]


def _same_training(found: Sequence[Named]) -> None:
    """Refuse runs that are not several seeds of one training.

    Raises:
        InputError: their configurations or lengths differ, or two of them are one run.
    """
    (first, run), *others = found
    for path, other in others:
        config, theirs = _told(run), _told(other)
        for key in sorted({*config, *theirs}, key=str):
            if config.get(key) != theirs.get(key):
                got = f"{config.get(key)!r} in {first} and {theirs.get(key)!r} in {path}"
                fix = "Bounds of several seeds need runs that differ in their seed alone."
                raise InputError("--from", f"expected runs of one configuration, got {got}"[:300], key=key, fix=fix)
        if other.last_epoch != run.last_epoch:
            raise InputError("--from", f"{first} has {run.last_epoch} epochs, {path} has {other.last_epoch}")
    same = repeated([run for _, run in found])
    if same is not None:
        raise InputError("--from", same.problem(), fix=FIX)


def _told(run: Run) -> Mapping[str, object]:
    """The configuration but for its seed, and for what a script is handed of seed and place."""
    own = ("seed", "seeds", "arguments")
    return {str(key): value for key, value in run.config.items() if key not in own}


# -- names -------------------------------------------------------------------------------------------------------------
def _labels(found: Sequence[Named]) -> tuple[str, str]:
    """What the runs are called in the head of the file, and in sources."""
    suite = str(found[0][1].info.get("suite") or "")
    stems = [_stem(path) for path, _ in found]
    if len(found) == 1:
        label = f"run {f'{suite} {stems[0]}'.strip()}"
        return label, label
    shown = ", ".join(stems[:3]) + (f" and {len(stems) - 3} more" if len(stems) > 3 else "")
    label = f"{len(found)} runs {f'of {suite} ' if suite else ''}({shown})"
    return label, label


def _stem(path: str) -> str:
    return Path(path).name or Path(path).resolve().name


def _name(found: Sequence[Named]) -> str:
    own = str(found[0][1].info.get("suite") or "").rpartition("/")[2]
    if own or len(found) == 1:
        return plain_name(own or Path(_stem(found[0][0])).stem)
    stems = [Path(_stem(path)).stem for path, _ in found]
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*stems, strict=False))
    common = "".join(letters[0] for letters in alike).rstrip("-_.0123456789").removesuffix("seed").rstrip("-_.")
    return plain_name(common or Path(found[0][0]).resolve().parent.name)


def _head(label: str, seeds: int) -> Iterator[str]:
    yield f"Proposed by `lvmcheck init` from {label}. Every bound names its figure and what was taken off."
    if seeds >= SEEDS:
        yield f"A bound with a spread is one that {RATE:.0%} of healthy seeds miss, by {seeds} seeds (Student's t)."
        return
    yield "One run shows no spread between seeds: `lvmcheck calibrate SUITE` trains several and proposes floors with a"
    yield "stated rate of false alarms; a reference band needs them too (docs/references.md of lvmcheck)."


def _seeds(runs: Sequence[Run], started: Started) -> tuple[list[int], list[str]]:
    """The seeds of the suite, and what the person has to do for them."""
    known = [run.config.get("seed") if run.seed is None else run.seed for run in runs]
    seeds = list(dict.fromkeys(seed for seed in known if isinstance(seed, int))) or list(range(len(runs)))
    if started.seeded or len(seeds) == 1:
        return seeds, []
    how = f"have {started.shown} use its seed ({{seed}} in --script, or the variable LVMCHECK_SEED)"
    return seeds[:1], [f"{how}, then set seeds = {seeds} in the suite"]


def _none_of(config: Mapping[str, object]) -> Iterator[str]:
    """What of the configuration cannot be handed to a trainer again."""
    for key, value in config.items():
        if value is None:
            yield f"{key}: recorded as None, which TOML does not have"
        elif is_object_text(value):
            yield f"{key}: recorded as {str(value)[:60]}, the text of an object, which is no value"
