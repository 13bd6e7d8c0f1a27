"""``--lvm-throughput-compare``: what a session says and how it exits, with pytest-benchmark's own documents."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from suites.throughput_compare.pace_kit import BENCHMARKS, FILE, LOAD, STEP_1, STEP_32, Paced, paced, stated

__all__ = ["paced"]
USAGE = pytest.ExitCode.USAGE_ERROR


def verdicts(result: pytest.RunResult) -> dict[str, str]:
    """Benchmark -> verdict, from the table."""
    row = re.compile(r"(?:.* |)(slower|faster|unchanged|not comparable|new) +(\S+::\S+)")
    return {match[2]: match[1] for line in result.outlines if (match := row.match(line))}


def error(result: pytest.RunResult) -> str:
    """The one line that pytest refuses with."""
    (line,) = (line for line in [*result.errlines, *result.outlines] if line.startswith("ERROR: "))
    return line


# -- what is found -----------------------------------------------------------------------------------------------------
def test_the_same_pace_passes(paced: Paced) -> None:
    paced.save()
    result = paced.compare()
    assert result.ret == 0
    assert verdicts(result) == {STEP_1: "unchanged", STEP_32: "unchanged", LOAD: "unchanged"}
    assert "throughput passed: nothing is slower" in result.stdout.str()


def test_a_slower_benchmark_fails_the_session_and_no_test(paced: Paced) -> None:
    paced.save()
    paced.pace(step_32=stated(7.2), load=stated(0.9))
    result = paced.compare()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=3)
    assert verdicts(result) == {STEP_1: "unchanged", STEP_32: "slower", LOAD: "faster"}
    result.stdout.fnmatch_lines(["*1.80x*1.30x*slower*test_step?32?", "throughput FAILED: 1 slower"])


def test_a_slow_down_within_the_tolerance_is_none(paced: Paced) -> None:
    paced.save()
    paced.pace(step_32=stated(4.0 * 1.29))
    assert paced.compare().ret == 0


def test_wide_spreads_widen_the_tolerance_and_very_wide_ones_say_nothing(paced: Paced) -> None:
    paced.pace(step_32=stated(4.0, spread=0.1), load=stated(1.5, spread=0.3))
    paced.save()
    paced.pace(step_32=stated(4.0 * 1.32, spread=0.1), load=stated(1.5, spread=0.3))
    result = paced.compare()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert verdicts(result) == {STEP_1: "unchanged", STEP_32: "unchanged", LOAD: "not comparable"}
    assert "too noisy: only a change of" in result.stdout.str()


# -- measured again ----------------------------------------------------------------------------------------------------
def test_what_seems_slower_is_measured_again_and_the_fastest_counts(paced: Paced) -> None:
    paced.save()
    paced.pace(step_32=[stated(7.2), stated(6.0), stated(4.1)], load=stated(0.9))
    result = paced.compare("--benchmark-json", "now.json")
    assert result.ret == 0
    result.assert_outcomes(passed=3)
    assert verdicts(result) == {STEP_1: "unchanged", STEP_32: "unchanged", LOAD: "faster"}
    assert [paced.calls(name) for name in ("step[1]", "step[32]", "load")] == [1, 3, 1]
    assert "1 measured again, up to 2 times: " in result.stdout.str()
    written = json.loads((paced.path / "now.json").read_text())["benchmarks"]
    assert {each["fullname"]: each["extra_info"]["relative"] for each in written} == {
        STEP_1: 0.5,
        STEP_32: 4.1,
        LOAD: 0.9,
    }


def test_what_stays_slower_is_slower_after_three_times(paced: Paced) -> None:
    paced.save()
    paced.pace(step_32=[stated(7.2), stated(9.0), stated(8.0), stated(4.0)])
    result = paced.compare()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert paced.calls("step[32]") == 3
    result.stdout.fnmatch_lines(["*1.80x*1.30x*slower*test_step?32?", "throughput FAILED: 1 slower"])


@pytest.mark.parametrize("second", [{"skip": "no time"}, {"fails": True}, {"device": "cpu"}], ids=str)
def test_a_second_time_without_a_result_takes_nothing_back(paced: Paced, second: dict[str, Any]) -> None:
    paced.save()
    paced.pace(step_32=[stated(7.2), second])
    result = paced.compare()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert verdicts(result)[STEP_32] == "slower"


def test_what_cannot_be_compared_is_not_measured_again(paced: Paced) -> None:
    paced.save()
    paced.pace(step_32=stated(9.0) | {"calibration": "gemm64"})
    assert paced.compare().ret == pytest.ExitCode.TESTS_FAILED
    assert paced.calls("step[32]") == 1


# -- several sessions, other machines ----------------------------------------------------------------------------------
def test_several_stored_sessions_tell_what_sessions_differ_by(paced: Paced) -> None:
    paced.save("first.json")
    paced.pace(step_32=stated(5.0))
    paced.save("second.json")
    paced.pace(step_32=stated(4.0 * 1.35))
    assert paced.compare(name="first.json").ret == pytest.ExitCode.TESTS_FAILED
    result = paced.compare("--lvm-throughput-compare", "second.json", name="first.json")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*throughput against first.json, second.json*", "4.5 ±11 %*1.20x*unchanged*"])


def test_stored_sessions_of_different_measurements_are_no_one(paced: Paced) -> None:
    paced.save("first.json")
    paced.pace(step_32=stated(4.0, device="cuda"))
    paced.save("second.json")
    result = paced.compare("--lvm-throughput-compare", "second.json", name="first.json")
    assert result.ret == USAGE
    assert re.search(
        r"second.json: .*: does not measure what .*first.json does \(device cuda, there cpu\)", error(result)
    )


def test_a_new_benchmark_is_said_and_passes(paced: Paced) -> None:
    document = paced.save()
    body = json.loads(document.read_text())
    body["benchmarks"] = [each for each in body["benchmarks"] if each["fullname"] != LOAD]
    document.write_text(json.dumps(body))
    result = paced.compare()
    assert result.ret == 0
    assert verdicts(result)[LOAD] == "new"


def test_another_machine_is_said(paced: Paced) -> None:
    document = paced.save()
    body = json.loads(document.read_text())
    body["machine_info"] |= {"torch": "1.0", "node": "elsewhere", "load_average": 7.5}
    document.write_text(json.dumps(body))
    result = paced.compare()
    assert result.ret == 0
    (line,) = (line for line in result.outlines if line.startswith("another machine: "))
    assert "torch absent, there '1.0'" in line
    assert "elsewhere" not in line
    assert "load" not in line


# -- what was not measured never passes --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"skip": "no time"}, "no time"),
        ({"fails": True}, "failed in call"),
        ({"device": "cpu"}, "states no 'relative'"),
        (stated(float("nan")), "extra_info.relative_low: expected a positive number (1e-12 to 1e+12), got 'nan'"),
        (stated(-1.0), "expected a positive number (1e-12 to 1e+12), got '-0.98'"),
        (stated(4.0) | {"calibration": "gemm64"}, "calibration kernel gemm64, there gemm1024-float32"),
        (stated(4.0, spread=-0.1), "expected relative_low <= relative <= relative_high"),
        (stated(4.0, device="tpu"), "expected a kind of device, got 'tpu'"),
    ],
    ids=str,
)
def test_what_has_no_result_now_is_not_comparable_and_fails(paced: Paced, change: dict[str, Any], why: str) -> None:
    paced.save()
    paced.pace(step_32=change)
    result = paced.compare()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert verdicts(result) == {STEP_1: "unchanged", STEP_32: "not comparable", LOAD: "unchanged"}
    assert why in result.stdout.str()
    assert "throughput FAILED: 1 not comparable" in result.stdout.str()


def test_settings_that_differ_are_another_measurement(paced: Paced) -> None:
    paced.pace(step_32=stated(4.0, threads=1, dtype="float32"))
    paced.save()
    paced.pace(step_32=stated(4.0, threads=2, batch=32))
    result = paced.compare()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "(threads 2, there 1)" in result.stdout.str()


def test_a_benchmark_that_was_left_out_is_said_and_fails(paced: Paced) -> None:
    paced.save()
    result = paced.compare("-k", "step")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert verdicts(result)[LOAD] == "not comparable"
    assert "(not run in this session)" in result.stdout.str()


def test_a_broken_result_of_a_new_benchmark_fails(paced: Paced) -> None:
    paced.pace(load={})
    paced.save()
    paced.pace(load=stated(float("nan")))
    result = paced.compare()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert verdicts(result)[LOAD] == "not comparable"


def test_nothing_in_common_is_no_pass(paced: Paced) -> None:
    paced.save()
    (paced.path / FILE).write_text(BENCHMARKS.replace("test_", "test_other_"))
    result = paced.compare()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "throughput FAILED: nothing was compared" in result.stdout.str()


def test_benchmarks_without_a_ratio_are_counted(paced: Paced) -> None:
    paced.pace(load={"device": "cpu"})
    paced.save()
    result = paced.compare()
    assert result.ret == 0
    assert "they state no ratio to a kernel: 1 of the stored benchmarks" in result.stdout.str()


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--benchmark-disable",), "--benchmark-disable is given"),
        (("--benchmark-skip",), "--benchmark-skip is given"),
        (("-p", "no:benchmark"), "pytest-benchmark is off"),
        (("-n", "2"), "pytest-benchmark is off with several processes"),
    ],
    ids=str,
)
def test_a_session_that_would_measure_nothing_is_refused(paced: Paced, args: tuple[str, ...], why: str) -> None:
    paced.save()
    result = paced.pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", "--lvm-throughput-compare", "then.json", *args
    )
    assert result.ret == USAGE
    assert why in error(result)


# -- kinds of device ---------------------------------------------------------------------------------------------------
def test_another_kind_of_device_is_refused_at_its_first_benchmark(paced: Paced) -> None:
    paced.save()
    paced.pace(step_1=stated(0.5, device="cuda"), load={"fails": True})
    result = paced.compare()
    assert result.ret == USAGE
    said = error(result)
    assert f"holds {STEP_1} on cpu, and this session measures it on cuda" in said
    assert "never compared" in said
    assert "test_load" not in result.stdout.str()  # nothing was measured after it


def test_another_kind_of_device_is_refused_before_anything_is_measured(paced: Paced) -> None:
    paced.save()
    result = paced.compare("--lvm-device", "cuda")
    assert result.ret == USAGE
    assert "then.json: holds results on cpu, and --lvm-device asks for cuda" in error(result)


def test_other_benchmarks_of_another_kind_are_refused_at_the_end(paced: Paced) -> None:
    paced.save()
    (paced.path / FILE).write_text(BENCHMARKS.replace("test_", "test_other_"))
    cuda = {name: stated(1.0, device="cuda") for name in ("step_1", "step_32", "load")}
    paced.pace(**cuda)
    result = paced.compare()
    assert result.ret == USAGE
    assert "holds results on cpu, and this session measured on cuda" in error(result)


# -- sessions that end half-way ----------------------------------------------------------------------------------------
def test_a_document_of_an_interrupted_session_is_refused(paced: Paced) -> None:
    paced.pace(step_32={"interrupt": True})
    result = paced.pytester.runpytest_subprocess("-p", "no:cacheprovider", "--benchmark-json", "then.json")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    body = json.loads((paced.path / "then.json").read_text())
    assert [each["fullname"] for each in body["benchmarks"]] == [STEP_1]  # pytest-benchmark writes it all the same
    assert body["lvmcheck"] == {"format": 1, "asked": 3, "missing": {LOAD: "not reached", STEP_32: "not reached"}}
    paced.pace()
    result = paced.compare()
    assert result.ret == USAGE
    assert "its session ended half-way: 2 of 3 benchmarks are missing" in error(result)


def test_a_comparison_that_is_interrupted_says_what_it_has(paced: Paced) -> None:
    paced.save()
    paced.pace(step_32={"interrupt": True})
    result = paced.pytester.runpytest_subprocess("-p", "no:cacheprovider", "--lvm-throughput-compare", "then.json")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert verdicts(result) == {STEP_1: "unchanged", STEP_32: "not comparable", LOAD: "not comparable"}


def test_a_failed_benchmark_is_missing_and_a_skipped_one_is_not(paced: Paced) -> None:
    paced.pace(step_32={"fails": True}, load={"skip": "no time"})
    body = json.loads(paced.save().read_text())
    assert body["lvmcheck"] == {"format": 1, "asked": 3, "missing": {STEP_32: "failed in call"}}


def test_the_document_that_is_compared_with_is_not_written_over(paced: Paced) -> None:
    before = paced.save().read_text()
    result = paced.compare("--benchmark-json", "then.json")
    assert result.ret == USAGE
    assert "a slow decline would never be seen" in error(result)
    assert (paced.path / "then.json").read_text() == before


# -- reports -----------------------------------------------------------------------------------------------------------
def test_the_report_that_the_gate_reads_says_what_was_slower(paced: Paced) -> None:
    paced.save()
    paced.pace(step_32=stated(7.2))
    assert paced.compare("--lvm-json", "report.json").ret == pytest.ExitCode.TESTS_FAILED
    report = json.loads((paced.path / "report.json").read_text())
    assert (report["status"], report["exit_status"]) == ("failed", 1)
    said = "slower: 1.80 times the time of then, allowed 1.30"
    assert report["troubles"] == [{"where": STEP_32, "when": "throughput", "message": said}]
