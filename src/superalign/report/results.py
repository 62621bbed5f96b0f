"""The results that a report can show."""

from __future__ import annotations

from superalign.critic_result import CriticEvalResult
from superalign.noise_result import LabelNoiseResult
from superalign.result import WeakToStrongResult

Shown = WeakToStrongResult | LabelNoiseResult | CriticEvalResult
