"""targets_follow_flips: answers that are masks tell left from right and top from bottom as their targets do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Cases, Watched, case_run
from lvmcheck.run.events import Watch

LEAST, LEARNED, ALIKE, SHARE, ROWS = 0.3, 0.3, 0.6, 0.1, 64
"""Part of what the model says of the halves together that it says of their difference, at least; how much it says of
the halves together, and how surely, from which that is asked; share of the targets that tells them apart; rows."""


@dataclass(frozen=True, kw_only=True)
class TargetsFollowFlips(Watched):
    """Where the target of a loss over classes is a picture and, at the end, the answers of training say what a target
    and its mirror image have in common, they also say at least 0.3 times as much of what tells the two apart.

    Why:
    A model whose pictures are flipped at random and whose masks are not cannot know which way a mask lies: it answers
    with the mean of the mask and its mirror image, and its loss falls until it does.

    Usual causes:
    - A random flip of the augmentation is applied to the image and not to its mask.
    - Image and mask are augmented one after the other, each with its own random numbers.

    Fix:
    Flip both by one draw: if torch.rand(()) < 0.5: image, mask = image.flip(-1), mask.flip(-1).

    Healthy runs that must pass:
    Masks that are their own mirror images; models that have learned nothing yet; targets that are noise, or noisy.

    Source:
    Any picture is the sum of a part that a flip leaves alone and one whose sign it changes, and the two are orthogonal.
    """

    event = "mirrored"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if any(map(math.isnan, of.values())):
            return Finding(code="no_number", measured=math.nan, bounds=(floor(LEAST),))
        learned = of.get("alike", 0.0) >= ALIKE and of.get("common", 0.0) >= LEARNED
        if not learned or of.get("share", 0.0) < SHARE or of.get("rows", 0.0) < ROWS:
            return None
        return Finding(
            code="mirrored",
            measured=of["own"] / of["common"],
            bounds=(floor(LEAST),),
            evidence=(Fact("axis", ", ".join(event.subjects)), Fact("alike", of["alike"]), Fact("share", of["share"])),
            phrase="along the {axis} predicted masks hold {measured} times as much of the difference between a mask and"
            " its mirror image as of what both share",
        )


_CHECK = TargetsFollowFlips()
_case = Cases(_CHECK)
_TRUE = {"alike": 0.9, "common": 0.8, "own": 0.75, "share": 0.5, "rows": 128.0}
PASSES: Sequence[Case] = (
    _case("perfect_oracle", [_TRUE], measured=0.75 / 0.8),
    made.case("one_axis_is_symmetric", _CHECK, case_run("mirrored", [_TRUE, {**_TRUE, "own": 0.0, "share": 0.01}])),
    made.case("nothing_learned_yet", _CHECK, case_run("mirrored", [_TRUE, {**_TRUE, "common": 0.02, "own": 0.0}])),
    made.case("a_quarter_flipped", _CHECK, case_run("mirrored", [{**_TRUE, "own": 0.4}])),
)
FAILS: Sequence[Case] = (
    _case("image_alone_is_flipped", [{**_TRUE, "own": 0.01}], "mirrored"),
    _case("not_a_number", [{**_TRUE, "own": math.nan}]),
)
