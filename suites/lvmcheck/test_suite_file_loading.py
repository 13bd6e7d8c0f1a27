"""suite.toml to Suite: what is read, how profiles and overrides merge, where every key stands, and truncation."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lvmcheck.errors import InputError
from lvmcheck.suite import Expect, find_trainer, load_suite, suite_name, trainer_names, with_overrides

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STANDARD = ("smoke", "ci", "full")
GOOD = (HERE / "suite_file_kit" / "good.toml").read_text()


@pytest.fixture(autouse=True)
def kit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks and trainers of suite_file_kit, as if of a user's own repository."""
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "suites" / "mine" / "suite.toml"
    path.parent.mkdir(parents=True)
    path.write_text(GOOD)
    return path


def test_a_suite_is_read_typed(good: Path) -> None:
    suite = load_suite(good, profile="full")
    assert (suite.path, suite.name, suite.about) == (good, "mine", "a floor that bites")
    assert (suite.profile, suite.profiles, suite.declared) == ("full", STANDARD, 3)
    assert suite.trainer == "suite_file_kit.training:train"
    assert suite.seeds == (0, 1, 2)
    first, second, third = suite.checks
    assert first.params == {"metric": "train_cosine", "epoch": 1, "floor": 0.48, "abort_below": 0.45}
    assert (first.node, first.abort, first.source) == ("checks[train_cosine@1]", True, "success criteria, item 1")
    assert getattr(second.check, "floor", None) == 0.55
    assert second.profiles == ("full",)
    assert (third.node, third.calibrated_on) == ("finite everywhere", "twin wiki_584k")
    assert third.expect == Expect(outcome="failed", code="last", within_epoch=1)


def test_a_suite_is_frozen(good: Path) -> None:
    suite = load_suite(good)
    with pytest.raises(dataclasses.FrozenInstanceError):
        suite.profile = "full"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        suite.checks[0].abort = False  # type: ignore[misc]


def test_the_config_is_plain_and_has_neither_trainer_nor_seeds(good: Path) -> None:
    config = load_suite(good, profile="full").config
    assert json.loads(json.dumps(config)) == {
        "model": {"kind": "amn", "d_model": 256},
        "data": {"source": "twin", "context": 7},
        "epochs": 20,
        "lr": 1e-3,
        "loss": {"mse": 1.0},
    }


def test_a_profile_changes_what_it_names_and_nothing_else(good: Path) -> None:
    smoke, full = load_suite(good), load_suite(good, profile="full")
    assert (smoke.profile, smoke.config["epochs"], smoke.seeds) == ("smoke", 5, (0,))
    assert smoke.config["data"] == {"source": "twin", "context": 5}
    assert (full.config["epochs"], full.seeds) == (20, (0, 1, 2))
    assert [entry.line for entry in smoke.checks] == [26, 42], "the check at epoch 20 belongs to full alone"


def test_a_table_replaces_a_scalar_and_a_deeper_table_replaces_whole(good: Path) -> None:
    text = GOOD.replace("model = {", "model = { layers = { a = 1, b = 2 },").replace(
        "[profile.full]", "[profile.full]\nmodel = { layers = { a = 3 } }"
    )
    good.write_text(text)
    assert load_suite(good, profile="full").config["model"] == {"kind": "amn", "d_model": 256, "layers": {"a": 3}}


def test_loading_twice_gives_equal_suites_that_share_nothing(good: Path) -> None:
    one, two = load_suite(good), load_suite(good)
    assert one == two
    assert isinstance(one.config["data"], dict)
    one.config["data"]["context"] = 9
    assert load_suite(good) == two


@pytest.mark.parametrize(
    ("edit", "asked", "default", "chosen", "epochs", "available"),
    [
        ("", None, "smoke", "smoke", 5, STANDARD),
        ("", None, "ci", "ci", 20, STANDARD),
        ("", "full", "smoke", "full", 20, STANDARD),
        ("[profile.nightly]\nepochs = 30", None, "smoke", "smoke", 5, (*STANDARD, "nightly")),
        ("[profile.nightly]\nepochs = 30", "nightly", "smoke", "nightly", 30, (*STANDARD, "nightly")),
        ("default", None, "smoke", "full", 20, STANDARD),
        ("default", "smoke", "smoke", "smoke", 5, STANDARD),
    ],
)
def test_which_profile_is_meant(
    good: Path, edit: str, asked: str | None, default: str, chosen: str, epochs: int, available: tuple[str, ...]
) -> None:
    if edit == "default":
        good.write_text(GOOD.replace("checks = 3", 'checks = 3\ndefault_profile = "full"'))
    else:
        good.write_text(GOOD.replace("[profile.full]", f"{edit}\n[profile.full]"))
    suite = load_suite(good, profile=asked, default_profile=default)
    assert (suite.profile, suite.profiles, suite.config["epochs"]) == (chosen, available, epochs)


