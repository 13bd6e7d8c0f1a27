"""What the gate says of two commits: everything that the later one asks less of, case by case."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from suites.ci.gate_kit import SUITE
from suites.ci.trees_kit import FILES, LINK, OWN, RULES, TEXT, Files, base, said, sha


def changed(old: str, new: str, file: str = SUITE) -> Callable[[dict[str, str]], None]:
    def change(files: dict[str, str]) -> None:
        assert old in files[file], old
        files[file] = files[file].replace(old, new)

    return change


def there(path: str, text: str | None = "x") -> Callable[[dict[str, str]], None]:
    """A file that is written, or with None taken away."""

    def change(files: dict[str, str]) -> None:
        if text is None:
            del files[path]
        else:
            files[path] = text

    return change


WHO = f"{SUITE} (smoke)"
ENTRY = f"{WHO}: cosine_floor val_cosine 1"
LOOSER: dict[str, tuple[Callable[[dict[str, str]], None], list[tuple[str, str]]]] = {
    "nothing": (lambda _: None, []),
    "a floor that falls": (changed("floor = 0.5", "floor = 0.4"), [("bound_loosened", f"{ENTRY}: floor")]),
    "a floor that rises": (changed("floor = 0.5", "floor = 0.6"), []),
    "a floor that is NaN": (changed("floor = 0.5", "floor = nan"), [("bound_loosened", f"{ENTRY}: floor")]),
    "a floor that is an expression": (changed("= 0.5", '= "best"'), [("check_changed", f"{ENTRY}: floor")]),
    "a ceiling that rises": (changed("= 2.0", "= 2.5"), [("bound_loosened", f"{WHO}: metric val_loss: ceiling")]),
    "a ceiling that falls": (changed("ceiling = 2.0", "ceiling = 1.5"), []),
    "a flag for a floor": (changed("floor = 0.5", "floor = true"), [("check_changed", f"{ENTRY}: floor")]),
    "another source": (changed("a paper", "a book"), []),
    "an abort": (
        changed("floor = 0.5", "floor = 0.5\nabort_below = 0.1"),
        [("check_changed", f"{ENTRY}: abort_below")],
    ),
    "a check that is gone": (
        changed('[[check]]\ncheck = "finite"\nprofiles = ["smoke"]\n', ""),
        [("check_removed", f"{WHO}: finite ['smoke']")],
    ),
    "a check in front": (
        changed('[[check]]\ncheck = "metric"', '[[check]]\ncheck = "finite"\n\n[[check]]\ncheck = "metric"'),
        [],
    ),
    "a check of another profile": (changed('["smoke"]', '["full"]'), [("check_removed", f"{WHO}: finite ['smoke']")]),
    "a failure that is expected": (
        changed("floor = 0.5", 'floor = 0.5\nexpect = {outcome = "failed"}'),
        [("expectation_changed", ENTRY)],
    ),
    "more seeds": (changed("[0, 1]", "[0, 1, 2]"), []),
    "other seeds": (changed("[0, 1]", "[1, 0]"), [("run_changed", f"{WHO}: run.seeds")]),
    "a key of the run": (changed("lr = 0.1", "lr = 0.2"), [("run_changed", f"{WHO}: run.lr")]),
    "a key that is free": (changed("trainer =", "batch_size = 2\ntrainer ="), []),
    "a key of the profile": (changed("epochs = 2", "epochs = 3"), [("run_changed", f"{WHO}: run.epochs")]),
    "a key that the profile replaces": (changed("epochs = 4", "epochs = 5"), []),
    "in turns": (changed("checks = 3", "checks = 3\nsequential = true"), [("run_changed", f"{WHO}: run.sequential")]),
    "no suite": (there(SUITE, None), [("suite_removed", SUITE)]),
    "a suite that cannot be read": (there(SUITE, "[["), [("suite_removed", SUITE)]),
    "older reports": (
        changed("hours = 24", "hours = 48", "gate.toml"),
        [("rule_loosened", "gate.toml: gate.max_age_hours")],
    ),
    "newer reports": (changed("hours = 24", "hours = 12", "gate.toml"), []),
    "more that may be opened": (changed('"a/*"', '"*"', "gate.toml"), [("rule_loosened", "gate.toml: gate.opens")]),
    "fewer seeds asked": (
        changed("seeds = 2", "seeds = 1", "gate.toml"),
        [("rule_loosened", f"gate.toml: {WHO}: seeds")],
    ),
    "more seeds asked": (changed("seeds = 2", "seeds = 3", "gate.toml"), []),
    "another device": (changed('"cpu"', '"cuda"', "gate.toml"), [("rule_loosened", f"gate.toml: {WHO}: device")]),
    "not required": (changed('"smoke"', '"ci"', "gate.toml"), [("rule_loosened", f"gate.toml: {WHO}")]),
    "a conftest": (there("suites/conftest.py"), [("judge_changed", "suites/conftest.py")]),
    "the configuration": (there("pyproject.toml", "x"), [("judge_changed", "pyproject.toml")]),
    "one beside the suite": (there("suites/toy/pytest.ini"), [("judge_changed", "suites/toy/pytest.ini")]),
    "one elsewhere": (there("other/pytest.ini"), []),
    "a protected file": (there("data/a.json", None), [("judge_changed", "data/a.json")]),
    "metadata": (there("x.egg-info/entry_points.txt"), [("judge_changed", "x.egg-info/entry_points.txt")]),
    "a package of a known name": (there("torch/nn.py"), [("judge_changed", "torch/nn.py")]),
    "a module of Python's name": (there("suites/json.py"), [("judge_changed", "suites/json.py")]),
    "such a name elsewhere": (there("other/torch.py"), []),
    "a module of its own": (there("theirs.py"), []),
    "a trainer": (there("mine.py", "y"), []),
    "its schema": (there("lib/mine_config.py"), [("judge_changed", "lib/mine_config.py")]),
    "what is installed": (there("docs/requirements-ci.txt"), [("judge_changed", "docs/requirements-ci.txt")]),
    "what is run": (there(".github/workflows/a.yml"), [("judge_changed", ".github/workflows/a.yml")]),
    "what a conftest imports": (there("helper.py"), [("judge_changed", "helper.py")]),
    "a plugin of a conftest": (there("plug.py"), [("judge_changed", "plug.py")]),
    "what an import of a conftest imports": (there("further.py"), [("judge_changed", "further.py")]),
    "what the trainer imports, too": (there("shared.py"), []),
    "what a conftest and the trainer import": (there("both.py"), [("judge_changed", "both.py")]),
    "what a schema imports": (there("defaults.py"), [("judge_changed", "defaults.py")]),
    "where packages come from": (there("uv.toml"), [("judge_changed", "uv.toml")]),
    "what a conftest elsewhere imports": (there("away.py"), []),
}
BESIDE = {
    "suites/conftest.py": "import helper, both\npytest_plugins = ['plug']\n",
    "other/conftest.py": "import away\n",
}
BESIDE |= {
    "helper.py": "import further, shared\n",
    "mine.py": "import shared, both\n",
    "shared.py": "",
    "both.py": "import shared\n",
}
BESIDE |= {"mine_config.py": "import mine, middle\n", "middle.py": "import defaults\n", "defaults.py": ""}


@pytest.mark.parametrize("case", LOOSER)
def test_what_a_commit_asks_less_of(case: str) -> None:
    change, expected = LOOSER[case]
    before = {**FILES, **BESIDE}
    files = dict(before)
    change(files)
    rules = copy.deepcopy(RULES)
    rules["suite"][0]["free"] = ["batch_size"]
    assert said(base.loosenings(Files(before), Files(files), rules, "gate.toml")) == expected


def test_a_seed_more_may_be_a_lucky_one_where_all_are_asked_together() -> None:
    before = {**FILES, SUITE: TEXT.replace("floor = 0.5", 'floor = 0.5\nacross = "mean"')}
    after = {**before, SUITE: before[SUITE].replace("[0, 1]", "[0, 1, 2]")}
    assert said(base.loosenings(Files(before), Files(after), RULES, None)) == [("run_changed", f"{WHO}: run.seeds")]


def test_what_is_there_already_may_be_called_anything() -> None:
    before = {**FILES, "torch/a.py": "", "json.py": ""}
    after = {**before, "torch/b.py": "", "json.py": "x"}
    assert said(base.loosenings(Files(before), Files(after), RULES, None)) == []
    assert said(base.loosenings(Files(before), Files(FILES), RULES, None)) == []


@pytest.mark.parametrize(
    ("source", "more", "named"),
    [
        ("import helper", {"helper.py": "x"}, ["helper.py"]),
        (
            "from package import part",
            {"package/__init__.py": "", "package/part.py": "x"},
            ["package/__init__.py", "package/part.py"],
        ),
        (
            "import package.part",
            {"package/__init__.py": "x", "package/part.py": "x"},
            ["package/__init__.py", "package/part.py"],
        ),
        ("from . import a", {"a.py": "x"}, ["a.py"]),
        ("from .part import a", {"part.py": "x"}, ["part.py"]),
        ("from .. import a", {"a.py": "x"}, ["a.py"]),
        ("b = importlib.import_module('helper')", {"helper.py": "x"}, ["helper.py"]),
        ("pytest_plugins = ['helper']", {"helper.py": "x"}, ["helper.py"]),
        ("plugins = ['helper']; f('helper')", {"helper.py": "x"}, []),
        ("LEAST = 'bounds.json'", {"bounds.json": "x"}, ["bounds.json"]),
        ("LEAST = 'kept/bounds.json'", {"kept/bounds.json": "x", "other/bounds.json": "x"}, ["kept/bounds.json"]),
        ("LEAST = 'a'", {"a": "x"}, []),
        ("LEAST = f'least_{kind}.txt'", {"least_a.txt": "x", "b/least_a.txt": "x", "least.txt": "x"}, ["least_a.txt"]),
        ("LEAST = f'least_{kind}'", {"least_a": "x"}, []),
        ("LEAST = Path('b').glob('*.txt')", {"a.txt": "x", "b/a.txt": "x", "c/a.txt": "x"}, ["a.txt", "b/a.txt"]),
        ("LEAST = Path(__file__).with_suffix('.txt')", {"own.txt": "x", "b/own.txt": "x"}, ["own.txt"]),
        ("LEAST = b'bounds.json'", {"bounds.json": "x"}, []),
        ("import (", {"helper.py": "x"}, []),
        ("import lvmcheck.checks.bounds", {"lvmcheck/checks/bounds.py": "x"}, []),
    ],
)
def test_what_a_check_of_the_suite_is_made_of(source: str, more: dict[str, str], named: list[str]) -> None:
    files = {**FILES, SUITE: TEXT + OWN, "own.py": source, **dict.fromkeys(more, "before")}
    after = {**files, **more}
    assert said(base.loosenings(Files(files), Files(after), RULES, None)) == [("judge_changed", name) for name in named]
    own = {**files, "own.py": f"{source}\n# changed"}
    assert said(base.loosenings(Files(files), Files(own), RULES, None)) == [("judge_changed", "own.py")]


def test_a_relative_import_is_of_its_own_package() -> None:
    own = '[[check]]\ncheck = "package.own:Check"\n'
    before = {**FILES, SUITE: TEXT + own, "package/own.py": "from . import a", "package/a.py": "", "a.py": ""}
    after = {**before, "package/a.py": "x", "a.py": "x"}
    assert said(base.loosenings(Files(before), Files(after), RULES, None)) == [("judge_changed", "package/a.py")]


FLOW = ".github/workflows/a.yml"
CALLED: dict[str, tuple[dict[str, str], list[str]]] = {
    "a script by its path": ({FLOW: "run: tools/judge --all", "tools/judge": ""}, ["tools/judge"]),
    "a script in a folder": ({FLOW: "run: cd tools; ./judge", "tools/judge": ""}, ["tools/judge"]),
    "a program in a folder": ({FLOW: "run: cd tools; python judge.py", "tools/judge.py": ""}, ["tools/judge.py"]),
    "a word": ({FLOW: "run: cd tools; judge", "tools/judge": ""}, []),
    "a module": ({FLOW: "run: python -m tools.judge", "tools/judge.py": ""}, ["tools/judge.py"]),
    "a package": ({FLOW: "run: python -m tools", "tools/__main__.py": ""}, ["tools/__main__.py"]),
    "requirements of requirements": (
        {"a/requirements.txt": "-r ../b/c.in", "b/c.in": "-r d.in", "b/d.in": ""},
        ["b/d.in"],
    ),
    "requirements of a build": ({"pyproject.toml": 'a = {file = ["b.in"]}', "b.in": ""}, ["b.in"]),
    "what a build names": ({"pyproject.toml": 'a = ["b.in"]', "b.in": ""}, []),
    "what an image holds": ({"Dockerfile": "FROM a\nCOPY b/c.py .", "b/c.py": ""}, []),
    "a file beside": ({FLOW: "run: ./judge.py", "judge.py": ""}, ["judge.py"]),
    "the end of a path": ({FLOW: "run: b/judge", "ab/judge": "", "a/b/judge": ""}, ["a/b/judge"]),
    "what a script of a shell calls": (
        {FLOW: "run: tools/judge", "tools/judge": "#!/bin/sh\ntools/more", "tools/more": ""},
        ["tools/more"],
    ),
    "scripts that call each other": (
        {FLOW: "run: ./a.sh", "a.sh": "#!/bin/sh\nb/c.sh", "b/c.sh": "#!/bin/sh\n./a.sh"},
        ["b/c.sh"],
    ),
    "what a program names": ({FLOW: "run: tools/judge", "tools/judge": "tools/more", "tools/more": ""}, []),
    "what a Makefile calls": ({"Makefile": "a:\n\ttools/judge", "tools/judge": ""}, ["tools/judge"]),
    "the trainer": ({FLOW: "run: python mine.py"}, []),
    "what no CI names": ({"other.yml": "run: tools/judge", "tools/judge": ""}, []),
    "a Makefile": ({"Makefile": ""}, ["Makefile"]),
    "a Makefile below": ({"parts/Makefile": ""}, ["parts/Makefile"]),
    "a package below": ({"packages/one/pyproject.toml": ""}, ["packages/one/pyproject.toml"]),
    "an image": ({"docker/Dockerfile.gpu": ""}, ["docker/Dockerfile.gpu"]),
    "a job of SLURM": ({"train.sbatch": ""}, ["train.sbatch"]),
}


@pytest.mark.parametrize("case", CALLED)
def test_what_a_ci_runs(case: str) -> None:
    more, named = CALLED[case]
    before, last = {**FILES, **more}, list({**FILES, **more})[-1]
    after = {**before, last: before[last] + " # changed"}
    if case == "the trainer":
        after = {**before, "mine.py": "y"}
    assert said(base.loosenings(Files(before), Files(after), RULES, None)) == [("judge_changed", it) for it in named]


@pytest.mark.parametrize(
    ("word", "links"),
    [
        ("tools/judge", {"tools/judge": "../b/c"}),
        ("tools/judge", {"x/tools/judge": "../../b/c"}),  # named by its end
        ("d/c", {"d": "b"}),
    ],
    ids=["link", "end", "folder"],
)
def test_what_a_ci_runs_through_links(word: str, links: dict[str, str]) -> None:
    before = {**FILES, FLOW: f"run: {word}", "b/c": "", **links}
    modes = dict.fromkeys(links, LINK)
    assert said(base.loosenings(Files(before, modes), Files({**before, "b/c": "x"}, modes), RULES, None)) == [
        ("judge_changed", "b/c")
    ]


@pytest.mark.parametrize(("gone", "named"), [("rows/c.txt", ["rows/c.txt"]), ("rows/c.md", []), ("d.txt", [])])
def test_data_that_are_gone(gone: str, named: list[str]) -> None:
    """Of the folder and the kind of what was read."""
    after = {**FILES, "rows/a.txt": ""}
    run = {"inputs": {}, "opened": {"rows/a.txt": sha("")}}
    report = {"suites": [{"file": SUITE, "profile": "smoke", "runs": [run]}]}
    found = base.of_data([report], Files({**after, gone: ""}), Files(after), RULES)
    assert [reason.subject for reason in found] == named


def test_links_that_lead_round() -> None:
    before = {**FILES, FLOW: "run: a/b", "a": "c", "c": "a"}
    modes = dict.fromkeys(("a", "c"), LINK)
    after = {**before, "c": "d"}
    found = said(base.loosenings(Files(before, modes), Files(after, modes), RULES, None))
    assert found == []  # and it ends


def test_a_suite_that_is_new_asks_no_less() -> None:
    before = {name: text for name, text in FILES.items() if name != SUITE}
    assert said(base.of_suite(Files(before), Files(FILES), RULES["suite"][0])) == []
