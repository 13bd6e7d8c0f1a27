"""How many small faults in a module its tests notice: python ci/mutate.py MODULE FILE [--most N] -- PYTEST ARGUMENTS

    python ci/mutate.py lvmcheck.run.alike lvmcheck/run/alike.py -- suites/lvmcheck/test_plugin_equal_seeds.py

Each mutant changes one comparison, constant, boolean, condition or returned value, or deletes one statement. It is
judged in a fork of this process, where the module is imported from the changed text: no file is written. A mutant is
killed when pytest does not end with 0, or not in time. Prints the survivors with their lines, and the score.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.util
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path

HEAVY = ("numpy", "torch", "hypothesis", "pytest", "_pytest.config", "pydantic", "rich", "safetensors")
"""Imported once, before the forks."""
OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
OTHER: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.ExecutionLoader):
    """Finds one module, whose text is another."""

    def __init__(self, name: str, file: Path, text: str) -> None:
        self.name, self.file, self.text = name, file, text

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.file, loader=self) if name == self.name else None

    def get_filename(self, fullname: str) -> str:
        assert fullname == self.name
        return str(self.file)

    def get_source(self, fullname: str) -> str:
        assert fullname == self.name
        return self.text


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What can stand in place of a node, each with its name."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OTHER:
        changed, other = copy.deepcopy(node), OTHER[type(node.ops[0])]
        changed.ops[0] = other()
        yield f"{type(node.ops[0]).__name__} -> {other.__name__}", changed
    if isinstance(node, ast.BoolOp):
        changed_op = copy.deepcopy(node)
        changed_op.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        yield "and <-> or", changed_op
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not removed", node.operand
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        value = not node.value if isinstance(node.value, bool) else node.value + 1
        yield f"{node.value!r} -> {value!r}", ast.Constant(value)
    if isinstance(node, ast.Return) and node.value is not None and ast.unparse(node) != "return None":
        yield "returns None", ast.Return(ast.Constant(None))
    if isinstance(node, ast.If | ast.IfExp | ast.While) and not isinstance(node.test, ast.Compare | ast.BoolOp):
        negated = copy.deepcopy(node)
        negated.test = ast.UnaryOp(ast.Not(), negated.test)
        yield "condition negated", negated
    if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign | ast.Raise | ast.Continue | ast.Break):
        documents = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not documents:
            yield "deleted", ast.Pass()


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, what was changed, and the text of the whole module."""
    tree = ast.parse(source)
    for parent in ast.walk(tree):
        if isinstance(parent, ast.AnnAssign):
            continue  # a default without a value of its own is often documentation
        for field, value in ast.iter_fields(parent):
            listed = value if isinstance(value, list) else [value]
            for place, node in enumerate(listed):
                for name, changed in changes(node) if isinstance(node, ast.AST) else ():
                    kept = list(listed)
                    kept[place] = changed
                    setattr(parent, field, kept if isinstance(value, list) else changed)
                    yield getattr(node, "lineno", 0), name, ast.unparse(ast.fix_missing_locations(tree))
                    setattr(parent, field, value)


def killed(name: str, file: Path, text: str, words: Sequence[str], limit: float) -> bool:
    """Whether pytest notices, in a fork of this process."""
    child = os.fork()
    if child == 0:
        os.setsid()
        hole = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(hole, number)
        sys.meta_path.insert(0, Mutated(name, file, text))
        pytest = importlib.import_module("pytest")
        os._exit(0 if pytest.main([*OPTIONS, *words]) == 0 else 1)
    ends = time.monotonic() + limit
    while time.monotonic() < ends:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status != 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutate.py", description="which faults in a module its tests notice")
    parser.add_argument("module", help="as it is imported, such as lvmcheck.run.alike")
    parser.add_argument("file", type=Path)
    parser.add_argument("--most", type=int, default=10_000, metavar="N", help="try only so many, drawn by chance")
    parser.add_argument("--limit", type=float, default=120.0, metavar="SECONDS", help="of one run of the tests")
    parser.add_argument("words", nargs="+", metavar="ARGUMENT", help="to pytest, after --")
    options = parser.parse_args()
    sys.path.insert(0, str(Path.cwd()))
    for heavy in HEAVY:
        importlib.import_module(heavy)
    source = options.file.read_text()
    if killed(options.module, options.file.absolute(), source, options.words, options.limit):
        print("the tests fail on the module as it is", file=sys.stderr)
        return 2
    found = [one for one in mutants(source) if one[2] != source]
    chosen = random.Random(0).sample(found, min(options.most, len(found)))
    survivors = []
    for line, what, text in chosen:
        if not killed(options.module, options.file.absolute(), text, options.words, options.limit):
            survivors.append((line, what))
            print(f"survived: {options.file}:{line}: {what}", flush=True)
    share = 1 - len(survivors) / max(1, len(chosen))
    done = f"{len(chosen) - len(survivors)} of {len(chosen)} killed ({share:.1%})"
    print(f"{options.file}: {done}, {len(found)} mutants in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
