"""The panels that cut the test part or the model open: by layer, by difficulty, by confidence."""

from __future__ import annotations

from superalign.report import figures, words
from superalign.report.frame import WHO, Calibrated, Frame, Rows, numbers, share
from superalign.report.markup import Markup, cut, table
from superalign.report.series import Key
from superalign.result import WeakToStrongResult


def layers(frame: Frame[WeakToStrongResult]) -> Markup:
    """Accuracy by layer of the strong model."""
    result = frame.result
    rows: Rows = [[frame.name(p.role, p.method), p.layer, *share(p.accuracy)] for p in result.layers]
    data = table([WHO, *numbers("Layer", "Accuracy", "95% interval")], rows, "Accuracy by layer")
    what = (
        "Probes on single layers of the strong model: students taught by weak labels, ceilings by the truth. "
        "The dashed line is the layer of the study, the band the interval of the weak supervisor."
    )
    drawn = {(p.role, p.method) for p in result.layers}
    keys = [key for key in frame.book if key in drawn or key[0] == "weak"]
    counts = f"{words.plural(len({p.layer for p in result.layers}), 'layer')} of {result.strong.depth}."
    return frame.panel("layers", "By layer", what, figures.layers(result, frame.book), counts, data, keys)


def difficulty(frame: Frame[WeakToStrongResult], which: str, place: int) -> Markup:
    """Accuracy by the tag `which` of the items; `place` numbers its panel."""
    bins = [b for b in frame.result.difficulty if b.tag == which]
    name = cut(which, 40)
    rows: Rows = [
        [
            frame.name(b.role, b.method),
            words.quantity(b.low),
            words.quantity(b.high),
            *share(b.accuracy),
            words.count(b.n),
        ]
        for b in bins
    ]
    columns = [WHO, *numbers("From", "To", "Accuracy", "95% interval", "n")]
    scale = " on a logarithmic scale" if figures.logarithmic([(b.low, b.high) for b in bins]) else ""
    what = f"Test items in bins of {name}{scale}. Each mark stands in the middle of its bin; bands are 95% intervals."
    sizes = list({(b.low, b.high): b.n for b in bins}.values())
    missing = max((s.n for s in frame.result.summary), default=0) - sum(sizes)
    spread = words.count(min(sizes)) if len(set(sizes)) == 1 else f"{min(sizes):,} to {max(sizes):,}"
    counts = f"{words.plural(len(sizes), 'bin')} of {spread} items."
    counts += f" {words.plural(missing, 'item')} without a bin." if missing > 0 else ""
    keys: list[Key] = [(b.role, b.method) for b in bins]
    data, drawing = table(columns, rows, f"Accuracy by {name}"), figures.difficulty(bins, frame.book)
    return frame.panel(f"difficulty-{place}", f"By difficulty: {name}", what, drawing, counts, data, keys)


def calibration(frame: Frame[WeakToStrongResult]) -> Markup:
    """Reliability curve and calibration error of every role and method."""
    curves = [curve for curve in frame.result.reliability if curve.bins]
    rows: Rows = [
        [frame.name(c.role, c.method), words.percent(b.confidence), words.percent(b.accuracy), words.count(b.n)]
        for c in curves
        for b in c.bins
    ]
    low = max(0.0, min((100 * v for c in curves for b in c.bins for v in (b.confidence, b.accuracy)), default=0.0) - 6)
    drawn = [
        Calibrated(who.label, figures.reliability(curve.bins, who, low), words.error(curve.ece))
        for curve in curves
        for who in [frame.book[curve.role, curve.method]]
    ]
    what = (
        "How often an answer is right, by how sure its model is: on the dashed line the two are equal, below it the "
        "model is too sure. Larger marks are more answers. ECE, the expected calibration error, is the mean distance "
        "from the line."
    )
    return frame.calibration(drawn, what, table([WHO, *numbers("Sure", "Right", "Answers")], rows, "Reliability"))
