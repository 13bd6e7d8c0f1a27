"""Sound programs that a naive look at data, losses or rows would object to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lvmcheck import Recorder
from suites.watch.steps import learn


def _fit(
    rec: Recorder, model: nn.Module, loss: Callable[[int], Tensor], *, steps: int = 45, epochs: int = 3, **watch: Any
) -> None:
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    rec.watch(model, optimizer, **watch)
    for step in range(steps):
        model.train()
        value = loss(step)
        learn(rec, optimizer, value)
        if (step + 1) % (steps // epochs) == 0:
            rec.epoch((step + 1) // (steps // epochs))


def time_first(rec: Recorder) -> None:
    """Attention over dimension 0, which is time; logits for every position."""
    layer = nn.TransformerEncoderLayer(16, 2, 32)
    model = nn.Sequential(nn.Embedding(20, 16), layer, nn.Linear(16, 20))

    def loss(_: int) -> Tensor:
        text = torch.randint(0, 20, (15, 17))
        return F.cross_entropy(model(text).flatten(0, 1), text.flatten())

    _fit(rec, model, loss)


class OwnMixer(nn.Module):
    """Mixes positions in dimension 0 by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.head = nn.Parameter(torch.eye(14)), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        size = len(x)
        return self.head(torch.einsum("ts,snf->tnf", self.mix[:size, :size], x))  # type: ignore[no-any-return]


def own_mixer(rec: Recorder) -> None:
    model = OwnMixer()

    def loss(_: int) -> Tensor:
        x = torch.randn(14, 32, 6)
        return F.mse_loss(model(x), x.cumsum(0) / 5)

    _fit(rec, model, loss)


class Similarities(nn.Module):
    """Puts out a table of rows by rows."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(8, 12), nn.Linear(8, 12)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return F.normalize(self.one(a), dim=1) @ F.normalize(self.other(b), dim=1).T / 0.2


def similarities(rec: Recorder) -> None:
    model = Similarities()

    def loss(_: int) -> Tensor:
        a = torch.randn(24, 8)
        return F.cross_entropy(model(a, a + 0.2 * torch.randn(24, 8)), torch.arange(24))

    _fit(rec, model, loss)


class Sampler(nn.Module):
    """A variational autoencoder that samples in eval mode, too, and keeps its last code."""

    def __init__(self) -> None:
        super().__init__()
        self.code, self.back = nn.Linear(8, 8), nn.Linear(4, 8)
        self.register_buffer("calls", torch.zeros(()))
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log = self.code(x).chunk(2, 1)
        self.calls += 1  # type: ignore[operator]
        code = mean + (log / 2).exp() * torch.randn_like(mean)
        self.last = code.detach()
        return self.back(code), mean, log


def sampler(rec: Recorder) -> None:
    model = Sampler()

    def loss(_: int) -> Tensor:
        x = torch.randn(32, 8) @ torch.ones(8, 8).tril() / 4
        back, mean, log = model(x)
        return F.mse_loss(back, x) - 0.05 * (1 + log - mean.square() - log.exp()).mean()

    _fit(rec, model, loss)
    assert float(model.calls) == 45, "no call of the watcher stays behind"


def hooked(rec: Recorder) -> None:
    """Features are taken by a hook, and used in the loss."""
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    taken: list[Tensor] = []
    model[1].register_forward_hook(lambda _m, _i, out: taken.append(out))

    def loss(_: int) -> Tensor:
        x = torch.randn(32, 8)
        out = model(x)
        return F.cross_entropy(out, x[:, :3].argmax(1)) + 1e-3 * taken[-1].square().mean()

    _fit(rec, model, loss)
    assert len(taken) == 45


def adversary(rec: Recorder) -> None:
    """A least-squares generator whose targets are smoothed, watched alone."""
    maker = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    judge = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
    other = torch.optim.Adam(judge.parameters(), 3e-3)

    def loss(_: int) -> Tensor:
        real, fake = torch.randn(32, 2) * 0.5 + 1, maker(torch.randn(32, 4))
        other.zero_grad()
        up, down = torch.full((32, 1), 0.9), torch.zeros(32, 1)
        (F.mse_loss(judge(real), up) + F.mse_loss(judge(fake.detach()), down)).backward()
        other.step()
        return F.mse_loss(judge(fake), up)

    _fit(rec, maker, loss)


def losses(rec: Recorder) -> None:
    """Many terms, each given what it expects: mixtures, entropies, soft targets, pairs, quantiles."""
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 12))

    def loss(_: int) -> Tensor:
        x = torch.randn(32, 8)
        out = model(x)
        logits, rest = out[:, :6], out[:, 6:]
        label = x[:, :6].argmax(1)
        chosen = torch.distributions.Categorical(logits=logits)
        drawn = torch.distributions.Categorical(probs=logits.softmax(1))
        mixture = torch.logsumexp(logits.log_softmax(1) - rest.square(), 1).mean()
        soft = 0.9 * F.one_hot(label, 6) + 0.1 / 6
        student = F.kl_div(logits.log_softmax(1), soft, reduction="batchmean")
        both = F.kl_div(logits.log_softmax(1), soft.log(), log_target=True, reduction="batchmean")
        scores = rest[:, :1]
        ranks = F.softplus(-(scores - scores.T))[x[:, :1] > x[:, 0]].mean()
        quantiles = (x[:, None, :3] - rest[:, :3, None]).abs().mean()
        values = F.smooth_l1_loss(rest[:, 0], x[:, 0])
        hot = F.binary_cross_entropy_with_logits(logits, soft)
        policy = -(drawn.log_prob(label) * x[:, 0]).mean() - 0.01 * chosen.entropy().mean()
        smooth = F.cross_entropy(logits, label, label_smoothing=0.1) + F.nll_loss(logits.log_softmax(1), label)
        return smooth + student + both + hot + values + 0.1 * (ranks + quantiles + policy - mixture)

    _fit(rec, model, loss)


class Passing(TorchFunctionMode):
    """A mode of the loop's own."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def modes(rec: Recorder) -> None:
    """Modes of the loop's own, opened and closed across those of the watcher."""
    model = nn.Linear(8, 3)

    def loss(step: int) -> Tensor:
        x = torch.randn(32, 8)
        if step % 3 == 0:
            with Passing():
                out = model(x)
            return F.cross_entropy(out, x[:, :3].argmax(1))
        with torch.device("cpu"), Passing():
            return F.cross_entropy(model(x), x[:, :3].argmax(1))

    _fit(rec, model, loss)


