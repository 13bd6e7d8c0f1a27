"""Asks tools that look into training about the silent-error programs; runs in their environment, without lvmcheck.

    python -m suites.gallery.step_driver TOOL NAME ...

One JSON object a program out: ``red`` (the tool's own failing exit code, severity or assertion), ``warned``,
``findings``, and ``error`` where it could not be asked. Default settings; audits at every step.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import random
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from suites.gallery.silent._kit import Program
from suites.gallery.silent._verify import Loader, programs

Answer = dict[str, Any]


class Notes:
    """In place of a recorder: hands what the loop reports to a tool."""

    def __init__(self, watch: Callable[[Any, Any], Any], step: Callable[[float], None], val: Callable[[float], None]):
        self._watch, self._step, self._val = watch, step, val
        self.stop = False

    def watch(self, model: Any, optimizer: Any, scheduler: Any = None, *, train: Any = None, val: Any = None) -> Any:
        del scheduler
        for each in optimizer if isinstance(optimizer, list | tuple) else [optimizer]:
            self._watch(model, each)

        class Watcher:
            pass

        watcher: Any = Watcher()
        watcher.train, watcher.val = Loader(train), Loader(val)
        return watcher

    def step(self, *, loss: Any, **_: Any) -> None:
        self._step(float(loss))

    def epoch(self, _epoch: int, **metrics: Any) -> None:
        for name, value in metrics.items():
            if name.startswith("val") and "loss" in name:
                self._val(float(value))

    def log(self, metrics: Any = None, **more: Any) -> None:
        self.epoch(0, **{**(metrics or {}), **more})


def nothing(_: float) -> None:
    """The tool takes no such number."""


def answer(found: Iterable[tuple[str, str]], red: Iterable[str], mild: Iterable[str]) -> Answer:
    """Findings are (name, severity), each said once."""
    found = list(dict.fromkeys(found))
    failed = any(severity in set(red) for _, severity in found)
    warned = not failed and any(severity in set(mild) for _, severity in found)
    return {"red": failed, "warned": warned, "findings": [f"{name} ({severity})" for name, severity in found]}


# -- tools that watch a loop -------------------------------------------------------------------------------------------
def torchmortem(program: Program) -> Answer:
    from torchmortem import Autopsy

    looking: list[Any] = []

    def watch(model: Any, optimizer: Any) -> None:
        looking.append(Autopsy(model, optimizer=optimizer))
        looking[-1].attach()

    def step(loss: float) -> None:
        for each in looking:
            each.step(loss=loss)

    program.train(Notes(watch, step, nothing))
    found = []
    for each in looking:
        each.detach()
        report = each.get_report()
        found += [(item.detector, item.severity.name) for item in (report.findings if report else ())]
    return answer(found, ["CRITICAL"], ["WARNING"])


def torch_audit(program: Program) -> Answer:
    from torch_audit import autopatch

    looking: list[Any] = []
    program.train(
        Notes(lambda m, o: looking.append(autopatch(m, optimizer=o, every_n_steps=1, reporters=[])), nothing, nothing)
    )
    found = []
    for each in looking:
        result = each.finish(report=False)
        each.unpatch()
        found += [(item.rule_id, item.severity.value) for item in result.findings]
    return answer(found, ["ERROR", "FATAL"], ["WARN"])


def gradsnitch(program: Program) -> Answer:
    import gradsnitch as tool

    looking: list[Any] = []
    count, val = [0], [None]

    def step(loss: float) -> None:
        count[0] += 1
        for each in looking:
            each.log(count[0], loss, val_loss=val[0])
        val[0] = None

    program.train(Notes(lambda m, o: looking.append(tool.watch(m, o)), step, lambda v: val.__setitem__(0, v)))  # type: ignore[call-overload]
    with contextlib.redirect_stdout(io.StringIO()):
        found = [(f"{item.code} {item.name}", item.severity) for each in looking for item in each.report()]
    return answer(found, ["error"], ["warning"])


# -- tools that check a model on one batch -----------------------------------------------------------------------------
def parts(program: Program) -> tuple[Any, Any, Any, Any, Any]:
    """Model, inputs, target, loss of output and target, and optimizer."""
    assert program.build is not None
    torch.manual_seed(0)
    model, (inputs, target), loss, optimizer = program.build()
    return model, inputs, target, loss, optimizer


def torchtest2(program: Program) -> Answer:
    import torchtest2 as tool

    model, inputs, target, loss, optimizer = parts(program)
    report = tool.check_model(model, inputs, target, loss_fn=loss, optimizer=optimizer)
    found = [(item.name, "FAIL") for item in report.failures] + [(item.name, "WARN") for item in report.warnings]
    return answer(found, ["FAIL"], ["WARN"])


def pytest_torch(program: Program) -> Answer:
    import pytest_torch as tool

    model, inputs, target, loss, optimizer = parts(program)
    of = lambda output: loss(output, target)  # noqa: E731
    calls = {
        "gradients_finite": lambda: tool.assert_gradients_finite(model, inputs, of),
        "all_params_receive_grad": lambda: tool.assert_all_params_receive_grad(model, inputs, of),
        "optimizer_coverage": lambda: tool.assert_optimizer_coverage(model, optimizer),
        "overfits_one_batch": lambda: tool.assert_overfits_one_batch(model, inputs, of),
        "inference_contract": lambda: tool.check_inference_contract(model.eval(), inputs),
    }
    found = []
    for name, call in calls.items():
        try:
            call()
        except AssertionError:
            found.append((name, "failed"))
    return answer(found, ["failed"], [])


# -- a tool that reads the source --------------------------------------------------------------------------------------
class Chosen(ast.NodeTransformer):
    """Writes the name of one variant in place of ``variant``, and leaves out branches that it does not take."""

    def __init__(self, variant: str) -> None:
        self._variant = variant

    def visit_Name(self, node: ast.Name) -> ast.expr:
        known = node.id == "variant" and isinstance(node.ctx, ast.Load)
        return ast.copy_location(ast.Constant(self._variant), node) if known else node

    def _holds(self, test: ast.expr) -> bool | None:
        try:
            return bool(eval(compile(ast.Expression(test), "test", "eval"), {"__builtins__": {}}))
        except Exception:
            return None

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        holds = self._holds(node.test)
        return node if holds is None else (node.body if holds else node.orelse or ast.Pass())

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        holds = self._holds(node.test)
        return node if holds is None else node.body if holds else node.orelse


def torch_preflight(program: Program) -> Answer:
    from torch_preflight.config import Config
    from torch_preflight.engine import check_file

    text = (Path(__file__).parent / "silent" / f"{program.task}.py").read_text(encoding="utf-8")
    tree = Chosen(program.train.keywords["variant"]).visit(ast.parse(text))  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.py"
        path.write_text(ast.unparse(ast.fix_missing_locations(tree)), encoding="utf-8")
        result = check_file(path, Config())
    return answer([(item.code, item.severity.value) for item in result.diagnostics], ["error"], ["warning"])


WATCHING = (torchmortem, torch_audit, gradsnitch)
ON_A_BATCH = (torchtest2, pytest_torch)
TOOLS = {tool.__name__: tool for tool in (*WATCHING, *ON_A_BATCH, torch_preflight)}


def ask(tool: str, program: Program) -> Answer:
    """The tool's own crash, or that of the loop that it looks into, is an answer about the tool."""
    torch.manual_seed(0)
    random.seed(0)
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            return TOOLS[tool](program)
    except Exception as problem:
        text = " ".join(f"{type(problem).__name__}: {problem}".split())[:160]
        return {"red": False, "warned": False, "findings": [], "error": text}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    known = {program.name: program for program in programs()}
    for name in sys.argv[2:]:
        print(json.dumps({"name": name, **ask(sys.argv[1], known[name])}), flush=True)
