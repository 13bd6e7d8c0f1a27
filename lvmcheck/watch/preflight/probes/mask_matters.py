"""mask_matters: hiding positions by the mask changes the output."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Finding, Outcome, failed, passed
from lvmcheck.watch.preflight.masks import kept, masks
from lvmcheck.watch.preflight.setup import Setup, SkipProbe, differs, listed

FIXES = {"mask_ignored": "pass the mask on to attention, pooling and loss"}


def measure(setup: Setup) -> Outcome:
    found = masks(setup.call.inputs)
    if not found:
        raise SkipProbe("no mask goes into the model")
    setup.model.eval()
    ignored = [path for path, mask in found.items() if not _matters(setup, path, mask)]
    finding = Finding(
        code="mask_ignored" if ignored else "used",
        measured=len(ignored),
        bounds=(equal(0),),
        evidence=listed(ignored, "masks"),
        phrase="{measured} masks have no influence on the output",
    )
    return failed(finding) if ignored else passed(finding, evaluated=len(found))


def _matters(setup: Setup, path: str, mask: Tensor) -> bool:
    plain = setup.outputs()
    return any(differs(plain, setup.outputs({path: other})) > 0 for other in _variants(mask, kept(path, mask)))


def _variants(mask: Tensor, keep: bool) -> list[Tensor]:
    """The first position hidden, the last positions hidden, nothing hidden."""
    hidden = torch.tensor(not keep).to(mask)
    first, last, nothing = mask.clone(), mask.clone(), torch.full_like(mask, int(keep))
    first[:, :1] = hidden
    last[:, -max(1, mask.shape[1] // 3) :] = hidden
    return [first, last, nothing]
