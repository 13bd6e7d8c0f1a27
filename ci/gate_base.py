"""What a commit asks less of than the base branch: suites, requirements, and the code that judges."""

from __future__ import annotations

import fnmatch
import json
import posixpath
import sys
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from gate_finding import Reason
from gate_git import Tree
from gate_report import same
from gate_shape import Table
from gate_source import followed, imported, is_list, is_script, module_files, named_in, through_links, words_in
from gate_tree import entries, read_suite

PROTECTED = (
    *("conftest.py", "*/conftest.py", "fixtures/references/*", "*/fixtures/references/*", "*.pth", ".gitattributes"),
    *("sitecustomize.py", "*/sitecustomize.py", "usercustomize.py", "*.egg-info/*", "*.dist-info/*"),
    *("ci/*.py", "ci/*.sh", "ci/*.yml", ".github/*", ".gitlab-ci.yml", ".gitlab/*", ".buildkite/*", "Jenkinsfile"),
    *("requirements*.txt", "*/requirements*.txt", "constraints*.txt", "setup.py", "*/setup.py", "environment.y*ml"),
    *("*/pyproject.toml", "*/setup.cfg", "Makefile", "*/Makefile", "makefile", "GNUmakefile", "*.mk", "noxfile.py"),
    *("justfile", "Taskfile*.y*ml", "tasks.py", "dodo.py", "Dockerfile*", "*/Dockerfile*", "Containerfile*"),
    *("*/Containerfile*", "*.sbatch", ".circleci/*", ".travis.yml", "azure-pipelines*.yml", "bitbucket-pipelines.yml"),
    *(".drone.yml", ".woodpecker*", ".forgejo/*", ".gitea/*", "appveyor.yml", "cloudbuild.y*ml"),
    *("uv.lock", "poetry.lock", "pdm.lock", "Pipfile", "Pipfile.lock", "conda-lock.yml", "pixi.lock", "pylock*.toml"),
    *("uv.toml", "poetry.toml", "pixi.toml", "hatch.toml", "pip.conf", "pip.ini", ".condarc", "package.json"),
    *(".python-version", ".tool-versions", "mise.toml", ".mise.toml", "runtime.txt", "flake.*", "shell.nix", ".envrc"),
    *("compose*.y*ml", "docker-compose*.y*ml", "Earthfile", "devbox.json", ".env"),
)
"""Files that decide how runs are judged, what is run and what is installed, beside those named by ``protected``."""
CI = (
    *(".github/*.y*ml", ".gitlab-ci.yml", ".gitlab/*.yml", ".buildkite/*", "Jenkinsfile", "Makefile", "*.sbatch"),
    *("*.sh", "ci/*.y*ml", ".circleci/*.yml", ".forgejo/*.y*ml", ".gitea/*.y*ml", "azure-pipelines*.yml", "justfile"),
    *("requirements*.txt", "*/requirements*.txt", "constraints*.txt", "environment.y*ml", "tox.ini", "noxfile.py"),
    *("Dockerfile*", "*/Dockerfile*", "Containerfile*", "pyproject.toml", "*/pyproject.toml", "setup.cfg"),
)
"""Descriptions of what a CI runs and installs: what they name is part of them."""
CONFIGURATION = (
    *("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml", "tox.ini", "setup.cfg"),
)
"""Names under which pytest looks for its configuration, in the folder of a suite and in those above it."""
JUDGES = (
    *("lvmcheck", "pytest", "_pytest", "pluggy", "iniconfig", "packaging", "xdist", "execnet", "filelock", "numpy"),
    *("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection", "rich", "markdown_it"),
    *(
        "mdurl",
        "pygments",
        "safetensors",
        "torch",
        "hypothesis",
        "sortedcontainers",
        "attr",
        "attrs",
        "anyio",
        "sniffio",
    ),
    *("idna", "exceptiongroup", "pytest_*", "xdist", "coverage", "py", "cpuinfo", "pytest_benchmark", "setuptools"),
)
"""What judges imports: a folder or file of such a name, where there was none, takes the place of what is installed."""
IDENTITY = ("name", "check", "metric", "epoch", "across", "profiles")
STRICTER = {"floor": 1, "ceiling": -1, "abort_below": 1, "abort_above": -1}
"""Number of a check -> the direction in which it asks for more."""


def shown(value: object) -> str:
    """A value on one line, as the waiver of a loosening has to name it."""
    return "nothing" if value is None else json.dumps(value, sort_keys=True, default=str)


def loosenings(base: Tree, head: Tree, rules: Table, require: str | None) -> Iterator[Reason]:
    """Everything that the commit asks less of."""
    for rule in rules["suite"]:
        yield from of_suite(base, head, rule)
    if require is not None:
        yield from of_rules(base, head, require)
    yield from of_judges(base, head, rules)


