"""Fills the templates of this package; everything that comes from a film is escaped."""

from collections.abc import Mapping

import jinja2

from aggpose_jax.timeseries.findings import Level

STYLES = {level.words: style for level, style in zip(Level, ("usable", "limited", "unusable"), strict=True)}


def fill(template: str, values: Mapping[str, object]) -> str:
    """Returns a template with its values. Characters that UTF-8 cannot encode, as in names of files, become "?"."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("aggpose_jax.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values).encode(errors="replace").decode()
