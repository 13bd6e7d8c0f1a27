"""A trainer to start from: a linear predictor of the next vector of a sequence, in plain Python.

``lvmcheck init`` copies this file. What a trainer owes lvmcheck is in ``train``: it says what the data are, reports
every step and every epoch, saves what it needs to go on, and returns soon after ``rec.stop`` is true.
"""

from __future__ import annotations

import json
import math
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

from lvmcheck.run.recorder import Recorder

Vector = list[float]
Pair = tuple[Vector, Vector]
DIM, RHO = 8, 0.6


def train(config: dict[str, Any], rec: Recorder) -> None:
    """Trains and reports. ``config`` is ``[run]`` of the suite without ``trainer``, and with the seed of this run."""
    draw = random.Random(config["seed"])
    training, validation = pairs(draw, config["windows"]), pairs(draw, config["windows"] // 4)
    weights = [[draw.gauss(0, 0.5) for _ in range(DIM)] for _ in range(DIM)]
    begin = 1
    if rec.resume is not None:  # stopped earlier: go on from its checkpoint
        state = json.loads((rec.resume / "state.json").read_text())
        weights, begin = state["weights"], state["epoch"] + 1
    else:
        made = f"rho {RHO}, dim {DIM}, seed {config['seed']}"
        rec.data(name="autoregression", fingerprint=made, facts=facts(validation))
        rec.model(kind="linear", parameters=DIM * DIM)
        rec.declare(["train_cosine", "val_cosine", "val_loss"])
        rec.device("cpu", "without torch")  # a gate may require the kind that was used
    for epoch in range(begin, config["epochs"] + 1):
        order = random.Random(f"{config['seed']}, {epoch}").sample(training, len(training))  # the same after a stop
        for start in range(0, len(order), config["batch_size"]):
            batch = order[start : start + config["batch_size"]]
            if rec.stop:  # also before the first step: the data may have been refused
                return
            loss, norm = update(weights, batch, config["lr"])
            rec.step(loss=loss, terms={"mse": (1.0, loss)}, grad_norm=norm, lr=config["lr"], samples=len(batch))
        val_loss, val_cosine = evaluate(weights, validation)
        rec.epoch(epoch, train_cosine=evaluate(weights, training)[1], val_loss=val_loss, val_cosine=val_cosine)
        save(rec, weights, epoch)


def pairs(draw: random.Random, count: int) -> list[Pair]:
    """Context and target, ``count`` of them: neighbours in a first-order autoregression of unit vectors."""
    rows = [unit([draw.gauss(0, 1) for _ in range(DIM)])]
    for _ in range(count):
        noise = unit([draw.gauss(0, 1) for _ in range(DIM)])
        turned = rows[-1][1:] + rows[-1][:1]  # so that repeating the context predicts nothing
        rows.append(unit([RHO * x + (1 - RHO) * n for x, n in zip(turned, noise, strict=True)]))
    return list(pairwise(rows))


def facts(data: list[Pair]) -> dict[str, Any]:
    """What predictors that learn nothing reach on these data, as mean cosines."""
    mean = unit([math.fsum(column) for column in zip(*(target for _, target in data), strict=True)])
    constant = math.fsum(dot(mean, target) for _, target in data) / len(data)
    repeated = math.fsum(dot(context, target) for context, target in data) / len(data)
    same = dict.fromkeys(("persistence", "mean_of_context"), repeated)  # a context of one vector is its own mean
    return {"dim": DIM, "validation_windows": len(data), "constant_mean": constant, **same}


def update(weights: list[Vector], batch: list[Pair], lr: float) -> tuple[float, float]:
    """One step of gradient descent on the mean squared error; returns the loss before it and the gradient's norm."""
    gradient = [[0.0] * DIM for _ in range(DIM)]
    loss = 0.0
    for context, target in batch:
        for i, wrong in enumerate(p - t for p, t in zip(predict(weights, context), target, strict=True)):
            loss += wrong * wrong / (DIM * len(batch))
            for j, value in enumerate(context):
                gradient[i][j] += 2 * wrong * value / (DIM * len(batch))
    for row, slope in zip(weights, gradient, strict=True):
        row[:] = [w - lr * g for w, g in zip(row, slope, strict=True)]
    return loss, math.sqrt(math.fsum(g * g for slope in gradient for g in slope))


def evaluate(weights: list[Vector], data: list[Pair]) -> tuple[float, float]:
    """Mean squared error and mean cosine of the predictions, scaled to unit length as the targets are."""
    cosines = [dot(unit(predict(weights, context)), target) for context, target in data]
    cosine = math.fsum(cosines) / len(cosines)
    return 2 * (1 - cosine) / DIM, cosine


def save(rec: Recorder, weights: list[Vector], epoch: int) -> None:
    """A checkpoint to go on from: any files in a folder below the run directory."""
    folder = Path(rec.path) / "checkpoints" / f"epoch-{epoch}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state.json").write_text(json.dumps({"weights": weights, "epoch": epoch}))
    rec.checkpoint("last", folder, epoch=epoch, step=rec.steps)


def predict(weights: list[Vector], context: Vector) -> Vector:
    return [dot(row, context) for row in weights]


def dot(a: Vector, b: Vector) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def unit(vector: Vector) -> Vector:
    length = math.sqrt(dot(vector, vector)) or 1.0
    return [x / length for x in vector]
