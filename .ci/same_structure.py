"""Lists the Python files whose code differs from that of a commit in more than names, strings and docstrings.

python .ci/same_structure.py COMMIT PATH …

A change of wording alone lists none. Numbers, operators, calls and the order of statements count. Imports do not, nor
do the words of f-strings and the order of their placeholders. Files that git sees as renamed are compared with their
old path.
"""

import ast
import pathlib
import subprocess
import sys

NAMES = {"name", "id", "attr", "arg", "module", "asname", "names", "ctx", "type_comment", "rest", "kwd_attrs", "kind"}


def git(*arguments: str) -> str:
    """Returns the output of a git command."""
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout


def is_text(node: ast.AST) -> bool:
    """True for docstrings and imports, which are not compared."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return isinstance(node.value.value, str)
    return isinstance(node, ast.Import | ast.ImportFrom)


def structure(node):
    """Returns a syntax tree as nested lists, without names and strings."""
    if isinstance(node, ast.JoinedStr):
        placeholders = [part for part in node.values if isinstance(part, ast.FormattedValue)]
        found = sorted(repr([structure(p.value), p.conversion, structure(p.format_spec)]) for p in placeholders)
        return ["str", found] if found else ["str"]
    if isinstance(node, ast.Constant):
        return ["str"] if isinstance(node.value, str | bytes) else ["constant", repr(node.value)]
    if isinstance(node, list):
        return [structure(item) for item in node if not is_text(item)]
    if isinstance(node, ast.AST):
        return [
            type(node).__name__,
            *(structure(value) for field, value in ast.iter_fields(node) if field not in NAMES),
        ]
    return repr(node)


def main(commit: str, *paths: str) -> int:
    """Prints the files and the definitions in them that differ; returns how many files do."""
    renamed = [
        line.split("\t") for line in git("diff", "-M30", "--name-status", "--diff-filter=R", commit).splitlines()
    ]
    old_path = {new: old for _, old, new in renamed}
    known = set(git("ls-tree", "-r", "--name-only", commit).splitlines())
    files = [
        str(file) for path in map(pathlib.Path, paths) for file in ([path] if path.is_file() else path.rglob("*.py"))
    ]
    different = 0
    for file in sorted(files):
        old = old_path.get(file, file)
        if old not in known:
            print(f"{file}: new")
            continue
        trees = [ast.parse(text).body for text in (git("show", f"{commit}:{old}"), pathlib.Path(file).read_text())]
        before, after = ([node for node in tree if not is_text(node)] for tree in trees)
        if structure(before) == structure(after):
            continue
        different += 1
        changed = [b for a, b in zip(before, after, strict=False) if structure(a) != structure(b)]
        names = ", ".join(getattr(node, "name", f"line {node.lineno}") for node in changed)
        print(f"{file}: {names or 'another number of statements'}")
    return different


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:]) else 0)
