"""Ten ordinary programs without a fault, and healthy things that break naive checks: none may be flagged."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lvmcheck import Recorder
from suites.watch.steps import learn

STEPS = 80


def batches(rows: int, size: int, steps: int = STEPS) -> list[Tensor]:
    """Indices of random batches, epoch by epoch."""
    found: list[Tensor] = []
    while len(found) < steps:
        found += [part for part in torch.randperm(rows).split(size) if len(part) == size]
    return found[:steps]


def image_classifier(rec: Recorder) -> None:
    """A convolutional net with batch norm, label smoothing, a cosine per epoch, evaluated in eval mode."""
    labels = torch.randint(4, (320,))
    images = torch.rand(320, 1, 8, 8) / 2 + torch.rand(4, 1, 8, 8)[labels] / 2
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 4)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5)
    rec.watch(model, optimizer, scheduler)
    for epoch in range(5):
        model.train()
        for rows in torch.randperm(256).split(16):
            loss = F.cross_entropy(model(images[rows]), labels[rows], label_smoothing=0.1)
            learn(rec, optimizer, loss)
        scheduler.step()
        model.eval()
        with torch.no_grad():
            rec.epoch(epoch, val_loss=F.cross_entropy(model(images[256:]), labels[256:]))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.lstm = nn.LSTM(16, 24, num_layers=2, dropout=0.2, batch_first=True)
        self.head = nn.Linear(24, 20)

    def forward(self, tokens: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        hidden, state = self.lstm(self.embed(tokens), state)
        return self.head(hidden), state


def recurrent(rec: Recorder) -> None:
    """Text in its own order, with a state that is carried on and detached, and clipped gradients."""
    text = torch.randint(20, (8, 401))
    model = Recurrent()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    rec.watch(model, optimizer)
    for epoch in range(4):
        state = None
        model.train()
        for start in range(0, 400, 20):
            if state is not None:
                state = (state[0].detach(), state[1].detach())
            logits, state = model(text[:, start : start + 20], state)
            loss = F.cross_entropy(logits.flatten(0, 1), text[:, start + 1 : start + 21].flatten())
            optimizer.zero_grad(set_to_none=False)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            optimizer.step()
            rec.step(loss=loss)
        rec.epoch(epoch, train_loss=loss)


class Transformer(nn.Module):
    """Tied embedding, pre-norm, causal."""

    def __init__(self, use_checkpoint: bool = False) -> None:
        super().__init__()
        self.use_checkpoint = use_checkpoint
        self.embed = nn.Embedding(40, 32)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True, norm_first=True) for _ in range(3)
        )
        self.norm = nn.LayerNorm(32)
        self.head = nn.Linear(32, 40, bias=False)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.embed(tokens)
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        for block in self.blocks:
            hidden = (
                checkpoint(block, hidden, mask, use_reentrant=False) if self.use_checkpoint else block(hidden, mask)
            )
        return self.head(self.norm(hidden))  # type: ignore[no-any-return]


def transformer(rec: Recorder, *, use_checkpoint: bool = False, bf16: bool = False, accumulate: int = 1) -> None:
    """Warm-up from 0 and a cosine over the steps, weight decay on matrices, no epochs until the end."""
    text = torch.randint(40, (64, 17)).cumsum(1) % 40
    model = Transformer(use_checkpoint)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}])
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / 10, 1.0) * max(0.1, 1 - step / 80))
    rec.watch(model, optimizer, scheduler)
    for number, rows in enumerate(batches(64, 16, STEPS * accumulate)):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(text[rows, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1).float(), text[rows, 1:].flatten())
        (loss / accumulate).backward()
        if (number + 1) % accumulate == 0:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            rec.step(loss=loss)
    model.eval()
    with torch.no_grad():
        rec.epoch(1, val_loss=F.cross_entropy(model(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten()))


def gan(rec: Recorder) -> None:
    """Two optimizers, two watchers; the fakes come from a generator in train mode without gradients."""
    real = torch.randn(256, 8) @ torch.randn(8, 8)
    generator = nn.Sequential(nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 8))
    critic = nn.Sequential(nn.Linear(8, 32), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(32, 1))
    first = torch.optim.Adam(generator.parameters(), 1e-3, betas=(0.5, 0.9))
    second = torch.optim.Adam(critic.parameters(), 1e-3, betas=(0.5, 0.9))
    rec.watch(generator, first)
    rec.watch(critic, second)
    fixed = torch.randn(16, 4)
    for number, rows in enumerate(batches(256, 32, 120)):
        with torch.no_grad():
            fake = generator(torch.randn(32, 4))
        second.zero_grad()
        loss = ((critic(real[rows]) - 1) ** 2).mean() + (critic(fake) ** 2).mean()
        loss.backward()
        second.step()
        first.zero_grad()
        ((critic(generator(torch.randn(32, 4))) - 1) ** 2).mean().backward()
        first.step()
        rec.step(loss=loss)
        if number % 40 == 39:
            with torch.no_grad():
                generator(fixed)  # a picture now and then, in train mode, as tutorials do
            rec.epoch(number // 40, d_loss=loss)


def autoencoder(rec: Recorder) -> None:
    """Inputs in [0, 1], a sigmoid at the end, a bottleneck of tanh."""
    images = torch.rand(320, 4) @ torch.rand(4, 36) / 4
    model = nn.Sequential(nn.Linear(36, 24), nn.ReLU(), nn.Linear(24, 4), nn.Tanh(), nn.Linear(4, 36), nn.Sigmoid())
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    rec.watch(model, optimizer)
    for epoch in range(5):
        for rows in torch.randperm(256).split(16):
            loss = F.mse_loss(model(images[rows]), images[rows])
            learn(rec, optimizer, loss)
        with torch.no_grad():
            rec.epoch(epoch, val_loss=F.mse_loss(model(images[256:]), images[256:]))  # any mode will do


def contrastive(rec: Recorder) -> None:
    """InfoNCE with a learned temperature in the same optimizer, and a momentum encoder in train mode, no gradients."""
    data = torch.randn(256, 12)
    encoder = nn.Sequential(nn.Linear(12, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 8))
    slow = nn.Sequential(nn.Linear(12, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 8))
    slow.load_state_dict(encoder.state_dict())
    temperature = nn.Parameter(torch.tensor(1.0))
    optimizer = torch.optim.Adam([*encoder.parameters(), temperature], 1e-3)
    rec.watch(encoder, optimizer)
    for rows in batches(256, 32):
        views = [data[rows] + 0.1 * torch.randn(32, 12) for _ in range(2)]
        with torch.no_grad():
            keys = F.normalize(slow(views[1]), dim=1)
        scores = F.normalize(encoder(views[0]), dim=1) @ keys.T * temperature.exp()
        loss = F.cross_entropy(scores, torch.arange(32))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for average, weight in zip(slow.parameters(), encoder.parameters(), strict=True):
                average.lerp_(weight, 0.01)
        rec.step(loss=loss)
    rec.epoch(1, train_loss=loss)


def policy_gradient(rec: Recorder) -> None:
    """Rollouts without gradients in train mode, several updates of each, probabilities as output."""
    model = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 3), nn.Softmax(-1))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    goal = torch.randn(4, 3)
    rec.watch(model, optimizer)
    for _ in range(20):
        states = torch.randn(64, 4)
        with torch.no_grad():
            for state in states.split(8):
                model(state)
            actions = torch.distributions.Categorical(model(states)).sample()
        advantage = (states @ goal).gather(1, actions[:, None])[:, 0]
        advantage = (advantage - advantage.mean()) / advantage.std()
        for rows in torch.randperm(64).split(16):
            chosen = model(states[rows]).gather(1, actions[rows, None])[:, 0]
            loss = -(chosen.log() * advantage[rows]).mean()
            learn(rec, optimizer, loss)
    rec.epoch(1, train_return=advantage.mean())


class Adapter(nn.Module):
    """A frozen linear layer with a low-rank term that begins at zero."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(4, base.in_features) / base.in_features**0.5)
        self.b = nn.Parameter(torch.zeros(base.out_features, 4))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.base(inputs) + inputs @ self.a.T @ self.b.T  # type: ignore[no-any-return]


