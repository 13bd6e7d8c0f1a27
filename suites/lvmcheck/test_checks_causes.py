"""Every cause against its own cases: not named where it is not shown, first where it is."""

from __future__ import annotations

import pytest

from lvmcheck.causes.protocol import CauseCase, Diagnosis, Standing, cause_names, diagnose, load_cause, ranked
from lvmcheck.causes.watch.units_dead import BESIDE
from lvmcheck.causes.wording import diagnosis_lines
from lvmcheck.checks.curves.cosine_floor import CosineFloor
from lvmcheck.checks.losses.loss_balance import LossBalance
from lvmcheck.checks.protocol import check_names, verdict
from lvmcheck.checks.shared.cases import val_run
from lvmcheck.checks.wording import phrase_names
from lvmcheck.errors import InputError
from lvmcheck.run.view import Run

NAMES = cause_names()


def of(kind: str) -> list[tuple[str, CauseCase]]:
    which = ("PASSES", "FAILS").index(kind)
    return [(name, case) for name in NAMES for case in load_cause(name).cases()[which]]


@pytest.mark.parametrize(("name", "case"), of("PASSES"), ids=lambda x: getattr(x, "name", x))
def test_is_not_named(name: str, case: CauseCase) -> None:
    assert name not in [found.name for found in diagnose(case.run)]


@pytest.mark.parametrize(("name", "case"), of("FAILS"), ids=lambda x: getattr(x, "name", x))
def test_comes_first(name: str, case: CauseCase) -> None:
    found = diagnose(case.run)
    assert found
    assert name in (found[0].name, *found[0].also), [(item.name, item.standing.name) for item in found]
    own = next(item for item in found if item.name == name)
    assert not case.mismatch(own), case.mismatch(own)
    assert any(isinstance(fact.value, int | float) for fact in own.evidence), "no figure in the evidence"
    assert own.explains <= set(check_names())
    assert set(own.also) <= set(NAMES) - {name}
    assert bool(own.tell_apart) or not own.also, "what looks the same must be told apart"
    missing = phrase_names(own.phrase) - {fact.name for fact in own.evidence}
    assert not missing, f"the sentence would say that they were not measured: {missing}"
    assert own.fix
    assert own.next.split()[0] == "lvmcheck"
    assert diagnosis_lines(own)


@pytest.mark.parametrize(("name", "case"), of("FAILS"), ids=lambda x: getattr(x, "name", x))
def test_every_figure_has_one_name(name: str, case: CauseCase) -> None:
    own = next(item for item in diagnose(case.run) if item.name == name)
    places = [(fact.name, fact.epoch, fact.step) for fact in own.evidence]
    assert len(places) == len(set(places)), places


@pytest.mark.parametrize("name", NAMES)
def test_is_proved_and_documented(name: str) -> None:
    assert len([case for owner, case in of("PASSES") if owner == name]) >= 2
    assert len([case for owner, case in of("FAILS") if owner == name]) >= 2
    assert load_cause(name).about()


@pytest.mark.parametrize("run", [Run(), Run(done={"status": "finished"}), Run(death="killed")], ids=str)
def test_nothing_is_named_without_data(run: Run) -> None:
    assert diagnose(run) == []


def test_verdicts_that_are_known_count_before_defaults() -> None:
    """A suite that names the dominant term as the main one has no dominant term."""
    run = next(case.run for name, case in of("FAILS") if name == "dominant_term" and "gradients" in case.name)
    named = verdict(LossBalance(main="info_nce"), run)
    assert [found.name for found in diagnose(run, [named])] == []
    assert [found.name for found in diagnose(run, [verdict(LossBalance(), run)])] == ["dominant_term"]


def test_a_failed_floor_alone_names_no_cause() -> None:
    run = val_run([0.45, 0.46])
    assert diagnose(run, [verdict(CosineFloor(metric="val_cosine", epoch=1, floor=0.48), run)]) == []


def test_unknown_cause_offers_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean 'hidden_term'"):
        load_cause("hiden_term")


def test_what_is_brought_about_comes_behind_what_brings_it_about() -> None:
    def shown(name: str, standing: Standing, *after: str) -> Diagnosis:
        return Diagnosis(name=name, standing=standing, phrase="", evidence=(), fix="", next="", after=frozenset(after))

    effect = shown("units_dead", Standing.MEASURED, "loss_sign")
    likely, guess = shown("loss_sign", Standing.LIKELY), shown("loss_sign", Standing.CONSISTENT)
    assert [d.name for d in ranked([effect, likely], frozenset())] == ["loss_sign", "units_dead"]
    assert [d.name for d in ranked([effect, guess], frozenset())] == ["units_dead", "loss_sign"], (
        "a guess moves nothing"
    )
    assert [d.name for d in ranked([effect], frozenset())] == ["units_dead"]


def test_dead_units_are_no_cause_of_what_is_learned_by_heart() -> None:
    """Training that learns is not held back by them, so that labels come first."""
    named = [found.name for found in diagnose(BESIDE)]
    assert named[0] == "label_mismatch"
    assert "units_dead" in named
