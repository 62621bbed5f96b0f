"""What the user did wrong, named by the boundary it was caught at: what, where, why, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping


class SuperalignError(Exception):
    """Base of every error a user can cause or mend. The command line prints it without a traceback.

    Args:
        what: one sentence, naming the offending thing.
        where: file:line, config key or run folder.
        why: the cause, when it is not plain from `what`.
        fix: what to do about it.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str | None = None, why: str | None = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what, self.where, self.why, self.fix = what, where, why, fix

    def __str__(self) -> str:
        details = {"where": self.where, "why": self.why, "fix": self.fix}
        return "\n".join([self.what, *(f"  {name}: {text}" for name, text in details.items() if text)])


class ConfigError(SuperalignError):
    """A setting is unknown, of the wrong type, or contradicts another."""


class DataError(SuperalignError):
    """A data set is missing, unreadable, degenerate, or has too many bad rows."""


class ModelError(SuperalignError):
    """A model is missing, not what its pin says, or cannot do what was asked."""


class StoreError(SuperalignError):
    """The store cannot be written (full disk, no permission)."""

    exit_code = 3


class ResumeError(SuperalignError):
    """A run cannot go on as asked: it is locked, not a run, or its settings changed."""


class MissingExtraError(SuperalignError):
    """An optional dependency is not installed."""


class JobError(SuperalignError):
    """A job failed for a reason that is not the user's; what finished stays in the store."""

    exit_code = 1


class SealedGoldError(SuperalignError):
    """Something that may not see ground truth tried to read it."""

    exit_code = 1


MOST = 12  # arguments that are listed with the names


def did_you_mean(name: str, known: Iterable[str], written: Mapping[str, str] | None = None) -> str:
    """Return a hint: the nearest valid name, or the list of valid names when none is near.

    Args:
        name: what the user wrote.
        known: valid names.
        written: further names, and how each is written in full.
    """
    names = {valid: valid for valid in known}
    forms = {**(written or {}), **names}
    close = difflib.get_close_matches(name, sorted(forms), n=1, cutoff=0.5)
    if close:
        return f"did you mean '{forms[close[0]]}'?"
    listed = forms if len(written or {}) <= MOST else names
    return f"one of: {', '.join(sorted(listed.values()))}"


def require(module: str, extra: str) -> None:
    """Raise MissingExtraError, naming the extra to install, unless `module` can be imported."""
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise MissingExtraError(
            f"this needs '{module}', which is not installed", fix=f"pip install 'superalign[{extra}]'"
        )
