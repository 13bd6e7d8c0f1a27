"""Copies of what is trained that live beside it: a target network, an averaged or a slow one, a frozen reference."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from weakref import ReferenceType, finalize, ref

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.parameter import is_lazy

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.guard import Guard, allow_global_hooks
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.batches import fingerprints, first_input
from lvmcheck.watch.measure.elements import elements
from lvmcheck.watch.measure.ledger import compiling
from lvmcheck.watch.measure.local import local
from lvmcheck.watch.measure.modules import compiled

LOOKS = frozenset({8, 24, 40})
"""Measured steps before which what was called so far is looked at; until the last of them calls are seen."""
SEARCHES = (8, 64)
"""Measured steps from which on the whole process is searched, each once: copies made after ``watch`` are there."""
SHARE, PER_MODULE = 0.05, 2.5e-5
"""Share of the CPU time so far that a search may take, and the seconds that one takes for each imported module."""
CALLS = 64
"""Calls of a copy, and of what it is a copy of, whose inputs are compared."""
IN_A_ROW, RARELY = 2, 5
"""Calls of a copy, with none of what it is a copy of between them, that training makes (an evaluation makes more), and
steps for each call from which it is no part of training."""
NEAR, UPDATES = 0.5, 3
"""Distance from the weights of the beginning over their size at which others are a copy, and looks that tell that it is
updated."""
ROWS = 4
"""Rows of an input that tell it from others."""

Shapes = tuple[tuple[int, ...], ...]


class _Pair:
    """A copy that equals the beginning of a trained part, and what was seen of both."""

    def __init__(self, copy: nn.Module, twin: nn.Module, name: str, guard: Guard) -> None:
        self.copy: ReferenceType[nn.Module] = ref(copy)
        self.name = name
        self.calls = self.in_a_row = self.of_evaluation = 0
        self.last: dict[str, float] = {}
        self.updates = self.left = 0
        self._weights: Tensor | None = None
        self._statistics: Tensor | None = None
        self._of_part: Tensor | None = None
        self._inputs: dict[str, list[tuple[int, Tensor]]] = {"copy": [], "twin": []}
        self._handles = [
            module.register_forward_pre_hook(guard.hook("copies", self._seen(which)), with_kwargs=True)
            for module, which in ((copy, "copy"), (twin, "twin"))
        ]

    def _seen(self, which: str) -> Callable[[nn.Module, Any, Any], None]:
        def before(_module: nn.Module, args: Any, keywords: Any) -> None:
            self.calls += which == "copy"
            self.in_a_row = self.in_a_row + 1 if which == "copy" else 0
            self.of_evaluation += self.in_a_row > IN_A_ROW
            batch = first_input((args, keywords))
            if batch is not None and len(self._inputs[which]) < CALLS:
                with torch.no_grad():
                    self._inputs[which].append((len(batch), fingerprints(batch, ROWS)))

        return before

    def compare(self, weights: Tensor, statistics: Tensor | None, of_part: Tensor | None) -> None:
        """Count the looks since which it was updated, and those in which its running statistics alone were not."""
        if self._weights is not None:
            self.updates += not torch.equal(weights, self._weights)
            ahead = _changed(of_part, self._of_part)
            self.left = 0 if _changed(statistics, self._statistics) else self.left + ahead
        self._weights, self._statistics, self._of_part = weights, statistics, of_part

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()

    def beside(self) -> float:
        """Share of the copy's inputs that the trained part was given, too."""
        known = {(rows, *marks.tolist()) for rows, marks in self._inputs["twin"]}
        marks = [(rows, *found.tolist()) for rows, found in self._inputs["copy"][: CALLS // 2]]
        return sum(mark in known for mark in marks) / len(marks) if marks else 0.0


class _Called:
    """Modules that are called beside the trained ones; a hook of the whole process holds it, so it holds nothing."""

    def __init__(self, trained: Iterable[nn.Module]) -> None:
        self._own = {id(module) for module in trained}
        self._known: dict[int, ReferenceType[nn.Module]] = {}

    def sees(self, module: nn.Module, _inputs: Any) -> None:
        if id(module) not in self._own and id(module) not in self._known and not torch.compiler.is_compiling():
            self._known[id(module)] = ref(module)

    def modules(self) -> list[nn.Module]:
        return [module for known in self._known.values() if (module := known()) is not None]


class CopiesCollector(Collector):
    """Remembers a few elements of each parameter at the beginning, and looks for modules that still have them."""

    def start(self, watcher: Loop) -> None:
        self._parts = list(_parts(watcher.model))
        self._began = {id(part): _marks(part) for _, part in self._parts}
        self._pairs: list[_Pair] = []
        self._starts: dict[int, Tensor] = {}
        self._ends: dict[int, Tensor] = {}
        self._looks = self._searches = 0
        self._since = time.process_time()
        held = _held(watcher)
        trained = [m for m in watcher.model.modules() if any(id(p) in held for p in m.parameters())]
        self._called = _Called([watcher.model, *trained])
        self._calls: Any = None
        if not compiled(watcher.model) and not compiling():  # torch warns of global hooks where it calls compiled code
            allow_global_hooks()
            self._calls = finalize(self, register_module_forward_pre_hook(self._called.sees).remove)

    def epoch_began(self, watcher: Loop, inputs: Any) -> None:  # noqa: ARG002
        self._back(watcher)

    def _back(self, watcher: Loop) -> None:
        """Which parts begin an epoch with the weights that the epoch before began with, though these moved in it."""
        now = {id(part): _marks(part) for _, part in self._parts}
        moved = {
            key for key, end in self._ends.items() if key in self._starts and not torch.equal(end, self._starts[key])
        }
        back = [
            name or type(part).__name__
            for name, part in self._parts
            if id(part) in moved and torch.equal(now[id(part)], self._starts[id(part)])
        ]
        self._starts, self._ends = now, {}
        if moved:
            watcher.emit("weights_back", {"moved": len(moved), "back": len(back)}, back, watcher.step)

    def before_sample(self, watcher: Loop) -> None:
        self._looks += 1
        if self._looks in LOOKS:
            self._look(watcher, self._called.modules())
        if self._looks >= max(LOOKS):
            self._no_longer_see()
        if self._searches < len(SEARCHES) and self._looks >= SEARCHES[self._searches]:
            costs = PER_MODULE * len(sys.modules)
            if costs < SHARE * (time.process_time() - self._since):
                self._searches += 1
                self._look(watcher, [item for item in gc.get_objects() if issubclass(type(item), nn.Module)])

    def _look(self, watcher: Loop, among: list[nn.Module]) -> None:
        held = _held(watcher)
        known = {id(pair.copy()) for pair in self._pairs}
        by_shape: dict[Shapes, list[tuple[str, nn.Module]]] = {}
        for name, part in self._parts:
            if any(id(p) in held for p in part.parameters()):
                by_shape.setdefault(_shapes(part), []).append((name, part))
        found = [module for module in among if id(module) not in known and _complete(module)]
        inside: set[int] = set()
        for module in sorted(found, key=lambda m: -sum(1 for _ in m.modules())):
            twins = by_shape.get(_shapes(module), ()) if id(module) not in inside else ()
            if not twins or any(id(p) in held for p in module.parameters()):
                continue
            now = _marks(module)
            for name, part in twins:
                began = self._began[id(part)]
                if not _siblings(watcher.model, module, part) and _descends(now, began):
                    self._pairs.append(_Pair(module, part, name, watcher.guard))
                    inside |= {id(child) for child in module.modules()}
                    break

    def after_sample(self, watcher: Loop) -> None:
        if self._looks & (self._looks - 1) == 0:
            self._measure(watcher)

    def epoch_ended(self, watcher: Loop, evaluated: bool) -> None:  # noqa: ARG002
        if self._calls is not None:
            self._look(watcher, self._called.modules())
        self._measure(watcher)
        self._epoch_ends()

    def evaluation_ended(self, watcher: Loop) -> None:
        self._measure(watcher)
        self._epoch_ends()

    def _epoch_ends(self) -> None:
        self._ends = {id(part): _marks(part) for _, part in self._parts} if self._starts else {}

    def _no_longer_see(self) -> None:
        if self._calls is not None:
            self._calls()
            self._calls = None

    def _measure(self, watcher: Loop) -> None:
        """Whether copies still have the values of the beginning, while what they are copies of has moved."""
        for pair in self._pairs:
            copy = pair.copy()
            if copy is None or not pair.calls:
                continue
            part = dict(self._parts)[pair.name]
            began = self._began[id(part)]
            now, ahead = _marks(copy), _marks(part)
            same, moved = torch.equal(now, began), not torch.equal(ahead, began)
            pair.last = {"steps": watcher.step, "calls": pair.calls, "unchanged": float(same and moved)}
            pair.compare(now, _statistics(copy), _statistics(part))
            evaluated = pair.of_evaluation > pair.calls / 4 or RARELY * pair.calls <= watcher.step
            if moved and pair.updates >= UPDATES and evaluated:
                pair.last["way"] = float((now - began).norm() / (ahead - began).norm())
                pair.last["statistics_left"] = float(pair.left >= UPDATES)

    def finish(self, watcher: Loop) -> None:
        self._no_longer_see()
        self._measure(watcher)
        for pair in self._pairs:
            pair.close()
            if pair.last:
                values = {**pair.last, "same_inputs": pair.beside()}
                watcher.emit("copy", values, [pair.name or type(watcher.model).__name__], watcher.step)


def _held(watcher: Loop) -> set[int]:
    return {id(p) for slot in watcher.slots for group in slot.optimizer.param_groups for p in group["params"]}


def _parts(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The model, and its children and theirs that have several parameters."""
    for name, module in model.named_modules():
        count = sum(1 for _ in module.parameters())
        if count > 1 and name.count(".") < 2 and any(p.ndim > 1 for p in module.parameters()):
            yield name, module


def _complete(module: nn.Module) -> bool:
    """It has been made, and has parameters with content: none that are lazy, or of the meta device."""
    parts = vars(module).get("_modules"), vars(module).get("_parameters")
    return None not in parts and not any(is_lazy(p) or p.is_meta for p in module.parameters())


def _marks(module: nn.Module) -> Tensor:
    """A few elements of each parameter, of its own shard where it is distributed."""
    return elements([local(p) for p in module.parameters()]).cpu()


def _changed(now: Tensor | None, before: Tensor | None) -> bool:
    return now is not None and before is not None and not torch.equal(now, before)


def _descends(now: Tensor, began: Tensor) -> bool:
    """Whether weights are those of the beginning, or next to them, as those of an average: others are far apart."""
    return began.shape == now.shape and bool((now - began).norm() <= NEAR * began.norm())


def _statistics(module: nn.Module) -> Tensor | None:
    """A few elements of each floating buffer, such as running means; None where there are none."""
    buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point() and buffer.numel()]
    return elements([local(buffer) for buffer in buffers]).cpu() if buffers else None


def _shapes(module: nn.Module) -> Shapes:
    return tuple(tuple(p.shape) for p in module.parameters())


def _siblings(model: nn.Module, one: nn.Module, other: nn.Module) -> bool:
    """Whether both are layers of one stack, which begin equal where a layer was copied to make it; or are the same."""
    if one is other:
        return True
    stacks = [m for m in model.modules() if isinstance(m, nn.ModuleList | nn.Sequential | nn.ModuleDict)]
    return any({id(one), id(other)} <= {id(child) for child in stack.children()} for stack in stacks)
