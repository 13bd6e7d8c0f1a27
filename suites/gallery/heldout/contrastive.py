"""Representations without labels: BYOL, InfoNCE, triplets and variance-covariance, on views of hidden groups."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from lvmcheck import Recorder
from suites.gallery.heldout._kit import grad_norm
from suites.gallery.program import Program, broken, healthy

GROUPS, WIDE = 10, 32


class World:
    """Groups on a sphere, hidden behind a mixing and loud directions that differ between the views of one object."""

    def __init__(self) -> None:
        self.centre = functional.normalize(torch.randn(GROUPS, 8), dim=1) * 2.2
        self.mix = torch.linalg.qr(torch.randn(WIDE, WIDE))[0]

    def objects(self, count: int) -> tuple[Tensor, Tensor]:
        group = torch.randint(GROUPS, (count,))
        return self.centre[group] + 0.5 * torch.randn(count, 8), group

    def view(self, thing: Tensor) -> Tensor:
        loud = 3.0 * torch.randn(len(thing), 4)
        quiet = 0.5 * torch.randn(len(thing), WIDE - 12)
        return torch.cat([thing + 0.3 * torch.randn_like(thing), loud, quiet], 1) @ self.mix


def mlp(inside: int, middle: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inside, middle), nn.BatchNorm1d(middle), nn.ReLU(), nn.Linear(middle, outside))


def neighbours(net: nn.Module, world: World, count: int = 300) -> tuple[float, float]:
    """Accuracy of the nearest neighbour among other objects, and the spread of the normalised embeddings."""
    thing, group = world.objects(count)
    net.eval()
    with torch.no_grad():
        z = functional.normalize(net(world.view(thing)), dim=1)
    net.train()
    near = (z @ z.T).fill_diagonal_(-2).argmax(1)
    return float((group[near] == group).float().mean()), float(z.std(0).mean() * z.shape[1] ** 0.5)


def byol(rec: Recorder, *, fault: str = "", epochs: int = 12, steps: int = 30) -> None:
    """Predict the target network's view; the loss is minus the cosine."""
    world = World()
    online, predictor = mlp(WIDE, 64, 16), mlp(16, 32, 16)
    target = copy.deepcopy(online)
    if fault == "no stop-gradient":
        target, predictor = online, nn.Sequential(nn.Identity())
    parameters = [*online.parameters(), *predictor.parameters()]
    optimizer = torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=1e-3)
    for epoch in range(epochs):
        total = 0.0
        for _ in range(steps):
            thing, _ = world.objects(64)
            a, b = world.view(thing), world.view(thing)
            if fault == "partners reordered":
                b = b.roll(1, 0)
            keep = target(torch.cat([a, b]))
            guess = predictor(online(torch.cat([b, a])))
            loss = -functional.cosine_similarity(guess, keep if fault == "no stop-gradient" else keep.detach()).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if target is not online:
                for mean, live in zip(target.parameters(), online.parameters(), strict=True):
                    mean.data.lerp_(live.data, 0.03)
            rec.step(loss=loss, samples=64)
            total += loss.item() / steps
        knn, spread = neighbours(online, world)
        rec.epoch(epoch, byol_loss=total, knn_acc=knn, embedding_std=spread)


def infonce(
    rec: Recorder,
    *,
    fault: str = "",
    epochs: int = 10,
    steps: int = 25,
    batch: int = 64,
    rate: float = 2e-3,
    temperature: float = 0.2,
    validate: bool = True,
) -> None:
    """The other view of the same object among all others in the batch."""
    world = World()
    net = mlp(WIDE, 64, 16)
    optimizer = torch.optim.Adam(net.parameters(), rate)

    def compare(count: int) -> tuple[Tensor, Tensor]:
        thing, _ = world.objects(count)
        first, second = world.view(thing), world.view(thing)
        if fault == "partners reordered" and net.training:
            second = second[torch.randperm(count)]
        if fault == "one view twice":
            second = first
        a, b = functional.normalize(net(first), dim=1), functional.normalize(net(second), dim=1)
        logits = a @ b.T * temperature if fault == "times temperature" else a @ b.T / temperature
        want = torch.zeros(count, dtype=torch.long) if fault == "all zeros" else torch.arange(count)
        return functional.cross_entropy(logits, want), (logits.argmax(1) == want).float().mean()

    for epoch in range(1, epochs + 1):
        total, hits = 0.0, 0.0
        for _ in range(steps):
            loss, top = compare(batch)
            optimizer.zero_grad()
            loss.backward()
            rec.step(loss=loss, grad_norm=grad_norm(net.parameters()), lr=rate, samples=batch)
            optimizer.step()
            total, hits = total + loss.item() / steps, hits + 100 * float(top) / steps
        if not validate:
            rec.epoch(epoch, train_loss=total, train_top1=hits)
            continue
        net.eval()
        with torch.no_grad():
            value, top = compare(batch)
        net.train()
        rec.epoch(epoch, train_loss=total, train_top1=hits, val_loss=value.item(), val_top1=100 * float(top))


def triplets(rec: Recorder, *, fault: str = "", epochs: int = 15, margin: float = 0.3) -> None:
    """Anchor, another of its group, one of another group; satisfied triplets cost nothing."""
    world = World()
    net = mlp(WIDE, 64, 12)
    optimizer = torch.optim.Adagrad(net.parameters(), 0.02)
    bank = copy.deepcopy(net)
    for epoch in range(1, epochs + 1):
        values = []
        for _ in range(20):
            thing, group = world.objects(128)
            z = functional.normalize(net(world.view(thing)), dim=1)
            same = group[:, None] == group
            if fault == "groups of other rows":
                same = same[torch.randperm(128)]
            far = 2 - 2 * z @ z.T
            friend = (far - 9 * (same & ~torch.eye(128, dtype=torch.bool))).argmin(1)
            enemy = (torch.rand(128, 128) + 9.0 * ~same).argmax(1)
            rows = torch.arange(128)
            near, away = far[rows, friend], far[rows, enemy]
            loss = functional.relu(near - away + margin).mean()
            if fault == "sign":
                loss = functional.relu(away - near + margin).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            values.append(loss.item())
            rec.step(loss=loss.item())
        knn, _ = neighbours(bank if fault == "bank of the start" else net, world)
        rec.epoch(epoch, **{"triplet/loss": sum(values) / 20, "valid/recall_at_1": knn})


