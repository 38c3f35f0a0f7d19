"""Parts of the accelerator report: budgets with a clock that is set by hand, resuming, failures, and the page."""

import json

import pytest

from aggpose_jax.benchmarks.accelerator import page, part
from aggpose_jax.benchmarks.accelerator.part import Budget, LeftOut, Part, Setting


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def setting(tmp_path):
    return Setting(tmp_path, tmp_path / "crops.npz", tiny=True)


def make(name, measure, seconds=10.0):
    return Part(name, name.title(), seconds, measure, lambda content: [f"value {content['value']}"])


def test_items_after_the_end_of_the_time_are_named(clock):
    budget = Budget(5, clock)
    done = []
    for item in budget.items([2, 3, 4, 5], lambda item: f"batch {item}"):
        done.append(item)
        clock.now += item
    assert done == [2, 3]
    assert budget.left_out == ["batch 4", "batch 5"]
    assert budget.left() == 0


def test_a_finished_part_is_not_repeated(setting):
    calls = []

    def first(setting, budget, earlier):
        calls.append("first")
        return {"value": 1}

    def second(setting, budget, earlier):
        calls.append("second")
        return {"value": earlier["first"]["value"] + 1}

    for _ in range(2):
        results = part.run([make("first", first), make("second", second)], setting)
        assert [results[name]["value"] for name in ("first", "second")] == [1, 2]
    assert calls == ["first", "second"]


def test_a_part_that_fails_or_is_left_out_is_reported_and_repeated(setting):
    problems = [ValueError("two\nlines"), LeftOut("not installed"), MemoryError()]

    def measure(setting, budget, earlier):
        raise problems[0]

    parts = [make("bad", measure), make("good", lambda *_: {"value": 1})]
    results = part.run(parts, setting)
    assert results["bad"] == {"error": "ValueError: two lines"}
    assert results["good"]["value"] == 1
    problems.pop(0)
    assert part.run(parts, setting)["bad"] == {"left_out": ["not installed"]}
    problems.pop(0)
    assert part.run(parts, setting)["bad"] == {"error": "out of memory"}


def test_the_time_of_the_report_bounds_that_of_its_parts(setting, clock):
    given = {}

    def measure(name, takes):
        def run(setting, budget, earlier):
            given[name] = budget.left()
            clock.now += takes
            return {"value": name}

        return make(name, run, seconds=300)

    parts = [measure("a", 100), measure("b", part.TOTAL - 200), measure("c", 100), measure("d", 1)]
    results = part.run(parts, setting, clock)
    assert given == {"a": 300, "b": 300, "c": 100}
    assert results["c"]["seconds"] == 100
    assert results["d"]["left_out"][0].startswith("not begun")
    assert not (setting.folder / "d.json").exists()


def test_results_are_handed_on_after_each_part(setting):
    seen = []
    parts = [make(name, lambda *_: {"value": 1}) for name in "ab"]
    part.run(parts, setting, after_part=lambda results: seen.append(list(results)))
    assert seen == [["a"], ["a", "b"]]
    assert json.loads((setting.folder / "b.json").read_text())["left_out"] == []


def test_the_page_shows_parts_and_what_is_missing():
    parts = [make(name, None) for name in ("done", "failed", "missing", "late")]
    results = {
        "done": {"value": 7, "seconds": 3.0, "left_out": ["stage 4"]},
        "failed": {"error": "ValueError: a | b"},
        "missing": {"left_out": ["PyTorch is not installed"]},
    }
    text = page.write({"device": "1 × card"}, parts, results, tiny=False)
    head, _, rest = text.partition("## Done")
    assert "| device | 1 × card |" in head
    assert "Tiny" not in text
    assert "value 7" in rest.partition("## Left out")[0]
    assert "its budget is 10 s" in rest
    *_, first, second, third, fourth = text.splitlines()
    assert first == "| Done | stage 4 |"
    assert second == "| Failed | **failed**: ValueError: a / b |"
    assert third == "| Missing | PyTorch is not installed |"
    assert fourth == "| Late | has not run yet |"


def test_a_long_error_is_one_short_line():
    assert len(part.one_line(ValueError("word\n" * 500))) == 300
