"""Worker processes that are not forked (``multiprocessing``, method spawn) note what they open, too."""

from __future__ import annotations

import multiprocessing.spawn
from pathlib import Path
from typing import Any


def follow_spawned(log: str, root: str) -> None:
    """From now on, each process that this one spawns begins with the hook of :mod:`lvmcheck.launch.opened`."""
    make = multiprocessing.spawn.get_command_line

    def get_command_line(**words: Any) -> list[str]:
        command = make(**words)
        if "-c" in command:
            place = command.index("-c") + 1
            folder = str(Path(log).parent)
            begin = f"from lvmcheck.launch.opened import Opened; Opened.of_texts({folder!r}, {root!r}).watch()"
            command[place] = f"{begin}; {command[place]}"
        return command

    multiprocessing.spawn.get_command_line = get_command_line
