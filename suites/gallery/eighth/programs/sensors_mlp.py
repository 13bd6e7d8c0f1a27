"""Which of twelve machine states do 40 sensor readings show? MLP, DataLoader, OneCycle."""

import math

import lvmcheck
import torch
from common import options
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

args = options()


class Sensors(Dataset):
    def __init__(self, n, seed, sort=False):
        world = torch.Generator().manual_seed(7)
        centres = torch.randn(12, 3, 10, generator=world)  # three ways to look like each state
        mix = torch.randn(10, 40, generator=world) / math.sqrt(10)
        g = torch.Generator().manual_seed(seed)
        prior = torch.tensor([3.0, 2, 2, 2, 1.5, 1.5, 1, 1, 1, 1, 0.5, 0.5])
        self.y = torch.multinomial(prior, n, replacement=True, generator=g)
        if sort:
            self.y = self.y.sort().values
        way = torch.randint(0, 3, (n,), generator=g)
        z = centres[self.y, way] + 0.55 * torch.randn(n, 10, generator=g)
        self.x = torch.tanh(z @ mix) + 0.15 * torch.randn(n, 40, generator=g)
        self.x = self.x / self.x.std()

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class Block(nn.Module):
    def __init__(self, a, b, p):
        super().__init__()
        self.linear, self.norm, self.p = nn.Linear(a, b), nn.LayerNorm(b), p

    def forward(self, x):
        x = F.gelu(self.norm(self.linear(x)))
        if args.fault == "functional_dropout":
            return F.dropout(x, 0.3)
        return F.dropout(x, self.p, training=self.training)


class Trainer:
    def __init__(self):
        torch.manual_seed(11)
        self.epochs, self.accumulate = 8, 1
        batch = 50
        if args.habit == "accumulation":
            batch, self.accumulate = 25, 2
        by_file = args.fault == "no_shuffle"
        self.train_set, self.val_set = Sensors(2000, 1, sort=True), Sensors(800, 2)
        self.train = DataLoader(self.train_set, batch_size=batch, shuffle=not by_file)
        self.val = DataLoader(self.val_set, batch_size=200)
        self.model = nn.Sequential(Block(40, 96, 0.1), Block(96, 96, 0.1), nn.Linear(96, 12))
        lr = 4e-3
        if args.fault == "bfloat16_weights":
            self.model = self.model.to(torch.bfloat16)
            lr = 4e-4
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=lr, weight_decay=0.01)
        steps = self.epochs * len(self.train) // self.accumulate
        if args.habit == "warm_restarts":
            self.scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(self.optimizer, T_0=steps // 4)
        elif args.fault == "bfloat16_weights":
            self.scheduler = torch.optim.lr_scheduler.ConstantLR(self.optimizer, factor=1.0)
        else:
            self.scheduler = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, max_lr=lr, total_steps=steps)
        self.config = {"epochs": self.epochs, "max_lr": lr, "batch": batch, "accumulate": self.accumulate}

    def loss(self, out, y):
        if args.fault == "softmax_before_ce":
            out = torch.softmax(out, dim=-1)
        return F.cross_entropy(out.float(), y)

    def cast(self, x):
        return x.to(torch.bfloat16) if args.fault == "bfloat16_weights" else x

    def fit(self, rec):
        for epoch in range(1, self.epochs + 1):
            self.model.train()
            seen = hits = 0
            for i, (x, y) in enumerate(self.train):
                out = self.model(self.cast(x))
                loss = self.loss(out, y)
                (loss / self.accumulate).backward()
                if (i + 1) % self.accumulate == 0:
                    nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
                    self.optimizer.step()
                    self.optimizer.zero_grad()
                    rec.step(loss=loss, lr=self.optimizer.param_groups[0]["lr"])
                    if args.fault != "onecycle_by_epoch":
                        self.scheduler.step()
                hits += (out.argmax(1) == y).sum().item()
                seen += len(y)
            if args.fault == "onecycle_by_epoch":
                self.scheduler.step()
            rec.epoch(epoch, train_accuracy=hits / seen, **self.validate())

    @torch.no_grad()
    def validate(self):
        self.model.eval()
        loss, hits = [], []
        for x, y in self.val:
            out = self.model(self.cast(x))
            loss.append(self.loss(out, y))
            hits.append((out.argmax(1) == y).float().mean())
        if args.fault == "mean_of_batches_kept":
            self.history = getattr(self, "history", []) + loss
            return {"val_loss": torch.stack(self.history).mean(), "val_accuracy": torch.stack(hits).mean()}
        return {"val_loss": torch.stack(loss).mean(), "val_accuracy": torch.stack(hits).mean()}


trainer = Trainer()
with lvmcheck.record(args.out, config=trainer.config, **args.record) as rec:
    trainer.fit(rec)
