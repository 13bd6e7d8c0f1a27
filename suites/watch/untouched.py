"""Loops of many kinds, as functions of whether they are watched: their weights have to be the same bit for bit."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

Watched = Callable[..., Any]
"""``lvmcheck.watch``, or what does nothing in its place."""
ROWS = 24


def batches(steps: int, width: int = 6) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows that are drawn anew for each step, so that a draw too many shows."""
    for _ in range(steps):
        inputs = torch.randn(ROWS, width)
        yield inputs, (inputs[:, :3].argmax(1) + (torch.rand(ROWS) < 0.2)) % 3


def net(*more: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), *more, nn.Linear(16, 3))


def plain(model: nn.Module, optimizer: torch.optim.Optimizer, watched: Watched, steps: int, **more: Any) -> nn.Module:
    """The ordinary loop."""
    with watched(model, optimizer, **more):
        for inputs, labels in batches(steps):
            loss = F.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


def with_optimizer(make: Callable[..., torch.optim.Optimizer], **options: Any) -> Callable[[Watched, int], nn.Module]:
    def loop(watched: Watched, steps: int) -> nn.Module:
        model = net(nn.Dropout(0.3))
        return plain(model, make(model.parameters(), **options), watched, steps)

    return loop


def with_model(make: Callable[[], nn.Module]) -> Callable[[Watched, int], nn.Module]:
    def loop(watched: Watched, steps: int) -> nn.Module:
        model = make()
        return plain(model, torch.optim.Adam(model.parameters(), 1e-2), watched, steps)

    return loop


def closure(watched: Watched, steps: int) -> nn.Module:
    """LBFGS calls the model several times within a step."""
    model = net()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    with watched(model, optimizer):
        for inputs, labels in batches(steps // 4):

            def again(inputs: Tensor = inputs, labels: Tensor = labels) -> Tensor:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(inputs), labels)
                loss.backward()
                return loss

            optimizer.step(again)  # type: ignore[arg-type]
    return model


def two_optimizers(watched: Watched, steps: int) -> nn.Module:
    model = net(nn.Dropout(0.2))
    optimizers = [torch.optim.SGD(model[0].parameters(), 0.1), torch.optim.Adam(model[3].parameters(), 1e-2)]
    with watched(model, optimizers):
        for inputs, labels in batches(steps):
            model.zero_grad()
            F.cross_entropy(model(inputs), labels).backward()
            for optimizer in optimizers:
                optimizer.step()
    return model


def adversarial(watched: Watched, steps: int) -> nn.Module:
    """Two models; one is called twice in a step and learns from neither."""
    maker, judge = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 6)), net()
    first, second = torch.optim.Adam(maker.parameters(), 1e-3), torch.optim.Adam(judge.parameters(), 1e-3)
    with watched(maker, first), watched(judge, second):
        for inputs, labels in batches(steps):
            made = maker(torch.randn(ROWS, 4))
            second.zero_grad()
            (F.cross_entropy(judge(inputs), labels) + judge(made.detach()).square().mean()).backward()
            second.step()
            first.zero_grad()
            judge(made).square().mean().backward()
            first.step()
    return nn.ModuleList([maker, judge])


def accumulating(watched: Watched, steps: int) -> nn.Module:
    model = net(nn.Dropout(0.1))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=steps + 1)
    with watched(model, optimizer, scheduler):
        for number, (inputs, labels) in enumerate(batches(3 * steps)):
            (F.cross_entropy(model(inputs), labels) / 3).backward()
            if number % 3 == 2:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad(set_to_none=False)
    return model


def scaled(watched: Watched, steps: int) -> nn.Module:
    """Autocast and a GradScaler, whose scale overflows at first."""
    model = net(nn.LayerNorm(16))
    optimizer, scaler = torch.optim.SGD(model.parameters(), 0.1), torch.amp.GradScaler("cpu", init_scale=2.0**40)
    with watched(model, optimizer):
        for inputs, labels in batches(steps):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
    return model


def evaluated(watched: Watched, steps: int) -> nn.Module:
    """Evaluations with draws of their own, and an averaged copy."""
    model = net(nn.BatchNorm1d(16), nn.Dropout(0.3))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2, amsgrad=True)
    mean = torch.optim.swa_utils.AveragedModel(model)
    with watched(model, optimizer):
        for number, (inputs, labels) in enumerate(batches(steps)):
            optimizer.zero_grad()
            F.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
            mean.update_parameters(model)
            if number % 5 == 4:
                model.eval()
                with torch.no_grad():
                    model(torch.randn(ROWS, 6))
                    mean(torch.randn(ROWS, 6))
                model.train()
    return nn.ModuleList([model, mean])


