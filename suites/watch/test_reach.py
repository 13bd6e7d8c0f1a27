"""What a model holds outside of its tensors is as it was after the one look that calls it a few times more."""

from __future__ import annotations

import ast
import random
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lvmcheck
from lvmcheck.run.events import Watch
from lvmcheck.watch.measure.reach import OutOfReachError, Reach

COUNTED = [0]
DRAWS = torch.Generator()


class Bank:
    """A memory beside a model."""

    def __init__(self) -> None:
        self.rows: list[Tensor] = []
        self.seen = 0


class Reaching(nn.Module):
    """Has its forward pass do something beside what it computes."""

    calls = 0
    bank: Any
    table: Any
    array: Any

    def __init__(self, beside: Callable[[Any, Tensor], Any], **more: Any) -> None:
        super().__init__()
        self.inner, self.head, self.beside = nn.Linear(4, 8), nn.Linear(8, 3), beside
        vars(self).update(more)

    def forward(self, rows: Tensor) -> Any:
        added = self.beside(self, rows)
        return self.head(self.inner(rows).relu() + (added if isinstance(added, float | Tensor) else 0.0))


def count_globally(_: Any, __: Tensor) -> None:
    COUNTED[0] += 1


def count_in_the_class(_: Any, __: Tensor) -> None:
    Reaching.calls += 1


def remember(model: Any, rows: Tensor) -> Tensor:
    model.bank.rows = [*model.bank.rows[-2:], rows.detach().mean()]
    model.bank.seen += 1
    return torch.stack(model.bank.rows).mean()


def draw(_: Any, __: Tensor) -> Tensor:
    return torch.rand(8, generator=DRAWS)


def made() -> dict[str, nn.Module]:
    drawn, used = np.random.default_rng(0), random.Random(0)
    hooked = Reaching(lambda *_: None)
    hooked.inner.register_forward_pre_hook(lambda *_: COUNTED.append(1))
    COUNTED[:], Reaching.calls = [0], 0
    DRAWS.manual_seed(0)
    return {
        "global": Reaching(count_globally),
        "class": Reaching(count_in_the_class),
        "memory": Reaching(remember, bank=Bank()),
        "generator": Reaching(draw),
        "numpy": Reaching(lambda *_: float(drawn.random()) / 10),
        "python": Reaching(lambda model, _: model.used.random() / 10, used=used),
        "hook": hooked,
    }


def end_of(name: str, folder: Path, *, watch: bool) -> list[Any]:
    """Weights, and what was reached, after a few steps."""
    torch.manual_seed(0)
    model = made()[name]
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with lvmcheck.record(folder / f"{name}-{watch}", watch=watch) as rec:
        for _ in range(5):
            rows = torch.randn(16, 4)
            loss = nn.functional.cross_entropy(model(rows), (rows[:, 0] > 0).long())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            rec.step(loss=loss)
    assert not watch or any(e.name == "row_mixing" for e in lvmcheck.load(rec.path).of(Watch))
    bank = getattr(model, "bank", None)
    weights = [parameter.tolist() for parameter in model.parameters()]
    return [weights, list(COUNTED), Reaching.calls, bank and (bank.seen, [float(row) for row in bank.rows])]


@pytest.mark.parametrize("name", ["global", "class", "memory", "generator", "numpy", "python", "hook"])
def test_a_look_leaves_no_trace(name: str, tmp_path: Path) -> None:
    assert end_of(name, tmp_path, watch=True) == end_of(name, tmp_path, watch=False)


def test_everything_is_put_back() -> None:
    bank, drawn = Bank(), np.random.default_rng(1)
    pair = namedtuple("pair", "one two")(1, [2])
    model = Reaching(remember, bank=bank, drawn=drawn, table={"a": [1]}, array=np.zeros(3), pair=pair)
    before = drawn.bit_generator.state
    reach = Reach(model)
    for _ in range(2):
        model(torch.randn(2, 4))
        drawn.random()
        model.table["a"].append(2)
        model.table["b"] = model.array
        model.array[:] += 1
        vars(model)["new"] = 1
        reach.restore()
        assert [bank.rows, bank.seen, model.table, model.array.tolist()] == [[], 0, {"a": [1]}, [0.0] * 3]
        assert drawn.bit_generator.state == before
        assert not hasattr(model, "new")


@pytest.mark.parametrize("held", ["file", "iterator", "printing", "too_much", "everybody", "mode"])
def test_what_cannot_be_put_back_is_not_called(held: str, tmp_path: Path) -> None:
    handle: Any = None
    of: dict[str, dict[str, Any]] = {"iterator": {"it": iter([1])}, "too_much": {"rows": list(range(30_000))}}
    more = of.get(held, {})
    with (tmp_path / "log").open("w") as file, torch.device("cpu"):
        if held == "file":
            more["file"] = file
        model = Reaching((lambda *_: print("seen")) if held == "printing" else count_globally, **more)
        if held == "everybody":
            handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
        try:
            with (
                torch.overrides.BaseTorchFunctionMode() if held == "mode" else torch.no_grad(),
                pytest.raises(OutOfReachError),
            ):
                Reach(model)
        finally:
            if handle is not None:
                handle.remove()


def test_what_watching_makes_is_on_no_default_device() -> None:
    """``torch.set_default_device`` is the loop's: each tensor that watching makes has a device of its own."""
    names = {made.__name__ for made in torch.utils._device._device_constructors()} - {"vander"}  # type: ignore[no-untyped-call]
    here, found = Path(lvmcheck.__file__).parent / "watch", []
    for file in (*here.glob("*.py"), *here.glob("collectors/*.py"), *here.glob("measure/*.py")):
        for node in ast.walk(ast.parse(file.read_bytes())):
            made = isinstance(node, ast.Call) and ast.unparse(node.func).removeprefix("torch.") in names
            if made and "device" not in {key.arg for key in node.keywords} and "torch." in ast.unparse(node.func):
                found.append(f"{file.name}: {ast.unparse(node)}")
    assert found == []
