"""Images and label maps come back as they were written, or with an error that names the file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.errors import InputError
from segbench.images import read_image, read_label_map, resize_image, scale_image, write_image, write_label_map
from segbench.labels import IGNORE_INDEX, Classes

CLASSES = Classes.of([("road", (128, 64, 128)), ("sky", (70, 130, 180))])
IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
LABEL_MAP = np.array([[0, 1, IGNORE_INDEX], [1, 1, 0]], np.uint8)


def test_an_image_comes_back_bit_for_bit(tmp_path: Path) -> None:
    write_image(tmp_path / "deep" / "a.png", IMAGE)
    np.testing.assert_array_equal(read_image(tmp_path / "deep" / "a.png"), IMAGE)


def test_a_label_map_comes_back_and_shows_its_classes_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_label_map(path, LABEL_MAP, CLASSES)
    np.testing.assert_array_equal(read_label_map(path), LABEL_MAP)
    np.testing.assert_array_equal(read_image(path), CLASSES.colorize(LABEL_MAP))
    with Image.open(path) as image:
        assert image.mode == "P"


def test_a_grey_label_map_is_read_too(tmp_path: Path) -> None:
    Image.fromarray(LABEL_MAP).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_map(tmp_path / "a.png"), LABEL_MAP)


def test_a_grey_image_is_read_as_rgb(tmp_path: Path) -> None:
    Image.fromarray(IMAGE[..., 0]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.repeat(IMAGE[..., :1], 3, axis=2))


def test_a_label_map_in_colour_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", IMAGE)
    with pytest.raises(InputError, match=r"a\.png: mode RGB; a label map must be 8-bit grey or palette"):
        read_label_map(tmp_path / "a.png")


@pytest.mark.parametrize("reader", [read_image, read_label_map])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "flipped", "no image"])
def test_a_damaged_image_is_named_in_one_line(tmp_path: Path, reader: type, damage: str) -> None:
    path = tmp_path / "a.png"
    write_label_map(path, np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8), CLASSES)
    whole = path.read_bytes()
    middle = len(whole) // 2
    content = {
        "empty": b"",
        "truncated": whole[:middle],
        "flipped": whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :],
        "no image": b"hello\n" * 20,
    }
    path.unlink()
    if damage in content:
        path.write_bytes(content[damage])
    with pytest.raises(InputError) as caught:
        reader(path)
    assert str(caught.value).startswith(f"{path}: {'no such file' if damage == 'missing' else 'not a readable image'}")
    assert "\n" not in str(caught.value)


def test_resizing_is_by_target_size() -> None:
    assert resize_image(IMAGE, height_px=7, width_px=60).shape == (7, 60, 3)
    np.testing.assert_array_equal(resize_image(IMAGE, height_px=20, width_px=30), IMAGE)


def test_resizing_down_averages_instead_of_picking() -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 200
    np.testing.assert_allclose(resize_image(stripes, height_px=8, width_px=8), 100, atol=15)


@pytest.mark.parametrize(
    ("scale", "shape"), [(0.5, (10, 15, 3)), (1.0, (20, 30, 3)), (1.25, (25, 38, 3)), (0.01, (1, 1, 3))]
)
def test_scaling_is_by_a_factor_of_both_sides(scale: float, shape: tuple[int, int, int]) -> None:
    assert scale_image(IMAGE, scale=scale).shape == shape


def test_an_image_too_large_to_trust_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow takes it for a decompression bomb: a small file that would fill the memory."""
    write_image(tmp_path / "a.png", IMAGE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with pytest.raises(InputError, match=r"a\.png: more than 400 pixels; cut it into tiles or make it smaller$"):
        read_image(tmp_path / "a.png")
