"""About how many tokens the jobs of the study of balance read and train on; no model is run."""

from __future__ import annotations

from collections.abc import Iterator

from superalign.fit import fits
from superalign.fits._finetune import FineTune
from superalign.job import Job
from superalign.loop_estimate import Share, Texts


def shares(job: Job, texts: Texts) -> Iterator[Share]:
    """Yield what a job asks of the model; nothing of a job that asks none."""
    params, name = job.params, job.step.name.rpartition(":")[2]
    drawn = [one.params for key, one in job.inputs.items() if key.startswith("axis")]
    if name == "draw_axis":
        items = params["pairs"] + params["validation"] + params["test"]
        yield Share("pairs and probes", params["model"], items * texts.plain)
    elif name == "teach_pairs":
        fit = fits.build(params["fit"])
        epochs = fit.epochs if isinstance(fit, FineTune) else 1
        yield Share("learning", params["model"], trained=job.inputs["mixed"].params["budget"] * texts.attack * epochs)
    elif name in ("ask_axes", "ask_merged"):
        asked = sum(one["validation"] + one["test"] for one in drawn)
        yield Share("merges" if name == "ask_merged" else "probes", params["model"], asked * texts.attack)
    elif name == "weigh_pairs":
        yield Share("rewards of pairs", params["model"], sum(one["pairs"] for one in drawn) * texts.attack)