def adapters(rec: Recorder) -> None:
    """Low-rank adapters on a frozen model, whose parameters are all given to the optimizer."""
    data, labels = torch.randn(384, 16), torch.randint(5, (384,))
    model = nn.Sequential(
        Adapter(nn.Linear(16, 32)), nn.ReLU(), nn.Dropout(0.1), Adapter(nn.Linear(32, 32)), nn.ReLU(), nn.Linear(32, 5)
    )
    model[5].requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    rec.watch(model, optimizer)
    for rows in batches(256, 32):
        loss = F.cross_entropy(model(data[rows]), labels[rows])
        learn(rec, optimizer, loss)
    model.eval()
    with torch.no_grad():
        rec.epoch(1, val_loss=F.cross_entropy(model(data[256:]), labels[256:]))


def mixed_precision(rec: Recorder) -> None:
    transformer(rec, bf16=True)


def gradient_checkpointing(rec: Recorder) -> None:
    transformer(rec, use_checkpoint=True)


# -- healthy things that break naive checks ----------------------------------------------------------------------------
def accumulation(rec: Recorder) -> None:
    transformer(rec, accumulate=2)


def gradient_scaler(rec: Recorder) -> None:
    """Steps that the scaler skips, gradients unscaled before they are clipped."""
    data = torch.randn(256, 16)
    targets = data @ torch.randn(16, 1)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=20)
    rec.watch(model, optimizer)
    for number, rows in enumerate(batches(256, 32)):
        loss = F.mse_loss(model(data[rows]), targets[rows])
        if number % 10 == 3:
            loss = loss * float("inf")  # an overflow, which the scaler skips
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 50.0)
        scaler.step(optimizer)
        scaler.update()
        rec.step(loss=loss if number % 10 != 3 else 0.0)


