"""More healthy programs, each with something that a naive probe would flag."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from suites.preflight.healthy import Language, Program, adam, labelled, small_net

CROSS_ENTROPY = functional.cross_entropy


def program(model: nn.Module, batch: Any, loss: Any = CROSS_ENTROPY, **options: Any) -> dict[str, Any]:
    return {"model": model, "batch": batch, "loss": loss, "optimizer": adam(model), **options}


def pictures(rows: int = 16) -> tuple[Tensor, Tensor]:
    return torch.rand(rows, 3, 8, 8), torch.arange(rows) % 4


# -- pictures ----------------------------------------------------------------------------------------------------------
class Residual(nn.Module):
    """The last batch norm of a residual block begins at 0: no gradient below it in the first step."""

    def __init__(self, *, frozen: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.block = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.BatchNorm2d(8),
        )
        self.head = nn.Linear(8, 4)
        nn.init.zeros_(self.block[4].weight)  # type: ignore[arg-type]
        if frozen:
            self.stem.requires_grad_(False)
            self.stem.eval()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        out: Tensor = self.head((x + self.block(x)).relu().mean((2, 3)))
        return out


def zero_residual() -> dict[str, Any]:
    return program(Residual(), pictures())


def frozen_backbone_in_eval_mode() -> dict[str, Any]:
    return program(Residual(frozen=True), pictures())


def segmentation() -> dict[str, Any]:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 4, 1))
    x, _ = pictures(6)
    target = torch.randint(4, (6, 8, 8))
    target[:, 0] = 255
    return program(model, (x, target), nn.CrossEntropyLoss(ignore_index=255))


def spectral_norm() -> dict[str, Any]:
    model = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(10, 16)), nn.ReLU(), nn.Linear(16, 4))
    return program(model, labelled())


def weight_norm() -> dict[str, Any]:
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(10, 16)), nn.Tanh(), nn.Linear(16, 4))
    return program(model, labelled())


# -- losses ------------------------------------------------------------------------------------------------------------
def smoothed_and_weighted() -> dict[str, Any]:
    return program(small_net(), labelled(), nn.CrossEntropyLoss(weight=torch.rand(4) + 0.5, label_smoothing=0.1))


def several_labels() -> dict[str, Any]:
    return program(small_net(), (torch.randn(24, 10), torch.rand(24, 4).round()), nn.BCEWithLogitsLoss())


def sigmoid_and_bce() -> dict[str, Any]:
    batch = (torch.randn(24, 10), torch.rand(24, 1).round())
    return program(nn.Sequential(small_net(10, 1), nn.Sigmoid()), batch, nn.BCELoss())


def log_softmax_and_nll() -> dict[str, Any]:
    return program(nn.Sequential(small_net(), nn.LogSoftmax(-1)), labelled(), nn.NLLLoss())


def squeezed_regression() -> dict[str, Any]:
    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return functional.huber_loss(model(batch[0]).squeeze(-1), batch[1])

    return program(small_net(10, 1), (torch.randn(24, 10), torch.randn(24)), loss)


def two_terms() -> dict[str, Any]:
    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        penalty = sum((p.square().sum() for p in model.parameters()), torch.zeros(()))
        return CROSS_ENTROPY(model(batch[0]), batch[1]) + 1e-4 * penalty

    return program(small_net(), labelled(), loss)


class Margin(nn.Module):
    """A loss with weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(4, 8))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return CROSS_ENTROPY(4 * functional.normalize(output) @ functional.normalize(self.centres).T, target)


def loss_with_weights() -> dict[str, Any]:
    model, loss = small_net(10, 8), Margin()
    return program(model, labelled(), loss, optimizer=torch.optim.Adam([*model.parameters(), *loss.parameters()]))


def density() -> dict[str, Any]:
    """The negative log-likelihood of a narrow density is below 0."""

    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        mean, spread = model(batch[:, :10]).chunk(2, -1)
        return -torch.distributions.Normal(mean, spread.exp()).log_prob(0.01 * batch[:, 10:]).mean() - 5

    return program(small_net(10, 2), torch.randn(24, 11), loss)


