"""torch's optimizer base without what only torch.compile needs."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer


def _undecorated(method: Any) -> Any:
    return getattr(method, "__wrapped__", method)


class LeanOptimizer(Optimizer):
    """Calls what torch hides from its compiler directly: the first call of the decorator imports the compiler, which
    takes as long as importing torch."""

    add_param_group = _undecorated(Optimizer.add_param_group)
    zero_grad = _undecorated(Optimizer.zero_grad)
    state_dict = _undecorated(Optimizer.state_dict)
    load_state_dict = _undecorated(Optimizer.load_state_dict)
