"""Tests of the pages: complete, self-contained, accessible, and without a recognisable head."""

import base64
import dataclasses
import html.parser
import json
import re

import cv2
import numpy as np
import pytest
from stick_series import resting, series

from aggpose_jax.data.videos import write_frames
from aggpose_jax.pose.keypoints import INFANT_21, KeypointSet
from aggpose_jax.recordings import tidy
from aggpose_jax.recordings.recording import write_facts
from aggpose_jax.report import svg, writing
from aggpose_jax.timeseries.series import Flag

VOID = {"meta", "img", "br", "path", "rect", "line"}
HEAD = [INFANT_21.names.index(name) for name in ("left_eye", "right_eye", "chin")]
PAIR = KeypointSet("pair", ("left_hand", "right_hand"), ((0, 1),), ((0, 1),), (0.05, 0.07), (0,))


@dataclasses.dataclass(frozen=True)
class Measured:
    domain: str = "synthetic infants"
    amplitude: dict = dataclasses.field(default_factory=lambda: {"left_wrist": {"0.9-1.8": 0.021, "3-6": float("nan")}})


class Page(html.parser.HTMLParser):
    """The elements of a page, with a check that each is closed."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


def film(folder, frames: int = 6):
    """Writes a film of noise, whose pixels cannot be guessed, and returns its series."""
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    picture = cv2.resize(noise, (640, 640), interpolation=cv2.INTER_NEAREST)
    write_frames(((k / 30, picture) for k in range(frames)), folder / "film.mp4")
    position = resting(frames)
    position[:, 0, HEAD] = (430, 250), (440, 250), (435, 270)
    return series(position, video=str(folder / "film.mp4")), picture


def write(found, folder, **options) -> Page:
    writing.write(found, folder, settings={"smooth": "none", "<b>": "&"}, **options)
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("film")
    found, _ = film(folder)
    found.flag[3, 0, 2], found.flag[5, 0, 3] = Flag.OUTLIER, Flag.SWAPPED
    gains = {"frequency_hz": [0.9, 1.8, 6.0], "gain": [1.0, 0.99, None], "filter": "butterworth"}
    bands = [{"low_hz": 0.9, "high_hz": 1.8, "removed": 0.02}]
    feature = {"feature": "left_wrist_speed_median", "value": "0.3", "note": "not measurable with this network"}
    report = {**gains, "bands": bands}
    result = write(found, folder, calibration=Measured(), features=[feature], filter_report=report)
    return result, folder


def test_a_page_needs_nothing_from_elsewhere(page):
    text = (page[1] / "report.html").read_text(encoding="utf-8")
    assert not page[0].of("script") + page[0].of("link")
    for _, attributes in page[0].elements:
        for key in ("src", "href"):
            assert attributes.get(key, "data:").startswith("data:image/jpeg;base64,"[:5])
    assert not re.search(r"https?://|url\(|@import", re.sub(r"data:image/jpeg;base64,[^\"]+", "", text))
    assert len(text) < 5e6


def test_a_page_has_all_sections_and_its_statement(page):
    sections = [attributes["id"] for attributes in page[0].of("section")]
    assert sections == ["verdict", "error", "trajectories", "bands", "worst", "bones", "filter", "settings"]
    words = " ".join(page[0].text.split())
    for part in ("Research software. Not a medical device.", "with limits", "synthetic infants", "0.021",
                 "Gain 1.00 at", "0.9–1.8", "2.0 %", "not measurable with this network", "butterworth",
                 "infant_21", "<b>"):  # fmt: skip
        assert part in words + str(page[0].elements), part


def test_pictures_and_charts_have_text_alternatives(page):
    pictures = page[0].of("img")
    assert len(pictures) > 5
    assert any("Frame 3 at 0.10 s" in picture["alt"] and "removed points: 1" in picture["alt"] for picture in pictures)
    charts = page[0].of("svg")
    assert len(charts) == 6
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in charts)
    assert len(page[0].of("figcaption")) == 6
    assert page[0].of("html") == [{"lang": "en"}]
    assert all(head["scope"] in ("col", "row") for head in page[0].of("th"))


def luminance(colour: str) -> float:
    """Returns the relative luminance of #rrggbb, by WCAG 2.2."""
    levels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_text_and_lines_have_contrast(page):
    assert contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.01)  # the known limit
    text = (page[1] / "report.html").read_text(encoding="utf-8")
    style = text[text.index("<style>") : text.index("</style>")]
    colours = {*re.findall(r"(?<![-\w])color: (#\w{6})", style), svg.TEXT, svg.MUTED, svg.LINE, svg.LEFT, svg.RIGHT}
    assert len(colours) >= 7
    for colour in colours:
        assert contrast(colour, "#ffffff") >= 4.5, colour
    assert contrast(svg.MUTED, svg.BAND) >= 4.5


