"""Modes of torch that are left in any order, also from within a call that they pass on."""

from __future__ import annotations

from typing import Any

from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack, _pop_mode, _push_mode

_LATE: list[Leaving] = []


class Leaving(TorchFunctionMode):
    """A mode that may be asked to leave while it passes on a backward pass, within which an optimizer steps.

    torch puts it back onto the stack when that call has ended, so it leaves afterwards: at :func:`leave_late`.

    Attributes:
        calling: calls that it is passing on now.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calling = 0

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Pass on what may run code of the loop."""
        self.calling += 1
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.calling -= 1


def left(mode: Leaving) -> bool:
    """Take a mode off the stack, where all others stay; False where it is not there, or not yet."""
    if mode.calling:
        _LATE.append(mode)
        return False
    if mode not in _get_current_function_mode_stack():  # type: ignore[no-untyped-call]
        return False
    above: list[Any] = []
    while (top := _pop_mode()) is not mode:  # type: ignore[no-untyped-call]
        above.append(top)
    for other in reversed(above):
        _push_mode(other)  # type: ignore[no-untyped-call]
    return True


def leave_late() -> None:
    """Take off the stack what could not leave before."""
    for mode in [mode for mode in _LATE if not mode.calling]:
        _LATE.remove(mode)
        left(mode)
