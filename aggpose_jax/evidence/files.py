"""The files of an evaluation: metrics.json, results.json, persons.csv and card.md."""

import pathlib
from collections.abc import Mapping
from typing import Any

from aggpose_jax import io
from aggpose_jax.errors import UserError
from aggpose_jax.estimation.evaluation import Evaluation
from aggpose_jax.evidence import examination, persons
from aggpose_jax.evidence.examination import Examination
from aggpose_jax.evidence.persons import PERSONS


def write(
    evaluation: Evaluation,
    out: pathlib.Path,
    examined: Examination | None = None,
    added: Mapping[str, Any] | None = None,
    card_text: str | None = None,
) -> None:
    """Writes an evaluation to the folder `out`: metrics.json and results.json (COCO).

    With an examination, metrics.json has its metrics as `evidence` and the further keys of `added`, and persons.csv is
    written.
    `card_text` becomes card.md.
    """
    metrics: dict[str, object] = {"metrics": evaluation.metrics, "keypoints": evaluation.keypoints}
    if evaluation.openpose:
        metrics["openpose"] = evaluation.openpose._asdict()
    if examined:
        metrics |= {"evidence": examination.as_json(examined)} | dict(added or {})
    try:
        io.write_json(out / "metrics.json", metrics, indent=2)
        io.write_json(out / "results.json", evaluation.results)
        if examined:
            persons.write(examined.persons, out / PERSONS)
        if card_text is not None:
            io.write_text(out / "card.md", card_text)
    except OSError as error:
        raise UserError(f"{out}: cannot write ({error.strerror}); give another --out") from None
