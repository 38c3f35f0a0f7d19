"""Writing and reading videos, including display matrices, time stamps and invalid files."""

import pathlib
import re
import struct
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from programs import environment

from aggpose_jax.data import videos
from aggpose_jax.errors import UserError

ONE = 1 << 16
MATRICES = {  # clockwise rotation in degrees: a, b, c, d of the display matrix
    0: (ONE, 0, 0, ONE),
    90: (0, ONE, -ONE, 0),
    180: (-ONE, 0, 0, -ONE),
    270: (0, -ONE, ONE, 0),
}
MIRROR = (-ONE, 0, 0, ONE)


def quarters() -> np.ndarray:
    """Returns an image [48, 64, 3] whose four quarters have different colours."""
    image = np.full((48, 64, 3), 255, np.uint8)
    image[:24, :32], image[:24, 32:], image[24:, :32] = (230, 20, 20), (20, 200, 20), (20, 20, 220)
    return image


def set_display_matrix(path, linear) -> None:
    """Writes a display matrix into the track header of an MP4, as phones do."""
    content = bytearray(path.read_bytes())
    offset = content.find(b"tkhd") + 44  # after the tag, version, times, ids and 16 more bytes
    a, b, c, d = linear
    assert struct.unpack_from(">i", content, offset) == (ONE,)
    struct.pack_into(">9i", content, offset, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


ABANDON = """
import sys
from aggpose_jax.data import videos
for _ in range(100):
    next(videos.read_frames(sys.argv[1]))
print("done")
"""


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mp4"
    videos.write_frames(((i / 30, quarters()) for i in range(3)), path)
    return path


def test_reading_can_end_before_the_end_of_a_video(tmp_path):
    """Without idle decoder threads, closing the video waits for ever, mostly within the first ten attempts."""
    rng, path = np.random.default_rng(0), tmp_path / "noise.mp4"
    videos.write_frames(((i / 30, rng.integers(0, 256, (120, 160, 3), np.uint8)) for i in range(20)), path)
    command = [sys.executable, "-c", ABANDON, str(path)]
    assert subprocess.check_output(command, env=environment(), text=True, timeout=120) == "done\n"


@pytest.mark.parametrize("degrees", MATRICES)
def test_frames_are_rotated_by_the_display_matrix(film, degrees):
    set_display_matrix(film, MATRICES[degrees])
    expected = np.rot90(quarters(), -degrees // 90)
    for _, _, image in videos.read_frames(film):
        assert image.shape == expected.shape
        assert np.abs(image.astype(int) - expected).mean() < 5


def test_frames_are_mirrored_by_the_display_matrix(film):
    set_display_matrix(film, MIRROR)
    assert np.abs(next(videos.read_frames(film)).image.astype(int) - quarters()[:, ::-1]).mean() < 5


def test_times_are_correct_for_a_variable_frame_rate(tmp_path):
    times = [0, 0.04, 0.1, 0.11, 0.5, 2.25]
    videos.write_frames(((t, np.full((32, 48, 3), 40 * i, np.uint8)) for i, t in enumerate(times)), tmp_path / "a.mp4")
    frames = list(videos.read_frames(tmp_path / "a.mp4"))
    assert [frame.index for frame in frames] == list(range(6))
    np.testing.assert_allclose([frame.seconds for frame in frames], times, atol=1e-4)
    np.testing.assert_allclose([frame.image.mean() for frame in frames], np.arange(6) * 40, atol=4)
    assert videos.count_frames(tmp_path / "a.mp4") == 6
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_times_start_at_the_first_frame(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(50, 54):
            frame = av.VideoFrame.from_ndarray(quarters())
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(tmp_path / "a.mkv")) as container:
        assert next(container.decode(video=0)).time == 2
    times = [frame.seconds for frame in videos.read_frames(tmp_path / "a.mkv")]
    np.testing.assert_allclose(times, np.arange(4) / 25, atol=1e-3)


def test_frames_with_non_square_pixels_are_resized(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        container.mux(stream.encode(av.VideoFrame.from_ndarray(quarters())))
        container.mux(stream.encode())
    assert next(videos.read_frames(tmp_path / "a.mp4")).image.shape == (48, 128, 3)


def test_odd_sides_lose_one_row_or_column(tmp_path):
    videos.write_frames([(0.0, np.zeros((33, 49, 3), np.uint8))], tmp_path / "a.mp4")
    assert next(videos.read_frames(tmp_path / "a.mp4")).image.shape == (32, 48, 3)


def without_frames(path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()


def audio_only(path) -> None:
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))


def unknown_codec(path) -> None:
    videos.write_frames([(i / 30, quarters()) for i in range(3)], path)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))


