"""Small programs with one silent error each; every program without its fault is the healthy twin."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lvmcheck import Recorder
from suites.watch import faults_data, faults_model, faults_pairs
from suites.watch.steps import learn

Train = Callable[[Recorder, str], None]


@dataclass(frozen=True)
class Fault:
    """A program with a fault, and the check that must see it first or among others."""

    name: str
    train: Train
    check: str


class Classifier(nn.Module):
    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault = fault
        self.body = nn.Sequential(nn.Linear(20, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1))
        self.middle = nn.Sequential(nn.Linear(32, 24), nn.ReLU())
        self.head = nn.Linear(24, 5)
        self.aux = nn.Linear(32, 5)
        if fault == "units_killed":
            nn.init.constant_(self.middle[0].bias, -50.0)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.body(inputs)
        fault = self.fault
        if fault == "head_under_no_grad":
            with torch.no_grad():
                aux = self.aux(hidden)
        else:
            aux = self.aux(hidden.detach() if fault == "head_input_detached" else hidden)
        logits = self.head(self.middle(hidden)) + 0.1 * aux
        if fault == "collapsed":
            logits = logits * 0 + self.head.bias
        if fault == "nan_in_a_module":
            logits = self.head((self.middle(hidden) - 0.1).sqrt()) + 0.1 * aux
        if fault == "softmax_inside":
            return logits.softmax(1)
        return logits.softmax(0) if fault == "softmax_over_the_batch" else logits


def problem(fault: str, rows: int = 640) -> tuple[Tensor, Tensor]:
    """Inputs near 0 with deviation 1, and the class of the largest of five linear functions."""
    inputs = torch.randn(rows, 20)
    labels = (inputs @ torch.randn(20, 5)).argmax(1)
    if fault == "inputs_of_255":
        inputs = inputs * 70 + 120
    if fault == "inputs_constant":
        inputs = torch.ones_like(inputs)
    if fault == "sorted_by_class":
        order = labels.argsort(stable=True)
        inputs, labels = inputs[order], labels[order]
    return inputs, labels


def groups(model: Classifier, fault: str) -> list[dict[str, object]]:
    """Parameter groups of the optimizer."""
    named = dict(model.named_parameters())
    if fault == "head_left_out":
        return [{"params": [p for name, p in named.items() if not name.startswith("head")]}]
    return [{"params": list(named.values())}]


def classifier(rec: Recorder, fault: str, epochs: int = 3) -> None:
    """A classifier with batch norm and dropout, Adam and a cosine over the epochs."""
    inputs, labels = problem(fault)
    model = Classifier(fault)
    optimizer = _optimizer(model, fault)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * 2)
    if fault == "head_replaced":
        model.head = nn.Linear(24, 5)
    rec.watch(model, optimizer, scheduler)
    for epoch in range(epochs):
        if fault != "never_train_again" or epoch == 0:
            model.train()
        if fault == "frozen_by_a_helper" and epoch == 1:
            model.head.requires_grad_(False)
        if fault == "weights_decay" and epoch == 0:
            optimizer.param_groups[0].update(weight_decay=30.0, lr=0.02)
        for rows in _order(fault, len(inputs) - 128):
            loss = _loss(model, inputs[rows], labels[rows], fault)
            if fault != "never_cleared":
                optimizer.zero_grad()
            loss.backward()
            if fault == "cleared_before_the_step":
                optimizer.zero_grad()
            if fault != "never_stepped":
                optimizer.step()
            if fault == "stepped_twice":
                optimizer.step()
            if fault == "cosine_stepped_per_batch":
                scheduler.step()
            rec.step(loss=loss)
        if fault not in ("scheduler_never_stepped", "cosine_stepped_per_batch", "never_stepped"):
            scheduler.step()
        if fault != "validated_in_train_mode":
            model.eval()
        if fault == "norm_in_train_mode":
            model.body[1].train()
        with torch.no_grad():
            rec.epoch(epoch, val_loss=F.cross_entropy(model(inputs[-128:]), labels[-128:]))


def _optimizer(model: Classifier, fault: str) -> torch.optim.Optimizer:
    found = groups(model, fault)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of duplicates within a group
        if fault in ("rate_far_too_high", "rate_far_too_low"):
            return torch.optim.SGD(found, lr=30.0 if fault == "rate_far_too_high" else 1e-9)
        if fault == "held_twice":
            found = [{"params": [*model.parameters(), model.head.weight]}]
        return torch.optim.AdamW(found, lr=1e-3)


def _order(fault: str, count: int) -> list[Tensor]:
    if fault == "same_batch_for_ever":
        return [torch.arange(32)] * (count // 32)
    if fault in ("never_shuffled", "sorted_by_class"):
        return list(torch.arange(count).split(32))
    return list(torch.randperm(count).split(32))


def _loss(model: Classifier, inputs: Tensor, labels: Tensor, fault: str) -> Tensor:
    outputs = model(inputs)
    if fault == "softmax_outside":
        return F.cross_entropy(outputs.softmax(1), labels)
    if fault == "probabilities_without_log":
        return F.nll_loss(outputs.softmax(1), labels)
    if fault == "output_detached":
        decay = torch.stack([p.square().sum() for p in model.parameters()]).sum()
        return F.cross_entropy(outputs.detach(), labels) + 1e-3 * decay
    return F.cross_entropy(outputs, labels)


class Regressor(nn.Module):
    def __init__(self, fault: str) -> None:
        super().__init__()
        depth, act = (16, nn.Sigmoid) if fault == "deep_sigmoids" else (4, nn.Tanh)
        layers: list[nn.Module] = []
        for i in range(depth):
            layers += [nn.Linear(12 if i == 0 else 32, 32), act()]
        self.layers = nn.Sequential(*layers, nn.Linear(32, 1))
        if fault == "saturated":
            for module in self.layers[:-1]:
                if isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, std=30.0)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(inputs)  # type: ignore[no-any-return]


def regressor(rec: Recorder, fault: str) -> None:
    """A regression, with a gradient scaler where the fault needs one."""
    inputs = torch.randn(640, 12)
    targets = (inputs @ torch.randn(12, 1)).tanh()
    model = Regressor(fault)
    if fault == "bfloat16_weights":
        model = model.bfloat16()
        inputs, targets = inputs.bfloat16(), targets.bfloat16()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5 if fault == "bfloat16_weights" else 0.05)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    rec.watch(model, optimizer)
    for epoch in range(10 if fault == "gradients_leap" else 4):
        for rows in torch.randperm(512).split(16):
            outputs = model(inputs[rows])
            loss = ((outputs - (targets[rows, 0] if fault == "broadcast" else targets[rows])) ** 2).mean()
            if fault == "gradients_leap" and epoch and torch.rand(()) < 0.5:
                loss = loss * 1e3
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            if fault != "clipped_before_unscale":
                scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0 if fault == "clipped_before_unscale" else 1e4)
            scaler.step(optimizer)
            scaler.update()
            rec.step(loss=loss)
        with torch.no_grad():
            rec.epoch(epoch, val_loss=F.mse_loss(model(inputs[512:]), targets[512:]))


class Tied(nn.Module):
    def __init__(self, fault: str) -> None:
        super().__init__()
        self.embed = nn.Embedding(30, 16)
        self.head = nn.Linear(16, 30, bias=False)
        if fault == "tied_by_a_copy":
            self.head.weight.data.copy_(self.embed.weight.data)
        else:
            self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embed(tokens))  # type: ignore[no-any-return]


def tied(rec: Recorder, fault: str) -> None:
    """A bigram model with tied weights."""
    text = torch.randint(30, (64, 9))
    model = Tied(fault)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    rec.watch(model, optimizer)
    for number in range(40):
        if fault == "untied_on_the_way" and number == 3:
            model.head = copy.deepcopy(model.head)
        loss = F.cross_entropy(model(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())
        learn(rec, optimizer, loss)


def loaders(rec: Recorder, fault: str) -> None:
    """Loaders, observed; validation rows are other ones."""
    inputs, labels = problem("")
    model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 5))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    first = 350 if fault == "validation_rows_in_training" else 400
    train = DataLoader(TensorDataset(inputs[:400], labels[:400]), batch_size=32, shuffle=True)
    val = DataLoader(TensorDataset(inputs[first:], labels[first:]), batch_size=32)
    watcher = rec.watch(model, optimizer, train=train, val=val)
    for epoch in range(2):
        model.train()
        for batch, target in watcher.train:
            loss = F.cross_entropy(model(batch), target)
            learn(rec, optimizer, loss)
        if fault != "evaluated_in_train_mode_by_loader":
            model.eval()
        total = sum(float(F.cross_entropy(model(batch), target).detach()) for batch, target in watcher.val)
        rec.epoch(epoch, val_loss=total)


def _faults(train: Train, checks: dict[str, str]) -> list[Fault]:
    return [Fault(name, train, check) for name, check in checks.items()]


MORE = (*faults_data.CHECKS, *faults_model.CHECKS, *faults_pairs.CHECKS)
FAULTS = [
    *_faults(
        classifier,
        {
            "head_left_out": "missing_from_optimizer",
            "held_twice": "parameters_held_once",
            "head_replaced": "optimizer_holds_this_model",
            "never_cleared": "gradients_cleared",
            "cleared_before_the_step": "gradient_at_step",
            "never_stepped": "steps_are_taken",
            "stepped_twice": "one_step_per_backward",
            "head_under_no_grad": "gradient_reaches",
            "frozen_by_a_helper": "stays_trainable",
            "output_detached": "loss_uses_output",
            "validated_in_train_mode": "evaluates_in_eval_mode",
            "never_train_again": "trains_in_train_mode",
            "norm_in_train_mode": "evaluation_changes_nothing",
            "softmax_inside": "output_not_probabilities",
            "softmax_over_the_batch": "output_not_probabilities",
            "softmax_outside": "softmax_once",
            "probabilities_without_log": "softmax_once",
            "nan_in_a_module": "first_non_finite",
            "units_killed": "units_alive",
            "collapsed": "outputs_vary",
            "rate_far_too_high": "weights_keep_size",
            "rate_far_too_low": "update_size",
            "weights_decay": "weight_decay_small",
            "inputs_of_255": "inputs_scaled",
            "inputs_constant": "inputs_scaled",
            "sorted_by_class": "labels_mixed",
            "never_shuffled": "epoch_order_changes",
            "same_batch_for_ever": "batches_differ",
            "scheduler_never_stepped": "scheduler_steps",
            "cosine_stepped_per_batch": "scheduler_steps",
        },
    ),
    *_faults(
        regressor,
        {
            "broadcast": "targets_differ_by_row",
            "deep_sigmoids": "gradient_by_depth",
            "saturated": "units_unsaturated",
            "clipped_before_unscale": "clipping_acts_sometimes",
            "gradients_leap": "gradient_norm_steady",
            "bfloat16_weights": "parameters_move",
        },
    ),
    *_faults(tied, {"tied_by_a_copy": "weights_stay_tied", "untied_on_the_way": "weights_stay_tied"}),
    *_faults(
        loaders,
        {
            "validation_rows_in_training": "validation_rows_unseen",
            "evaluated_in_train_mode_by_loader": "evaluates_in_eval_mode",
        },
    ),
    *(
        fault
        for train, checks in (*faults_data.CHECKS, *faults_model.CHECKS, *faults_pairs.CHECKS)
        for fault in _faults(train, checks)
    ),
]
TWINS: dict[str, Train] = {train.__name__: train for train in (classifier, regressor, tied, loaders)}
TWINS |= {train.__name__: train for train, _ in MORE}
