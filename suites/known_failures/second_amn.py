"""The original project's second class: every tensor name and shape of AMN, and another forward pass (facts 0.3).

Their two classes share a state dict because 6 * d_model = 2 * input_dim at 256 and 768: here the first layer of the
residual reads the query and the keys of five positions in place of the mean and the mixture of the context.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.lvm.amn import AMN


class SecondAMN(AMN):
    """AMN's parameters in another network; its weights load with ``strict=True`` and mean nothing here.

    Needs ``(T + 1) * d_model = 2 * input_dim``, so five context vectors at the default widths.
    """

    def raw(self, x: Tensor) -> Tensor:
        keys, query = self.key(x), self.query(x.mean(dim=1, keepdim=True))
        raw: Tensor = self.residual(torch.cat((query, keys), dim=1).flatten(1))
        return raw
