"""Every gate passes on a healthy twin, fails on the twin broken for it, and never passes on a missing or NaN fact."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lvmcheck.checks.data._gate import Gate
from lvmcheck.checks.finding import Status, Verdict, Why
from lvmcheck.checks.protocol import Case, Check, cases, check_names, evaluate, judge, load_check
from lvmcheck.commands.gate.measure import gate_data, gates
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run
from models.data.baselines import fit_linear, mean_of_context, score
from models.data.dataset import Dataset, open_data
from models.data.gates.write import write_twin
from models.data.recipes import BREAKAGES

SIZE = {"source": "twin", "sequences": 3000, "val_sequences": 1500, "ood_sequences": 1500, "dim": 96}
NEED_MORE = ("pairs_kept", "texts_aligned", "encoder_matches")
CAUGHT = {
    "scrambled": {"groups", "lag_profile", "windows_inside_articles", "document_order"},
    "null_group": {"groups", "windows_inside_articles"},
    "shuffled": {"lag_profile", "document_order"},
    "shuffled_in_3": {"document_order", "lag_profile"},
    "shuffled_in_8": {"document_order", "lag_profile"},
    "shuffled_in_50": {"document_order", "lag_profile"},
    "blocks_of_3_moved": {"document_order"},
    "blocks_of_8_moved": {"document_order"},
    "ids_moved_along": {"groups", "document_order", "lag_profile", "difficulty_parity"},
    "articles_joined": {"groups", "windows_inside_articles"},
    "split_duplicated": {"split_disjoint"},
    "split_near_duplicated": {"split_disjoint"},
    "easier_validation": {"difficulty_parity"},
    "rows_leaked": {"split_disjoint"},
    "article_leaked": {"split_disjoint"},
    "centred_validation": {"validation_same_space", "difficulty_parity", "lag_profile"},
    "rescaled_validation": {"validation_same_space", "unit_norm"},
    "rotated_validation": {"validation_same_space"},
    "other_encoder": {"ood_same_space"},
    "zero_vectors": {"zero_vectors", "split_disjoint"},  # zeros on both sides are equal vectors
    "wrong_norm": {"unit_norm"},
    "duplicated": {"duplicates"},
    "near_duplicated": {"duplicates"},
    "nan": {"vectors_finite"},
}
"""Exactly the gates that must fail on each broken twin; the first named is the one it was broken for."""


@cache
def twin(*broken: str) -> Dataset:
    return open_data(SIZE | {"broken": list(broken)}, seed=0)


def run_of(facts: dict[str, Any]) -> Run:
    return Run(events=(ev.Data(name="corpus", fingerprint="0", facts=facts),))


def failing(verdicts: list[Verdict]) -> set[str]:
    return {verdict.check for verdict in verdicts if verdict.status in (Status.FAILED, Status.ERROR)}


def live() -> list[Check]:
    return [gate for gate in gates() if gate.name() not in NEED_MORE]


# -- through the trainer's facts ---------------------------------------------------------------------------------------
def test_the_healthy_twin_passes_every_gate() -> None:
    verdicts = evaluate(run_of(twin().facts()), live())
    assert {verdict.status for verdict in verdicts} == {Status.PASSED}, failing(verdicts)
    assert len(verdicts) == 12
    half = open_data(SIZE | {"dtype": "float16"}, seed=1)
    assert not failing(evaluate(run_of(half.facts()), live()))


@pytest.mark.parametrize("name", BREAKAGES)
def test_each_broken_twin_fails_its_gates_and_no_other(name: str) -> None:
    verdicts = evaluate(run_of(twin(name).facts()), live())
    assert failing(verdicts) == CAUGHT[name]
    assert all(verdict.status is Status.FAILED for verdict in verdicts if verdict.check in CAUGHT[name])


def test_another_encoder_fails_although_its_own_predictor_is_good() -> None:
    """Nothing inside the OOD set is wrong, so nothing that looks at it alone can see the fault."""
    sound, rotated = twin().ood["coherent"], twin("other_encoder").ood["coherent"]
    for windows in (sound, rotated):
        own = score(windows, fit_linear(windows).predict)
        assert own > score(windows, mean_of_context) > 0.7
    assert judge(load_check("ood_same_space")(), run_of(twin("other_encoder").facts())).status is Status.FAILED


# -- laws --------------------------------------------------------------------------------------------------------------
GATES = [name for name in check_names() if issubclass(load_check(name), Gate)]
GOOD: list[tuple[str, Case]] = [(name, case) for name in GATES for case in cases(name)[0]]


def changed(run: Run, key: str, value: Any) -> Run:
    data = run.of(ev.Data)[0]
    facts = {name: old for name, old in data.facts.items() if name != key}
    if value is not None:
        facts[key] = value
    return Run(events=(replace(data, facts=facts),))


def like(old: object, number: float) -> object:
    return [number, *old[1:]] if isinstance(old, list) else number


@pytest.mark.parametrize("case", [case for _, case in GOOD], ids=[f"{name}-{case.name}" for name, case in GOOD])
def test_where_a_number_can_fail_a_gate_its_lack_and_a_nan_do_not_pass(case: Case) -> None:
    decisive = 0
    for key, old in case.run.facts.items():
        numeric = isinstance(old, int | float) or (isinstance(old, list) and not isinstance(old[0], str))
        if not numeric:
            continue
        extremes = (judge(case.check, changed(case.run, key, like(old, number))) for number in (-1e7, 1e7, 0.0))
        if any(outcome.status is Status.FAILED for outcome in extremes):
            decisive += 1
            assert judge(case.check, changed(case.run, key, like(old, math.nan))).status is not Status.PASSED, key
            missing = judge(case.check, changed(case.run, key, None))
            optional = key in ("gate.texts.equal_agree", "gate.texts.margins") and missing.status is Status.PASSED
            assert missing.status is not Status.PASSED or optional, key
    assert decisive >= 1


@pytest.mark.parametrize("name", GATES)
def test_a_run_without_gate_facts_or_a_part_is_not_recorded(name: str) -> None:
    check = cases(name)[0][0].check
    assert judge(check, run_of({"name": "old run"})).status is Status.NOT_RECORDED
    run = cases(name)[0][0].run
    if "gate.parts" in run.facts and name not in ("pairs_kept", "texts_aligned", "encoder_matches"):
        assert judge(check, changed(run, "gate.parts", [])).status is Status.NOT_RECORDED
        assert judge(check, changed(run, "gate.parts", None)).status is Status.NOT_RECORDED
    if name in ("vectors_finite", "unit_norm", "zero_vectors", "duplicates", "ood_same_space"):
        more = [*run.facts["gate.parts"], "ood.unmeasured"]
        assert judge(check, changed(run, "gate.parts", more)).status is Status.NOT_RECORDED


@pytest.mark.parametrize("name", NEED_MORE)
def test_an_input_that_was_not_given_is_not_recorded(name: str) -> None:
    """Only the command line, which evaluates every gate, states that one does not apply."""
    outcome = judge(load_check(name)(), run_of(twin().facts()))
    assert outcome.status is Status.NOT_RECORDED


# -- files -------------------------------------------------------------------------------------------------------------
def verdict_of(verdicts: list[Verdict], check: str) -> Verdict:
    return next(verdict for verdict in verdicts if verdict.check == check)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_twin(tmp_path_factory.mktemp("sound"), sequences=3000, dim=96)


@pytest.mark.parametrize("name", ["scrambled", "shuffled", "duplicated", "nan", "zero_vectors", "wrong_norm"])
def test_broken_files_are_measured_and_not_refused(name: str, sound: Path, tmp_path: Path) -> None:
    place = write_twin(tmp_path, broken=[name], sequences=3000, dim=96)
    _, verdicts = gate_data({"path": str(place), "reference": str(sound)})
    for check in CAUGHT[name] - {"split_disjoint"}:
        assert verdict_of(verdicts, check).status is Status.FAILED
    if name != "nan":  # one row in five hundred: too few to part the reference's neighbours
        assert verdict_of(verdicts, "pairs_kept").status in (Status.FAILED, Status.ERROR)


def test_pairs_are_kept_by_a_superset_and_lost_by_a_scrambled_one(sound: Path, tmp_path: Path) -> None:
    _, verdicts = gate_data({"path": str(sound), "reference": str(sound)})
    assert verdict_of(verdicts, "pairs_kept").status is Status.PASSED
    other = write_twin(tmp_path / "other", sequences=2999, dim=96, broken=["easier_validation"])
    _, verdicts = gate_data({"path": str(other), "reference": str(sound)})
    assert verdict_of(verdicts, "pairs_kept").status is not Status.PASSED


def test_a_suite_names_the_reference_in_its_data(sound: Path, tmp_path: Path) -> None:
    """The trainer's way in: the same facts, from a dataset that refuses faulty vectors."""
    facts = open_data({"path": str(sound), "reference": str(sound)}, seed=0).facts()
    assert judge(load_check("pairs_kept")(), run_of(facts)).status is Status.PASSED
    place = write_twin(tmp_path, broken=["scrambled"], sequences=3000, dim=96)
    facts = open_data({"path": str(place), "reference": str(sound)}, seed=0).facts()
    assert judge(load_check("pairs_kept")(), run_of(facts)).status is Status.FAILED


