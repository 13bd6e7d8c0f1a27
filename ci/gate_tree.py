"""Whether what a session executed and judged is what stands in the commit, file by file."""

from __future__ import annotations

import fnmatch
import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gate_finding import Reason
from gate_git import LINK, Tree
from gate_report import keeps, same
from gate_shape import Table

LISTED = "listed"
"""What a report says in place of a digest, of a name in a folder that was listed and of a link that was looked at."""
HEADER = re.compile(r"^[ \t]*\[\[[ \t]*check[ \t]*\]\]", re.MULTILINE)


def of_files(report: Table, tree: Tree) -> Iterator[Reason]:
    """Files that were executed and differ from the commit, or are no part of it."""
    listed: dict[str, str] = {}
    for file in report["files"]:
        path, blob = file["path"], file["blob"]
        if listed.setdefault(path, blob) != blob:
            yield Reason("file_differs", path, blob[:12], listed[path][:12])
        yield from of_file(path, blob, tree)
    for suite in report["suites"]:
        if suite["file"] not in listed:
            yield Reason("file_missing", suite["file"])
        module = suite["trainer"].partition(":")[0].replace(".", "/")
        ends = (f"{module}.py", f"{module}/__init__.py")
        trained = any(run["own"] for run in suite["runs"])
        if trained and one_ends(tree.entries, ends) and not one_ends(listed, ends):
            yield Reason("file_missing", ends[0])
        for run in suite["runs"]:
            yield from of_inputs(run["inputs"], tree)


def one_ends(paths: Iterable[str], ends: Sequence[str]) -> bool:
    return any(path == end or path.endswith("/" + end) for path in paths for end in ends)


def of_file(path: str, blob: str, tree: Tree) -> Iterator[Reason]:
    if path.startswith("/") or ".." in path.split("/"):
        yield Reason("file_outside", path)
        return
    committed, mode = tree.blob(path), tree.in_the_way(path)
    if mode is not None:
        yield Reason("file_is_link" if mode == LINK else "file_in_submodule", path)
    elif committed is None:
        yield Reason("file_not_in_commit", path)
    elif committed != blob:
        yield Reason("file_differs", path, committed[:12], blob[:12] or "it could not be read")


def of_inputs(inputs: Table, tree: Tree) -> Iterator[Reason]:
    """Data that the commit holds; what it does not hold (large files) is known by its digest alone."""
    committed = tree.digests(inputs)
    for path, digest in inputs.items():
        mode = tree.in_the_way(path)
        if mode is not None:
            yield Reason("file_is_link" if mode == LINK else "file_in_submodule", path)
        elif path in committed and digest not in committed[path]:
            yield Reason("file_differs", path, committed[path][0][:12], str(digest)[:12])


def of_opened(suite: Table, rules: Table, tree: Tree) -> Iterator[Reason]:
    """Files below the checkout that a trainer opened: part of the commit as they are, declared as data, or allowed."""
    for run in suite["runs"]:
        opened = run["opened"]
        if opened is None:
            if run["status"] in ("finished", "stopped") and any(same(rule, suite) for rule in rules["suite"]):
                yield Reason("opened_unknown", f"{suite['file']} seed{run['seed']}")
            continue
        left = {path: digest for path, digest in opened.items() if path not in run["inputs"]}
        allowed = [path for path in left if any(fnmatch.fnmatchcase(path, str(one)) for one in rules["opens"])]
        committed = tree.digests(path for path, digest in left.items() if digest != LISTED)
        for path in sorted({*left} - {*allowed}):
            if left[path] == LISTED:
                declared = any(f"{known}/".startswith(f"{path}/") for known in (*run["inputs"], *rules["opens"]))
                if not declared and not tree.holds(path):
                    yield Reason("opened_not_in_commit", path)
            elif path not in committed or tree.in_the_way(path) is not None:
                yield Reason("opened_not_in_commit", path)
            elif left[path] not in committed[path]:
                yield Reason("opened_differs", path, committed[path][0][:12], str(left[path])[:12] or "it changed")


