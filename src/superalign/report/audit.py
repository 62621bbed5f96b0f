"""The report of a label audit: one HTML file that needs nothing else. All texts of the data are escaped."""

from __future__ import annotations

import numpy as np

from superalign.audit import Audit, AuditedRow
from superalign.report import svg, words
from superalign.report.chart import rows_of_dots
from superalign.report.document import contents, document
from superalign.report.marks import Axis, Dot, Spec
from superalign.report.markup import Child, Column, Markup, cut, passage, table, tag
from superalign.report.series import CONTROL, STUDENTS, WEAK

ROWS_SHOWN, CLASSES_SHOWN, LEFT_OUT_SHOWN, REASONS = 200, 20, 100, 400
CONTENTS = {"result": "Result", "suspicious": "Suspicious rows", "classes": "Classes", "filters": "Filters"}
CONTENTS |= {"left-out": "Left out", "method": "Method"}
Rows = list[list[Child]]


def render(audit: Audit) -> str:
    """Return the report of an audit as HTML."""
    title = headline(audit)
    return document(
        f"{title} · {audit.task.name}",
        contents("label audit", CONTENTS),
        _masthead(audit, title),
        tag("section", _cards(audit), _verdict(audit), _figure(audit), id="result"),
        _suspicious(audit),
        _classes(audit),
        _filters(audit),
        _left_out(audit),
        _method(audit),
    )


def headline(audit: Audit) -> str:
    """Say the finding in one line."""
    what = "preferences" if audit.task.pairwise else "labels"
    if audit.noise.rate.high < 0.01:
        return f"Fewer than 1% of the {what} look wrong"
    return f"About {words.percent(audit.noise.rate.value)} of the {what} are wrong"


def _masthead(audit: Audit, title: str) -> Markup:
    kind = "comparison" if audit.task.pairwise else "example"
    setup = {
        "Data": f"{cut(audit.task.name, 80)}, {words.plural(audit.task.rows, kind)}",
        "Judged by": f"{cut(audit.model.spec, 80)}, layer {audit.model.layer}",
        "Cleaned by": cut(audit.cleaning, 80),
        "Run": words.duration(audit.seconds),
    }
    rows = [tag("div", tag("dt", name), tag("dd", text)) for name, text in setup.items()]
    flags = [
        tag("p", tag("span", "Warning", class_="badge"), f" {cut(words.prose(flag), 600)}", class_="flag", role="note")
        for flag in audit.flags
    ]
    return tag("header", tag("h1", title), tag("dl", *rows, class_="setup"), *flags)


def _cards(audit: Audit) -> Markup:
    noise, n = audit.noise, audit.task.rows
    suspicious, apart = len(audit.suspicious), n - audit.kept
    cards = [
        ("Estimated wrong", words.percent(noise.rate.value), f"95% {words.percents(noise.rate)}", WEAK.name),
        ("Suspicious rows", words.count(suspicious), f"{words.percent(suspicious / n)} of {words.count(n)}", "ink"),
        ("Set apart", words.count(apart), f"{words.percent(apart / n)}, {words.count(audit.kept)} kept", "student-1"),
        ("Model agrees", words.percent(noise.agreement), "with labels of rows it never saw", CONTROL.name),
    ]
    made = [
        tag(
            "div",
            tag("h2", name),
            tag("p", value, class_="big"),
            tag("p", note, class_="interval"),
            class_="card",
            style=f"--key:var(--{colour})",
        )
        for name, value, note, colour in cards
    ]
    return tag("div", *made, class_="cards")


def _verdict(audit: Audit) -> Markup:
    return tag("ul", *(tag("li", cut(words.prose(text), 600)) for text in audit.verdict), class_="verdict")


def _figure(audit: Audit) -> Markup | None:
    if not svg.available():
        return tag("p", "Figures need the extra 'report' (vl-convert-python).", class_="flag", role="note")
    what = (
        "The estimate with its 95% interval, above the share of rows that each filter would drop or relabel. Filters "
        "far beyond the estimate take right labels with the wrong ones."
    )
    caption = tag("figcaption", tag("h3", "Estimated noise and the filters"), tag("p", what, class_="what"))
    try:
        drawing = svg.draw(_spec(audit), "noise", "Estimated noise and filters. The tables below hold the numbers.")
    except ValueError as error:  # a figure that fails must not cost the reader the rest
        drawing = tag("p", f"This figure could not be drawn: {cut(str(error), 200)}", class_="flag", role="note")
    return tag("div", tag("section", tag("figure", caption, drawing), class_="panel", id="noise"), class_="grid")


def _spec(audit: Audit) -> Spec:
    rate = audit.noise.rate
    tip = f"estimate: {words.percent(rate.value)} {words.percents(rate)}"
    text = words.percent(rate.value, unit=False)
    dots = [Dot("estimated wrong", 100 * rate.value, 100 * rate.low, 100 * rate.high, WEAK.light, tip, text=text)]
    for one in audit.filters:
        if one.refused is None:
            at, tip = 100 * one.share, f"{one.name}: {words.percent(one.share)}"
            colour = STUDENTS[0 if one.dropped else 1].light
            dots.append(Dot(one.name, at, at, at, colour, tip, text=words.percent(one.share, unit=False)))
    high = max(dot.high for dot in dots)
    return rows_of_dots(dots, Axis("share of the rows, %", 0, min(100.0, 1.1 * high + 1)))