def copied_and_saved(watched: Watched, steps: int) -> nn.Module:
    """deepcopy, pickle and a change of type in the middle; what was copied is trained on."""
    model = net(nn.Dropout(0.1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    copies = []
    with watched(model, optimizer):
        for number, (inputs, labels) in enumerate(batches(steps)):
            optimizer.zero_grad()
            F.cross_entropy(model(inputs.to(next(model.parameters()).dtype)), labels).backward()
            if number in (3, 15):  # amid a step
                copies.append(copy.deepcopy(model))
                file = io.BytesIO()
                torch.save(model, file)
                file.seek(0)
                copies.append(torch.load(file, weights_only=False))
            optimizer.step()
            if number == 10:
                model.to(torch.float64)
    for twin in copies:
        twin.float()(torch.randn(ROWS, 6)).sum().backward()
    return nn.ModuleList([model.float(), *copies])


def forward_raises(watched: Watched, steps: int) -> nn.Module:
    """A batch that does not fit is skipped, in the forward pass, in the loss, and in the backward pass."""
    model = net(nn.Dropout(0.2))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with watched(model, optimizer):
        for number, (inputs, labels) in enumerate(batches(steps)):
            try:
                output = model(inputs[:, :5] if number in (0, 4, 9) else inputs)
                loss = F.cross_entropy(output, labels[:3] if number in (2, 7) else labels)
                (loss.detach() if number in (3, 12) else loss).backward()
            except (RuntimeError, ValueError):
                continue
            optimizer.step()
            optimizer.zero_grad()
    return model


def generated(watched: Watched, steps: int) -> nn.Module:
    """A loop within a generator that is left before its end."""
    model = net()
    optimizer = torch.optim.RMSprop(model.parameters(), 1e-2)

    def losses() -> Iterator[Tensor]:
        with watched(model, optimizer):
            for inputs, labels in batches(10 * steps):
                loss = F.cross_entropy(model(inputs), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                yield loss

    found = losses()
    for _ in range(steps):
        next(found)
    found.close()
    return model


def by_functions(watched: Watched, steps: int) -> nn.Module:
    """Gradients of each row by torch.func, and a penalty on the gradient of the input."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    with watched(model, optimizer):
        for inputs, labels in batches(steps):
            state = dict(model.named_parameters())

            def of_row(state: dict[str, Tensor], row: Tensor, label: Tensor) -> Tensor:
                return F.cross_entropy(torch.func.functional_call(model, state, row[None]), label[None])

            rows = torch.func.vmap(torch.func.grad(of_row), in_dims=(None, 0, 0))(state, inputs, labels)
            inputs.requires_grad_(True)
            output = model(inputs)
            (slope,) = torch.autograd.grad(output.sum(), inputs, create_graph=True)
            optimizer.zero_grad()
            (F.cross_entropy(output, labels) + 0.1 * slope.square().mean()).backward()
            for name, parameter in model.named_parameters():
                assert parameter.grad is not None
                parameter.grad += 0.1 * rows[name].mean(0)
            optimizer.step()
    return model


@dataclass
class Found:
    logits: Tensor
    more: dict[str, list[Tensor]]


class Answers(nn.Module):
    """Gives a dictionary, a dataclass or a tuple; a keyword, a layer that is made at the first call, weights tied."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.words, self.inner = nn.Embedding(11, 8), nn.LazyLinear(8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.words.weight

    def forward(self, *, tokens: Tensor) -> Any:
        hidden = checkpoint(self._hidden, tokens, use_reentrant=False)
        logits = self.head(hidden)
        if self.form == "dictionary":
            return {"logits": logits, "hidden": hidden, "name": "x"}
        return Found(logits, {"hidden": [hidden]}) if self.form == "dataclass" else (logits, None, (hidden,))

    def _hidden(self, tokens: Tensor) -> Tensor:
        return F.dropout(torch.tanh(self.inner(self.words(tokens))), 0.1, self.training)  # type: ignore[no-any-return]


def logits(answer: Any) -> Tensor:
    if isinstance(answer, dict):
        return answer["logits"]  # type: ignore[no-any-return]
    return answer.logits if isinstance(answer, Found) else answer[0]  # type: ignore[no-any-return]


def answering(form: str) -> Callable[[Watched, int], nn.Module]:
    def loop(watched: Watched, steps: int) -> nn.Module:
        model = Answers(form)
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        with watched(model, optimizer):
            for _ in range(steps):
                tokens = torch.randint(11, (8, 7))
                outputs = [model(tokens=part) for part in (tokens[:, :-1], tokens[:, :-1])]  # twice in a step
                read = {"dictionary": lambda o: o["logits"], "dataclass": lambda o: o.logits, "tuple": lambda o: o[0]}[
                    form
                ]
                given = [read(output) for output in outputs]
                loss = F.cross_entropy(given[0].flatten(0, 1), tokens[:, 1:].flatten())
                loss = loss + (given[0] - given[1]).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return model

    return loop


class Replicas(nn.Module):
    """What nn.DataParallel does, on one device: shallow replicas of the model, one for each part of a batch."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> Tensor:
        parts = []
        for part in inputs.chunk(2):
            replica = self.module._replicate_for_data_parallel()
            for name, child in self.module.named_children():
                setattr(replica, name, child)
            parts.append(replica(part))
        return torch.cat(parts)


def normed() -> nn.Module:
    model = net()
    parametrizations.weight_norm(model[0])
    parametrizations.spectral_norm(model[2])
    return model


def own_mode(watched: Watched, steps: int) -> nn.Module:
    """The loop has a TorchFunctionMode and anomaly detection of its own, and computes on tensors of a subclass."""

    class Mine(torch.Tensor):
        pass

    class Counting(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func(*args, **(kwargs or {}))

    model = net()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with watched(model, optimizer):
        for number, (inputs, labels) in enumerate(batches(steps)):
            with Counting(), torch.autograd.set_detect_anomaly(number % 2 == 0):
                loss = F.cross_entropy(model(inputs.as_subclass(Mine)), labels)
                optimizer.zero_grad()
                loss.backward()
            optimizer.step()
    return model


def every_now_and_then(watched: Watched, steps: int) -> nn.Module:
    """Two watchers, one after the other; inference mode; a layer that is frozen and let go."""
    model = net(nn.Dropout(0.2))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for part in range(2):
        with watched(model, optimizer, every=1 + part):
            for number, (inputs, labels) in enumerate(batches(steps // 2)):
                model[0].requires_grad_(number % 4 != 1)
                optimizer.zero_grad()
                F.cross_entropy(model(inputs), labels).backward()
                optimizer.step()
                with torch.inference_mode():
                    model(inputs)
            model[0].requires_grad_(True)
    return model


def compiled(watched: Watched, steps: int) -> nn.Module:
    model = net()
    return plain(torch.compile(model, backend="eager"), torch.optim.Adam(model.parameters(), 1e-2), watched, steps)  # type: ignore[arg-type]


ADAM, SGD = torch.optim.Adam, torch.optim.SGD
LOOPS: dict[str, Callable[[Watched, int], nn.Module]] = {
    "dropout": with_optimizer(ADAM, lr=1e-2),
    "amsgrad": with_optimizer(ADAM, lr=1e-2, amsgrad=True, weight_decay=0.01),
    "fused": with_optimizer(ADAM, lr=1e-2, fused=True),
    "foreach": with_optimizer(torch.optim.AdamW, lr=1e-2, foreach=True),
    "nesterov": with_optimizer(SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3, maximize=False),
    "adagrad": with_optimizer(torch.optim.Adagrad, lr=0.1),
    "closure": closure,
    "two_optimizers": two_optimizers,
    "adversarial": adversarial,
    "accumulating": accumulating,
    "scaled": scaled,
    "evaluated": evaluated,
    "copied_and_saved": copied_and_saved,
    "forward_raises": forward_raises,
    "generated": generated,
    "by_functions": by_functions,
    "dictionary": answering("dictionary"),
    "dataclass": answering("dataclass"),
    "tuple": answering("tuple"),
    "batch_norm": with_model(lambda: net(nn.BatchNorm1d(16))),
    "instance_and_bilinear": with_model(lambda: net(nn.Unflatten(1, (4, 4)), nn.InstanceNorm1d(4), nn.Flatten())),
    "rrelu": with_model(lambda: net(nn.RReLU(), nn.AlphaDropout(0.1))),
    "parametrized": with_model(normed),
    "replicas": with_model(lambda: Replicas(net(nn.Dropout(0.1)))),
    "own_mode": own_mode,
    "every_now_and_then": every_now_and_then,
    "compiled": compiled,
}