def _table(rows: int, *, shift: Tensor | None = None) -> tuple[Tensor, Tensor]:
    x = torch.randn(rows, 10)
    y = (x @ torch.linspace(-1, 1, 10).repeat(3, 1).T.roll(1, 0)).cumsum(1)
    return (x if shift is None else x * shift.exp() + shift), (y + 0.3 * torch.randn(rows, 3)).argmax(1)


def _of_loader(rec: Recorder, train: Any, val: Any = None) -> None:
    model = nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 3))
    batches = iter([batch for _ in range(9) for batch in train])

    def loss(_: int) -> Tensor:
        x, y = next(batches)
        return F.cross_entropy(model(x), y)

    steps = min(45, 9 * len(train))
    _fit(rec, model, loss, steps=steps - steps % 3, train=train, val=val)


def another_place(rec: Recorder) -> None:
    """Validation comes from elsewhere: each feature has another mean and spread, in its own way."""
    there = torch.linspace(-0.8, 1.0, 10)[torch.randperm(10)]
    val = DataLoader(TensorDataset(*_table(200, shift=there)), 100)
    _of_loader(rec, DataLoader(TensorDataset(*_table(320)), 32, shuffle=True), val)


def rare_repeated(rec: Recorder) -> None:
    """Rows of a rare class are repeated to balance the set."""
    x, y = _table(400)
    keep = torch.cat([torch.nonzero(y != 2)[:, 0], torch.nonzero(y == 2)[:12, 0].repeat(8)])
    _of_loader(rec, DataLoader(TensorDataset(x[keep], y[keep]), 32, shuffle=True))


class Made(Dataset[tuple[Tensor, Tensor]]):
    """Rows that are made from their index, or crops that hardly ever happen."""

    def __init__(self, made: bool) -> None:
        self.made, (self.x, self.y) = made, _table(320)
        if made:
            del self.x, self.y

    def __len__(self) -> int:
        return 320

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        if self.made:
            x = torch.randn(10, generator=torch.Generator().manual_seed(row))
            return x, x[:3].argmax()
        x = self.x[row]
        return (x.flip(0) if torch.rand(()) < 0.05 else x), self.y[row]


def made_by_index(rec: Recorder) -> None:
    _of_loader(rec, DataLoader(Made(True), 32, shuffle=True))


def rarely_flipped(rec: Recorder) -> None:
    _of_loader(rec, DataLoader(Made(False), 32, shuffle=True))


def memory(rec: Recorder) -> None:
    """A replay memory, overwritten while it is used."""
    x, y = torch.randn(320, 10), torch.zeros(320, dtype=torch.long)
    model = nn.Linear(10, 3)

    def loss(_: int) -> Tensor:
        at = torch.randint(0, 320, (60,))
        x[at] = torch.randn(60, 10)
        rows = torch.randint(0, 320, (32,))
        y[rows] = x[rows, :3].argmax(1)
        return F.cross_entropy(model(x[rows]), y[rows])

    _fit(rec, model, loss, epochs=9, train=DataLoader(TensorDataset(x, y), 32, shuffle=True))


HEALTHY: Mapping[str, Callable[[Recorder], None]] = {
    program.__name__: program
    for program in (
        *(time_first, own_mixer, similarities, sampler, hooked, adversary, losses, modes),
        *(another_place, rare_repeated, made_by_index, rarely_flipped, memory),
    )
}