# -- suites ------------------------------------------------------------------------------------------------------------
def of_suite(base: Tree, head: Tree, rule: Table) -> Iterator[Reason]:
    before, after = read_suite(base, rule["file"]), read_suite(head, rule["file"])
    if before is None:
        return
    if after is None:
        yield Reason("suite_removed", rule["file"])
        return
    who, profile = f"{rule['file']} ({rule['profile']})", rule["profile"]
    asked = entries(before, profile)
    together = any("across" in entry for entry in asked)
    yield from of_run(who, merged(before, profile), merged(after, profile), rule.get("free", ()), together=together)
    yield from of_checks(who, asked, entries(after, profile))


def merged(table: Table, profile: str) -> Table:
    """The run as a profile has it, with what decides how its seeds are asked."""
    found: Table = dict(part) if isinstance(part := table.get("run"), dict) else {}
    profiles = table.get("profile")
    for key, value in (profiles.get(profile, {}) if isinstance(profiles, dict) else {}).items():
        old = found.get(key)
        found[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    suite = table.get("suite")
    return {**found, "sequential": isinstance(suite, dict) and bool(suite.get("sequential"))}


def of_run(who: str, before: Table, after: Table, free: Sequence[str], *, together: bool = False) -> Iterator[Reason]:
    """Keys of the run that differ; the owner may leave keys free.

    Args:
        together: something is asked of all seeds together, and a lucky one may be added; else more are no loosening.
    """
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        listed = isinstance(old, list) and isinstance(new, list) and new[: len(old)] == old
        more = key == "seeds" and listed and not together
        if old != new and key not in free and not more:
            yield Reason("run_changed", f"{who}: run.{key}", shown(old), shown(new))


def of_checks(who: str, before: Sequence[Table], after: Sequence[Table]) -> Iterator[Reason]:
    left = [dict(entry) for entry in after]
    for entry in [*before]:
        if entry in left:
            continue
        same = [other for other in left if label(other) == label(entry) and other not in before]
        subject = f"{who}: {label(entry)}"
        if not same:
            yield Reason("check_removed", subject)
            continue
        left.remove(same[0])
        yield from of_entry(subject, entry, same[0])


def label(entry: Table) -> str:
    """What identifies an entry between two versions of a suite."""
    return " ".join(str(entry[key]) for key in IDENTITY if key in entry)


def of_entry(who: str, before: Table, after: Table) -> Iterator[Reason]:
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if key == "expect":
            yield Reason("expectation_changed", who, shown(old), shown(new))
        elif key in STRICTER and number(old) and number(new):
            change = float(str(new)) - float(str(old))
            if change * STRICTER[key] < 0 or change != change:
                yield Reason("bound_loosened", f"{who}: {key}", shown(old), shown(new))
        elif key != "source":
            yield Reason("check_changed", f"{who}: {key}", shown(old), shown(new))


def number(value: Any) -> bool:
    return type(value) in (int, float)


# -- requirements ------------------------------------------------------------------------------------------------------
def of_rules(base: Tree, head: Tree, path: str) -> Iterator[Reason]:
    """Requirements of the commit that ask for less than those of the base branch, which are the ones in force."""
    before, after = read_suite(base, path) or {}, read_suite(head, path) or {}
    limits = {"max_age_hours": -1, "max_waiver_days": -1, "protected": 0, "opens": 0, "selftest": 1}
    for key, direction in limits.items():
        old, new = (table.get("gate", {}).get(key) for table in (before, after))
        yield from of_rule(f"{path}: gate.{key}", old, new, direction)
    for rule in before.get("suite", []):
        same = [
            it
            for it in after.get("suite", [])
            if (it.get("file"), it.get("profile")) == (rule["file"], rule["profile"])
        ]
        who = f"{path}: {rule['file']} ({rule['profile']})"
        if not same:
            yield Reason("rule_loosened", who, "required", "not required")
            continue
        for key in sorted({*rule, *same[0]}):
            yield from of_rule(
                f"{who}: {key}", rule.get(key), same[0].get(key), {"seeds": 1, "checks": 1, "selftest": 1}.get(key, 0)
            )


def of_rule(who: str, old: Any, new: Any, direction: int) -> Iterator[Reason]:
    better = number(old) and number(new) and (new - old) * direction > 0
    if old != new and not better:
        yield Reason("rule_loosened", who, shown(old), shown(new))


# -- the code that judges ----------------------------------------------------------------------------------------------
def of_judges(base: Tree, head: Tree, rules: Table) -> Iterator[Reason]:
    """Files that decide how runs are judged: configuration of pytest, and the checks that required suites name."""
    patterns = (*PROTECTED, *map(str, rules["protected"]))
    changed = {path for path in {*base.entries, *head.entries} if base.entries.get(path) != head.entries.get(path)}
    named = {path for path in changed if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)}
    files = [rule["file"].split("/") for rule in rules["suite"]]
    folders = {"/".join(parts[:n]) for parts in files for n in range(len(parts))}
    named |= changed & {f"{folder}/{name}".lstrip("/") for folder in folders for name in CONFIGURATION}
    named |= {path for path in changed if any(shadows(path, folder, base, head) for folder in folders)}
    judges = check_files(base, head, rules) | beside_checks(base, head, rules, folders) | of_ci(base, head, rules)
    for path in sorted(named | (changed & judges)):
        old, new = (tree.entries.get(path, ("", "nothing"))[1] for tree in (base, head))
        yield Reason("judge_changed", path, old, new)


