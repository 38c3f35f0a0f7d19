"""How programs parse their command line, report errors and exit."""

import importlib
import pathlib
import subprocess
import sys

import pytest
from programs import environment, run

import aggpose_jax
from aggpose_jax import cli


def aggpose(*arguments: str) -> subprocess.CompletedProcess:
    """Runs the console command, which an installation makes of `cli.main`."""
    program = "import sys; sys.argv[0] = 'aggpose'; from aggpose_jax import cli; cli.main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment(), text=True, capture_output=True
    )


def example_parser() -> cli.Parser:
    parser = cli.Parser("example", "Does nothing.", ["--folder x"])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--folder")
    parser.add_experiment("an experiment")
    return parser


def example_verbs() -> cli.Parser:
    def copy(arguments):
        """Copies."""

    parser = cli.Parser("example", "Does one of two things.", ["copy a"])
    parser.add_verb("copy", copy, ["a"]).add_argument("file")
    parser.add_verb("remove", copy, ["a"]).add_argument("--force", action="store_true")
    return parser


def test_options_positional_arguments_and_overrides_may_alternate():
    arguments = example_parser().parse(
        ["a", "--folder=x", "--config.a.b=(1, 2)", "b", "--config", "f.py", "--config.c=3"]
    )
    assert (arguments.words, arguments.folder, arguments.config) == (["a", "b"], "x", "f.py")
    assert arguments.overrides == ["a.b=(1, 2)", "c=3"]
    assert example_parser().parse([]).overrides == []


@pytest.mark.parametrize(
    ("parser", "argv", "parts"),
    [
        (example_parser, ["--foldr=x"], ["--foldr", "--folder"]),
        (example_parser, ["--fold=x"], ["--fold", "--folder"]),  # no abbreviations
        (example_parser, ["--config.steps"], ["--config.steps=VALUE"]),
        (example_parser, ["--config.steps", "5"], ["--config.steps=VALUE"]),
        (example_parser, ["--folder"], ["--folder"]),
        (example_verbs, ["copi", "a"], ["copi", "copy"]),
        (example_verbs, ["copy", "a", "b"], ["'b'"]),
        (example_verbs, ["remove", "--forc"], ["--forc", "--force"]),
        (example_verbs, ["remove", "--config.steps=5"], ["--config.steps"]),
        (example_verbs, [], ["VERB"]),
    ],
)
def test_a_usage_error_is_one_line_and_exit_status_2(parser, argv, parts, capsys):
    with pytest.raises(SystemExit) as end:
        parser().parse(argv)
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert all(part in line for part in parts)


@pytest.mark.parametrize(
    ("verb", "argv", "part"),
    [
        ("benchmark", ["data", "--config=synthetic", "--workers=0,x"], "x"),
        ("benchmark", ["data", "--config=synthetic", "--records=0"], "0"),
        ("benchmark", ["mae", "--batch=-1"], "-1"),
        ("prepare", ["synthetic", "--out=x", "--images=many"], "many"),
        ("prepare", ["synthetic", "--out=x", "--images=1", "--videos=-2"], "-2"),
    ],
)
def test_a_number_out_of_range_is_a_usage_error(verb, argv, part, capsys):
    with pytest.raises(SystemExit) as end:
        importlib.import_module(f"aggpose_jax.{verb}").parser().parse(argv)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f" {part} is not a whole number" in line


def test_a_user_error_is_one_line_and_exit_status_1(capsys):
    def main(arguments):
        raise aggpose_jax.errors.UserError("a.txt: no such file")

    with pytest.raises(SystemExit) as end:
        cli.run(example_parser, main, [])
    assert end.value.code == 1
    assert capsys.readouterr() == ("", "error: a.txt: no such file\n")


def test_output_whose_reader_has_ended_is_one_line():
    program = (
        "from aggpose_jax import cli\n"
        "cli.run(lambda: cli.Parser('x', 'y', []), lambda arguments: [print('text') for _ in range(100_000)], [])"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdout=pipe, stderr=pipe, env=environment()) as process:
        process.stdout.close()
        message = process.stderr.read().decode()
        assert process.wait() == 1
    assert message == "error: the output cannot be written any more, because its reader has ended\n"


def test_a_defect_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        cli.run(example_parser, lambda arguments: 1 / 0, [])


@pytest.mark.parametrize("verb", cli.PROGRAMS)
def test_every_help_has_a_description_and_two_examples(verb, capsys):
    parser = importlib.import_module(f"aggpose_jax.{cli.PROGRAMS[verb][0]}").parser()
    for one in (parser, *parser.verbs.values()):
        with pytest.raises(SystemExit) as end:
            one.parse_args(["--help"])
        assert end.value.code == 0
        text = capsys.readouterr().out
        assert one.description.splitlines()[0] in text
        _, _, examples = text.partition("examples:\n")
        assert examples.count(f"  {one.prog} ") >= 2


def test_the_console_command_lists_its_verbs_and_its_version():
    listed = aggpose("--help")
    assert listed.returncode == 0
    assert all(f"  {verb} " in listed.stdout for verb in cli.PROGRAMS)
    assert aggpose().stdout == listed.stdout
    assert aggpose("--version").stdout == f"aggpose_jax {aggpose_jax.__version__}\n"


def test_the_console_command_names_the_nearest_verb():
    ended = aggpose("trian")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "trian" in ended.stderr
    assert "train" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_the_console_command_and_the_module_run_the_same_program(tmp_path):
    arguments = ["split", str(tmp_path / "no.json"), f"--images={tmp_path}", f"--out={tmp_path / 'out'}"]
    by_command, by_module = aggpose("prepare", *arguments), run("prepare", *arguments)
    assert by_command.returncode == by_module.returncode == 1
    assert by_command.stderr == by_module.stderr
    assert "no.json" in by_command.stderr


def test_a_leading_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli.path("~/kp") == tmp_path / "kp"
    assert cli.path("a~b/~c") == pathlib.Path("a~b/~c")
    for program in ("predict", "evaluate", "convert", "prepare"):
        module = importlib.import_module(f"aggpose_jax.{program}")
        parsers = [module.parser(), *module.parser().verbs.values()]
        types = {action.type for parser in parsers for action in parser._actions}
        assert pathlib.Path not in types, program