def triplet() -> dict[str, Any]:
    def loss(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        return functional.triplet_margin_loss(*(model(part) for part in batch))

    return program(small_net(10, 8), (torch.randn(24, 10), torch.randn(24, 10), torch.randn(24, 10)), loss)


# -- sequences ---------------------------------------------------------------------------------------------------------
class Encoder(nn.Module):
    """PyTorch's encoder: its layers begin as copies, and its mask is true for padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(24, 16, padding_idx=0)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens: Tensor, key_padding_mask: Tensor) -> Tensor:
        x = self.encoder(self.embedding(tokens), src_key_padding_mask=key_padding_mask)
        real = (~key_padding_mask)[..., None].float()
        out: Tensor = self.head((x * real).sum(1) / real.sum(1))
        return out


def padded(rows: int = 12) -> tuple[Tensor, Tensor]:
    lengths = torch.arange(rows) % 4 + 5
    mask = torch.arange(8) >= lengths[:, None]
    return torch.randint(1, 24, (rows, 8)).masked_fill(mask, 0), mask


def encoder() -> dict[str, Any]:
    return program(Encoder(), (*padded(), torch.arange(12) % 4))


class Tagger(nn.Module):
    """Sees both sides, one label for each token."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.rnn = nn.Embedding(24, 16), nn.GRU(16, 16, batch_first=True, bidirectional=True)
        self.head = nn.Linear(32, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.head(self.rnn(self.embedding(tokens))[0]).movedim(-1, 1)
        return out


def tagger() -> dict[str, Any]:
    return program(Tagger(), (torch.randint(24, (8, 10)), torch.randint(5, (8, 10))))


class TimeFirst(nn.Module):
    """[T, N, ...], as PyTorch's recurrent layers are by default."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.rnn, self.head = nn.Embedding(24, 16), nn.LSTM(16, 16), nn.Linear(16, 24)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.head(self.rnn(self.embedding(tokens))[0])
        return out


def time_first() -> dict[str, Any]:
    text = torch.randint(24, (11, 6))
    return program(TimeFirst(), (text[:-1], text[1:]), lambda o, t: CROSS_ENTROPY(o.flatten(0, 1), t.flatten()))


def masked_language_model() -> dict[str, Any]:
    tokens = torch.randint(2, 24, (8, 12))
    hidden = torch.rand(8, 12) < 0.3
    hidden[:, 3] = True

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return CROSS_ENTROPY(output.flatten(0, 1), target.flatten())

    return program(Language(causal=False), (tokens.masked_fill(hidden, 1), tokens.masked_fill(~hidden, -100)), loss)


def bag_of_words() -> dict[str, Any]:
    model = nn.Sequential(nn.EmbeddingBag(24, 16, sparse=True), nn.Linear(16, 4))
    dense = torch.optim.Adam(model[1].parameters())
    sparse = torch.optim.SparseAdam(list(model[0].parameters()))
    return program(model, (torch.randint(24, (12, 6)), torch.arange(12) % 4), optimizer=[dense, sparse])


# -- others ------------------------------------------------------------------------------------------------------------
class Variational(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(12, 8), nn.Linear(4, 12)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log = self.encode(x).chunk(2, -1)
        code = mean + (0.5 * log).exp() * torch.randn_like(mean) if self.training else mean
        return self.decode(code), mean, log


def variational() -> dict[str, Any]:
    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        out, mean, log = model(batch)
        divergence = -0.5 * (1 + log - mean.square() - log.exp()).sum(-1).mean()
        return functional.mse_loss(out, batch) + 0.01 * divergence

    return program(Variational(), torch.rand(24, 12), loss)


class Denoiser(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.time, self.net = nn.Embedding(20, 12), small_net(12, 12)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        out: Tensor = self.net(x + self.time(time))
        return out


def diffusion() -> dict[str, Any]:
    """The loss draws noise and times."""

    def loss(model: nn.Module, batch: Tensor) -> Tensor:
        time, noise = torch.randint(20, (len(batch),)), torch.randn_like(batch)
        level = (time / 20)[:, None]
        return functional.mse_loss(model((1 - level) * batch + level * noise, time), noise)

    return program(Denoiser(), torch.randn(24, 12), loss)


class SelfTransposing(nn.Module):
    """Layers of batch_first=False that are given what they expect."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(6, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        out: Tensor = self.head(self.rnn(x.transpose(0, 1))[0][-1] + 0.1 * functional.one_hot(kind, 16))
        return out


def transposes_by_itself() -> dict[str, Any]:
    """Another value of `kind` than those of the batch is refused."""
    return program(SelfTransposing(), (torch.randn(12, 7, 6), torch.full((12,), 15), torch.arange(12) % 4))


class Graph(nn.Module):
    """Nodes see their neighbours: there are no independent rows."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(6, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        near = torch.zeros_like(x).index_add(0, edges[1], x[edges[0]])
        out: Tensor = self.two(self.one(x + near).relu())
        return out


def graph() -> dict[str, Any]:
    return program(Graph(), (torch.randn(20, 6), torch.randint(20, (2, 60)), torch.arange(20) % 3))


class Teacher(nn.Module):
    """A frozen copy of the model that follows it slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.student = small_net(10, 8)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.predict = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.predict(self.student(x))
        return out


def teacher() -> dict[str, Any]:
    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        with torch.no_grad():
            target = model.teacher(batch[1])  # type: ignore[operator, union-attr]
        return 1 - functional.cosine_similarity(model(batch[0]), target).mean()

    x = torch.randn(24, 10)
    return program(Teacher(), (x, x + 0.1 * torch.randn(24, 10)), loss)


class Experts(nn.Module):
    """Soft mixture; one-hot and constant inputs beside each other."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(10, 3), nn.ModuleList([nn.Linear(10, 4) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        weights = self.gate(x).softmax(-1)
        return sum((weights[:, i : i + 1] * e(x) for i, e in enumerate(self.experts)), torch.zeros(()))


def experts() -> dict[str, Any]:
    x, y = labelled()
    x[:, :5] = functional.one_hot(torch.arange(24) % 5, 5).float()
    x[:, 9] = 1.0
    return program(Experts(), (x, y))


def double_precision() -> dict[str, Any]:
    x, y = labelled()
    return program(small_net().double(), (x.double(), y))


def already_trained() -> dict[str, Any]:
    arguments = program(small_net(), labelled())
    for _ in range(150):
        arguments["optimizer"].zero_grad()
        CROSS_ENTROPY(arguments["model"](arguments["batch"][0]), arguments["batch"][1]).backward()
        arguments["optimizer"].step()
    return arguments


def lbfgs() -> dict[str, Any]:
    model = small_net()
    return program(model, labelled(), optimizer=torch.optim.LBFGS(model.parameters()))


def momentum_and_cosine() -> dict[str, Any]:
    model = small_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    warm = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 10))
    return program(model, labelled(), optimizer=optimizer, scheduler=warm)


def one_row() -> dict[str, Any]:
    return program(small_net(), labelled(1))


ORDINARY: dict[str, Program] = {
    make.__name__: make
    for make in (
        *(zero_residual, frozen_backbone_in_eval_mode, segmentation, spectral_norm, weight_norm),
        *(smoothed_and_weighted, several_labels, sigmoid_and_bce, log_softmax_and_nll, squeezed_regression, two_terms),
        *(loss_with_weights, density, triplet, encoder, tagger, time_first, masked_language_model, bag_of_words),
        *(
            variational,
            diffusion,
            transposes_by_itself,
            graph,
            teacher,
            experts,
            double_precision,
            already_trained,
            lbfgs,
            momentum_and_cosine,
            one_row,
        ),
    )
}
