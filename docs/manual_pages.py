"""Generated pages beside that of the checks: causes, events, and the options of pytest."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

from lvmcheck.causes.protocol import cause_names, diagnose, load_cause
from lvmcheck.causes.wording import diagnosis_lines
from lvmcheck.commands.main import EXITS
from lvmcheck.pytest_plugin.constants import INI, OPTIONS
from lvmcheck.run import events as ev
from lvmcheck.text.catalogue import PASSED_ON, Row, rows

GATE = Path(__file__).parents[1] / "ci" / "gate_finding.py"
MADE = "Made by `make docs`; edit {what}, not this page.\n"

CAUSES = f"""# Causes

{MADE.format(what="the files below `lvmcheck/causes`")}
`lvmcheck diagnose PATH` names them, ranked by the standing of their evidence; a failed suite names the first below its
first failure. Each is proved by runs that show it and by runs in which it must not be named. Below each stands the
diagnosis of the first run that shows it. How a diagnosis is read: [diagnose.md](diagnose.md).
"""
EVENTS = f"""# Events

{MADE.format(what="`lvmcheck/run/events.py`")}
What a run records. One event is one JSON object on one line of `events.jsonl` ([run-directory.md](run-directory.md)).
JSON has no NaN: numbers that are not finite are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`. What was not
measured is absent, never 0; a field without a default must be there, and an unknown event or field is an error. The
format is {ev.FORMAT}; a reader refuses a newer one.
"""
ERRORS = f"""# Errors

{MADE.format(what="the messages where they are made, or `lvmcheck/text/errors.tsv` to keep an id")}
`lvmcheck` ends bad input with one line: `where[:line]: [key: ]problem. what to do next [LVM-0123]`. The id says which
message it is (`lvmcheck explain LVM-0123`); the JSON of an error has it, too (`InputError.id`). `{{}}` is any value.
An id is never given to another message: one that is gone is retired, one that is reworded keeps its id.
"""
OPTIONS_HEAD = f"""# Options of pytest

{MADE.format(what="`OPTIONS` in `lvmcheck/pytest_plugin/hooks.py`")}
They are added by the plugin. Those with a name in the last column may stand in the pytest configuration as well; the
command line wins. pytest's own options work: `-k cosine_floor` asks for some checks (and trains as far as they need),
`--lf` for what failed, `-x` stops at the first failure, `-n 2` shares the seeds out.
"""


# -- causes ------------------------------------------------------------------------------------------------------------
def causes_page() -> str:
    """Every cause with its diagnosis of a run that shows it."""
    entries = [_cause(name) for name in cause_names()]
    rows = [f"- [{name}](#{name})" for name in cause_names()]
    return "\n".join([CAUSES, *rows, "", *entries]).rstrip("\n") + "\n"


def _cause(name: str) -> str:
    cause = load_cause(name)
    lines = [f"## {name}", "", cause.about(), ""]
    healthy, shown = cause.cases()
    diagnosis = next((item for item in diagnose(shown[0].run) if item.name == name), None)
    if diagnosis is not None:
        lines += ["```", *diagnosis_lines(diagnosis), "```", ""]
    others = ", ".join(case.name.replace("_", " ") for case in healthy)
    proved = ", ".join(case.name.replace("_", " ") for case in shown)
    return "\n".join([*lines, f"**Proved by.** Shown by: {proved}. Not named in: {others}.", ""])


# -- events ------------------------------------------------------------------------------------------------------------
def events_page() -> str:
    """Every event with its fields, and those of a loss term inside a window."""
    entries = [_event(f"`{name}`", kind) for name, kind in ev.KINDS.items()]
    return "\n".join([EVENTS, *entries, _event("a term of `window`", ev.Term)]).rstrip("\n") + "\n"


def _event(title: str, kind: type) -> str:
    fields = [f"| `{f.name}` | {_type(f)} | {_default(f)} |" for f in dataclasses.fields(kind)]
    text = " ".join(re.sub(r"``(.+?)``", r"`\1`", (kind.__doc__ or "").strip()).split())
    return "\n".join([f"## {title}", "", text, "", "| field | type | default |", "|---|---|---|", *fields, ""])


def _type(field: dataclasses.Field[object]) -> str:
    """The annotation in the words of JSON."""
    words = str(field.type).removesuffix(" | None")
    named = {"str": "string", "int": "integer", "float": "number", "tuple[str, ...]": "list of strings"}
    inside = re.fullmatch(r"Mapping\[str, (\w+)\]", words)
    values = {"float": "numbers", "Value": "any JSON", "Term": "terms"}
    return named.get(words, words) if inside is None else f"object of {values[inside[1]]}"


def _default(field: dataclasses.Field[object]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return "empty"
    if field.default is dataclasses.MISSING:
        return "required"
    return "absent" if field.default is None else "empty" if field.default in ("", ()) else f"`{field.default}`"


# -- errors ------------------------------------------------------------------------------------------------------------
def errors_page() -> str:
    """Every message with its id, exit codes, and the reasons of the gate."""
    exits = [f"| {code} | {meaning} |" for code, meaning in sorted(EXITS.items())]
    lines = [
        ERRORS,
        "## Exit codes of `lvmcheck`",
        "",
        "| code | meaning |",
        "|---|---|",
        *exits,
        "",
        "## Messages",
        "",
    ]
    lines += [f"- `{row.id}` {row.file}: {_shown(row)}" for row in rows()]
    gate = {node.targets[0].id: node.value for node in ast.parse(GATE.read_text()).body if isinstance(node, ast.Assign)}
    lines += ["", "## Reasons of the gate", "", "They stand in brackets behind each reason of `ci/gate.py`.", ""]
    lines += [f"- `{code}`: `{text}`" for code, text in ast.literal_eval(gate["WORDS"]).items()]
    return "\n".join(lines) + "\n"


def _shown(row: Row) -> str:
    if not row.used:
        return "retired"
    return "passes on what another place says" if row.message == PASSED_ON else f"`` {row.message} ``"


# -- options -----------------------------------------------------------------------------------------------------------
def options_page() -> str:
    """Every option of the plugin."""
    rows = []
    for flag, settings in OPTIONS.items():
        value = "\\|".join(settings["choices"]) if "choices" in settings else settings.get("metavar", "")
        ini = f"`{flag[2:].replace('-', '_')}`" if flag in INI else ""
        rows.append(f"| `{f'{flag} {value}'.strip()}` | {settings['help']} | {ini} |")
    table = ["| option | meaning | in a configuration |", "|---|---|---|", *rows]
    return "\n".join([OPTIONS_HEAD, *table]) + "\n"