# -- the suite ---------------------------------------------------------------------------------------------------------
def read_suite(tree: Tree, path: str) -> Table | None:
    """A suite as the tree has it; None where it is not there or cannot be read."""
    raw = tree.read(path)
    if raw is None:
        return None
    try:
        return tomllib.loads(raw.decode())
    except (ValueError, RecursionError):
        return None


def entries(table: Table, profile: str) -> list[Table]:
    """The check entries of a profile."""
    listed = table.get("check", [])
    found = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return [entry for entry in found if profile in entry.get("profiles", [profile])]


def of_suite_text(suite: Table, tree: Tree) -> Iterator[Reason]:
    """A suite whose text, checks, bounds or expected failures are not those of the commit."""
    table = read_suite(tree, suite["file"])
    if table is None:
        yield Reason("suite_unreadable", suite["file"], got="not there, or no TOML")
        return
    text = (tree.read(suite["file"]) or b"").replace(b"\r\n", b"\n")  # read by the session with ends of either kind
    if hashlib.sha256(text).hexdigest() != suite["digest"]:
        yield Reason("suite_differs", suite["file"])
        return
    chosen = entries(table, suite["profile"])
    together = sum("across" in entry for entry in chosen)
    counts = Counter(check["verdict"]["seed"] for check in suite["checks"])
    for seed in suite["seeds"]:
        if counts[seed] != len(chosen) - together:
            yield Reason("check_not_of_suite", f"{suite['file']} seed{seed}", len(chosen) - together, counts[seed])
    if counts["seeds"] != together:
        yield Reason("check_not_of_suite", f"{suite['file']} seeds", together, counts["seeds"])
    run = {**table.get("run", {}), **table.get("profile", {}).get(suite["profile"], {})}
    if "seeds" not in suite["overridden"] and run.get("seeds") != suite["seeds"]:
        yield Reason("suite_differs", f"{suite['file']}: seeds")
    yield from of_entries(suite, table, str((tree.read(suite["file"]) or b"").decode()))


def of_entries(suite: Table, table: Table, text: str) -> Iterator[Reason]:
    """Each verdict beside the entry that asks for it, which is found by its line."""
    lines = [text.count("\n", 0, match.start()) + 1 for match in HEADER.finditer(text)]
    listed = table.get("check", [])
    at = dict(zip(lines, listed, strict=False)) if len(lines) == len(listed) else {}
    for check in suite["checks"]:
        verdict = check["verdict"]
        entry = at.get((verdict["asked"] or {}).get("line") or 0)
        if entry is None:
            if at:
                yield Reason("check_not_of_suite", check["node"], len(listed), "no entry at its line and 0")
            continue
        if entry.get("check") != verdict["check"] and ":" not in str(entry.get("check")):
            yield Reason("check_not_of_suite", check["node"], entry.get("check"), verdict["check"])
        if verdict["expected_failure"] and "expect" not in entry:
            yield Reason("expectation_not_of_suite", check["node"])
        if verdict["outcome"]["status"] in ("passed", "warning") and "metric" in entry and "across" not in entry:
            yield from of_bounds(check["node"], verdict, entry)


def of_bounds(node: str, verdict: Table, entry: Table) -> Iterator[Reason]:
    """A metric was held against the numeric floor and ceiling of its entry, at its epoch; a warning keeps them, too."""
    finding = verdict["outcome"]["finding"] or {"bounds": []}
    measured, epoch = finding.get("measured"), entry.get("epoch")
    if type(epoch) is int and finding.get("epoch") not in (None, epoch):
        yield Reason("epoch_not_of_suite", node, epoch, finding["epoch"])
    for kind in ("floor", "ceiling"):
        wanted: Any = entry.get(kind)
        used = [bound["value"] for bound in finding["bounds"] if bound["kind"] == kind]
        if type(wanted) not in (int, float):
            continue
        if wanted not in used:
            yield Reason(
                "bound_not_of_suite", node, f"{kind} {wanted}", f"{kind} {used[0]}" if used else "no such bound"
            )
        elif verdict["outcome"]["status"] == "warning" and not keeps(measured, {"kind": kind, "value": wanted}):
            yield Reason("bound_missed", node, f"{kind} {wanted}", measured)
