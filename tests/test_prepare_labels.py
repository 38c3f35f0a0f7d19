"""Labels go to annotation tools and come back by `aggpose prepare`."""

import csv
import json

import numpy as np
import pytest
from stick_figures import STICK_FIGURE, StickFigureFinder, render, stick_figure

from aggpose_jax import cli, prepare
from aggpose_jax.data import videos
from aggpose_jax.data.coco import CocoKeypoints
from aggpose_jax.data.images import encode_jpeg, read_image
from aggpose_jax.inference import batch_job
from aggpose_jax.inference.box_source import BoxSource
from aggpose_jax.inference.results import OutputOptions
from aggpose_jax.inference.sources import find_sources
from aggpose_jax.labels import cvat
from aggpose_jax.pose.keypoints import INFANT_21, find_keypoint_set
from aggpose_jax.recordings import tidy

TOOLS = ("coco", "cvat", "labelme", "deeplabcut")


def aggpose_prepare(*arguments) -> None:
    cli.run(prepare.parser, prepare.main, [str(argument) for argument in arguments])


def ends_with_one_line(capsys, *arguments) -> str:
    """Checks that a command ends with exit status 1 and one line, and returns the line."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        aggpose_prepare(*arguments)
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def read(folder, split="all") -> dict:
    return json.loads((folder / "annotations" / f"person_keypoints_{split}.json").read_text())


def by_image(coco: dict) -> dict:
    """Returns the keypoints of each image by its id, video and frame."""
    keys = {image["id"]: (image["id"], image.get("video_id"), image.get("frame")) for image in coco["images"]}
    found = {key: [] for key in keys.values()}
    for annotation in coco["annotations"]:
        found[keys[annotation["image_id"]]].append(np.reshape(annotation["keypoints"], (-1, 3)))
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with five labelled images of two videos; the last has no person."""
    folder = tmp_path_factory.mktemp("data")
    aggpose_prepare("synthetic", f"--out={folder}", "--images=7")
    coco = read(folder, "train")
    for number, image in enumerate(coco["images"]):
        image |= {"id": 100 + number, "video_id": f"ward/{number // 3}", "frame": 5 * number, "infant_id": "P1"}
    renamed = dict(zip((a["image_id"] for a in coco["annotations"]), range(100, 200), strict=False))
    coco["annotations"] = [{**a, "image_id": renamed[a["image_id"]]} for a in coco["annotations"]][:-1]
    coco["annotations"][0]["keypoints"][2] = 1
    coco["annotations"][0]["keypoints"][3:6] = [0, 0, 0]
    (folder / "annotations" / "person_keypoints_train.json").write_text(json.dumps(coco))
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The folder of results of predict, of two videos of a stick figure and an image, in which one frame is empty."""
    folder = tmp_path_factory.mktemp("films")
    for name, height in (("film", 160), ("walk", 140)):
        points = [stick_figure((150 + 2 * i, 120), height, 12 * i) for i in range(8)]
        frames = [render(None if i == 5 else one) for i, one in enumerate(points)]
        videos.write_frames(((0.04 * i, frame) for i, frame in enumerate(frames)), folder / f"{name}.mp4")
    (folder / "photo.jpg").write_bytes(encode_jpeg(render(stick_figure()), 95))
    out = folder / "out"
    sources = find_sources([folder], out).sources
    batch_job.run(StickFigureFinder(), sources, out, BoxSource(), OutputOptions(overlay=False), {})
    return out


@pytest.mark.parametrize("tool", TOOLS)
def test_labels_come_back_with_ids_frames_and_sides(data, tmp_path, tool):
    aggpose_prepare(
        "export", data / "annotations/person_keypoints_train.json", f"--to={tool}", f"--out={tmp_path / 'a'}"
    )
    aggpose_prepare("import", tmp_path / "a", f"--from={tool}", f"--out={tmp_path / 'b'}", "--split=train")
    before, after = by_image(read(data, "train")), by_image(read(tmp_path / "b", "train"))
    assert before.keys() == after.keys()
    for key, persons in before.items():
        assert len(persons) == len(after[key])
        for person, other in zip(persons, after[key], strict=True):
            labelled = person[:, 2] > 0
            np.testing.assert_allclose(other[labelled, :2], person[labelled, :2], atol=0.01)
            visible = 2 * labelled if tool == "deeplabcut" else person[:, 2]
            np.testing.assert_array_equal(other[:, 2], visible)
    assert {image["infant_id"] for image in read(tmp_path / "b", "train")["images"]} == {"P1"}
    assert not (tmp_path / "b" / "keypoint_set.json").exists()
    source = CocoKeypoints(tmp_path / "b", "train", INFANT_21)
    assert len(source) == 4
    original = CocoKeypoints(data, "train", INFANT_21)
    np.testing.assert_array_equal(read_image(source[0]["image"]), read_image(original[0]["image"]))


def test_imported_labels_can_be_split(data, tmp_path):
    aggpose_prepare(
        "export", data / "annotations/person_keypoints_train.json", "--to=labelme", f"--out={tmp_path / 'a'}"
    )
    aggpose_prepare("import", tmp_path / "a", "--from=labelme", f"--out={tmp_path / 'b'}")
    file = tmp_path / "b/annotations/person_keypoints_all.json"
    coco = read(tmp_path / "b")
    for image in coco["images"]:
        del image["infant_id"]
    file.write_text(json.dumps(coco))
    ratios = ("--ratios", ".5", "0", ".5")
    aggpose_prepare("split", file, f"--images={tmp_path / 'b/all'}", f"--out={tmp_path / 'c'}", *ratios)
    videos_of = [{image["video_id"] for image in read(tmp_path / "c", split)["images"]} for split in ("train", "test")]
    assert sorted(map(len, videos_of)) == [1, 1]


@pytest.mark.parametrize("tool", TOOLS)
def test_predictions_become_first_labels_of_the_frames(results, tmp_path, tool):
    aggpose_prepare("export", results, f"--to={tool}", f"--out={tmp_path / 'a'}")
    aggpose_prepare("import", tmp_path / "a", f"--from={tool}", f"--out={tmp_path / 'b'}")
    coco = read(tmp_path / "b")
    assert len(coco["images"]) == 17
    frames = {(image["video_id"], image["frame"]): image for image in coco["images"] if "frame" in image}
    assert frames.keys() == {(video, frame) for video in ("film", "walk") for frame in range(8)}
    labelled = {a["image_id"]: np.reshape(a["keypoints"], (-1, 3)) for a in coco["annotations"]}
    assert frames["film", 5]["id"] not in labelled
    poses = tidy.read(results / "film" / "keypoints.csv", STICK_FIGURE)
    np.testing.assert_allclose(labelled[frames["film", 2]["id"]][:, :2], poses.keypoints[2, :, :2], atol=0.01)
    assert frames["film", 2]["time"] == pytest.approx(0.08)
    image = read_image(tmp_path / "b" / "all" / frames["walk", 3]["file_name"])
    decoded = {frame.index: frame.image for frame in videos.read_frames(results.parent / "walk.mp4")}
    np.testing.assert_array_equal(image, decoded[3])
    made = find_keypoint_set(str(tmp_path / "b" / "keypoint_set.json"))
    assert (made.names, made.flip_pairs) == (STICK_FIGURE.names, STICK_FIGURE.flip_pairs)


def test_uncertain_keypoints_are_not_labelled(results, tmp_path):
    table = results / "film" / "keypoints.csv"
    lines = table.read_text().splitlines(keepends=True)
    cells = [line.rsplit(",", 1) for line in lines]
    table.write_text("".join([*lines[:1], f"{cells[1][0]},0.2\n", f"{cells[2][0]},0.21\n", *lines[3:]]))
    try:
        aggpose_prepare("export", results / "film", "--to=cvat", f"--out={tmp_path / 'a'}")
    finally:
        table.write_text("".join(lines))
    first = cvat.read(tmp_path / "a").images[0].persons[0]
    np.testing.assert_array_equal(first[:, 2], [0, *7 * [2]])


@pytest.mark.parametrize("name", ["frames.csv", "frames.json"])
def test_chosen_frames_are_exported(results, tmp_path, name):
    aggpose_prepare("choose", results, "--frames=5", f"--out={tmp_path / name}")
    aggpose_prepare("choose", results, "--frames=5", f"--out={tmp_path / ('again_' + name)}")
    assert (tmp_path / name).read_bytes() == (tmp_path / f"again_{name}").read_bytes()
    if name.endswith("json"):
        lines = json.loads((tmp_path / name).read_text())
    else:
        with open(tmp_path / name, newline="") as file:
            lines = list(csv.DictReader(file))
    assert {(line["video"], int(line["frame"])) for line in lines} >= {("film", 5), ("walk", 5)}
    assert len(lines) == 5
    aggpose_prepare("export", results, f"--frames={tmp_path / name}", "--to=coco", f"--out={tmp_path / 'a'}")
    assert len(list((tmp_path / "a" / "images").iterdir())) == 5


def test_videos_of_a_test_split_are_never_chosen(results, tmp_path, capsys):
    images = [{"id": 1, "file_name": "photo.jpg", "height": 9, "width": 9, "video_id": "film"}]
    (tmp_path / "test.json").write_text(json.dumps({"images": images, "annotations": []}))
    out = tmp_path / "frames.json"
    aggpose_prepare("choose", results, "--frames=9", f"--exclude={tmp_path / 'test.json'}", f"--out={out}")
    assert {line["video"] for line in json.loads(out.read_text())} == {"walk"}
    (tmp_path / "names.txt").write_text("walk\n")
    files = (tmp_path / "test.json", tmp_path / "names.txt")
    assert "no frame is left" in ends_with_one_line(
        capsys, "choose", results, "--frames=9", "--exclude", *files, f"--out={tmp_path / 'x.csv'}"
    )


def test_missing_and_damaged_images_are_listed_and_the_rest_is_imported(data, tmp_path, capsys):
    file = data / "annotations/person_keypoints_train.json"
    aggpose_prepare("export", file, "--to=cvat", f"--out={tmp_path / 'a'}")
    first, second, *_ = sorted((tmp_path / "a" / "images").iterdir())
    first.unlink()
    second.write_bytes(second.read_bytes()[:300])
    line = ends_with_one_line(capsys, "import", tmp_path / "a", "--from=cvat", f"--out={tmp_path / 'b'}")
    assert "2 images" in line
    listed = (tmp_path / "b" / "skipped_images.txt").read_text()
    assert all(path.name in listed for path in (first, second))
    assert len(listed.splitlines()) == 2
    assert len(read(tmp_path / "b")["images"]) == 3
    line = ends_with_one_line(capsys, "export", file, f"--images={tmp_path}", "--to=coco", f"--out={tmp_path / 'c'}")
    assert "none of the 5 images" in line


def test_faults_are_one_line(data, results, tmp_path, capsys):
    out = f"--out={tmp_path / 'out'}"
    assert "none.json" in ends_with_one_line(capsys, "export", tmp_path / "none.json", "--to=cvat", out)
    assert "manifest.json" in ends_with_one_line(capsys, "export", tmp_path, "--to=cvat", out)
    assert "none.xml" in ends_with_one_line(capsys, "import", tmp_path / "none.xml", "--from=cvat", out)
    file = data / "annotations/person_keypoints_train.json"
    assert "holds other files" in ends_with_one_line(capsys, "export", file, "--to=cvat", f"--out={data}")
    coco = read(data, "train")
    coco["annotations"].append({**coco["annotations"][0], "id": 999})
    (tmp_path / "two.json").write_text(json.dumps(coco))
    line = ends_with_one_line(
        capsys, "export", tmp_path / "two.json", f"--images={data / 'train'}", "--to=deeplabcut", out
    )
    assert "has 2 persons" in line
    aggpose_prepare("export", results / "walk", "--to=cvat", f"--out={tmp_path / 'a'}")
    (tmp_path / "ears.json").write_text(
        '{"name": "ears", "keypoints": ["ear"], "flip_pairs": [], "skeleton": [], "sigmas": [1], "upper_body": []}'
    )
    line = ends_with_one_line(
        capsys, "import", tmp_path / "a", "--from=cvat", f"--keypoint-set={tmp_path / 'ears.json'}", out
    )
    assert "no keypoint of the set ears" in line
    (tmp_path / "frames.csv").write_text("video,frame\nother,1\n")
    line = ends_with_one_line(capsys, "export", results, f"--frames={tmp_path / 'frames.csv'}", "--to=cvat", out)
    assert "frames.csv" in line
    assert not (tmp_path / "out").exists()


def test_a_project_of_deeplabcut_becomes_a_folder_and_a_keypoint_set(test_data, tmp_path):
    if not (test_data / "dlc_openfield").exists():
        pytest.skip("dlc_openfield is not in AGGPOSE_TEST_DATA")
    aggpose_prepare("import", test_data / "dlc_openfield", "--from=deeplabcut", f"--out={tmp_path / 'a'}")
    coco = read(tmp_path / "a")
    assert (len(coco["images"]), len(coco["annotations"])) == (116, 116)
    assert {image["video_id"] for image in coco["images"]} == {"m4s1"}
    assert {image["file_name"]: image["frame"] for image in coco["images"]}["m4s1/img0001.png"] == 1
    keypoint_set = find_keypoint_set(str(tmp_path / "a" / "keypoint_set.json"))
    assert keypoint_set.names == ("snout", "leftear", "rightear", "tailbase")
    assert keypoint_set.flip_pairs == ((1, 2),)
    record = CocoKeypoints(tmp_path / "a", "all", keypoint_set)[0]
    np.testing.assert_allclose(record["keypoints"][0], (21.521, 265.428, 2))
    assert read_image(record["image"]).shape == (*record["size"], 3)
