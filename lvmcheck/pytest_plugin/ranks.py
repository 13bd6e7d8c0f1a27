"""The ``ranks`` fixture: a function of a test on several ranks of this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from lvmcheck.text.fit import fit

MOST = 64


class Ranks:
    """``ranks(2)`` is called with a function and its arguments; it returns what each rank returned, by rank."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def __repr__(self) -> str:
        return "<fixture ranks>"

    def __call__(
        self,
        size: int = 2,
        *,
        timeout: float = 60.0,
        backend: str | None = "gloo",
        threads: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Callable[..., list[Any]]:
        """A caller on ``size`` ranks.

        Args:
            timeout: seconds from the moment when all ranks are there, after which they are taken to hang.
            backend: of the process group that they join; None leaves it to the function, which finds the variables that
                torchrun sets.
            threads: of torch in each rank; by default its share of the cores.
            env: environment variables beside those of the test.
        """
        __tracebackhide__ = True
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MOST:
            pytest.fail(fit(f"ranks: size: expected 1 to {MOST} ranks, got {size!r}"), pytrace=False)
        if not 0.0 < timeout < 1e6:
            pytest.fail(fit(f"ranks: timeout: expected seconds above 0, got {timeout!r}"), pytrace=False)

        def call(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> list[Any]:
            __tracebackhide__ = True
            from lvmcheck.errors import InputError
            from lvmcheck.launch.ranks.call import RanksFailedError
            from lvmcheck.launch.ranks.wording import failure_text

            said: str | InputError
            try:
                options = {"timeout": timeout, "backend": backend, "threads": threads, "env": env}
                values, printed = self._server.call(size, function, arguments, keywords, **options)
            except InputError as problem:
                said = problem
            except RanksFailedError as problem:
                said = failure_text(problem.failure)
            else:
                said = ""
            if said:
                pytest.fail(fit(said), pytrace=False)  # here nothing is being handled, and nothing else is shown
            for rank, text in enumerate(printed):
                sys.stdout.writelines(f"[rank {rank}] {line}\n" for line in text.splitlines())
            return values  # type: ignore[no-any-return]

        return call


@pytest.fixture(scope="session")
def ranks() -> Iterator[Ranks]:
    """Calls a function on several ranks: ``first, second = ranks(2)(train, 0.1)``.

    Ranks are processes of this machine in a gloo process group. The function stands at the top of a module. What fails
    on a rank fails the test, by its rank and error; when the time is over, by what each rank waits in. No rank is left.
    """
    from lvmcheck.launch.ranks.group import RankServer

    server = RankServer()
    yield Ranks(server)
    server.close()
