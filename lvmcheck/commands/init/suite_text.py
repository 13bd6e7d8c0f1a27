"""The text of a suite made from proposals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lvmcheck.commands.init.proposal import Proposal
from lvmcheck.suite.toml_text import key_text, value_text
from lvmcheck.text.fit import one_line

NOT_CONFIG = ("trainer", "seeds", "seed", "epochs")
"""Keys of a recorded configuration that the suite states elsewhere."""


def suite_text(
    *,
    about: str,
    head: Sequence[str],
    trainer: str,
    epochs: int,
    seeds: Sequence[int],
    config: Mapping[str, object],
    checks: Sequence[Proposal],
    left: Sequence[str] = (),
) -> str:
    """The whole file.

    Args:
        head: sentences for its beginning. config: further keys of ``[run]``. left: sentences about checks left out.
    """
    lines = [
        *map(_comment, head),
        "",
        "[suite]",
        f"about = {value_text(about)}",
        f"checks = {len(checks)}",
        "end = true",
        "",
        "[run]",
        f"trainer = {value_text(trainer)}",
        f"epochs = {epochs}",
        f"seeds = {value_text(list(seeds))}",
        *_config(config),
    ]
    for proposal in checks:
        lines += ["", *_entry(proposal)]
    if left:
        lines += ["", "# Left out:", *map(_comment, left)]
    return "\n".join([*lines, "", "[end]"]) + "\n"


def _config(config: Mapping[str, object]) -> Iterator[str]:
    for key, value in config.items():
        if key in NOT_CONFIG or value is None or is_object_text(value):
            continue
        try:
            yield f"{key_text(key)} = {value_text(_without_none(value))}"
        except ValueError as problem:
            yield _comment(f"{key} was recorded and is left out: {problem}")


def is_object_text(value: object) -> bool:
    """Whether a recorded value is the text of an object that JSON could not hold."""
    return isinstance(value, str) and value.startswith("<") and value.endswith(">") and " " in value


def _without_none(value: object) -> object:
    """Without keys that are None: TOML has no null."""
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def _entry(proposal: Proposal) -> Iterator[str]:
    yield "[[check]]"
    yield f"check = {value_text(proposal.check_name)}"
    if proposal.name is not None:
        yield f"name = {value_text(proposal.name)}"
    for key, value in proposal.keys.items():
        yield f"{key} = {value_text(value)}"
    if proposal.on is not None:
        yield f"calibrated_on = {value_text(proposal.on)}"
    yield f"source = {value_text(proposal.source)}"


def _comment(text: str) -> str:
    """One line that stays a comment, whatever a name from outside holds."""
    return f"# {one_line(text)}"
