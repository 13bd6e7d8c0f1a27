"""Why the gate refuses: a typed reason, and the only place where words are made of it."""

from __future__ import annotations

from dataclasses import dataclass

WORDS = {
    # the files that the gate reads
    "no_report": "no report: {got}",
    "not_a_file": "expected a regular file, got {got}",
    "too_large": "larger than {expected}",
    "not_json": "not a JSON report: {got}",
    "other_format": "expected a report of format {expected}, got {got!r}",
    "digest_differs": "its content does not match its digest: it was edited or is not whole",
    "not_finished": "the session did not finish (status {got!r})",
    "wrong_type": "expected {expected}, got {got!r}",
    "unknown_field": "unknown field {got!r}",
    "unknown_value": "unknown value {got!r}, known are {expected}",
    "report_twice": "given twice",
    "not_signed": "it is not signed: {got}",
    "signature_differs": "its signature is of another content, or by another key",
    # waivers
    "waiver_expired": "expired on {got}",
    "waiver_too_long": "expires in {got} days, at most {expected} are allowed",
    # the session
    "nonce_differs": "not made in the session that this gate started: its nonce is {got!r}",
    "no_commit": "the report names no commit",
    "other_commit": "the report is for commit {got}, expected {expected}",
    "checkout_changed": "the checkout changed while the session ran",
    "not_committed": "made with changes that are not committed: {got}",
    "bad_end": "the session ended as {got!r} (exit status {expected})",
    "bad_times": "the session ran from {got}, and it is {expected}",
    "unreadable_times": "the session's times cannot be read: {got}",
    "too_old": "the report is of {got}, more than {expected} hours old",
    "nothing_shown": "{expected} tests collected, {got} passed: nothing was shown",
    "deselected": "{got} tests were deselected",
    "no_suite": "no suite in the report",
    "trouble": "failed in {got}",
    "hidden_failures": "{got}, and the report does not say which",
    "no_reason": "the session failed, and the report does not say why",
    "too_few_tests": "{expected} checks passed and only {got} tests",
    "check_twice": "a check stands in the report twice",
    # what was executed, against the commit
    "commit_unknown": "the commit {got} is not in this repository: fetch it",
    "file_missing": "the report does not say that it was read",
    "file_differs": "what was executed is not what was committed: {got}, the commit has {expected}",
    "file_not_in_commit": "was executed and is not part of the commit",
    "file_is_link": "was executed through a symbolic link",
    "file_in_submodule": "was executed from a submodule",
    "file_outside": "was executed from outside the checkout",
    "opened_not_in_commit": "is no part of the commit and was opened by a trainer: commit it, declare it as data"
    " ([run] inputs, input_files) or allow it ([gate] opens)",
    "opened_differs": "was opened by a trainer and is not what was committed: {got}, the commit has {expected}",
    "opened_unknown": "it is not known what its trainer opened (--lvm-inprocess?)",
    "suite_unreadable": "the suite of the commit cannot be read: {got}",
    "suite_differs": "the suite that was judged is not that of the commit",
    "check_not_of_suite": "{got} check entries reported for a seed, the suite of the commit has {expected}",
    "bound_not_of_suite": "was judged by {got}, the suite of the commit asks for {expected}",
    "epoch_not_of_suite": "was judged at epoch {got}, the suite of the commit asks for {expected}",
    "expectation_not_of_suite": "its failure is expected by nobody in the suite of the commit",
    # what the change asks less of, against the base branch
    "suite_removed": "the base branch has this suite, the commit does not",
    "check_removed": "the base branch asks for this check, the commit does not",
    "check_changed": "{expected} on the base branch, {got} in the commit",
    "bound_loosened": "{expected} on the base branch, {got} in the commit: a bound was loosened",
    "expectation_changed": "expected to fail: {expected} on the base branch, {got} in the commit",
    "run_changed": "{expected} on the base branch, {got} in the commit",
    "rule_loosened": "{expected} on the base branch, {got} in the commit",
    "data_changed": "is data of a required suite and was changed: {got}, the base branch has {expected}",
    "judge_changed": "decides how runs are judged and was changed: {got}, the base branch has {expected}",
    # a required suite
    "suite_missing": "no report has it at profile {expected}{got}",
    "run_twice": "two runs of one seed",
    "too_few_seeds": "{got} seeds, at least {expected} are required",
    "seed_unknown": "checks of seeds that it does not have: {got}",
    "overridden": "the command line replaced {got}",
    "other_device": "device {got}, required is {expected}",
    "too_few_checks": "{got} checks, at least {expected} are required",
    "not_decided": "{expected} is required and was not decided",
    "no_run": "no run",
    "run_not_finished": "{got}",
    "other_key": "judged on a run of another configuration, source, data or machine",
    "run_nonce_differs": "judged on a run that was not made in the session that this gate started",
    "not_own_run": "not trained by this session (fresh = false allows one of the same nonce)",
    "trained_on": "trained on {got}, required is {expected}",
    "no_device": "records no device, required is {expected}",
    "throughput": "{got} samples per second, required is {expected}",
    "after_the_end": "was judged at an epoch after the last one, {expected}",
    "selftest_missing": "no self-test of it, and at least {expected} of the planted faults must be noticed",
    "selftest_red": "the self-test planted nothing, for the unmodified run does not pass: {got}",
    "selftest_partial": "the self-test planted only chosen faults",
    "selftest_small": "the self-test planted {got} faults, at least {expected} are needed to show something",
    "selftest_low": "{got} planted faults were noticed (what was not done counts as missed), required is {expected}",
    # a check
    "check_failed": "{got}",
    "not_needed": "answers that it is not needed, and {got}",
    "nothing_measured": "passed without a measurement",
    "pytest_disagrees": "says {expected}, and pytest says {got}",
    "run_again": "was run {got} times",
    "nothing_compared": "passed without a single comparison",
    "bound_missed": "passed with {got}, which misses its {expected}",
    "not_finite": "passed with {got}",
}
"""Code -> the sentence; ``subject`` stands before it."""
FIXES = {
    "no_report": "run pytest with --lvm-json FILE first",
    "not_committed": "commit or undo what is named, and judge again",
    "file_differs": "commit it, and judge again; where git changes line ends, put '* -text' into .gitattributes",
    "file_not_in_commit": "commit it or remove it, and judge again",
    "suite_differs": "commit the suite as it is, and judge again",
    "other_commit": "judge this commit: the report is of another one",
    "deselected": "run the session without -k, -m and --deselect",
    "nonce_differs": "judge in this job, with the same LVMCHECK_NONCE for the session and the gate",
    "run_nonce_differs": "judge in this job, with the same LVMCHECK_NONCE for the session and the gate",
    "suite_missing": "let the session run the suite that is named, at its profile",
    "no_device": 'have the trainer record it: rec.device("cpu")',
    "check_failed": "lvmcheck diagnose RUN says why; what is accepted until a date is a waiver of the owner",
    "bound_loosened": "set it back, or have the owner accept it as a [[loosening]] on the base branch",
    "judge_changed": "have the owner accept it as a [[loosening]] on the base branch",
}
"""Code -> what to do."""
LOOSENINGS = frozenset(
    {
        *("suite_removed", "check_removed", "check_changed", "bound_loosened", "expectation_changed"),
        *("run_changed", "rule_loosened", "judge_changed", "data_changed"),
    }
)
"""Codes that an owner can accept in the waivers of the base branch."""


@dataclass(frozen=True)
class Reason:
    """One reason to refuse.

    Args:
        code: a key of :data:`WORDS`.
        subject: what it is about: a file, a suite, a check.
        expected, got: what was required, and what came instead.
    """

    code: str
    subject: str = ""
    expected: object = None
    got: object = None

    def sentence(self) -> str:
        words = WORDS[self.code].format(expected=self.expected, got=self.got)
        return f"{self.subject}: {words}" if self.subject else words


class Refused(Exception):  # noqa: N818 - it is the answer, not a failure of this script
    """A report that cannot be believed, whatever it says."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.sentence())
        self.reason = reason


class Unusable(Exception):  # noqa: N818 - as above
    """Requirements or waivers that cannot be used."""