def test_without_article_ids_nothing_about_articles_passes(sound: Path) -> None:
    _, verdicts = gate_data({"path": str(sound / "vectors.npy")})
    by_check = {verdict.check: verdict for verdict in verdicts}
    assert by_check["windows_inside_articles"].status is Status.FAILED  # windows = rows - context
    for check in ("groups", "split_disjoint"):
        assert by_check[check].status is Status.NOT_RECORDED
        assert by_check[check].outcome.why is Why.NOT_IN_FORMAT
    assert by_check["vectors_finite"].status is Status.PASSED


def test_a_listing_of_every_row_as_a_window_is_the_n_minus_context_fault(sound: Path, tmp_path: Path) -> None:
    vectors, article = np.load(sound / "vectors.npy"), np.load(sound / "article.npy")
    np.save(tmp_path / "vectors.npy", vectors)
    np.save(tmp_path / "article.npy", article)
    np.savez(tmp_path / "sequences.npz", start=np.arange(len(vectors) - 5, dtype=np.int32))
    _, verdicts = gate_data({"path": str(tmp_path)})
    outcome = verdict_of(verdicts, "windows_inside_articles").outcome
    assert outcome.status is Status.FAILED
    assert outcome.finding is not None
    left = outcome.finding.fact("left_article")
    assert left is not None
    assert left.value == len(vectors) - 5 - 3000


