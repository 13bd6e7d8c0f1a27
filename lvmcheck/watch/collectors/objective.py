"""The loss that is differentiated: its addends, which of them have a gradient, and which one has most of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lvmcheck.watch.collector import Collector
from lvmcheck.watch.guard import Hook
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.batches import fingerprints, first_input, tensors
from lvmcheck.watch.measure.leaves import Outside
from lvmcheck.watch.measure.ledger import Ledger, Term, compiling, plain
from lvmcheck.watch.measure.penalties import pull
from lvmcheck.watch.slot import Slot

FIRST = 2
"""Optimizer step from which a loss is looked at: by then torch.compile has begun where it is used."""
REPORTED = 6
"""Step from which a loss that is reported is looked at, where no backward pass was seen."""
ALL = 40
"""Looks that follow each other; later ones double their distance."""
VARIES = 1e-6
"""Relative difference between values of an addend that is no constant."""
ROWS = 4
"""Rows of an input that tell it from others."""
KNOWN = frozenset({"NllLoss", "NllLoss2D", "MseLoss", "L1Loss", "SmoothL1Loss", "HuberLoss"})
"""Losses that are meant to fall; one of two classes is driven up by one of two players."""
RECENT = 5
"""Values of an addend that its present level is the mean of."""


class ObjectiveCollector(Collector):
    """Opens a ledger from the forward pass to the backward pass of few sampled steps."""

    opens = True

    def start(self, watcher: Loop) -> None:  # noqa: ARG002
        self._ledger: Ledger | None = None
        self._outputs: list[Tensor] = []
        self._roots: list[Tensor] = []
        self._rows: list[Tensor] = []
        self._searched = False
        self._looks = self._gradients = 0
        self._next = 1
        self._said: list[tuple[str, ...]] = []
        self._history: dict[tuple[str, ...], list[list[float]]] = {}
        self._unused = 0
        self._penalty: tuple[Tensor, Tensor] | None = None
        self._outside, self._graphs, self._seen_backward = Outside(), 0, False

    def before_sample(self, watcher: Loop) -> None:
        self._outputs, self._roots, self._rows, self._searched = [], [], [], False
        due = watcher.now >= FIRST and self._looks + 1 >= self._next and self._unused < ALL
        if due and not compiling():
            self._ledger = Ledger(watcher.guard.hook("addends", lambda loss: self._loss(watcher, loss)))
        elif watcher.now >= FIRST:
            self._looks += 1

    def before_forward(self, watcher: Loop, inputs: Any) -> None:  # noqa: ARG002
        if self._ledger is None:
            return
        self._ledger.close()
        batch = first_input(inputs)
        if batch is not None:
            self._searched = self._searched or batch.requires_grad
            self._rows.append(fingerprints(batch, ROWS))

    def before_part(self, watcher: Loop, inputs: Any) -> None:  # noqa: ARG002
        if self._ledger is not None:
            self._ledger.close()

    def after_forward(self, watcher: Loop, inputs: Any, output: Any) -> None:  # noqa: ARG002
        self.after_part(watcher, output)

    def after_part(self, watcher: Loop, output: Any) -> None:
        if self._ledger is not None:
            self._outputs += [t for t in tensors(output) if t.requires_grad and t.ndim and t.is_floating_point()][:8]
            if not any(slot.closure for slot in watcher.slots):  # then it would be open in the optimizer's own steps
                self._ledger.open()

    def _loss(self, watcher: Loop, loss: Tensor) -> None:
        """A backward pass is about to run from here."""
        if self._ledger is None or loss.numel() != 1 or not watcher.sampling:
            return
        terms = [term for term in self._ledger.terms(loss) if term.weight]
        scaled, loss = loss, self._ledger.unscaled(loss)
        for slot in watcher.slots if scaled is not loss else ():
            slot.scale = float(scaled.detach() / loss.detach().clamp_min(1e-30))
        without = [t for t in terms if not t.trains and not self._ledger.swapped(t, terms)]
        trained = [term for term in terms if term.trains]
        self._graph(watcher, loss, trained)
        if len(terms) <= 1 and not self._roots:
            self._roots.append(loss.detach())
            return
        first = not self._roots
        self._roots.append(loss.detach())
        if first and trained:
            self._say(watcher, trained, without)

    def _graph(self, watcher: Loop, loss: Tensor, trained: Sequence[Term]) -> None:
        """Which known losses are driven up, and parameters that no optimizer holds."""
        known = [term.weight for term in trained if term.kind in KNOWN]
        if known:
            counts = {"terms": len(trained), "known": len(known), "maximised": sum(weight < 0 for weight in known)}
            watcher.emit("loss_direction", counts, sorted({term.kind for term in trained}))
        self._seen_backward = True
        self._leaves(watcher, loss)

    def loss_reported(self, watcher: Loop, loss: Any) -> None:
        """Where no backward pass is seen, as after many forward passes, a loss that the loop reports tells as much."""
        if not self._seen_backward and watcher.step >= REPORTED:
            self._leaves(watcher, loss)

    def _leaves(self, watcher: Loop, loss: Tensor) -> None:
        self._graphs += 1
        if not _power(self._graphs):
            return
        found = self._outside.look(loss, watcher.model, [slot.optimizer for slot in watcher.slots])
        if found is None:
            watcher.emit("loss_parameters", {"outside": 0})
            return
        names, changes = found

        def use(numbers: list[float], step: int) -> None:
            still = [name for name, change in zip(names, numbers, strict=True) if not change > 0]
            watcher.emit("loss_parameters", {"outside": len(still)}, still, step)

        watcher.later(changes, use)

    def _say(self, watcher: Loop, trained: Sequence[Term], without: Sequence[Term]) -> None:
        kinds = tuple(term.kind for term in (*trained, *without))
        key, count = (str(len(trained)), *kinds), len(trained)
        numbers = torch.stack([_value(term) for term in (*trained, *without)])
        norms = self._norms(trained) if count > 1 and _power(self._gradients) else None
        again = count > 1 and _power(self._gradients) and self._may_run_again(trained)
        self._penalty = pull(trained, self._outputs, watcher.model) if again else None
        self._gradients += count > 1
        weights = [abs(term.weight) for term in trained]

        def use(found: list[float], step: int) -> None:
            values, gradients = found[: len(kinds)], found[len(kinds) :]
            if not all(map(math.isfinite, found)):
                return
            history = self._history.setdefault(key, [[] for _ in kinds])
            for past, value in zip(history, values, strict=True):
                past.append(value)
            self._without(watcher, history[count:], values, kinds, step)
            if gradients:
                self._shares(watcher, weights, gradients, history[:count], kinds, step)

        watcher.later(numbers if norms is None else torch.cat([numbers, norms.to(numbers)]), use)

    def _norms(self, trained: Sequence[Term]) -> Tensor | None:
        """Norm of the gradient of each addend with respect to the outputs of the model; None where it cannot be had."""
        if not self._outputs or any(term.edge is None for term in trained) or not self._may_run_again(trained):
            return None
        found = []
        for term in trained:
            try:
                grads = torch.autograd.grad(
                    [term.edge], self._outputs, [torch.ones_like(_value(term))], retain_graph=True, allow_unused=True
                )
            except RuntimeError:  # some graphs refuse a backward pass of a part: reentrant checkpoints, for example
                return None
            parts = [grad.detach().float().norm() for grad in grads if grad is not None]
            norm = torch.stack(parts).norm() if parts else _value(term).new_zeros(())
            found.append(norm.float() * abs(term.weight))
        return torch.stack(found)

    def _may_run_again(self, trained: Sequence[Term]) -> bool:
        """No code of the loop runs in the backward pass of its loss: no hook, and no function of its own."""
        hooks = [hook for tensor in self._outputs for hook in (tensor._backward_hooks or {}).values()]
        hooked = any(tensor.retains_grad for tensor in self._outputs) or not all(isinstance(h, Hook) for h in hooks)
        ends = {tensor.grad_fn for tensor in self._outputs}
        return not (hooked or self._ledger is None or self._ledger.hooked) and plain(
            [term.edge.node for term in trained], ends
        )

    def _without(
        self, watcher: Loop, past: list[list[float]], values: list[float], kinds: tuple[str, ...], step: int
    ) -> None:
        """Addends without gradient: how many vary, and how large they are beside the whole."""
        changing = [i for i, found in enumerate(past) if _varies(found)]
        whole = math.fsum(map(abs, values)) or 1.0
        share = sum(max(map(abs, past[i])) for i in changing) / whole
        count = len(kinds) - len(past)
        names = [f"term {count + i + 1} of {len(kinds)}" for i in changing]
        of = {"addends": len(kinds), "without_gradient": len(past), "varying": len(changing), "share": share}
        watcher.emit("loss_addends", of, names, step)

    def _shares(
        self,
        watcher: Loop,
        weights: list[float],
        norms: list[float],
        past: list[list[float]],
        kinds: tuple[str, ...],
        step: int,
    ) -> None:
        """The addend with most of the gradient beside the one with the next most."""
        order = sorted(range(len(norms)), key=lambda i: -norms[i])
        top, other = order[0], order[1]
        if not norms[other] > 0:
            return
        first, last = past[other][:3], past[other][-RECENT:]
        began, now = math.fsum(first) / len(first), math.fsum(last) / len(last)
        values = {
            "ratio": norms[top] / norms[other],
            "weight": weights[top],
            "weight_of_next": weights[other],
            "next_first": began,
            "next_now": now,
            "addends": len(norms),
        }
        watcher.emit("addend_gradients", values, [f"{kinds[top]} ({top + 1})", f"{kinds[other]} ({other + 1})"], step)

    def before_step(self, watcher: Loop, slot: Slot) -> None:
        if slot is not watcher.slots[0] or self._ledger is None:
            return
        self._ledger.close()
        self._pulled(watcher)
        self._unused = 0 if self._roots else self._unused + 1
        added = not self._searched and slot.found_none < 2 and len(self._rows) == len(self._roots)
        if added and len(self._roots) > 1:
            rows = list(self._rows)
            counts = {"backwards": float(len(self._roots)), "recorded": watcher.recorded}
            roots = torch.stack([root.float().reshape(()) for root in self._roots])

            def use(numbers: list[float], step: int) -> None:
                parts, marks = numbers[: len(rows)], numbers[len(rows) :]
                if len(set(batched(marks, len(rows[0])))) == len(rows):  # other rows in each pass
                    watcher.emit("objective", {**counts, "sum": math.fsum(parts)}, (), step)

            if len({len(found) for found in rows}) == 1:
                watcher.later(torch.cat([roots.double(), *[found.to(roots.device).double() for found in rows]]), use)

    def _pulled(self, watcher: Loop) -> None:
        """How far the gradient at the step points where a penalty on the weights alone does."""
        found, self._penalty = self._penalty, None
        if found is not None and (whole := found[0].grad) is not None and not whole.is_sparse:
            one, other = whole.detach().float().flatten(), found[1].float().flatten()
            cosine = torch.dot(one, other) / (one.norm() * other.norm()).clamp_min(1e-30)
            watcher.later(cosine[None], lambda numbers, at: watcher.emit("penalty", {"cosine": numbers[0]}, (), at))

    def after_sample(self, watcher: Loop) -> None:  # noqa: ARG002
        if self._ledger is not None:
            self._ledger.close()
            self._looks += 1
            self._next = self._looks + 1 if self._looks < ALL else 2 * self._looks
        self._ledger = self._penalty = None
        self._outputs, self._roots = [], []


def batched(numbers: Sequence[float], size: int) -> list[tuple[float, ...]]:
    """These numbers in groups of that size."""
    return [tuple(numbers[i : i + size]) for i in range(0, len(numbers), size)]


def _value(term: Term) -> Tensor:
    value = term.value
    if isinstance(value, Tensor):
        return value.float().reshape(())
    return torch.tensor(value, dtype=torch.float32, device="cpu")


def _varies(values: Sequence[float]) -> bool:
    size = max(map(abs, values))
    return len(values) > 2 and size > 0 and max(values) - min(values) > VARIES * size


def _power(count: int) -> bool:
    return count & (count - 1) == 0
