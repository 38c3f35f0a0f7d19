"""Saving, restoring, verifying and removing checkpoints of a small tree of three arrays."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aggpose_jax.errors import UserError
from aggpose_jax.estimation import checkpoints
from aggpose_jax.runtime import checksums, sharding
from aggpose_jax.training import checkpoint


def tree(value: float) -> dict:
    return {"head": {"kernel": jnp.full((2, 3), value), "bias": jnp.full(3, -value)}, "scale": jnp.float32(value)}


@pytest.fixture(scope="module")
def replicated():
    return sharding.replicated(sharding.make_mesh())


@pytest.fixture
def abstract(replicated):
    """Returns a function that maps a tree of arrays to their ShapeDtypeStructs."""
    return lambda t: jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=replicated), t)


def write(workdir, steps: dict[int, float | None], average: str = "") -> None:
    """Writes checkpoints with the given scores; parameters equal the step, the item `average` 100 times the step."""
    with checkpoint.open_manager(workdir) as manager:
        for step, score in steps.items():
            items = {"params": tree(step), "optimizer": {"step": jnp.int32(step), "moments": [tree(0), tree(1)]}}
            items |= {average: tree(100 * step)} if average else {}
            checkpoint.save(manager, step, items, score)


def stored_steps(workdir) -> list[int]:
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir() if path.name.isdigit())


def assert_same(actual, expected) -> None:
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def test_items_are_restored_with_their_dtypes_and_shardings(tmp_path, abstract, replicated):
    items = {"params": tree(3), "optimizer": {"step": jnp.int32(7), "moments": [tree(4), tree(5)]}}
    with checkpoint.open_manager(tmp_path) as manager:
        checkpoint.save(manager, 7, items)
        manager.wait_until_finished()
        restored = checkpoint.restore(manager, 7, abstract(items))
    assert_same(restored, items)
    assert restored["optimizer"]["step"].dtype == jnp.int32
    assert all(leaf.sharding == replicated for leaf in jax.tree.leaves(restored))


def test_the_global_handlers_of_orbax_are_unchanged(tmp_path):
    before = checkpoint.ocp.type_handlers.get_type_handler(jax.Array)
    write(tmp_path, {1: None})
    assert checkpoint.ocp.type_handlers.get_type_handler(jax.Array) is before


def test_saved_arrays_may_be_deleted_before_they_are_written(tmp_path, abstract):
    params = tree(3)
    shapes = abstract(params)
    with checkpoint.open_manager(tmp_path) as manager:
        checkpoint.save(manager, 1, {"params": params})
        for leaf in jax.tree.leaves(params):
            leaf.delete()  # as a training step does, to which the state is donated
        manager.wait_until_finished()
        assert_same(checkpoint.restore(manager, 1, {"params": shapes})["params"], tree(3))


def test_the_best_and_the_two_latest_are_kept(tmp_path, abstract):
    write(tmp_path, {1: 0.5, 2: 0.9, 3: None, 4: 0.7, 5: None})
    assert stored_steps(tmp_path) == [2, 4, 5]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["2", "4", "5"]
    for which, step in (("best", 2), ("latest", 5)):
        loaded_step, variables = checkpoints.load_variables(tmp_path, which)
        assert loaded_step == step
        assert_same(variables, {"params": tree(step)})


def test_a_resumed_run_keeps_the_best_step_of_the_first(tmp_path):
    write(tmp_path, {1: 0.9})
    write(tmp_path, {2: 0.5, 3: 0.6, 4: 0.7})
    assert stored_steps(tmp_path) == [1, 3, 4]


def test_best_is_the_latest_step_if_none_was_evaluated(tmp_path, abstract):
    write(tmp_path, {1: None, 2: None})
    assert checkpoints.load_variables(tmp_path)[0] == 2


@pytest.mark.parametrize("name", ["ema_params", "average"])  # "average" is the name in runs of version 0.1
def test_the_moving_average_is_loaded_if_there_is_one(tmp_path, abstract, name):
    write(tmp_path, {4: 0.5}, average=name)
    step, variables = checkpoints.load_variables(tmp_path)
    assert step == 4
    assert_same(variables, {"params": tree(400)})
    with checkpoint.open_manager(tmp_path) as manager:
        restored = checkpoint.restore(manager, 4, {"ema_params": abstract(tree(0))})
    assert_same(restored, {"ema_params": tree(400)})


def test_each_collection_and_its_average_is_an_item(tmp_path, abstract):
    with checkpoint.open_manager(tmp_path) as manager:
        checkpoint.save(manager, 1, {"params": tree(1), "batch_stats": {"norm": {"mean": jnp.ones(3)}}})
        averages = {"ema_params": tree(2), "ema_batch_stats": {"norm": {"mean": jnp.full(3, 2.0)}}}
        checkpoint.save(manager, 2, {"params": tree(1), "batch_stats": {"norm": {"mean": jnp.ones(3)}}} | averages)
    assert {"params", "batch_stats", "ema_params", "ema_batch_stats"} < {
        path.name for path in (tmp_path / "checkpoints" / "2").iterdir()
    }
    assert checkpoints.load_variables(tmp_path)[1]["batch_stats"]["norm"]["mean"].tolist() == [2, 2, 2]
    shutil.rmtree(tmp_path / "checkpoints" / "2")
    assert checkpoints.load_variables(tmp_path)[1]["batch_stats"]["norm"]["mean"].tolist() == [1, 1, 1]


def test_missing_batch_statistics_are_listed(tmp_path, abstract):
    write(tmp_path, {1: 0.5}, average="ema_params")
    statistics = {"stem": {"norm": {"mean": jnp.zeros(3), "var": jnp.ones(3)}}}
    message = r"checkpoints/1: .*batch_stats.*stem/norm/mean, stem/norm/var"
    with checkpoint.open_manager(tmp_path) as manager, pytest.raises(UserError, match=message):
        checkpoint.restore(manager, 1, abstract({"params": tree(0), "batch_stats": statistics}))


def test_different_batch_statistics_are_named(tmp_path, abstract):
    with checkpoint.open_manager(tmp_path) as manager:
        checkpoint.save(manager, 1, {"params": tree(1), "batch_stats": {"mean": jnp.ones(3)}})
    other = abstract({"params": tree(0), "batch_stats": {"mean": jnp.ones(4)}})
    message = r"1 batch statistics .*mean: .*\(3,\).*\(4,\)"
    with checkpoint.open_manager(tmp_path) as manager, pytest.raises(UserError, match=message):
        checkpoint.restore(manager, 1, other)


def test_loading_modifies_no_file(tmp_path, abstract):
    write(tmp_path, {1: 0.5, 2: 0.4})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    checkpoints.load_variables(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_the_first_different_parameter_is_named(tmp_path, abstract):
    write(tmp_path, {1: 0.5})
    other = tree(0)
    other["head"] = {"kernel": jnp.zeros((2, 4)), "extra": jnp.zeros(5), "bias": jnp.zeros(3)}
    with checkpoint.open_manager(tmp_path) as manager, pytest.raises(UserError) as raised:
        checkpoint.restore(manager, 1, abstract({"params": other}))
    message = str(raised.value)
    assert "head/extra" in message
    assert str(tmp_path) in message
    assert "\n" not in message


def test_loading_from_a_folder_without_a_run_fails(tmp_path, abstract):
    with pytest.raises(UserError, match="checkpoints"):
        checkpoints.load_variables(tmp_path)
    assert not list(tmp_path.iterdir())


def test_loading_from_a_run_without_a_finished_checkpoint_fails(tmp_path, abstract):
    write(tmp_path, {})
    with pytest.raises(UserError, match="/checkpoints: "):
        checkpoints.load_variables(tmp_path)


def test_files_of_a_killed_save_are_ignored_and_deleted(tmp_path, abstract):
    write(tmp_path, {1: 0.5})
    left = tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp" / "params"
    left.mkdir(parents=True)
    assert checkpoints.load_variables(tmp_path, "latest")[0] == 1
    assert left.exists()  # readers do not delete it, since a run may be writing it
    with checkpoint.open_manager(tmp_path) as manager:
        assert manager.latest_step() == 1
        assert not left.parent.exists()


def test_every_finished_step_has_a_checksum_manifest(tmp_path):
    with checkpoint.open_manager(tmp_path) as manager:
        checkpoint.save(manager, 1, {"params": tree(1)})
        manager.wait_until_finished()
        assert checksums.find_damage(tmp_path / "checkpoints" / "1") is None
    write(tmp_path, {2: 0.5, 3: 0.6})
    for step in stored_steps(tmp_path):
        assert checksums.find_damage(tmp_path / "checkpoints" / str(step)) is None


def flip_a_bit(file) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def truncate(file) -> None:
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip_a_bit, truncate])
def test_a_damaged_file_is_named_and_the_previous_step_is_used(tmp_path, abstract, capsys, damage):
    """Damages each file of the latest and best step in turn; tests loading and resuming."""
    write(tmp_path / "run", {1: 0.5, 2: 0.9}, average="ema_params")
    folder = tmp_path / "run" / "checkpoints" / "2"
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    assert {"params", "ema_params", "optimizer", "metrics"} < {file.parts[0] for file in files}
    for file in files:
        workdir = tmp_path / "damaged"
        shutil.copytree(tmp_path / "run", workdir)
        damage(workdir / "checkpoints" / "2" / file)
        for which in ("best", "latest"):
            step, variables = checkpoints.load_variables(workdir, which)
            assert step == 1
            assert_same(variables, {"params": tree(100)})
        warnings = capsys.readouterr().err
        assert warnings.count("STEP 2 IS DAMAGED") == 2
        assert str(file) in warnings or file.name == checksums.MANIFEST
        lines = []
        with checkpoint.open_manager(workdir, lines.append) as manager:
            assert (manager.latest_step(), manager.best_step()) == (1, 1)
        (line,) = lines
        assert "STEP 2 IS DAMAGED" in line
        assert (workdir / "damaged" / "2" / file).exists()
        shutil.rmtree(workdir)


def test_a_run_with_only_damaged_checkpoints_does_not_start(tmp_path, abstract):
    write(tmp_path, {1: 0.5, 2: 0.9})
    for step in stored_steps(tmp_path):
        truncate(tmp_path / "checkpoints" / str(step) / "_CHECKPOINT_METADATA")
    with pytest.raises(UserError, match=r"\S+/1: _CHECKPOINT_METADATA .*\S+/2: _CHECKPOINT_METADATA .*--workdir"):
        checkpoint.open_manager(tmp_path)
    with pytest.raises(UserError, match="/checkpoints: "):
        checkpoints.load_variables(tmp_path)
    assert stored_steps(tmp_path) == [1, 2]


def test_a_step_without_a_manifest_is_ignored(tmp_path, abstract, capsys):
    write(tmp_path, {1: 0.5, 2: 0.9})
    (tmp_path / "checkpoints" / "2" / checksums.MANIFEST).unlink()
    assert checkpoints.load_variables(tmp_path, "latest")[0] == 1
    assert not capsys.readouterr().err  # another process may be writing the step
    with checkpoint.open_manager(tmp_path) as manager:
        assert manager.latest_step() == 1
        checkpoint.save(manager, 2, {"params": tree(2)})
    assert "step 2" in capsys.readouterr().out
    assert checkpoints.load_variables(tmp_path, "latest")[0] == 2


def test_files_of_an_interrupted_removal_are_deleted(tmp_path):
    write(tmp_path, {1: 0.5})
    left = tmp_path / "checkpoints" / "removed" / "0"
    left.mkdir(parents=True)
    write(tmp_path, {})
    assert not left.exists()
    assert stored_steps(tmp_path) == [1]