def test_articles_of_one_row_are_fine(sound: Path, tmp_path: Path) -> None:
    vectors, article = np.load(sound / "vectors.npy"), np.load(sound / "article.npy")
    rng = np.random.default_rng(0)
    single = rng.standard_normal((200, 96)).astype(np.float32)
    single /= np.linalg.norm(single, axis=1, keepdims=True)
    np.save(tmp_path / "vectors.npy", np.concatenate([vectors, single]))
    np.save(tmp_path / "article.npy", np.concatenate([article, article.max() + 1 + np.arange(200)]))
    _, verdicts = gate_data({"path": str(tmp_path)})
    assert not failing(verdicts)


def test_ids_that_mean_nothing_are_a_null_group(sound: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", np.load(sound / "vectors.npy"))
    article = np.load(sound / "article.npy").astype(np.int64)
    for sentinel in (-7, np.iinfo(np.int64).max):
        np.save(tmp_path / "article.npy", np.where(article % 2 == 0, sentinel, article))
        run, verdicts = gate_data({"path": str(tmp_path)})
        assert verdict_of(verdicts, "groups").status is Status.FAILED
        assert run.facts["gate.data.null_rows"] == int((article % 2 == 0).sum())


def test_data_without_an_ood_set_are_no_case_for_its_gate() -> None:
    outcome = judge(load_check("ood_same_space")(), run_of(open_data(SIZE | {"ood_sequences": 0}, seed=0).facts()))
    assert outcome.status is Status.NOT_APPLICABLE
