"""What the probes of a pre-flight work on: model, batch, loss and optimizers, put back after each of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lvmcheck.checks.finding import Fact
from lvmcheck.watch.measure.batches import main_output
from lvmcheck.watch.preflight.nested import cloned, first_rows, leaves, rows_of
from lvmcheck.watch.preflight.objective import Objective
from lvmcheck.watch.preflight.state import Snapshot
from lvmcheck.watch.preflight.trace import Call, Trace, trace

SMALL = 32
"""Rows of the batch that most probes work on."""
SHOWN = 4


class SkipProbe(Exception):  # noqa: N818
    """The question makes no sense for this model; the message is the reason."""


class Setup:
    """The arguments of :func:`lvmcheck.preflight`, and what several probes need.

    Attributes:
        model: the module itself, below torch.compile.
        rows: rows of the batch; None where its tensors disagree.
        frozen, adapters: patterns of parameter names.
        deadline: end of the budget, of the clock of ``time.perf_counter``.
    """

    def __init__(
        self,
        model: nn.Module,
        batch: Any,
        objective: Objective,
        optimizers: Sequence[Optimizer],
        schedulers: Sequence[Any],
        *,
        classes: int | None = None,
        causal: bool | None = None,
        frozen: Sequence[str] = (),
        adapters: Sequence[str] = (),
        budget: float = 5.0,
    ) -> None:
        self.model, self.batch, self.objective = model, batch, objective
        self.optimizers, self.schedulers = list(optimizers), list(schedulers)
        self.classes, self.causal, self.frozen, self.adapters = classes, causal, frozen, adapters
        self.budget, self.deadline = budget, time.perf_counter() + budget
        self.rows = rows_of(batch)
        roots = [model, objective.function] if isinstance(objective.function, nn.Module) else [model]
        self.roots: list[nn.Module] = roots
        self.snapshot = Snapshot(roots, optimizers, schedulers)

    # -- modes and state -----------------------------------------------------------------------------------------------
    @contextmanager
    def restored(self) -> Iterator[None]:
        """Whatever happens within is undone."""
        try:
            yield
        finally:
            self.snapshot.restore()

    def train(self) -> None:
        """Train mode, with the parts that are in eval mode on purpose left alone."""
        if not self.model.training:
            self.model.train()

    def wake(self) -> None:
        """One optimizer step where a weight is zero: until it moves, it hides the inputs and what is before it."""
        weights = [p for p in self.model.parameters() if p.requires_grad and p.ndim > 1]
        if self.optimizers and not all(bool(weight.detach().any()) for weight in weights):
            self.train()
            self.step(self.batch, self.optimizers)

    # -- losses --------------------------------------------------------------------------------------------------------
    def loss(self, batch: Any = None) -> Tensor:
        """The loss, with its graph, of a fresh copy of the batch."""
        with torch.enable_grad():
            return self.objective(self.model, cloned(self.batch if batch is None else batch))

    def step(self, batch: Any, optimizers: Sequence[Optimizer], schedulers: Sequence[Any] = ()) -> float:
        """One optimizer step; the loss before it."""
        for optimizer in optimizers:
            optimizer.zero_grad()
        for root in self.roots:
            root.zero_grad()
        loss = self.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        for part in (*optimizers, *schedulers):
            part.step()
        return float(loss.detach())

    @cached_property
    def small(self) -> Any:
        """The batch, or its first rows if it has many."""
        if self.rows is None or self.rows <= SMALL:
            return self.batch
        few = first_rows(self.batch, SMALL, self.rows)
        try:
            with self.restored():
                self.loss(few)
        except Exception:
            return self.batch  # the model takes batches of this size alone
        return few

    @cached_property
    def training(self) -> Trace:
        """The loss of the small batch in train mode."""
        with self.restored():
            self.train()
            return trace(self.model, lambda: self.loss(self.small))

    @cached_property
    def evaluation(self) -> Trace:
        """The loss of the small batch in eval mode."""
        with self.restored():
            self.model.eval()
            return trace(self.model, lambda: self.loss(self.small))

    # -- the call of the model -----------------------------------------------------------------------------------------
    @cached_property
    def call(self) -> Call:
        """The first call of the model in the loss that takes and gives tensors, in eval mode."""
        for call in self.evaluation.calls:
            if call.inputs and main_output(call.output) is not None:
                return call
        raise SkipProbe("the loss calls no module that takes a tensor and returns one")

    @cached_property
    def output(self) -> Tensor:
        """The main output of the call."""
        found = main_output(self.call.output)
        assert found is not None
        return found.detach()

    @property
    def call_rows(self) -> int:
        """Rows that inputs and main output of the call have in common."""
        rows = rows_of(self.call.inputs)
        if rows is None or len(self.output) != rows:
            raise SkipProbe("the tensors that go into the model and come out of it differ in their first dimension")
        if time_first(self.model) and not self.rows_have_scalars(rows):
            raise SkipProbe("the model holds layers with batch_first=False: dimension 0 may be time")
        return rows

    def rows_have_scalars(self, rows: int) -> bool:
        """Whether the batch holds one number for each row, so that dimension 0 cannot be time."""
        return any(tensor.shape in ((rows,), (rows, 1)) for tensor in leaves(self.small).values())

    def outputs(self, tensors: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """All outputs of the call in eval mode, with some inputs replaced and the generators as they were."""
        self.snapshot.generators.restore()
        try:
            with torch.no_grad():
                output = self.call.run(tensors)
        except (IndexError, RuntimeError, ValueError) as problem:
            if tensors is None:
                raise
            names = ", ".join(tensors)
            raise SkipProbe(f"the model takes no other values of {names} ({type(problem).__name__})") from None
        found = leaves(output)
        return {path: tensor.detach().clone() for path, tensor in found.items() if tensor.is_floating_point()}

    @property
    def tolerance(self) -> float:
        """Relative difference of outputs that rounding explains."""
        half = self.call.autocast is not None or any(p.dtype.itemsize < 4 for p in self.model.parameters())
        return 2e-2 if half else 1e-5

    # -- parameters ----------------------------------------------------------------------------------------------------
    def named(self) -> list[tuple[str, nn.Parameter]]:
        return list(self.model.named_parameters())

    def is_frozen(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.frozen)

    def trainable(self) -> list[tuple[str, nn.Parameter]]:
        """Parameters with ``requires_grad`` that are not declared frozen."""
        return [(name, p) for name, p in self.named() if p.requires_grad and not self.is_frozen(name)]

    def own_optimizer(self, lr: float = 1e-3) -> list[Optimizer]:
        """An Adam on the trainable parameters, for probes that ask what the model can do."""
        held = [parameter for _, parameter in self.trainable()]
        if not held:
            raise SkipProbe("no parameter is trainable")
        if any(getattr(module, "sparse", False) for module in self.model.modules()):
            return [torch.optim.SGD(held, lr=100 * lr)]  # Adam takes no sparse gradients
        return [torch.optim.Adam(held, lr=lr)]

    @property
    def needs_closure(self) -> bool:
        return any(isinstance(optimizer, torch.optim.LBFGS) for optimizer in self.optimizers)

    def needs_optimizer(self) -> list[Optimizer]:
        if not self.optimizers:
            raise SkipProbe("no optimizer was given")
        if self.needs_closure:
            raise SkipProbe("LBFGS steps only with a closure")
        self.needs_gradient()
        return self.optimizers

    def needs_gradient(self) -> None:
        if not self.training.loss.requires_grad:
            raise SkipProbe("the loss does not depend on the parameters (see loss_depends_on_model)")


def time_first(model: nn.Module) -> bool:
    kinds = nn.RNNBase | nn.MultiheadAttention
    return any(isinstance(module, kinds) and not module.batch_first for module in model.modules())


def difference(one: Tensor, other: Tensor) -> float:
    """Largest absolute difference over the largest magnitude; infinite where shapes or NaNs differ."""
    if one.shape != other.shape:
        return float("inf")
    if not one.numel() or torch.equal(one, other):
        return 0.0
    a, b = one.double(), other.double()
    a, b = (t.nan_to_num(nan=0.0, posinf=1e300, neginf=-1e300) for t in (a, b))
    return float((a - b).abs().amax() / a.abs().amax().clamp_min(1e-30))


def differs(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference of outputs of the same path."""
    shared = [difference(one[path], other[path]) for path in one if path in other]
    return max(shared, default=0.0)


def listed(names: Sequence[str], key: str = "parameters") -> tuple[Fact, ...]:
    """Names as one fact; none where there are none."""
    if not names:
        return ()
    more = len(names) - SHOWN
    return (Fact(key, ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")),)
