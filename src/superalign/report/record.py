"""What was left out and why, and all that reproduces the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from superalign.report import words
from superalign.report.finding import left_out
from superalign.report.frame import Rows
from superalign.report.markup import Column, Markup, clean, cut, join, passage, table, tag
from superalign.report.results import Shown

CONFIG_LIMIT = 100_000


def omissions(result: Shown) -> Markup:
    """Return what is not in the figures, and why."""
    items = [tag("li", cut(why, 400)) for item in left_out(result) for why in item.why]
    if not items:
        items = [tag("li", "Nothing: no row was quarantined, no text cut, no job failed.")]
    rows: Rows = [[tag("code", cut(row.where, 200)), passage(row.reason)] for row in result.task.dropped_rows]
    listed = table([Column("Where"), Column("Why")], rows, "Quarantined rows")
    more = result.task.dropped - len(rows)
    rest = tag("p", f"{words.plural(more, 'more row')} not listed.", class_="beside") if more > 0 else None
    quarantined = join(tag("h3", "Quarantined rows"), listed, rest) if rows else None
    warnings = tag("ul", *(tag("li", passage(text, 400)) for text in result.task.warnings))
    warned = join(tag("h3", "Warnings about the data"), warnings) if result.task.warnings else None
    head = tag("h2", "What was left out, and why")
    return tag("section", head, tag("ul", *items), quarantined, warned, id="left-out")


def reproduction(result: Shown) -> Markup:
    """Return the exact settings, their digest, the command, the models' fingerprints and the versions."""
    jobs = result.jobs
    done = (
        f"{words.plural(jobs.total, 'job')}: {jobs.computed:,} computed, {jobs.reused:,} from the store, "
        f"{jobs.failed:,} failed; {words.duration(result.seconds)}. Result schema {result.schema_version}."
    )
    return tag(
        "section",
        tag("h2", "Reproduce"),
        tag("p", "Save the settings below as ", tag("code", "config.yaml"), " and run:", class_="what"),
        tag("pre", tag("code", "superalign run config.yaml")),
        tag("pre", tag("code", settings(result.config))),
        tag("p", "SHA-256 of the settings ", tag("code", result.config_sha256), class_="beside"),
        tag("p", done, class_="beside"),
        tag("div", *_provenance(result), class_="pair"),
        id="reproduce",
    )


def settings(config: Mapping[str, Any]) -> str:
    """Return settings as YAML; hidden characters in it are written as escapes, so that it stays exact."""
    import yaml

    text = str(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True, width=100))
    if clean(text) != text:
        text = str(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=False, width=100))
    return cut(text, CONFIG_LIMIT)


def _provenance(result: Shown) -> tuple[Markup, Markup]:
    models: Rows = [
        [cut(model.spec, 120), tag("code", model.fingerprint[:16], title=model.fingerprint), words.count(model.tokens)]
        for model in result.models
    ]
    columns = [Column("Model"), Column("Fingerprint"), Column("Tokens read", number=True)]
    versions: Rows = [[cut(name, 60), cut(version, 120)] for name, version in result.versions.items()]
    read = tag("div", tag("h3", "Models"), table(columns, models, "Models"))
    packages = table([Column("Package"), Column("Version")], versions, "Versions")
    return read, tag("div", tag("h3", "Versions"), packages)
