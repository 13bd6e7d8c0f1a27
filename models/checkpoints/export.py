"""Exported models: a ``torch.export`` program in a ``.pt2`` file, and JSON beside it that says what it is.

torch's own reader unpickles what such a file asks for and evaluates the shape expressions in it, so a file from outside
could run anything. Ours holds neither pickles nor names of code: only plain weights, operators of ATen and integer
arithmetic on one symbol, the batch size; a file that holds more is refused before torch reads it.
"""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from lvmcheck.errors import InputError
from models.checkpoints.atomic import publish_file
from models.checkpoints.checkpoint import canonical, sha256
from models.checkpoints.load import read_file
from models.losses import unit
from models.runtime.eval_mode import eval_mode

SUFFIX = ".pt2"
FORMAT = 1
TOLERANCE = 1e-5  # between the exported program and the model, on predictions at unit length
MAX_EXPORT = 4 << 30  # bytes
MAX_JSON = 64 << 20  # bytes
_OPERATOR = re.compile(r"torch\.ops\.aten\.\w+\.\w+|_operator\.(?:add|sub|mul|floordiv|mod|getitem)")
_SHAPE = re.compile(r"(?:Symbol\('s\d+', positive=True, integer=True\)|Integer\(-?\d+\)|Mul|Add|Min|Max|[(), ])+")
_LABELS = ("archive_format", "archive_version", ".data/version", "byteorder", ".data/serialization_id")
_TRACES = ("stack_trace", "nn_module_stack", "source_fn_stack", "from_node", "torch_fn")  # name this machine's paths


@dataclass(frozen=True, kw_only=True)
class About:
    """An exported program: ``kind`` of model, ``width`` D, ``context`` T, its parameters, the largest difference
    from the model on random contexts when it was exported, torch's version, and size and digest of the program file.
    """

    format: int
    kind: str
    width: int
    context: int
    parameters: int
    difference: float
    torch: str
    bytes: int
    sha256: str


# -- writing -----------------------------------------------------------------------------------------------------------
def exported(model: nn.Module, *, width: int, context: int) -> ExportedProgram:
    """A model on the CPU, in evaluation mode, as a program from context [B, T, D] to prediction [B, D] for any B."""
    x = probe(2, context, width)
    with warnings.catch_warnings(), torch.no_grad(), eval_mode(model):
        # torch's recurrent layers keep their weights in a list beside, which the tracer swaps and puts back
        warnings.filterwarnings("ignore", message=r"The tensor attributes? .*_flat_weights")
        program = torch.export.export(model, (x,), dynamic_shapes=({0: Dim.DYNAMIC},))
    for node in program.graph.nodes:
        for trace in _TRACES:
            node.meta.pop(trace, None)
    program.example_inputs = None  # they would be stored as a pickle
    return program


def probe(batch: int, context: int, width: int) -> Tensor:
    """Unit vectors [batch, context, width], always the same."""
    return unit(torch.randn(batch, context, width, generator=torch.Generator().manual_seed(batch)))


def largest_difference(one: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor], like: Tensor) -> float:
    """Largest absolute difference of two predictors on batches of 1, 2, 7 and 64 contexts as wide as ``like``."""
    with torch.no_grad():
        batches = [probe(batch, like.shape[1], like.shape[2]).to(like) for batch in (1, 2, 7, 64)]
        return max(float((one(x) - other(x)).abs().max()) for x in batches)


def write(model: nn.Module, to: Path, *, kind: str, width: int, context: int) -> About:
    """Exports ``model``, in evaluation mode, to ``to`` (``name.pt2``) and what it is to ``name.json`` beside.

    Raises:
        InputError: another suffix, a full disk, or a program that does not agree with the model.
    """
    if to.suffix != SUFFIX:
        raise InputError(to, f"expected a name that ends in {SUFFIX}, got {to.suffix or 'none'!r}")
    device = next(model.parameters()).device.type
    if device != "cpu":
        raise InputError(to, f"expected a model on the CPU, where exported programs run, got one on {device}")
    program = exported(model, width=width, context=context)
    with eval_mode(model):
        difference = largest_difference(program.module(), model, probe(1, context, width))
    if not difference <= TOLERANCE:
        raise InputError(to, f"expected the exported program to agree within {TOLERANCE:g}, got {difference:.3g}")
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    content = buffer.getvalue()
    about = About(
        format=FORMAT,
        kind=kind,
        width=width,
        context=context,
        parameters=sum(p.numel() for p in model.parameters()),
        difference=difference,
        torch=torch.__version__,
        bytes=len(content),
        sha256=sha256(content),
    )
    publish_file(to, content)
    publish_file(to.with_suffix(".json"), canonical(asdict(about)))
    return about


