"""What leaves a run: the learner as peft and transformers load it, its labels as TRL reads them, a log for inspect."""

from superalign.export.exporting import export
from superalign.export.feedback import export_feedback
from superalign.export.inspect_log import export_log
from superalign.export.labels import FORMATS, export_labels
from superalign.export.learner import export_learner
from superalign.export.loop_learner import export_loop_learner

__all__ = [
    "FORMATS",
    "export",
    "export_feedback",
    "export_labels",
    "export_learner",
    "export_log",
    "export_loop_learner",
]
