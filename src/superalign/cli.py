"""The command line. Heavy modules are imported by the command that needs them."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from superalign.arguments import LISTS, Parser, add_audit, add_export, add_judge, add_merge, study_settings
from superalign.errors import ConfigError, StoreError, SuperalignError

if TYPE_CHECKING:
    from superalign.display import View
    from superalign.fetch import Report

Handler = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code. A user's mistake is explained in a few lines, without a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _standard_output():
            _check_encoding(words)
            if words[:1] == ["recommend"]:
                words.insert(0, "run")
            options = parser().parse_args(words)
            handler: Handler = options.handler
            return handler(options)
    except SuperalignError as error:
        from superalign.display import printable

        lines = [printable(line) for line in str(error).splitlines()]
        print("error: " + "\n".join(lines), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nstopped; nothing that finished is lost: the same command goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141
    except OSError as error:
        from superalign.display import printable

        print(f"error: {printable(error)}", file=sys.stderr)
        return StoreError.exit_code


def _check_encoding(words: Sequence[str]) -> None:
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise ConfigError(f"{word!a} is not valid UTF-8", fix="rename the file or folder") from None


@contextmanager
def _standard_output() -> Iterator[None]:
    """Write what the block prints before it ends, so that a full disk or a reader who left is noticed in time."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # where the terminal's encoding is not UTF-8
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:  # it is closed
                sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to write goes nowhere
        raise


def parser() -> Parser:
    """Return the parser of all commands."""
    top = Parser(
        prog="superalign",
        description="Superalignment you can run: align a strong model with weaker supervision,\n"
        "and measure what was recovered.",
        epilog="example: superalign run weak-to-strong",
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    top.set_defaults(handler=_version_or_help)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)

    def command(name: str, handler: Handler, summary: str, example: str) -> Parser:
        added: Parser = commands.add_parser(name, help=summary, description=summary, epilog=f"example: {example}")
        added.set_defaults(handler=handler)
        return added

    run = command("run", _run, "run a study, by name or from a config file", "superalign run weak-to-strong --seeds 3")
    run.add_argument("what", metavar="STUDY|CONFIG.yaml", nargs="?", help="a study's name or a config file")
    run.add_argument("rest", nargs=argparse.REMAINDER, help="settings; see superalign run STUDY --help")
    command("recommend", _run, "short for: superalign run recommend", "superalign recommend --gold 100 --check 5")
    resume = command(
        "resume", _resume, "finish a run that was stopped", "superalign resume runs/weak-to-strong-1a2b3c4d"
    )
    resume.add_argument("run", metavar="RUN", help="the run's folder")
    resume.add_argument("rest", nargs=argparse.REMAINDER, help="how to run it: --executor, --sink, --quiet and such")
    show = command("show", _show, "print the result of a run", "superalign show runs/NAME")
    show.add_argument("run", metavar="RUN", help="the run's folder")
    show.add_argument("--json", action="store_true", help="print results.json")
    report = command("report", _report, "write a run's report again", "superalign report runs/NAME")
    report.add_argument("run", metavar="RUN", help="the run's folder")
    report.add_argument("--out", metavar="FILE", help="file or folder to write it to (default: RUN)")
    add_export(
        command(
            "export",
            _export,
            "write a learner, its labels, or its exam for others",
            "superalign export runs/NAME adapter --method naive",
        )
    )
    add_merge(
        command("merge", _merge, "merge models, or adapters, into one", "superalign merge merge.yaml merged --dry-run")
    )
    add_audit(
        command(
            "audit-labels",
            _audit,
            "find wrong labels in your own data",
            "superalign audit-labels reviews.csv --out audit",
        )
    )
    add_judge(command("judge", _judge, "answer, as a person, what a critic asks", "superalign judge queue.jsonl"))
    listing = command("ls", _ls, "list what there is", "superalign ls objectives")
    listing.add_argument("what", nargs="?", choices=LISTS, help="what to list (default: everything but runs)")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.add_argument("--folder", default="runs", metavar="DIR", help="where runs are (default: runs)")
    _add_models(command("models", _models_help, "fetch, list or remove the embedded models", "superalign models list"))
    doctor = command("doctor", _doctor, "show what is installed and reachable, and what is wrong", "superalign doctor")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    return top