def decode(picture: dict) -> np.ndarray:
    jpeg = base64.b64decode(picture["src"].removeprefix("data:image/jpeg;base64,"))
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def similarity(picture: np.ndarray, original: np.ndarray, x: int, y: int) -> float:
    """Returns the correlation of a patch around a point in pixels of the original."""
    scale = picture.shape[0] / original.shape[0]
    small = cv2.resize(original, picture.shape[1::-1], interpolation=cv2.INTER_AREA)
    x, y = round(x * scale), round(y * scale)
    a, b = (image[y - 8 : y + 8, x - 8 : x + 8].astype(float).ravel() for image in (picture, small))
    return float(np.corrcoef(a, b)[0, 1])


def test_heads_and_surroundings_are_hidden_and_the_body_is_not(tmp_path):
    found, original = film(tmp_path)
    for picture in map(decode, write(found, tmp_path).of("img")):
        assert max(picture.shape) == 480
        assert similarity(picture, original, 374, 430) > 0.8  # beside the limbs
        assert similarity(picture, original, 435, 225) < 0.5  # the head
        assert similarity(picture, original, 605, 605) < 0.5  # outside of the body's box


def test_a_head_that_was_not_located_hides_the_picture(tmp_path):
    found, original = film(tmp_path)
    found.recording.poses.keypoints[:, HEAD, 2] = 0.1
    pictures = write(found, tmp_path).of("img")
    assert pictures
    for picture in map(decode, pictures):
        assert similarity(picture, original, 374, 430) < 0.6


def test_a_film_that_is_gone_and_one_without_torso_or_pose_have_pages(tmp_path):
    for found in (
        series(resting(5)),
        series(resting(1)),
        series(np.full((5, 1, 21, 2), np.nan)),
        series(np.full((5, 1, 2, 2), 5.0), keypoint_set=PAIR),
    ):
        found = dataclasses.replace(found, expected_error=np.full_like(found.expected_error, np.nan))
        page = write(found, tmp_path)
        words = " ".join(page.text.split())
        assert "The video could not be read" in words
        assert not page.of("img")
        assert "NaN" not in words + str(page.elements)
        assert "nan" not in re.findall(r"\w+", words + str(page.elements))


def test_the_verdict_is_written_as_json(tmp_path):
    verdict = writing.write(series(resting(120)), tmp_path, settings={})
    content = json.loads((tmp_path / "verdict.json").read_text())
    assert content == {"name": "ward/film", **verdict.to_fields()}
    assert content["position"]["verdict"] == "with limits"


def record(folder, frames: int = 40):
    """Writes a recording into a folder, and returns its series."""
    found = series(resting(frames))
    folder.mkdir(parents=True)
    tidy.write(found.recording.poses, folder / "keypoints.csv")
    write_facts(found.recording.facts, found.recording.poses, folder)
    return found


def test_the_index_lists_films_with_verdicts_and_links(tmp_path):
    writing.write(record(tmp_path / "ward 1" / "Müller #2"), tmp_path / "ward 1" / "Müller #2", settings={})
    record(tmp_path / "film_1")
    (tmp_path / "film_3").mkdir()
    page = Page(writing.write_index(tmp_path).read_text(encoding="utf-8"))
    assert [link["href"] for link in page.of("a")] == ["ward%201/M%C3%BCller%20%232/report.html"]
    words = " ".join(page.text.split())
    for part in ("ward 1/Müller #2", "film_1", "No report.", "with limits", "2 films", "Not a medical device"):
        assert part in words
    assert "film_3" not in words


def test_a_damaged_verdict_is_no_report(tmp_path):
    record(tmp_path / "film_1")
    for content in ("[1]", '{"position": {}}', "{"):
        (tmp_path / "film_1" / "verdict.json").write_text(content)
        assert "No report." in Page(writing.write_index(tmp_path).read_text()).text