def closures(rec: Recorder) -> None:
    """LBFGS calls a closure, which clears and computes gradients inside of step."""
    data = torch.randn(128, 8)
    targets = data @ torch.randn(8, 1)
    model = nn.Linear(8, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    rec.watch(model, optimizer)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(model(data), targets)
        loss.backward()
        return loss

    for _ in range(30):
        rec.step(loss=optimizer.step(closure).detach())


def frozen_norms(rec: Recorder) -> None:
    """Fine-tuning with batch norms in eval mode; the head begins at zero; one-hot inputs; a bias before a norm."""
    data, labels = F.one_hot(torch.randint(50, (256,)), 50).float(), torch.randint(5, (256,))
    model = nn.Sequential(nn.Linear(50, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 5))
    nn.init.zeros_(model[3].weight)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    rec.watch(model, optimizer)
    for epoch in range(4):
        model.train()
        model[1].eval()
        for rows in torch.randperm(256).split(16):
            loss = F.cross_entropy(model(data[rows]), labels[rows], weight=torch.tensor([1.0, 2.0, 1.0, 4.0, 1.0]))
            learn(rec, optimizer, loss)
        model.eval()
        with torch.no_grad():
            rec.epoch(epoch, val_loss=F.cross_entropy(model(data), labels))


def whole_data_at_once(rec: Recorder) -> None:
    """Gradient descent on all rows, which are the same in every epoch."""
    data = torch.randn(64, 4)
    targets = (data @ torch.randn(4, 1)).tanh()
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    rec.watch(model, optimizer)
    for epoch in range(60):
        loss = F.mse_loss(model(data), targets)
        learn(rec, optimizer, loss)
        rec.epoch(epoch, train_loss=loss, val_loss=F.mse_loss(model(data), targets))


def small_batches(rec: Recorder) -> None:
    """Batches of four, unbalanced classes, an average of the weights evaluated beside the raw ones."""
    data = torch.randn(160, 10)
    labels = (data[:, 0] > 1).long() + (data[:, 1] > 1.5).long()
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3))
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    rec.watch(model, optimizer)
    for epoch in range(3):
        model.train()
        for rows in torch.randperm(160).split(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(data[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            average.update_parameters(model)
            rec.step(loss=loss)
        model.eval()
        average.eval()
        with torch.no_grad():
            val = F.cross_entropy(model(data), labels)
            rec.epoch(epoch, val_loss=val, ema_val_loss=F.cross_entropy(average(data), labels))


Program = Callable[[Recorder], None]
ORDINARY: dict[str, Program] = {
    program.__name__: program
    for program in (
        *(image_classifier, recurrent, transformer, gan, autoencoder),
        *(contrastive, policy_gradient, adapters, mixed_precision, gradient_checkpointing),
    )
}
AWKWARD: dict[str, Program] = {
    program.__name__: program
    for program in (*(accumulation, gradient_scaler, closures, frozen_norms, whole_data_at_once, small_batches),)
}