def _add_models(models: Parser) -> None:
    actions = models.add_subparsers(metavar="ACTION", parser_class=Parser)
    fetch = actions.add_parser(
        "fetch", help="download, check and convert a model", epilog="example: superalign models fetch smollm2"
    )
    fetch.add_argument("name", help="a model of 'superalign models list', or 'all' for those with open licences")
    fetch.add_argument("--accept-terms", action="store_true", help="accept the terms of a model that has any")
    fetch.set_defaults(handler=_models_fetch)
    listing = actions.add_parser("list", help="list the embedded models", epilog="example: superalign models list")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(handler=_models_list)
    remove = actions.add_parser(
        "remove", help="delete a model from the cache", epilog="example: superalign models remove gemma3-270m"
    )
    remove.add_argument("name", help="a model of 'superalign models list'")
    remove.set_defaults(handler=_models_remove)


def _version_or_help(options: argparse.Namespace) -> int:
    if options.version:
        from superalign import __version__

        print(__version__)
    else:
        parser().print_help()
    return 0


def _run(options: argparse.Namespace) -> int:
    from pathlib import Path

    from superalign.runs import build_study, run, study_type
    from superalign.study import studies
    from superalign.yaml_file import read_config

    if options.what in (None, "-h", "--help"):
        print("usage: superalign run STUDY|CONFIG.yaml [settings]\n\nstudies:")
        for name in studies.names():
            print(f"  {name:18} {studies.get(name).summary}\n  {'':18} example: {studies.get(name).example}")
        return 0
    if options.what.endswith((".yaml", ".yml", ".json")) or Path(options.what).is_file():
        config = read_config(Path(options.what))
    else:
        config = {"study": options.what}
    kind = study_type(config, options.what)
    flags, settings = study_settings(kind, f"superalign run {options.what}", options.rest)
    written = {key: value for key, value in config.items() if key not in settings}
    build_study(written, options.what)  # so that a mistake is blamed on the file only when it is in there
    study = build_study({**config, **settings})
    return _execute(partial(run, study, out=flags.out), flags, study)


def _resume(options: argparse.Namespace) -> int:
    from pathlib import Path

    from superalign.runs import CONFIG, resume, study_of

    folder = Path(options.run)
    study = study_of(folder)
    flags, settings = study_settings(type(study), "superalign resume RUN", options.rest)
    if flags.out is not None:
        raise ConfigError(
            "a run is finished where it is: resume takes no --out", fix=f"superalign run {folder / CONFIG} --out DIR"
        )
    return _execute(partial(resume, folder, settings), flags, study)


def _execute(start: Callable[..., Any], flags: argparse.Namespace, study: Any) -> int:
    """Start (or resume) a run the way the flags say, and print its result; or print its plan alone."""
    from superalign.display import printable, watch
    from superalign.executor import executors
    from superalign.listing import print_plan

    if flags.dry_run:
        return print_plan(study, flags)
    if flags.out == "":
        raise ConfigError("--out names no folder", fix="--out DIR, or leave it out")
    if flags.threads is not None:
        if flags.threads < 1:
            raise ConfigError(f"--threads {flags.threads}: at least 1")
        os.environ["SUPERALIGN_THREADS"] = str(flags.threads)
    executor = executors.build(flags.executor)
    view = watch(quiet=flags.quiet)
    paths: list[str] = []

    def listen(event: str, /, **facts: Any) -> None:
        if event == "done":
            paths.append(facts["report"])
        view(event, **facts)

    with view:
        result = start(executor=executor, listen=listen, sinks=flags.sink)
    _print_result(result, flags.json)
    if not flags.json and not flags.quiet:
        print(f"\nreport: {printable(paths[-1])}")
    return 0


def _print_result(result: Any, as_json: bool) -> None:
    if as_json:
        print(result.model_dump_json(indent=2))
        return
    from rich.console import Console

    from superalign.report import summary

    Console().print(summary(result))


def _show(options: argparse.Namespace) -> int:
    from superalign.runs import load

    _print_result(load(options.run), options.json)
    return 0


