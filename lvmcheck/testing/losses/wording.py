"""The words of a broken law."""

from __future__ import annotations

from torch import Tensor

from lvmcheck.testing.losses.breach import Breach
from lvmcheck.testing.losses.lines import Line
from lvmcheck.text.fit import fit

WHAT = {
    "value": "the loss",
    "gradient": "the gradient",
    "shape": "the shape of the loss",
    "dtype": "the precision of the loss, in bits",
    "rise": "the rise of the loss away from the target",
    "permuted_value": "the loss of the same rows in another order",
    "permuted_gradient": "the gradient of the same rows in another order",
    "broadcast": "the loss of a target of another shape, without an error or a warning",
    "of_parts": "the loss of a batch over that of its two parts together",
    "weighted_value": "the factor of the loss for another weight",
    "weighted_gradient": "the factor of the gradient for another weight",
}
"""What a law looks at."""

REQUIRED = {
    "finite": "a finite number",
    "equal": "{}",
    "within": "{} within rounding",
    "numeric": "{} by finite differences",
    "at_least": "at least {}",
    "above": "above {} for some batch",
    "bits": "{}",
    "shape": "{}",
}
"""What it requires of that."""

WHY = {
    "finite": "a value or gradient that this precision can hold overflows on the way; take logsumexp, a mean of scaled"
    " terms, or compute it in float32",
    "gradient": "autograd computes another derivative than the loss has; look for detach, .data, .item, no_grad, round"
    " or argmax, and for a backward written by hand",
    "least_at_target": "a prediction that equals its target is not the cheapest one; look for a wrong sign or swapped"
    " arguments",
    "row_order": "rows are compared with others by their place; a loss of a batch must not know which row comes first",
    "no_broadcast": "[N, 1] against [N] becomes [N, N] and trains towards the mean; compare the shapes and raise",
    "reduction": "a sum where a mean is stated, or the reverse, makes the step size depend on the batch size",
    "weight_scale": "the weight counts twice, not at all, or reaches the value and not the gradient",
    "zero_vectors": "a length or logarithm of 0 is divided or differentiated; add an eps that this precision can hold",
    "same_in_every_precision": "a step on the way loses digits, or gives the result in another precision",
}
"""What each law guards, and what to look for."""

SHOWN = 160
"""Characters of a tensor."""


def lines(law: str, loss: str, breach: Breach, line: Line | None) -> list[str]:
    """What broke, the smallest example, where to look and why."""
    code, wanted = breach.required
    at = f" at prediction{list(breach.at)}" if breach.at else ""
    bound = REQUIRED[code].format(_figure(wanted))
    told = [f"{loss} breaks {law}: {WHAT[breach.what]}{at} is {_figure(breach.measured)}, wanted {bound}"]
    batch = breach.batch
    precision = str(batch.prediction.dtype).removeprefix("torch.")
    told.append(f"  smallest example ({precision}): prediction {_tensor(batch.prediction)}")
    told.append(f"    target {_tensor(batch.target)}")
    if line is not None:
        told.append(f"  look at {line.file}:{line.number}: {fit(line.text)[:SHOWN]}")
    return [*told, f"  why: {WHY[law]}"]


def _figure(value: float | tuple[int, ...]) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]" if value else "a single number"
    return f"{value:.6g}"


def _tensor(values: Tensor) -> str:
    return f"{list(values.shape)} {_nested(values.tolist())}"[:SHOWN]


def _nested(values: object) -> str:
    if isinstance(values, list):
        return f"[{', '.join(map(_nested, values))}]"
    return f"{values:.5g}" if isinstance(values, float) else str(values)
