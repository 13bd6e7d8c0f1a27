"""What is known of a watched loop when it is over: weights of classes, inputs that are 0, regressions at the mean."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import lvmcheck
from lvmcheck.checks.finding import Finding, Status
from lvmcheck.checks.protocol import judge, load_check
from lvmcheck.watch.measure.scored import padding
from suites.watch.steps import learn

STEPS, ROWS = 40, 24
INPUTS = torch.randn(600, 8, generator=torch.Generator().manual_seed(0))
LABELS = (INPUTS[:, :1] > torch.tensor([-1.2, -0.4, 0.8])).sum(1)
COUNTS = torch.bincount(LABELS).float()


def outcome(path: Path, check: str) -> tuple[Status, Finding | None]:
    found = judge(load_check(check)(), lvmcheck.load(path))
    return found.status, found.finding


def classifier(path: Path, weight: Tensor | None, ignored: int = -100) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with lvmcheck.record(path) as rec:
        for _ in range(STEPS):
            rows = torch.randperm(600)[:ROWS]
            loss = F.cross_entropy(model(INPUTS[rows]), LABELS[rows], weight=weight, ignore_index=ignored)
            learn(rec, optimizer, loss)


@pytest.mark.parametrize(
    ("weight", "ignored", "code"),
    [
        (COUNTS / COUNTS.sum(), -100, "with_frequency"),
        (None, 0, "ignored"),
        (COUNTS.sum() / COUNTS, -100, None),
        (None, -100, None),
    ],
    ids=["proportional", "ignored", "inverse", "plain"],
)
def test_weights_of_classes(weight: Tensor | None, ignored: int, code: str | None, tmp_path: Path) -> None:
    classifier(tmp_path / "run", weight, ignored)
    status, finding = outcome(tmp_path / "run", "class_weights_fit")
    assert status is (Status.PASSED if code is None else Status.FAILED)
    assert finding is not None
    assert code is None or finding.code == code


class Timed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(9, 16), nn.Tanh(), nn.Linear(16, 8))

    def forward(self, rows: Tensor, time: Tensor) -> Tensor:
        out: Tensor = self.net(torch.cat([rows, time[:, None]], 1))
        return out


@pytest.mark.parametrize("integer", [True, False])
def test_a_time_that_is_divided_as_an_integer(integer: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Timed()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with lvmcheck.record(tmp_path / "run") as rec:
        for _ in range(STEPS):
            time = torch.randint(50, (ROWS,))
            time = (time // 50).float() if integer else time / 50
            loss = F.mse_loss(model(torch.randn(ROWS, 8), time), torch.randn(ROWS, 8))
            learn(rec, optimizer, loss)
    status, _ = outcome(tmp_path / "run", "arguments_vary")
    assert status is (Status.FAILED if integer else Status.PASSED)


@pytest.mark.parametrize("signal", [0.0, 0.4], ids=["targets_drawn_anew", "weak_signal"])
def test_a_regression_at_the_mean(signal: float, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Linear(8, 4)
    optimizer = torch.optim.SGD(model.parameters(), 0.02)
    with lvmcheck.record(tmp_path / "run") as rec:
        for _ in range(500):
            rows = torch.randn(256, 8)
            loss = F.mse_loss(model(rows), signal * rows[:, :4] + torch.randn(256, 4))
            learn(rec, optimizer, loss)
    status, finding = outcome(tmp_path / "run", "beats_target_mean")
    assert status is (Status.PASSED if signal else Status.FAILED)
    assert finding is not None
    assert finding.code == "at_the_mean"


@pytest.mark.parametrize("scale", [1 / 14, 14.0], ids=["divided", "multiplied"])
def test_similarities_that_softmax_cannot_tell_apart(scale: float, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Linear(8, 16)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    with lvmcheck.record(tmp_path / "run") as rec:
        for _ in range(400):
            rows = torch.randn(ROWS, 8)
            one, other = (F.normalize(model(rows + 0.3 * torch.randn(ROWS, 8)), dim=1) for _ in range(2))
            loss = F.cross_entropy(scale * one @ other.T, torch.arange(ROWS))
            learn(rec, optimizer, loss)
    status, _ = outcome(tmp_path / "run", "similarities_spread")
    assert status is (Status.FAILED if scale < 1 else Status.PASSED)


def marked(follow: str) -> tuple[Tensor, Tensor, Tensor]:
    """Blobs in noise, their masks and two points at their centres; ``follow`` says what goes along with a flip."""
    centres = torch.rand(160, 2) * 9 + 1.5
    at = torch.arange(12.0)
    apart = (at[None, None] - centres[:, 0, None, None]) ** 2 + (at[None, :, None] - centres[:, 1, None, None]) ** 2
    masks, flipped = (apart < 5).float()[:, None], torch.rand(160) < 0.5
    images = torch.where(flipped[:, None, None, None], masks.flip(-1), masks) + 0.1 * torch.randn(160, 1, 12, 12)
    if follow == "both":
        masks = torch.where(flipped[:, None, None, None], masks.flip(-1), masks)
        centres[:, 0] = torch.where(flipped, 11 - centres[:, 0], centres[:, 0])
    return images, masks, (centres / 12).repeat(1, 2)


class Points(nn.Module):
    """Two points of which each is the centre."""

    def __init__(self, pictures: bool) -> None:
        super().__init__()
        kernel = nn.Conv2d(1, 8, 3, padding=1)
        end = nn.Conv2d(8, 1, 3, padding=1) if pictures else nn.Sequential(nn.Flatten(), nn.Linear(8 * 144, 4))
        self.net = nn.Sequential(kernel, nn.ReLU(), end)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.net(images)
        return out


@pytest.mark.parametrize("pictures", [True, False], ids=["masks", "points"])
@pytest.mark.parametrize("follow", ["both", "none"])
def test_targets_that_a_flip_leaves_behind(follow: str, pictures: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Points(pictures)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2 if pictures else 3e-3)
    with lvmcheck.record(tmp_path / "run") as rec:
        for _ in range(16):
            for image, mask, centre in zip(*(tensor.split(20) for tensor in marked(follow)), strict=True):
                answer = model(image)
                loss = F.binary_cross_entropy_with_logits(answer, mask) if pictures else F.mse_loss(answer, centre)
                learn(rec, optimizer, loss)
    status, finding = outcome(tmp_path / "run", "targets_follow_flips" if pictures else "target_columns_learned")
    assert status is (Status.PASSED if follow == "both" else Status.FAILED)
    assert finding is not None


@pytest.mark.parametrize(("filled", "status"), [(-999.0, Status.WARNING), (0.0, Status.PASSED)])
def test_a_number_for_missing_values(filled: float, status: Status, tmp_path: Path) -> None:
    torch.manual_seed(0)
    inputs = torch.where(torch.rand_like(INPUTS) < 0.04, torch.full_like(INPUTS, filled), INPUTS)
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with lvmcheck.record(tmp_path / "run") as rec:
        for _ in range(STEPS):
            rows = torch.randperm(600)[:ROWS]
            loss = F.cross_entropy(model(inputs[rows]), LABELS[rows])
            learn(rec, optimizer, loss)
    assert outcome(tmp_path / "run", "inputs_without_sentinels")[0] is status


def test_padding_among_targets_that_begin_at_the_second_token() -> None:
    lengths = torch.arange(24) % 6 + 4
    tokens = torch.where(torch.arange(12) < lengths[:, None], torch.randint(1, 9, (24, 12)), 0)
    whole, shifted = padding([tokens], tokens.flatten(), -100), padding([tokens], tokens[:, 1:].flatten(), -100)
    assert whole is not None
    assert shifted is not None
    assert shifted[0] > 0.3
    assert padding([tokens], tokens[:, 2:].flatten(), -100) is None