def test_without_profile_tables_every_standard_profile_is_the_plain_run(good: Path) -> None:
    head, tables = GOOD.split("[profile.smoke]")
    good.write_text(head + "[[check]]" + tables.split("[[check]]", 1)[1])
    configs = [load_suite(good, profile=name).config for name in STANDARD]
    assert configs[0]["epochs"] == 20
    assert configs[0] == configs[1] == configs[2]


def test_overrides_replace_exactly_what_they_name(good: Path) -> None:
    changes = {"data": {"source": "path", "path": "x.npz"}, "loss.info_nce": 0.5, "epochs": 2, "seeds": [7]}
    suite = load_suite(good, overrides=changes)
    assert suite.config["data"] == {"source": "path", "path": "x.npz"}
    assert suite.config["loss"] == {"mse": 1.0, "info_nce": 0.5}
    assert (suite.config["epochs"], suite.seeds) == (2, (7,))
    assert suite.where("run.data.path") == (good, None)
    assert suite.where("run.loss.mse") == (good, 16)
    changes["data"]["path"] = "y.npz"  # type: ignore[index]
    assert suite.config["data"] == {"source": "path", "path": "x.npz"}


def test_overrides_need_no_second_look_at_the_file(good: Path) -> None:
    suite = load_suite(good)
    good.unlink()
    changed = with_overrides(suite, {"epochs": 2, "seeds": [7]})
    assert (changed.config["epochs"], changed.seeds, changed.overridden) == (2, (7,), ("epochs", "seeds"))
    assert changed.checks is suite.checks
    with pytest.raises(InputError, match=r"override of run\.lr: "):
        with_overrides(suite, {"lr": 3})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"epochs": 0}, "override of run.epochs: expected an integer of at least 1, got 0."),
        ({"lr": 3}, "override of run.lr: expected float > 0, got 3."),
        ({"loss": {"inf_nce": 1.0}}, "override of run.loss.inf_nce: no such loss. Did you mean 'info_nce'?"),
        ({"epoch": 3}, "override of run.epoch: unknown key. Did you mean 'epochs'?"),
        ({"lr.x": 3}, "override 'lr.x': lr is not a table."),
    ],
)
def test_a_bad_override_is_named_as_one(good: Path, override: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_suite(good, overrides=override)
    assert str(caught.value) == f"{good}: {message}"


def test_an_override_that_ends_training_before_a_check_is_named(good: Path) -> None:
    with pytest.raises(InputError, match=r"epoch 20 will not run: run\.epochs is 3 by an override"):
        load_suite(good, profile="full", overrides={"epochs": 3})


def test_where_names_the_line_that_decides(good: Path) -> None:
    smoke, full = load_suite(good), load_suite(good, profile="full")
    lines = {key: (smoke.where(key)[1], full.where(key)[1]) for key in ("run.epochs", "run.data.context", "run.lr")}
    assert lines == {"run.epochs": (19, 11), "run.data.context": (10, 23), "run.lr": (12, 24)}
    assert full.where("run.data.source") == (good, 9)
    assert full.where("run.model.d_model") == (good, 8)
    assert full.where("run.loss.mse") == (good, 16)
    assert full.where("run.batch_size") == (good, 6), "a key that is not there stands where its table does"
    assert (smoke.where("run.data.path")[1], full.where("run.data.path")[1]) == (9, 23)
    assert full.where("suite.checks") == (good, 3)


def test_every_check_knows_its_lines(good: Path) -> None:
    first, second, third = load_suite(good, profile="full").checks
    assert [first.line, second.line, third.line] == [26, 35, 42]
    assert first.lines["floor"] == 30
    assert second.lines["floor"] == 39
    assert third.lines == {"check": 43, "name": 44, "calibrated_on": 45, "expect": 47}


@pytest.mark.parametrize(
    ("below", "name"),
    [
        ("suites/amn_790k/suite.toml", "amn_790k"),
        ("suites/known_failures/amn_790k_attempt_2/suite.toml", "known_failures/amn_790k_attempt_2"),
        ("suites/old/suites/a/suite.toml", "a"),
        ("suites/amn_790k/long.toml", "amn_790k/long"),
        ("elsewhere/mine/suite.toml", "mine"),
        ("suites/suite.toml", "suites"),
    ],
)
def test_the_name_of_a_suite(tmp_path: Path, below: str, name: str) -> None:
    assert suite_name(tmp_path / below) == name


def test_a_trainer_without_a_schema_gets_its_keys_unread(good: Path) -> None:
    good.write_text(
        GOOD.replace("suite_file_kit.training:", "suite_file_kit.plain:").replace("lr = 5e-4", "whatever = 1")
    )
    assert load_suite(good).config["whatever"] == 1
    assert find_trainer("suite_file_kit.plain:train").schema() is None


def test_a_file_that_promises_no_end_needs_none(good: Path) -> None:
    text = good.read_text()
    good.write_text(text.replace("end = true\n", "").replace("[end]\n", ""))
    assert len(load_suite(good).checks) == 2
    good.write_text(text.replace("end = true\n", "end = false\n"))
    assert len(load_suite(good).checks) == 2


def test_crlf_and_no_final_newline_are_fine(good: Path) -> None:
    good.write_bytes(GOOD.rstrip().replace("\n", "\r\n").encode())
    assert load_suite(good).where("run.loss.mse") == (good, 16)


def test_a_file_cut_at_any_byte_never_loads(good: Path) -> None:
    data = GOOD.encode()
    loaded = []
    for size in range(len(data)):
        good.write_bytes(data[:size])
        with contextlib.suppress(InputError):
            load_suite(good, profile="full")
            loaded.append(data[size:])
    assert loaded == [b"\n"], "only the final line end can go missing"


def test_importing_the_module_imports_nothing_heavy() -> None:
    code = (
        "import sys, lvmcheck.suite;"
        "names = {'torch', 'numpy', 'pydantic', 'tomli', 'tree_sitter', 'lvmcheck.checks.protocol'};"
        "print(sorted(names & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert shown.strip() == "[]"


def test_loading_imports_neither_torch_nor_numpy(good: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "from pathlib import Path; from lvmcheck.suite import load_suite\n"
        f"load_suite(Path({str(good)!r})); print(sorted({{'torch', 'numpy'}} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert shown.strip() == "[]"


# -- files that people read ------------------------------------------------------------------------------------------
def documented() -> str:
    """The complete example of docs/suite-format.md."""
    return (ROOT / "docs" / "suite-format.md").read_text().split("```toml\n")[1].split("```")[0]


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if started in the root of the repository, where ``models`` is importable."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.mark.usefixtures("repository")
def test_the_documented_example_loads(tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text(documented())
    smoke, full = load_suite(path), load_suite(path, profile="full")
    assert [len(smoke.checks), len(full.checks), full.declared] == [5, 6, 6]
    assert full.config["model"] == {"kind": "amn", "d_model": 256, "hidden_dim": 512}
    assert smoke.checks[0].node == "cosine_floor[train_cosine@1]"


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mse = 1.0", "inf_nce = 1.0", ": run.loss.inf_nce: no such loss term. Did you mean 'info_nce'?"),
        ("lr = 5e-4", 'lr = "5e-4"', ": run.lr: expected a number, got string '5e-4'."),
        ('"amn", d_model', '"amm", d_model', ": run.model.kind: "),
        ('"val_cosine"\nby', '"val_cosin"\nby', ": improves.metric: the trainer logs no metric 'val_cosin'. "),
        ('trainer = "vector"', 'trainer = "vectro"', ": run.trainer: trainer 'vectro': no such trainer. "),
        ("sequences = 726", "sequence = 726", ": profile.full.data.sequence: "),
    ],
)
def test_mistakes_in_the_documented_example(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "suite.toml"
    assert old in documented()
    text = documented().replace(old, new, 1)
    pairs = zip(text.splitlines(), documented().splitlines(), strict=True)
    line = next(number for number, (new_line, old_line) in enumerate(pairs, 1) if new_line != old_line)
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_suite(path)
    assert str(caught.value).startswith(f"{path}:{line}{message}")


@pytest.mark.usefixtures("repository")
def test_trainers_are_the_files_that_define_train() -> None:
    """Their schemas and helpers stand in the same folder and are no trainers."""
    assert "vector" in trainer_names()
    assert not {"vector_config", "schedule", "__init__"} & set(trainer_names())


SHIPPED = sorted(ROOT.glob("suites/**/suite.toml"))


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("shipped", [None, *SHIPPED], ids=lambda path: suite_name(path) if path else "documented")
def test_no_shipped_suite_loads_when_cut(tmp_path: Path, shipped: Path | None) -> None:
    data = (documented() if shipped is None else shipped.read_text()).encode()
    path = tmp_path / "suite.toml"
    path.write_bytes(data)
    load_suite(path)
    loaded = []
    step = 1 if os.environ.get("LVM_RELIABILITY") == "full" else 101
    for size in range(len(data) % 97, len(data), step):
        path.write_bytes(data[:size])
        with contextlib.suppress(InputError):
            load_suite(path)
            loaded.append(data[size:].split(b"#")[0])
    assert all(not rest.strip() for rest in loaded), loaded
