"""How programs read their command line and end."""

import subprocess
import sys

import pytest
from programs import environment

PROGRAM = """
from absl import flags
from aggpose_jax import cli
NAME = flags.DEFINE_string("folder", "", "")
def main(rest):
    print(rest[1:], NAME.value, cli.OVERRIDES.value)
    1 / len(NAME.value)
cli.run(main, words={words})
"""


def run(*arguments: str, words: bool = False) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", PROGRAM.format(words=words), *arguments]
    return subprocess.run(command, env=environment(), text=True, capture_output=True)


def test_flags_and_keys():
    ended = run("--folder=x", "--config.a.b=(1, 2)", "-config.c=3")
    assert (ended.returncode, ended.stdout) == (0, "[] x ['a.b=(1, 2)', 'c=3']\n")
    ended = run("--folder=x", "word", words=True)
    assert (ended.returncode, ended.stdout) == (0, "['word'] x []\n")


@pytest.mark.parametrize(
    ("argument", "message"),
    [("--foldr=x", "Unknown command line flag 'foldr'. Did you mean: folder"), ("word", "word: is no flag")],
)
def test_a_mistake_is_one_line(argument, message):
    ended = run(argument)
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"error: {message}")


def test_a_defect_keeps_its_traceback():
    ended = run()
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr
    assert "Traceback" in ended.stderr
