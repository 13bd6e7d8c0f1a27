"""teacher_followed: a student has a teacher that is worth it, and gets near it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.curves._curves import SURE, CurveCheck, concluded, unfinished
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.roles import by_name
from lvmcheck.run.view import Run, run_from
from lvmcheck.statistics.curve import trend

LEAST = 6
"""Evaluations that show where a student goes."""
WORSE, FAR = 0.6, 0.4
"""Share of the student's first accuracy that its teacher is below, and share of the teacher's that it stays below."""


@dataclass(frozen=True, kw_only=True)
class TeacherFollowed(CurveCheck):
    """A constant teacher has 0.6 of the accuracy of its student at least, and the student gets to 0.4 of the teacher's.

    Asked where an accuracy with the word teacher is recorded beside one of the student. A student that stays below 0.4
    of its teacher fails where it no longer gets better in the second half of the run.

    Why:
    A student that learns from noise gets better all the same, from its own labels; the loss says nothing of it.

    Usual causes:
    - The teacher's checkpoint is not loaded, or its weights were initialised again after loading.
    - The teacher's classes, or its inputs after preprocessing, are in another order.
    - The teacher is evaluated in training mode.

    Fix:
    Evaluate the teacher alone on the validation set; compare its confusion matrix with that of the student.

    Healthy runs that must pass:
    A teacher that learns beside its student (an average of its weights); a weak teacher that the student overtakes;
    a small student that is still getting better.

    Source:
    An independent gallery: an untrained teacher, and logits in another order. Severity: fails, since a teacher that
    knows less than its student after one epoch teaches nothing.
    """

    universal = True

    def judge(self, run: Run) -> Outcome:
        waiting = unfinished(run)
        if waiting is not None:
            return waiting
        teachers = [curve for name, curve in run.curves.by_epoch.items() if _accuracy(name, teacher=True)]
        students = [curve for name, curve in run.curves.by_epoch.items() if _accuracy(name, teacher=False)]
        if not teachers or not students:
            return not_recorded("no accuracy of a teacher beside one of a student is recorded")
        teacher, student = teachers[0], students[0]
        if min(len(teacher), len(student)) < LEAST or float(np.ptp(teacher.values)) > 0:
            return not_applicable("the teacher learns as well, or few evaluations are recorded")
        level, values = float(teacher.values[0]), len(teacher) + len(student)
        if level < WORSE * float(student.values.min()):
            bound = WORSE * float(student.values.min())
            return failed(_finding("teacher_knows_less", teacher, student, teacher, bound), evaluated=values)
        late = student.values[len(student) // 2 :]
        if float(student.values.max()) < FAR * level and trend(late) < SURE / 2:
            return failed(_finding("student_stays", teacher, student, student, FAR * level), evaluated=values)
        return concluded(_finding("followed", teacher, student, student, None), [teacher, student], evaluated=values)


def _accuracy(name: str, *, teacher: bool) -> bool:
    said = words(name)
    if ("teacher" in said) is not teacher or "forcing" in said:
        return False
    rest = "_".join(word for word in said if word != "teacher")
    return by_name(rest).quantity is Quantity.ACCURACY and (teacher or not {"train", "training"} & set(said))


def _finding(code: str, teacher: Curve, student: Curve, of: Curve, least: float | None) -> Finding:
    return Finding(
        code=code,
        metric=of.name,
        measured=float(of.values.max()),
        bounds=() if least is None else (floor(least),),
        epoch=of.place(len(of) - 1)[0],
        evidence=(
            Fact("teacher", float(teacher.values[0])),
            Fact("student_first", float(student.values[0])),
            Fact("student_last", float(student.values[-1])),
        ),
        phrase=_PHRASES[code],
    )


_PHRASES = {
    "teacher_knows_less": "{metric} is {measured}, and the student begins at {student_first}",
    "student_stays": "{metric} gets to {measured}, and its teacher has {teacher}",
    "followed": "",
}
_CHECK = TeacherFollowed()


def _run(teacher: float, student: Sequence[float]) -> Run:
    return run_from({"teacher_acc": [teacher] * len(student), "student_acc": student})


PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, _run(1.0, [1.0] * 8)),
    made.case("follows", _CHECK, _run(0.93, made.lines(12, 0.2, 0.85, 0.9))),
    made.case("overtakes", _CHECK, _run(0.6, made.lines(12, 0.3, 0.7, 0.75))),
    made.case("still_learning", _CHECK, _run(0.93, made.lines(12, 0.1, 0.3))),
)
FAILS: Sequence[Case] = (
    made.case("untrained", _CHECK, _run(0.096, made.lines(12, 0.22, 0.32)), "teacher_knows_less", 0.096),
    made.case("other_order", _CHECK, _run(0.856, [0.15, 0.17, *[0.19, 0.21, 0.2] * 3]), "student_stays"),
    made.case("percent", _CHECK, _run(85.6, [15.0, 17.0, *[19.0, 21.0, 20.0] * 3]), "student_stays"),
)