def spread_out(rec: Recorder, *, fault: str = "", epochs: int = 10) -> None:
    """Invariance, variance and covariance; only the variance term keeps the embedding from one point."""
    world = World()
    net = mlp(WIDE, 64, 16)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
    weights = {"invariance": 25.0, "variance": 25.0, "covariance": 1.0}
    if fault == "weight of variance":
        weights["variance"] = 0.025
    for epoch in range(1, epochs + 1):
        for _ in range(25):
            thing, _ = world.objects(96)
            pair = [net(world.view(thing)), net(world.view(thing))]
            terms = {
                "invariance": functional.mse_loss(*pair),
                "variance": torch.zeros(()),
                "covariance": torch.zeros(()),
            }
            for z in pair:
                terms["variance"] = terms["variance"] + functional.relu(1 - (z.var(0) + 1e-4).sqrt()).mean() / 2
                c = torch.cov(z.T)
                terms["covariance"] = terms["covariance"] + (c - c.diag().diag()).pow(2).sum() / 16
            loss = sum((weights[name] * term for name, term in terms.items()), torch.zeros(()))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rec.step(loss=loss, terms={name: (weights[name], term) for name, term in terms.items()}, lr=3e-3)
        net.eval()
        with torch.no_grad():
            z = net(world.view(world.objects(300)[0]))
        net.train()
        knn, _ = neighbours(net, world)
        rec.epoch(epoch, knn_top1=knn, embedding_std=float(z.std(0).mean()))


NCE = {"epochs": 10, "batch_size": 64, "lr": 2e-3, "temperature": 0.2}
PROGRAMS: Sequence[Program] = (
    healthy("byol_views", "A negative loss, no validation loss, no rate recorded; embeddings stay spread.", byol),
    broken(
        "byol_no_stop",
        "gradients flow into the target, and there is no predictor",
        "collapsed_representation",
        "The loss goes to -1 at once, the spread of the embeddings to 0.02 of 1, and neighbours are poor.",
        partial(byol, fault="no stop-gradient"),
    ),
    broken(
        "byol_partners",
        "the second views are rolled by one object",
        "label_mismatch not_learning",
        "The loss stays at -0.57 and neighbours at 0.2.",
        partial(byol, fault="partners reordered"),
    ),
    healthy(
        "infonce_views",
        "Accuracy in percent of a task among 64 that never becomes perfect; validation is one batch.",
        infonce,
        config=NCE,
    ),
    healthy(
        "infonce_large",
        "Three epochs of eight large batches; the loss is compared with ln 512.",
        partial(infonce, batch=512, steps=8, epochs=3, rate=1e-2),
        config=NCE,
    ),
    healthy("infonce_no_val", "No validation at all.", partial(infonce, validate=False, epochs=14)),
    broken(
        "infonce_partners",
        "second views are reordered in training",
        "label_mismatch not_learning",
        "The training loss stays at ln 64 and accuracy at 1/64.",
        partial(infonce, fault="partners reordered"),
        config=NCE,
    ),
    broken(
        "infonce_temperature",
        "logits are multiplied by the temperature",
        "wrong_scale not_learning",
        "Accuracy rises to 45 % while the loss stays within 5 % of ln 64: the logits are too small to say so.",
        partial(infonce, fault="times temperature"),
        config=NCE,
    ),
    broken(
        "infonce_zeros",
        "all targets are 0 instead of the diagonal",
        "label_mismatch not_learning",
        "The loss stays at ln 64 and accuracy at 1/64.",
        partial(infonce, fault="all zeros"),
        config=NCE,
    ),
    broken(
        "infonce_same_view",
        "the second view is the first",
        "target_leak",
        "100 % among 64 in the first epoch, for training and validation.",
        partial(infonce, fault="one view twice"),
        config=NCE,
    ),
    healthy(
        "triplet_groups",
        "Most triplets are satisfied: the loss is near 0 from the start and ends at 0.0002 in some batches.",
        triplets,
    ),
    broken(
        "triplet_other_rows",
        "friends are found by the groups of other rows",
        "label_mismatch collapsed_representation not_learning",
        "The loss stays where it was after the first steps, recall at chance.",
        partial(triplets, fault="groups of other rows"),
    ),
    broken(
        "triplet_sign",
        "friend and enemy are exchanged in the hinge",
        "loss_sign",
        "The loss stops at the margin, 0.3, and recall is at chance: all embeddings are one point.",
        partial(triplets, fault="sign"),
    ),
    broken(
        "triplet_bank",
        "recall is measured with a copy made before the training",
        "metric_constant validation_differs",
        "The training loss falls to a quarter while recall stays where it was in the first epoch.",
        partial(triplets, fault="bank of the start"),
    ),
    healthy(
        "variance_covariance",
        "Three terms of which two have the weight 25; the covariance term grows as the embedding spreads.",
        spread_out,
    ),
    broken(
        "variance_covariance_weak",
        "the weight of the variance is 0.025 instead of 25",
        "collapsed_representation dominant_term",
        "The spread of the embeddings goes to 0.015 and the variance term to its maximum, 1.",
        partial(spread_out, fault="weight of variance"),
    ),
)