def _suspicious(audit: Audit) -> Markup:
    found = audit.suspicious
    shown = found[:ROWS_SHOWN]
    rows: Rows = [_row(row) for row in shown]
    columns = [Column("Where"), Column("Text"), Column("Given"), Column("Likely"), Column("Wrong", number=True)]
    columns.append(Column("Why"))
    rest = len(found) - len(shown)
    more = tag("p", f"{words.plural(rest, 'more row')} in audit.csv.", class_="beside") if rest > 0 else None
    listed = table(columns, rows, "Suspicious rows") if rows else tag("p", "None.")
    what = "The surest first. 'Wrong' is the probability that the given label is, under the estimated noise."
    return tag("section", tag("h2", "Suspicious rows"), tag("p", what, class_="what"), listed, more, id="suspicious")


def _row(row: AuditedRow) -> list[Child]:
    why = tag("ul", *(tag("li", cut(reason, REASONS)) for reason in row.reasons))
    given, likely = (tag("bdi", cut(name, 60)) for name in (row.given, row.likely))
    return [tag("code", cut(row.where, 80)), passage(row.text), given, likely, words.percent(row.chance_wrong), why]


def _classes(audit: Audit) -> Markup:
    ranked = sorted(audit.classes, key=lambda one: -one.given)
    rows: Rows = [
        [tag("bdi", cut(c.name, 60)), words.count(c.given), words.count(round(c.expected)), words.count(c.set_apart)]
        for c in ranked[: 3 * CLASSES_SHOWN]
    ]
    columns = [Column("Class"), *(Column(name, number=True) for name in ("Given", "Expected", "Set apart"))]
    parts: list[Child] = [tag("h2", "Classes"), table(columns, rows, "Classes")]
    if len(ranked) > len(rows):
        parts.append(
            tag("p", f"{words.plural(len(ranked) - len(rows), 'smaller class')} in audit.json.", class_="beside")
        )
    parts += [tag("h3", "How true classes are labelled"), _transition(audit)]
    return tag("section", *parts, id="classes")


def _transition(audit: Audit) -> Markup:
    names, matrix = audit.task.classes, np.array(audit.noise.transition)
    if len(names) <= 8:
        columns = [Column("True class"), *(Column(cut(f"labelled {name}", 40), number=True) for name in names)]
        rows: Rows = [
            [tag("bdi", cut(name, 60)), *(words.percent(share) for share in line)]
            for name, line in zip(names, matrix.tolist(), strict=True)
        ]
        return table(columns, rows, "Transition matrix")
    wrong = matrix * np.array(audit.noise.prior)[:, None] * (1 - np.eye(len(names)))
    order = np.argsort(-wrong, axis=None, kind="stable")[:CLASSES_SHOWN]
    cells = [np.unravel_index(int(place), wrong.shape) for place in order]
    pairs: Rows = [
        [tag("bdi", cut(names[i], 60)), tag("bdi", cut(names[j], 60)), words.percent(float(wrong[i, j]))]
        for i, j in cells
    ]
    columns = [Column("True class"), Column("Labelled"), Column("Share of all rows", number=True)]
    return table(columns, pairs, "Commonest mistakes")


def _filters(audit: Audit) -> Markup:
    rows: Rows = [
        [
            tag("code", one.name),
            words.count(one.dropped) if one.refused is None else "refused",
            words.count(one.relabelled) if one.refused is None else words.NONE,
            words.percent(one.share) if one.refused is None else words.NONE,
            cut(one.refused or one.source, 160),
        ]
        for one in audit.filters
    ]
    columns = [Column("Filter"), *(Column(name, number=True) for name in ("Drops", "Relabels", "Share"))]
    listed = table([*columns, Column("Source")], rows, "Filters")
    return tag("section", tag("h2", "What each filter would do"), listed, id="filters")


def _left_out(audit: Audit) -> Markup:
    ranked = sorted(audit.task.left_out, key=lambda row: "different labels" not in row.reason)
    rows: Rows = [[tag("code", cut(row.where, 200)), passage(row.reason)] for row in ranked[:LEFT_OUT_SHOWN]]
    listed = table([Column("Where"), Column("Why")], rows, "Rows left out") if rows else tag("p", "No row.")
    rest = len(audit.task.left_out) - len(rows)
    more = tag("p", f"{words.plural(rest, 'more row')} in dropped.jsonl.", class_="beside") if rest > 0 else None
    warnings = tag("ul", *(tag("li", passage(text, 400)) for text in audit.task.warnings))
    warned = tag("div", tag("h3", "Warnings about the data"), warnings) if audit.task.warnings else None
    return tag("section", tag("h2", "Left out while reading"), listed, more, warned, id="left-out")


def _method(audit: Audit) -> Markup:
    noise = audit.noise
    sharpening = words.NONE if noise.sharpening is None else words.ratio(noise.sharpening)
    facts = {
        "Estimate": f"method {noise.method}, structure {noise.structure}, sharpening {sharpening}",
        "Plain confident learning": f"{words.percent(noise.confident_rate)}: takes what a weak model misses for wrong",
        "Probes": "linear, on frozen features; five folds, related rows together; every row judged by one that never "
        "saw it",
        "Model": f"{cut(audit.model.spec, 120)}, fingerprint {audit.model.fingerprint[:16]}, "
        f"{words.count(audit.model.truncated)} texts cut",
        "Settings": f"seed {audit.seed}, SHA-256 {audit.config_sha256}, schema {audit.schema_version}",
    }
    rows = [tag("div", tag("dt", name), tag("dd", text)) for name, text in facts.items()]
    return tag("section", tag("h2", "Method"), tag("dl", *rows, class_="method"), id="method")
