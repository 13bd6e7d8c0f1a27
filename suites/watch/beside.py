"""Loops that do something beside training, as functions of how they record: what they end with has to be the same."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.flop_counter import FlopCounterMode

Record = Callable[[], Any]
ROWS = 24


def batches(steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(steps):
        rows = torch.randn(ROWS, 6)
        yield rows, rows[:, :3].argmax(1)


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2)


def descend(loss: Any, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def hooks_of_outputs(record: Record) -> list[Any]:
    model, seen = net(), list[float]()
    optimizer = adam(model)
    with record():
        for rows, labels in batches(8):
            output = model(rows)
            output.register_hook(lambda gradient: seen.append(float(gradient.norm())))
            doubled = 2 * output
            doubled.register_hook(lambda _: seen.append(1.0))
            descend(F.cross_entropy(output, labels) + 1e-3 * doubled.square().mean(), optimizer)
    return [model, seen]


def function_of_its_own(record: Record) -> list[Any]:
    count = [0]

    class Fading(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, value: Tensor) -> Tensor:  # type: ignore[override]
            return value.clone()

        @staticmethod
        def backward(_: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
            count[0] += 1
            return gradient / count[0]

    model = net()
    optimizer = adam(model)
    with record():
        for rows, labels in batches(8):
            output = model(rows)
            faded = Fading.apply(output)  # type: ignore[no-untyped-call]
            descend(F.cross_entropy(output, labels) + faded.square().mean(), optimizer)
    return [model, count]


def counted_operations(record: Record) -> list[Any]:
    model, found = net(), []
    optimizer = adam(model)
    with record():
        for rows, labels in batches(6):
            with FlopCounterMode(display=False) as counter:
                descend(F.cross_entropy(model(rows), labels), optimizer)
            found.append(counter.get_total_flops())
    return [model, found]


def steps_in_the_backward_pass(record: Record) -> list[Any]:
    model = net()
    own = {p: torch.optim.SGD([p], 0.1) for p in model.parameters()}

    def use(parameter: Tensor) -> None:
        own[parameter].step()  # type: ignore[index]
        own[parameter].zero_grad()  # type: ignore[index]

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(use)
    with record():
        for rows, labels in batches(20):
            loss: Any = F.cross_entropy(model(rows), labels)
            loss.backward()
    return [model]


def traced(record: Record) -> list[Any]:
    model, found = net(), []
    optimizer = adam(model)
    with record():
        for number, (rows, labels) in enumerate(batches(5)):
            descend(F.cross_entropy(model(rows), labels), optimizer)
            if number in (0, 3):
                found.append(torch.jit.trace(model, rows)(rows).detach())  # type: ignore[no-untyped-call]
    return [model, found]


def parameter_as_output(record: Record) -> list[Any]:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.Parameter(torch.zeros(4, 6))

        def forward(self) -> Tensor:
            return self.rows

    model = Table()
    optimizer = adam(model)
    with record():
        for rows, _ in batches(12):
            descend(torch.cdist(rows, model()).amin(1).square().mean(), optimizer)
    return [model]


def never_called_itself(record: Record) -> list[Any]:
    model = nn.ModuleDict({"body": nn.Linear(6, 16), "head": nn.Linear(16, 3)})
    optimizer, files = adam(model), []
    with record():
        for rows, labels in batches(5):
            descend(F.cross_entropy(model["head"](model["body"](rows).relu()), labels), optimizer)
            files.append(len(pickle.dumps(copy.deepcopy(model).state_dict())))
            pickle.loads(pickle.dumps(model))
    return [model, files]


def complex_weights(record: Record) -> list[Any]:
    class Wave(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix, self.head = nn.Parameter(torch.randn(6, 8, dtype=torch.cfloat)), nn.Linear(8, 3)

        def forward(self, rows: Tensor) -> Any:
            return self.head((torch.fft.fft(rows) @ self.mix).abs())

    model = Wave()
    optimizer = adam(model)
    with record():
        for rows, labels in batches(12):
            descend(F.cross_entropy(model(rows), labels), optimizer)
    return [model]


def taught(record: Record) -> list[Any]:
    teacher, model = net(), net()
    former = adam(teacher)
    teacher.requires_grad_(False)
    optimizer = adam(model)
    with record() as rec:
        for rows, labels in batches(36):
            output = model(rows)
            loss = F.cross_entropy(output, labels) + F.mse_loss(output, teacher(rows))
            descend(loss, optimizer)
            rec.step(loss=loss)
    return [model, teacher, len(former.param_groups)]


def pruned(record: Record) -> list[Any]:
    model = net()
    optimizer = adam(model)
    with record():
        for number, (rows, labels) in enumerate(batches(24)):
            descend(F.cross_entropy(model(rows), labels), optimizer)
            if number == 5:
                prune.l1_unstructured(model[0], "weight", 0.3)  # type: ignore[no-untyped-call]
    return [model]


def averaged(record: Record) -> list[Any]:
    """Evaluates the model on rows of training, and an average of it on those of validation."""
    model = net()
    average, optimizer = copy.deepcopy(model), adam(model)
    table, other = torch.randn(192, 6), torch.randn(96, 6)
    with record() as rec:
        for epoch in range(3):
            for index in torch.randperm(len(table)).split(ROWS):
                descend(F.cross_entropy(model(table[index]), table[index, :3].argmax(1)), optimizer)
                with torch.no_grad():
                    for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
                        slow.lerp_(fast, 0.1)
            with torch.no_grad():
                fits = (model(table).argmax(1) == table[:, :3].argmax(1)).float().mean()
                right = (average(other).argmax(1) == other[:, :3].argmax(1)).float().mean()
            rec.epoch(epoch, train_accuracy=fits, val_accuracy=right)
    return [model, average]


LOOPS = {
    loop.__name__: loop
    for loop in (
        hooks_of_outputs,
        function_of_its_own,
        counted_operations,
        steps_in_the_backward_pass,
        traced,
        parameter_as_output,
        never_called_itself,
        complex_weights,
        taught,
        pruned,
        averaged,
    )
}