# -- reading -----------------------------------------------------------------------------------------------------------
def read(path: Path) -> tuple[nn.Module, About]:
    """The program at ``path`` as a module, and what it is. Runs nothing that is in the file but ATen operators.

    Raises:
        InputError: no such file, no or another description, changed bytes, or content that an export of ours has not.
    """
    about = _about(path.with_suffix(".json"))
    content = read_file(path, MAX_EXPORT)
    if len(content) != about.bytes or sha256(content) != about.sha256:
        raise InputError(path, "does not match the sha256 in its JSON: it was changed or cut off", fix="Export again.")
    clean = checked(path, content)
    try:
        return torch.export.load(io.BytesIO(clean)).module(), about
    except (RuntimeError, AssertionError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"written by torch {about.torch}, read by {torch.__version__}"
        raise InputError(
            path, f"torch cannot read it ({type(error).__name__}; {reason})", fix="Export again."
        ) from None


def _about(path: Path) -> About:
    content = read_file(path, MAX_JSON)
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError(path, "expected JSON, got something else", fix="Export again.") from None
    for name, kind in get_type_hints(About).items():
        if not isinstance(body, dict) or type(body.get(name)) is not kind:
            got = type(body.get(name)).__name__ if isinstance(body, dict) else type(body).__name__
            raise InputError(path, f"expected {kind.__name__}, got {got}", key=name)
    if body["format"] != FORMAT:
        raise InputError(path, f"expected format {FORMAT}, got {body['format']}", key="format")
    return About(**{field.name: body[field.name] for field in fields(About)})


def checked(path: Path, content: bytes) -> bytes:
    """The same archive packed anew, so that torch reads what was checked and nothing that another parser might see.

    Raises:
        InputError: it is no such archive, or holds anything but weights, ATen operators and shapes.
    """
    packed = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(packed, "w") as clean:
            names = archive.namelist()
            if len(set(names)) != len(names):
                raise _foreign(path, "", "two files of one name")
            for member in archive.infolist():
                clean.writestr(member.filename, _checked_member(path, archive, member))
    except (zipfile.BadZipFile, ValueError, RecursionError, NotImplementedError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(path, "expected an exported program, got something else", fix="Export again.") from None
    return packed.getvalue()


def _checked_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The content of one file of the archive."""
    name = member.filename.partition("/")[2]
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise _foreign(path, name, "a compressed file")
    data = archive.read(member)
    if name.endswith(".json"):
        if len(data) > MAX_JSON:
            raise _foreign(path, name, f"{len(data):,} bytes")
        for key, value in _entries(json.loads(data)):
            _check_entry(path, name, key, value)
    elif data and not name.startswith("data/weights/") and name not in _LABELS:
        raise _foreign(path, name, "a file that no export of ours has")
    return data


def _check_entry(path: Path, name: str, key: str, value: object) -> None:
    """One key of one JSON file: what torch's reader would unpickle, evaluate or look up."""
    if key == "use_pickle" and value is not False:
        raise _foreign(path, name, "a pickle")
    if key in ("metadata", "custom_obj_values", "guards_code", "treespec_namedtuple_fields") and value:
        raise _foreign(path, name, f"content under {key!r}")
    if key == "target" and isinstance(value, str) and not _OPERATOR.fullmatch(value):
        raise _foreign(path, name, f"the operator {value[:80]!r}")
    if key == "expr_str" and not (isinstance(value, str) and _SHAPE.fullmatch(value)):
        raise _foreign(path, name, f"the shape {str(value)[:80]!r}")


def _foreign(path: Path, name: str, got: str) -> InputError:
    return InputError(path, f"expected plain weights and ATen operators, got {got}", key=name)


def _entries(value: Any) -> Iterator[tuple[str, object]]:
    """Every key and value of nested JSON."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)
