"""``python -m models load``: how fast a running server answers many clients at once."""

from __future__ import annotations

import argparse

from lvmcheck.extras import need
from lvmcheck.text.say import say
from models.commands._arguments import real, whole
from models.commands.main import FAILED, PASSED
from models.commands.serve import PACKAGES, PORT

HELP = "measure a running server: p50 and p99 latency and throughput under many clients"
EXAMPLE = "python -m models load http://127.0.0.1:8003 --clients 64 --seconds 10"
PROMPT = "What is 25 + 17?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    url = f"http://127.0.0.1:{PORT}"
    parser.add_argument("url", metavar="URL", nargs="?", default=url, help=f"of the server (default: {url})")
    parser.add_argument("--clients", type=whole(1, 10_000), default=64, metavar="N", help="at once (default: 64)")
    parser.add_argument("--seconds", type=real(0.1), default=10.0, metavar="S", help="for so long (default: 10)")
    parser.add_argument("--rows", type=whole(1), default=1, metavar="N", help="contexts of a request (default: 1)")
    parser.add_argument("--prompt", default=PROMPT, metavar="TEXT", help=f"of a language model (default: {PROMPT})")
    parser.add_argument("--max-new", type=whole(1), default=24, metavar="N", help="tokens of an answer (default: 24)")


def run(options: argparse.Namespace) -> int:
    for package in PACKAGES:
        need(package, extra="serve", purpose="measuring a server")
    from models.serving.load import measure

    found = measure(
        options.url.rstrip("/"),
        clients=options.clients,
        seconds=options.seconds,
        rows=options.rows,
        prompt=options.prompt,
        max_new=options.max_new,
    )
    for line in found.lines():
        say(line)
    return PASSED if found.seconds and not found.bad else FAILED
