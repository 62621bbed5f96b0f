"""What `superalign merge` does."""

from __future__ import annotations

from argparse import Namespace

from superalign.display import printable, watch
from superalign.merging import describe, merge


def run(options: Namespace) -> int:
    """Merge, or say what would be merged; return the exit code."""
    if options.dry_run:
        print("\n".join(printable(line) for line in describe(options.config)))
        return 0
    with watch(quiet=options.quiet) as view:

        def report(done: int, total: int) -> None:
            view("preparing", text="tensors", done=done, total=total)

        path = merge(options.config, options.out, threads=options.threads, report=report)
    print(printable(path))
    return 0