def shadows(path: str, folder: str, base: Tree, head: Tree) -> bool:
    """Whether a new file of a folder in which Python may look is called like something that judges."""
    front = f"{folder}/".lstrip("/")
    name = path.removeprefix(front).split("/")[0].removesuffix(".py")
    taken = name in sys.stdlib_module_names or any(fnmatch.fnmatchcase(name, judge) for judge in JUDGES)
    if not taken or not path.startswith(front) or path not in head.entries:
        return False
    there = (f"{front}{name}.py", f"{front}{name}/")
    return not any(known.startswith(there) for known in base.entries)


def of_data(reports: Sequence[Table], base: Tree, head: Tree, rules: Table) -> Iterator[Reason]:
    """Data of required suites, declared or opened, that the base branch has with another content or not at all.

    A file of the base branch that is gone, of the folder and the kind of one that was read, was perhaps read as well.
    """
    executed = {file["path"] for report in reports for file in report.get("files", ())}
    for rule in rules["suite"]:
        runs = [run for report in reports for suite in report["suites"] if same(rule, suite) for run in suite["runs"]]
        read = {path for run in runs for path in (*run["inputs"], *(run.get("opened") or ()))} - executed
        for path in sorted(read) if "inputs" not in rule.get("free", ()) and rule["file"] in base.entries else ():
            old, new = base.blob(path), head.blob(path)
            if new is not None and old != new:
                yield Reason("data_changed", path, old or "nothing", new)
        kinds = {kind_of(path) for path in read if head.blob(path) is not None}
        for path in sorted({*base.entries} - {*head.entries}) if "inputs" not in rule.get("free", ()) else ():
            if kind_of(path) in kinds:
                yield Reason("data_changed", path, base.blob(path), "nothing")


def kind_of(path: str) -> tuple[str, str]:
    """The folder of a file and the end of its name."""
    return posixpath.dirname(path), posixpath.splitext(path)[1]


def check_files(base: Tree, head: Tree, rules: Table) -> set[str]:
    """Files of the checks that suites name by module, local modules that those import, and files that those name."""
    found: set[str] = set()
    for tree in (base, head):
        suites = [read_suite(tree, rule["file"]) or {} for rule in rules["suite"]]
        listed = [entry for table in suites for entry in table.get("check", []) if isinstance(entry, dict)]
        named = [name.partition(":")[0] for entry in listed if ":" in (name := str(entry.get("check", "")))]
        for path, source in followed(tree, named).items():
            found |= {path, *named_in(tree, source, path)}
    return found


def beside_checks(base: Tree, head: Tree, rules: Table, folders: Collection[str]) -> set[str]:
    """Schemas of the trainers of required suites and ``conftest.py`` of their folders, with what they import.

    What a trainer imports itself is judged and does not judge, unless a conftest imports it directly; a schema decides
    how a run is judged, with all that it imports but the trainer.
    """
    found: set[str] = set()
    for tree in (base, head):
        tables = [read_suite(tree, rule["file"]) or {} for rule in rules["suite"]]
        modules = {str(run.get("trainer", "")).partition(":")[0] for table in tables for run in _runs(table)} - {""}
        trainers = {path for name in modules for path in module_files(tree, name)}
        found |= {*followed(tree, [f"{name}_config" for name in modules], but=trainers)}
        places = [f"{folder}/conftest.py".lstrip("/") for folder in folders]
        names = [it for path in places if path in tree.entries for it in imported(tree.read(path) or b"", path)]
        found |= {path for name in names for path in module_files(tree, name)}
        if names:
            found |= {*followed(tree, names)} - {*followed(tree, modules)}
    return found


def of_ci(base: Tree, head: Tree, rules: Table) -> set[str]:
    """Files that descriptions of the CI name, such as a script; not the trainers of required suites."""
    found: set[str] = set()
    for tree in (base, head):
        waiting = [path for path in tree.entries if any(fnmatch.fnmatchcase(path, pattern) for pattern in CI)]
        seen: set[str] = set()
        while waiting:
            path = waiting.pop()
            if path not in seen:
                seen.add(path)
                place = through_links(tree, path)
                named = {place} - {path} | words_in(tree, tree.read(place) or b"", place)
                found |= named
                waiting += [name for name in named if is_list(name) or is_script(tree.read(name) or b"")]
        runs = [it for rule in rules["suite"] for it in _runs(read_suite(tree, rule["file"]) or {})]
        trainers = {str(run.get("trainer", "")).partition(":")[0] for run in runs}
        found -= {path for name in trainers if name for path in module_files(tree, name)}
    return found


def _runs(table: Table) -> list[Table]:
    return [part for part in (table.get("run"), *_values(table.get("profile"))) if isinstance(part, dict)]


def _values(table: Any) -> list[Any]:
    return list(table.values()) if isinstance(table, dict) else []
