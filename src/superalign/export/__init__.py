"""What leaves a run: the learner as peft and transformers load it, or its labels as TRL reads them."""

from superalign.export.labels import FORMATS, export_labels
from superalign.export.learner import export_learner

__all__ = ["FORMATS", "export_labels", "export_learner"]