def _report(options: argparse.Namespace) -> int:
    from pathlib import Path

    from superalign.display import printable
    from superalign.report import write_report
    from superalign.runs import REPORT, load

    path = Path(options.out) if options.out else Path(options.run)
    path = path / REPORT if path.is_dir() else path
    write_report(load(options.run), path)
    print(printable(path))
    return 0


def _export(options: argparse.Namespace) -> int:
    from superalign.display import printable
    from superalign.export import export

    names = ("role", "method", "arm", "seed", "rate", "format")
    which = {name: getattr(options, name) for name in names}
    print(printable(export(options.run, options.out, options.what, **which)))
    return 0


def _merge(options: argparse.Namespace) -> int:
    from superalign.merging.command import run

    return run(options)


def _audit(options: argparse.Namespace) -> int:
    from pathlib import Path

    from superalign.audit import audit
    from superalign.audit_files import write_audit
    from superalign.config import parse_spec
    from superalign.display import printable, watch
    from superalign.filter import filters
    from superalign.model import models, with_features
    from superalign.task import tasks

    known = parse_spec(options.data)[0] in tasks.names()
    source = tasks.build(options.data if known else f"file:{options.data}")
    model, clean = with_features(models.build(options.model), "--model"), filters.build(options.clean)
    plain = options.data.rpartition("/")[2].partition(",")[0]
    out = Path(options.out or f"{Path(plain.partition(':')[2] or plain).stem}-audit")
    with watch(quiet=options.quiet) as view:
        loaded = source.load()
        model.prepare(_told_to(view))
        view("started", job="", title=f"features of {model}")
        done = audit(
            source,
            model,
            clean=clean,
            seed=options.seed,
            loaded=loaded,
            report=lambda **facts: view("progress", job="", title=f"features of {model}", **facts),
        )
    path = write_audit(done, source, out, loaded)
    if options.json:
        print(done.model_dump_json(indent=2))
    else:
        print("\n".join(printable(line) for line in done.verdict))
        print(f"\nreport: {printable(path)}")
    return 0


def _judge(options: argparse.Namespace) -> int:
    from pathlib import Path

    from superalign.critics._queue import Queue
    from superalign.critics._terminal import ask_people
    from superalign.display import printable

    if not Path(options.queue).is_file():
        raise ConfigError(f"no queue '{options.queue}'", fix="judge with critic human:QUEUE.jsonl first: it makes one")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    held = ask_people(Queue(Path(options.queue)), _line, print)
    for row in held.dropped:
        print(f"left out: {printable(row.where)}: {printable(row.reason)}")
    print(f"{len(held.answers)} answered, {len(held.left)} left")
    return 0


def _line(prompt: str) -> str:
    """Ask for a line."""
    if sys.stdin is None:  # it is closed
        raise EOFError
    return input(prompt)


def _ls(options: argparse.Namespace) -> int:
    from superalign.listing import listing, print_listing

    print_listing(listing(options.what, options.folder), as_json=options.json)
    return 0


def _models_help(options: argparse.Namespace) -> int:
    return main(["models", "--help"])


def _models_fetch(options: argparse.Namespace) -> int:
    from superalign.display import printable, watch
    from superalign.fetch import CATALOG, fetch

    names = [name for name, card in CATALOG.items() if not card.terms] if options.name == "all" else [options.name]
    for name in names:
        with watch(quiet=False) as view:
            path = fetch(name, accept_terms=options.accept_terms, report=_told_to(view))
        print(printable(path))
    return 0


def _told_to(view: View) -> Report:
    return lambda text, done, total: view("preparing", text=text, done=done, total=total)


def _models_list(options: argparse.Namespace) -> int:
    from superalign.listing import embedded_models, print_listing

    print_listing({"embedded models": embedded_models()}, as_json=options.json)
    return 0


def _models_remove(options: argparse.Namespace) -> int:
    from superalign.fetch import remove

    print("removed" if remove(options.name) else f"{options.name} is not in the cache")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from superalign.doctor import examine, print_findings

    findings = examine()
    print_findings(findings, as_json=options.json)
    return 0 if all(finding.ok is not False for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
