"""The verb `aggpose prepare audit`: finds faults of a data set before a network is trained on it."""

import argparse

from aggpose_jax import cli
from aggpose_jax.data.audit import Audit, audit_directory
from aggpose_jax.data.audit.findings import KINDS
from aggpose_jax.data.audit.report import write_report
from aggpose_jax.errors import UserError


def audit(arguments: argparse.Namespace) -> None:
    """Finds leaks between splits, faulty files and labels that are probably wrong in a data set.

    Prints the number of findings of each kind, and writes all to audit.json and, with pictures, to audit.html. The exit
    status is 1 if anything is found.
    """
    out = arguments.out or arguments.directory / "audit"
    result = audit_directory(arguments.directory, arguments.splits)
    write_report(result, out)
    _print_summary(result)
    print(f"report: {out / 'audit.html'}")
    if result.findings:
        found = len(result.findings)
        text = f"{found} finding{'' if found == 1 else 's'} in {arguments.directory}; see {out / 'audit.html'}"
        raise UserError(text)


def _print_summary(result: Audit) -> None:
    for name, sizes in result.sizes().items():
        print(
            f"{name}: {sizes['images']:,} images, {sizes['images_without_annotation']:,} of them without annotation; "
            f"{sizes['persons']:,} persons, {sizes['unlabelled_persons']:,} of them unlabelled"
        )
    for kind, count in result.counts().items():
        print(f"{KINDS[kind]}: {count:,}")
    if not result.findings:
        print("nothing was found")


def add_audit(parser: cli.Parser) -> None:
    """Adds the verb to the parser of `aggpose prepare`."""
    verb = parser.add_verb("audit", audit, ["data/infant_pose", "data/coco --splits val2017 --out audit"])
    verb.add_argument("directory", type=cli.path, metavar="DIR", help="annotations/ and a folder for each split")
    verb.add_argument("--splits", nargs="+", metavar="SPLIT", help="names of the splits (all)")
    verb.add_argument("--out", type=cli.path, metavar="FOLDER", help="folder of the report (DIR/audit)")