def truncate(path) -> None:
    videos.write_frames([(i / 30, quarters()) for i in range(3)], path)
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: path.write_bytes(b"no video" * 99), "as a video"),
        (truncate, "as a video"),
        (without_frames, "no (frame|video stream)"),
        (audio_only, "video stream"),
        (unknown_codec, "codec"),
    ],
)
def test_the_error_of_an_unreadable_video_is_one_line_that_names_it(tmp_path, make, message):
    path = tmp_path / "film.mp4"
    make(path)
    with pytest.raises(UserError, match=f"film.mp4 .*{message}") as raised:
        list(videos.read_frames(path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["2026-03-01T10:30:00.mp4", "concat:a.mp4", "-film.mp4", "a%03d.mp4"])
def test_names_that_look_like_addresses_are_files(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    image = np.full((32, 48, 3), 200, np.uint8)
    videos.write_frames([(0.0, image), (0.1, image)], pathlib.Path(name))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [round(frame.seconds, 3) for frame in videos.read_frames(pathlib.Path(name))] == [0, 0.1]


def test_an_encoder_error_names_the_file(tmp_path):
    image = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(videos.VideoError, match=r"overlay\.mp4 cannot be encoded"):
        videos.write_frames([(0.0, image), (0.0, image), (-1.0, image)], tmp_path / "overlay.mp4")
    assert not list(tmp_path.iterdir())


def write_noise(path: pathlib.Path, count: int, rate: int = 25, **options) -> bytes:
    """Writes a video of moving noise with a key frame in every second, and returns the content of the file."""
    base = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = rate
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.roll(base, number, 1))
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


def decoded(path: pathlib.Path) -> tuple[list[float], videos.Decoding]:
    """Returns the times of the frames of a video, and what decoding has found."""
    decoding = videos.Decoding()
    return [frame.seconds for frame in videos.read_frames(path, decoding=decoding)], decoding


def assert_frame_times(times: list[float]) -> None:
    """Asserts that times rise and are those of frames of `write_noise`, of which some may be missing."""
    numbers = np.array(times) * 25
    assert (np.diff(numbers) > 0.5).all()
    np.testing.assert_allclose(numbers, np.round(numbers), atol=0.03)


def test_a_name_of_a_stream_that_is_not_utf_8_does_not_matter(tmp_path):
    write_noise(tmp_path / "a.mp4", 3)
    content = (tmp_path / "a.mp4").read_bytes()
    assert b"VideoHandler" in content
    (tmp_path / "a.mp4").write_bytes(content.replace(b"VideoHandler", b"Vid\xe9oHandler"))
    assert len(list(videos.read_frames(tmp_path / "a.mp4"))) == 3


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_an_intact_video_has_all_promised_frames(tmp_path, suffix):
    write_noise(tmp_path / f"a.{suffix}", 40)
    times, decoding = decoded(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(times, np.arange(40) / 25, atol=1e-3)
    assert (decoding, decoding.fault()) == (videos.Decoding(40, 40, 0, size=(64, 48), header_rate=25), "")


@pytest.mark.parametrize(("suffix", "fraction"), [("mp4", 0.6), ("mkv", 0.5)])
def test_the_frames_of_a_truncated_video_are_read_and_the_missing_ones_counted(tmp_path, suffix, fraction):
    path = tmp_path / f"a.{suffix}"
    content = write_noise(path, 100, **({"movflags": "faststart"} if suffix == "mp4" else {}))
    path.write_bytes(content[: int(fraction * len(content))])
    times, decoding = decoded(path)
    assert 30 < len(times) < 80
    assert_frame_times(times)
    assert (decoding.promised, decoding.decoded) == (100, len(times))
    assert re.match(rf"is damaged: {len(times)} of 100 frames", decoding.fault())


def test_frames_after_the_damage_of_a_video_are_read_at_their_times(tmp_path):
    path = tmp_path / "a.mkv"
    content = bytearray(write_noise(path, 100))
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    times, decoding = decoded(path)
    assert_frame_times(times)
    assert times[-1] == pytest.approx(99 / 25, abs=1e-3)
    assert decoding.errors > 0
    assert "decoding errors" in decoding.fault()


def test_a_wrong_frame_rate_in_the_header_promises_no_frames(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=30000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(quarters())
            frame.pts, frame.time_base = number * 1000, Fraction(1, 30000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    times, decoding = decoded(tmp_path / "a.mkv")
    assert len(times) == 10
    assert decoding.fault() == ""
    assert videos.count_frames(tmp_path / "a.mkv") < 100


def test_the_cover_of_a_video_is_not_its_video(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 16, 16, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))))
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(quarters())
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert [frame.image.shape for frame in videos.read_frames(tmp_path / "a.mp4")] == [(48, 64, 3)] * 4
