"""Does each sound program learn, and is each fault really there? python -m suites.gallery.fourth.verify [MODULE ...]; no lvmcheck."""
import json
import math
import multiprocessing
import sys
import time
import traceback
import types
from pathlib import Path

HERE = Path(__file__).parent


class Nothing:
    """Stands where the recorder would."""

    stop = False
    steps = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def __getattr__(self, name):
        return lambda *a, **k: None


def job(name):
    stub = types.ModuleType("lvmcheck")
    stub.record = lambda *a, **k: Nothing()
    stub.preflight = lambda *a, **k: None
    sys.modules["lvmcheck"] = stub
    import torch

    torch.set_num_threads(1)
    from suites.gallery.fourth.registry import programs

    (program,) = [p for p in programs([name.split("-")[0]]) if p.name == name]
    t = time.time()
    try:
        result = program.main("/nonexistent", False)
    except Exception:
        return name, {"error": traceback.format_exc()[-1500:]}
    result["seconds"] = round(time.time() - t, 1)
    return name, result


def verdict(p, r, b):
    """(proved, sentence)"""
    if "error" in r:
        return False, "ERROR " + r["error"].strip().splitlines()[-1]
    s, t = r["score"], r["trivial"]
    s = s if math.isfinite(s) else -1e9
    good = b["good"]
    if p.kind == "HEALTHY":
        need = r.get("good", good)
        return s >= need > t, f"score {s:.4g}, trivial {t:.4g}, needed {need:.4g}"
    gap = b["score"] - b["trivial"]
    loss = (b["score"] - s) / gap
    reasons = []
    if loss >= 0.1:
        reasons.append(f"worse: {s:.4g} against {b['score']:.4g} of the base (trivial {b['trivial']:.4g})")
    if r.get("reported") is not None:
        lie = (r["reported"] - s) / gap
        usual = (b["reported"] - b["score"]) / gap if b.get("reported") is not None else 0
        if abs(lie - usual) >= 0.08:
            reasons.append(f"misreported: says {r['reported']:.4g}, is {s:.4g}")
    if p.proof and eval(p.proof, {"r": r, "b": b, "math": math}):
        reasons.append(f"mechanics: {p.proof}")
    return bool(reasons), "; ".join(reasons) or f"NOT SHOWN {s:.4g} against {b['score']:.4g}, {r}"


def main(only):
    from suites.gallery.fourth.registry import programs

    source = None
    if only and only[0] == "--from":  # what recorded programs measured of themselves, in place of running them again
        source, only = Path(only[1] + "_logs"), only[2:]
    ps = programs(only or None)
    if source:
        results = {}
        for p in ps:
            log = source / f"{p.name}.log"
            if not log.exists():
                continue
            lines = [x for x in log.read_text().splitlines() if x.startswith("RESULT ")]
            results[p.name] = json.loads(lines[-1][7:]) if lines else {"error": log.read_text()[-1500:] or "empty"}
        return judge([p for p in ps if p.name in results and p.base in results], results)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = {}
        for name, r in pool.imap_unordered(job, [p.name for p in ps], chunksize=1):
            results[name] = r
            print("..", name, r.get("seconds"), r.get("score"), r.get("trivial"), r.get("error", "")[-400:], flush=True)
    judge(ps, results)


def judge(ps, results):
    store = HERE / "verified.json"
    saved = {}
    bad = 0
    for p in ps:
        r, b = results[p.name], results[p.base]
        if "error" in b:
            print("BASE ERROR", p.name, b["error"])
            continue
        ok, why = verdict(p, r, b)
        saved[p.name] = {"kind": p.kind, "proved": ok, "why": why, "seconds": r.get("seconds"), "result": r}
        bad += not ok
        print("ok " if ok else "NO ", p.kind, p.name, r.get("seconds"), why[:300], flush=True)
        if "error" in r:
            print(r["error"])
    old = json.loads(store.read_text()) if store.exists() else {}
    store.write_text(json.dumps(old | saved, indent=1, default=str))
    print(f"{len(ps)} programs, {bad} not proved")


if __name__ == "__main__":
    main(sys.argv[1:])
