"""Writes the findings of an audit as audit.json, and as audit.html, a page of one file that needs no network."""

import base64
import dataclasses
import html
import pathlib
import string
from collections.abc import Sequence

from aggpose_jax import io
from aggpose_jax.data.audit import Audit
from aggpose_jax.data.audit.findings import KINDS, Finding
from aggpose_jax.data.audit.thumbnails import Thumbnails

SHOWN = 12  # findings of a kind on the page; with the number of kinds this limits the page to less than 10 MB

PAGE = string.Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Audit of $name</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1080px; padding: 16px }
body { color: #222; background: #fff }
h1, code { overflow-wrap: anywhere }
table { border-collapse: collapse; display: block; overflow-x: auto }
th, td { padding: 4px 12px 4px 0; text-align: left; border-bottom: 1px solid #ddd }
ul { list-style: none; padding: 0; display: grid; gap: 16px }
ul { grid-template-columns: repeat(auto-fill, minmax(min(280px, 100%), 1fr)) }
li { border: 1px solid #ddd; border-radius: 8px; padding: 12px; overflow-wrap: anywhere }
img { display: block; max-width: 100%; max-height: 320px; margin: 0 auto 8px }
p { margin: 0 0 8px } small { color: #595959 }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #181818 } th, td, li { border-color: #444 } small { color: #aaa } a { color: #8bf }
}
</style>
</head>
<body>
<h1>Audit of $name</h1>
<table><thead><tr><th>split<th>images<th>without annotation<th>persons<th>unlabelled</tr></thead><tbody>
$sizes</tbody></table>
<p>$summary</p>
$contents
$sections</body>
</html>
""")
SECTION = string.Template("""\
<section id="$kind">
<h2>$heading: $count</h2>
<ul>
$items</ul>
$more</section>
""")
ITEM = string.Template("<li>$picture<p>$text</p><small>$where</small></li>\n")


def write_report(audit: Audit, out: pathlib.Path) -> None:
    """Writes audit.json, with all findings, and audit.html, with the first of each kind, into a folder.

    Each file appears completely or not at all, and replaces that of an earlier audit.

    Raises:
      OSError: a file cannot be written.
    """
    findings = [dataclasses.asdict(finding) for finding in audit.findings]
    content = {
        "directory": str(audit.directory),
        "splits": audit.sizes(),
        "counts": audit.counts(),
        "findings": findings,
    }
    io.write_json(out / "audit.json", content, indent=1)
    io.write_text(out / "audit.html", page(audit))


def page(audit: Audit) -> str:
    """Returns the report as a page of HTML, with pictures in it and everything from the data set escaped."""
    thumbnails = Thumbnails(audit)
    sections, contents = [], []
    for kind, count in audit.counts().items():
        of_kind = [finding for finding in audit.findings if finding.kind == kind]
        sections.append(_section(kind, of_kind, thumbnails))
        contents.append(f'<li><a href="#{kind}">{html.escape(_heading(kind))}: {count}</a></li>')
    rows = [
        f"<tr><td>{html.escape(name)}" + "".join(f"<td>{number}" for number in numbers.values()) + "</tr>\n"
        for name, numbers in audit.sizes().items()
    ]
    text = PAGE.substitute(
        name=html.escape(audit.directory.resolve().name),
        sizes="".join(rows),
        summary=f"{len(audit.findings)} findings; audit.json has all of them." if sections else "Nothing was found.",
        contents=f"<nav><ul>{''.join(contents)}</ul></nav>" if contents else "",
        sections="".join(sections),
    )
    return text.encode(errors="replace").decode()  # Names of files need not be text that can be encoded.


def _section(kind: str, findings: Sequence[Finding], thumbnails: Thumbnails) -> str:
    more = len(findings) - SHOWN
    return SECTION.substitute(
        kind=kind,
        count=len(findings),
        heading=html.escape(_heading(kind)),
        items="".join(_item(finding, thumbnails.draw(finding)) for finding in findings[:SHOWN]),
        more=f"<p>and {more} more in audit.json</p>\n" if more > 0 else "",
    )


def _heading(kind: str) -> str:
    return KINDS[kind][0].upper() + KINDS[kind][1:]


def _item(finding: Finding, jpeg: bytes | None) -> str:
    where = f"{finding.split}/{finding.file_name}"
    shown = f"{where} and {finding.other}" if finding.other else where
    person = "" if finding.annotation_id is None else f"person {finding.annotation_id} in "
    alternative = html.escape(f"{_heading(finding.kind)}: {person}{shown}")
    data = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" if jpeg else ""
    ids = [
        f"{noun} {id}"
        for noun, id in (("image", finding.image_id), ("annotation", finding.annotation_id))
        if id is not None
    ]
    return ITEM.substitute(
        picture=f'<img src="{data}" alt="{alternative}">' if jpeg else "",
        text=html.escape(finding.text),
        where=html.escape(" · ".join([where, *ids])),
    )
