"""Superalignment you can run: align a strong model with weaker supervision, and measure what was recovered.

>>> from superalign import WeakToStrong, run
>>> result = run(WeakToStrong(task="facts,cities=400", seeds=2))  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from superalign.attack_result import AttackResult
    from superalign.balance_result import BalanceResult
    from superalign.critic import Critic
    from superalign.critic_result import CriticEvalResult
    from superalign.deception_result import DeceptionResult
    from superalign.errors import SuperalignError
    from superalign.fit import Fit
    from superalign.label import Labels
    from superalign.model import Model
    from superalign.noise_result import LabelNoiseResult
    from superalign.objective import Objective
    from superalign.recommend_result import RecommendResult
    from superalign.result import WeakToStrongResult
    from superalign.runs import load, resume, run
    from superalign.scaling_result import ScalingResult
    from superalign.store import Store
    from superalign.structure_result import ErrorLabResult
    from superalign.studies.attack import AttackStudy
    from superalign.studies.balance import Balance
    from superalign.studies.critic_eval import CriticEval
    from superalign.studies.deception import Deception
    from superalign.studies.error_lab import ErrorLab
    from superalign.studies.label_noise import LabelNoise
    from superalign.studies.recommend import Recommend
    from superalign.studies.scaling import Scaling
    from superalign.studies.weak_to_strong import WeakToStrong
    from superalign.study import Study
    from superalign.supervisor import Supervisor
    from superalign.task import Comparison, Example, Gold, Task, TaskSource

__version__ = "0.1.0"
__all__ = [
    "AttackResult",
    "AttackStudy",
    "Balance",
    "BalanceResult",
    "Comparison",
    "Critic",
    "CriticEval",
    "CriticEvalResult",
    "Deception",
    "DeceptionResult",
    "ErrorLab",
    "ErrorLabResult",
    "Example",
    "Fit",
    "Gold",
    "LabelNoise",
    "LabelNoiseResult",
    "Labels",
    "Model",
    "Objective",
    "Recommend",
    "RecommendResult",
    "Scaling",
    "ScalingResult",
    "Store",
    "Study",
    "SuperalignError",
    "Supervisor",
    "Task",
    "TaskSource",
    "WeakToStrong",
    "WeakToStrongResult",
    "load",
    "resume",
    "run",
]

_HOMES = {
    "attack_result": ("AttackResult",),
    "balance_result": ("BalanceResult",),
    "critic": ("Critic",),
    "critic_result": ("CriticEvalResult",),
    "deception_result": ("DeceptionResult",),
    "errors": ("SuperalignError",),
    "fit": ("Fit",),
    "label": ("Labels",),
    "model": ("Model",),
    "objective": ("Objective",),
    "recommend_result": ("RecommendResult",),
    "result": ("WeakToStrongResult",),
    "noise_result": ("LabelNoiseResult",),
    "runs": ("load", "resume", "run"),
    "scaling_result": ("ScalingResult",),
    "store": ("Store",),
    "structure_result": ("ErrorLabResult",),
    "studies.attack": ("AttackStudy",),
    "studies.balance": ("Balance",),
    "studies.weak_to_strong": ("WeakToStrong",),
    "studies.critic_eval": ("CriticEval",),
    "studies.error_lab": ("ErrorLab",),
    "studies.deception": ("Deception",),
    "studies.label_noise": ("LabelNoise",),
    "studies.recommend": ("Recommend",),
    "studies.scaling": ("Scaling",),
    "study": ("Study",),
    "supervisor": ("Supervisor",),
    "task": ("Comparison", "Example", "Gold", "Task", "TaskSource"),
}
_WHERE = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `superalign --help` stays fast."""
    if name not in _WHERE:
        raise AttributeError(f"module 'superalign' has no attribute '{name}'")
    return getattr(import_module(f"superalign.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
