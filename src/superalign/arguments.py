"""Reading the words of a command line: a mistake is explained, with the nearest valid flag or command."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NoReturn

from superalign.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from superalign.study import Study

LISTS = (
    "studies",
    "tasks",
    "models",
    "objectives",
    "fits",
    "filters",
    "noises",
    "structures",
    "ensembles",
    "attacks",
    "critics",
    "aims",
    "updates",
    "axes",
    "merge-methods",
    "executors",
    "sinks",
    "runs",
)


class Parser(argparse.ArgumentParser):
    """argparse whose complaints name the nearest valid flag or command and come as ConfigError."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **kwargs})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, naming the nearest flag when one is unknown to this very command."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            flag = unknown[0].partition("=")[0]
            raise ConfigError(f"unknown argument '{flag}' for '{self.prog}'", fix=self._hint(flag))
        return found, unknown

    def _hint(self, flag: str) -> str:
        if self._actions[-1].nargs == argparse.REMAINDER:
            return f"settings come after {self._actions[-2].metavar}"
        known = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
        named = flag.startswith("-") and len(flag) > 2  # not a letter, which is near to nothing
        return did_you_mean(flag, known) if named else f"see {self.prog} --help"

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting; a bad choice gets the nearest valid one."""
        for action in self._actions:
            if "invalid choice" in message and action.choices is not None:
                wrong = message.split("'")[1]
                if wrong not in action.choices:
                    raise ConfigError(f"'{self.prog}' does not know '{wrong}'", fix=did_you_mean(wrong, action.choices))
        raise ConfigError(f"{self.prog}: {message}", fix=f"see {self.prog} --help")


def study_settings(
    study: type[Study[Any, Any]], program: str, words: list[str]
) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Parse the flags of a study: one for each of its fields, and those that say how to run it."""
    flags = Parser(prog=program, description=study.__doc__, epilog=f"example: {study.example}")
    fields = flags.add_argument_group("settings (they decide the results)")
    for name, field in study.model_fields.items():
        many = isinstance(field.default, tuple)
        text = " ".join(map(str, field.default)) if many else field.default
        fields.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            nargs="+" if many else None,
            metavar=name.upper(),
            help=f"{' '.join((field.description or '').split())} Default: {text}".replace("%", "%%"),
        )
    if study.quick:
        small = " ".join(
            f"--{name.replace('_', '-')} {' '.join(map(str, value)) if isinstance(value, (list, tuple)) else value}"
            for name, value in study.quick.items()
        )
        fields.add_argument("--quick", action="store_true", help=f"a small run: {small}, where they are not given")
    how = flags.add_argument_group("how to run it (no influence on the results)")
    how.add_argument("--out", metavar="DIR", help="the run's folder (default: runs/STUDY-DIGEST)")
    how.add_argument("--executor", default="in-process", help="pool,workers=N, slurm or ray (default: in-process)")
    how.add_argument("--sink", action="append", default=[], help="show it in a tool, such as tensorboard; repeatable")
    how.add_argument("--threads", type=int, metavar="N", help="threads a process (default: all usable cores)")
    how.add_argument("--quiet", action="store_true", help="no progress")
    how.add_argument("--json", action="store_true", help="print the result as JSON")
    how.add_argument("--dry-run", action="store_true", help="print the plan and about what it takes; run no model")
    how.add_argument("--price-per-hour", type=float, metavar="X", help="of this machine, for the cost in a dry run")
    how.add_argument(
        "--tokens-per-second", type=float, metavar="N", help="that the learner reads here, for the hours in a dry run"
    )
    found = flags.parse_args(words)
    _check_rates(found)
    given = {name: value for name in study.model_fields if (value := getattr(found, name)) is not None}
    return found, {**study.quick, **given} if study.quick and found.quick else given


def _check_rates(flags: argparse.Namespace) -> None:
    """Refuse rates that are none, or that nothing would be made of."""
    for name in ("price_per_hour", "tokens_per_second"):
        value, flag = getattr(flags, name), f"--{name.replace('_', '-')}"
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"{flag} {value:g}: a positive number")
        if value is not None and not flags.dry_run:
            raise ConfigError(f"{flag} is for a dry run", fix=f"--dry-run {flag} {value:g}")


def add_export(export: Parser) -> None:
    """Give `superalign export` its arguments."""
    export.add_argument("run", metavar="RUN", help="the run's folder")
    export.add_argument("out", metavar="OUT", help="folder to write")
    export.add_argument(
        "--what",
        choices=("adapter", "labels", "log"),
        default="adapter",
        help="adapter: what a learner learnt (a PEFT adapter for lora, a model for full, a head for probe); "
        "labels: what it learnt from; log: the exam of a loop, for inspect (default: adapter)",
    )
    export.add_argument("--role", help="student, ceiling, control or weak (default: student)")
    export.add_argument("--method", help="the objective, as the run names it; needed when there are several")
    export.add_argument("--arm", help="which arm, in a run of loop (default: full)")
    export.add_argument("--seed", type=int, help="which seed (default: the first)")
    export.add_argument("--rate", type=float, help="which rate of noise, in a run of label-noise")
    export.add_argument(
        "--format",
        help="of labels: trl, or trl-messages for texts as chat messages (default: trl; of a loop: trl-messages)",
    )


def add_merge(merge: Parser) -> None:
    """Give `superalign merge` its arguments."""
    merge.add_argument("config", metavar="CONFIG.yaml", help="what to merge, and how (docs/merging.md)")
    merge.add_argument("out", metavar="OUT", help="folder to write")
    merge.add_argument("--threads", type=int, metavar="N", help="tensors at a time (default: all usable cores)")
    merge.add_argument("--dry-run", action="store_true", help="open and compare the models, and say what would be done")
    merge.add_argument("--quiet", action="store_true", help="no progress")


def add_audit(audit: Parser) -> None:
    """Give `superalign audit-labels` its arguments."""
    audit.add_argument("data", metavar="DATA", help="a file (csv, jsonl, parquet), or a task such as hf:ID,split=train")
    audit.add_argument("--model", default="embedded:minilm", help="whose features judge (default: embedded:minilm)")
    audit.add_argument(
        "--clean", default="posterior", metavar="FILTER", help="decides what is kept (default: posterior)"
    )
    audit.add_argument("--seed", type=int, default=0, help="of the folds and the bootstrap (default: 0)")
    audit.add_argument("--out", metavar="DIR", help="folder to write to (default: DATA's name with -audit)")
    audit.add_argument("--quiet", action="store_true", help="no progress")
    audit.add_argument("--json", action="store_true", help="print the audit as JSON")


def add_judge(judge: Parser) -> None:
    """Give `superalign judge` its arguments."""
    judge.add_argument("queue", metavar="QUEUE.jsonl", help="the file of critic human:QUEUE.jsonl")
