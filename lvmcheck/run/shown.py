"""What a notebook shows of a run that stands at the end of a cell."""

from __future__ import annotations

from importlib import import_module


class ShownInNotebooks:
    """Judged and drawn when it is shown, and not before: the room that draws is above this one."""

    def _repr_html_(self) -> str:
        return str(import_module("lvmcheck.report.notebook").html_of(self))
