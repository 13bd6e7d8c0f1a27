"""Which environment variables a trainer sees: a list of known ones and what a suite names; the rest is absent there.

A variable that a trainer does not see cannot decide its numbers, whether it is read by Python or by a library in C.
Of those that it sees, all but the :data:`NEUTRAL` ones are part of the run's key.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from lvmcheck.text.say import complain

NEUTRAL = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "TMPDIR", "TEMP", "TMP", "HOSTNAME", "VIRTUAL_ENV", "CONDA_*"),
    *("LANG", "LANGUAGE", "LC_*", "TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI"),
    *("XDG_*", "SSL_CERT_*", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy", "SLURM_*", "WANDB_*", "MLFLOW_*", "TQDM_*"),
    *("COV_*", "COVERAGE_*", "DISPLAY", "SYSTEMROOT", "MPL*"),
    *(f"PYTHON{name}" for name in ("DONTWRITEBYTECODE", "PYCACHEPREFIX", "WARNINGS", "UTF8", "IOENCODING")),
    *(f"PYTHON{name}" for name in ("FAULTHANDLER", "DEVMODE", "NOUSERSITE", "HOME", "PLATLIBDIR")),
)
"""Passed on, and not part of the key: where things are, who one is, how output looks."""
DECIDING = (
    *("CUDA_*", "CUDNN_*", "CUBLAS_*", "NVIDIA_*", "NCCL_*", "HIP_*", "ROCR_*", "HSA_*", "MIOPEN_*", "ROCM_*"),
    *("TORCH*", "PYTORCH_*", "ATEN_*", "TRITON_*", "XLA_*", "JAX_*", "TF_*", "XPU_*", "SYCL_*", "ONEAPI_*", "HABANA_*"),
    *("OMP_*", "MKL_*", "KMP_*", "GOMP_*", "OPENBLAS_*", "NUMEXPR_*", "DNNL_*", "ONEDNN_*", "BLIS_*", "NPY_*"),
    *("HF_*", "TRANSFORMERS_*", "TOKENIZERS_*", "DATASETS_*", "ACCELERATE_*", "RAY_*"),
    *(
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        "MASTER_ADDR",
        "MASTER_PORT",
        "PYTHONOPTIMIZE",
        "GLIBC_TUNABLES",
        "MALLOC_*",
        "TZ",
    ),
    *("LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_*", "NUMBA_*", "VECLIB_*", "SENTENCE_TRANSFORMERS_*"),
)
"""Passed on, with their values in the key."""
ASKED = ("HOME", "CI", "LANG", "LANGUAGE", "LC_*", "XDG_*", "SLURM_*")
NEVER_ASKED = ("SLURM_JOB*", "SLURM_SUBMIT_*", "SLURM_*NODE*", "SLURM_RESTART_COUNT", "SLURM_*ADDR", "SLURM_*PORT*")
"""Of the neutral ones those that decide where the trainer's own code asks for them, such as ``SLURM_ARRAY_TASK_ID``,
and those that are different in every job.
"""
SECRET = ("*_TOKEN", "*_TOKENS", "*_KEY", "*_SECRET", "*_PASSWORD", "*_CREDENTIALS")
"""Never passed on unless a suite names them."""
FIXED = (
    "PYTHONPATH",
    "PYTHONUNBUFFERED",
    "PYTHONHASHSEED",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "CUBLAS_WORKSPACE_CONFIG",
)
"""Set for every trainer, whatever they were."""
EVERY = "*"
"""In place of the name of a variable: the whole environment was listed or copied."""
WITHHELD = "LVMCHECK_WITHHELD"
"""Names a trainer's process does not get, in its own environment until it has read them."""


def _among(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def passed_on(inherited: Mapping[str, str], named: Sequence[str] = ()) -> dict[str, str]:
    """What of the session's environment a trainer sees.

    Args:
        named: variables that the suite (``[run] env``) or ``--lvm-env`` names.
    """
    return {name: value for name, value in inherited.items() if name in named or _passes(name)}


def _passes(name: str) -> bool:
    return _among(name, (*NEUTRAL, *DECIDING)) and not _among(name, SECRET)


@cache
def may_decide(name: str) -> bool:
    """Whether a neutral variable decides once it is asked for."""
    return _among(name, ASKED) and not _among(name, (*NEVER_ASKED, *SECRET))


def deciding(inherited: Mapping[str, str], named: Sequence[str] = ()) -> dict[str, str]:
    """Name -> sha256 of the value of every variable that a trainer sees and that may decide its numbers."""
    seen = passed_on(inherited, named)
    kept = {name for name in seen if name in named or not _among(name, (*NEUTRAL, *FIXED))}
    absent = dict.fromkeys(sorted({*named} - {*seen}), "not set")
    return absent | {name: hashlib.sha256(seen[name].encode("utf-8", "surrogateescape")).hexdigest() for name in kept}


def withheld(inherited: Mapping[str, str], named: Sequence[str] = ()) -> str:
    """The names that a trainer does not see, as one text."""
    return ",".join(sorted({*inherited} - {*passed_on(inherited, named), *FIXED}))[:16_384]


def tell_of_withheld(note: Callable[[str], object], asked: Callable[[str, str | None], object]) -> None:
    """From now on say on stderr, once each, that a variable is asked for that this process did not get.

    Args:
        note: called with the same line, for the run's own record.
        asked: called with each variable of :data:`ASKED` that is asked for, and its value.
    """
    names = {*os.environ.pop(WITHHELD, "").split(",")} - {""}
    told: set[str] = set()
    kind = type(os.environ)

    class Told(kind):  # type: ignore[misc, valid-type]
        def __getitem__(self, key: Any) -> Any:  # text, and bytes in os.environb
            name = os.fsdecode(key)
            try:
                found = super().__getitem__(key)
            except KeyError:
                if may_decide(name):
                    asked(name, None)
                if name in names and name not in told:
                    told.add(name)
                    text = f"environment variable {name} is set in the session and not passed on to trainers: "
                    text += f'write [run] env = ["{name}"] in the suite, or give --lvm-env {name}'
                    complain(f"lvmcheck: {text}")
                    note(text)
                raise
            if may_decide(name):
                asked(name, os.fsdecode(found))
            return found

        def __iter__(self) -> Iterator[Any]:
            names = list(super().__iter__())
            asked(EVERY, of_all({os.fsdecode(name): os.fsdecode(kind.__getitem__(self, name)) for name in names}))
            return iter(names)

    os.environ.__class__ = Told
    if hasattr(os, "environb"):
        os.environb.__class__ = Told


def of_all(environment: Mapping[str, str]) -> str:
    """Every variable that decides once it is asked for, as one text."""
    return "\n".join(f"{name}={value}" for name, value in sorted(environment.items()) if may_decide(name))
