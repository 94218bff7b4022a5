"""Files as people have them are read rightly or refused by name, and never become another image in silence."""

import struct
import threading
import tracemalloc
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segbench.datasets import preparation
from segbench.datasets.class_table import ClassTable
from segbench.datasets.preparation import prepare
from segbench.datasets.raw import read_photo, turned
from segbench.errors import InputError
from segbench.labels import IGNORE_INDEX
from tests.datasets.test_folder import (
    BINARY,
    COLORED,
    LABEL_MAP,
    LISTS,
    complaint,
    opened,
    picture,
    write,
    write_folder,
)
from tests.datasets.tiff import write_tiff

RGBA = np.dstack([picture("a"), np.full((3, 4), 255, np.uint8)])
HIDDEN = np.dstack([picture("a"), np.array([[255, 0, 255, 255]] * 3, np.uint8)])


def with_image(root: Path, suffix: str, put: Callable[[Path], object]) -> Path:
    """The folder with its image 03 replaced. put: writes the file."""
    path = root / f"images/03.{suffix}"
    (root / "images/03.png").unlink()
    put(path)
    return path


def loaded(root: Path, name: str = "03", **how: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    (example,) = (each for each in opened(root, **how).examples if each.name == name)
    return example.load()


# Images


@pytest.mark.parametrize(
    ("pixels", "tags", "message"),
    [
        pytest.param(
            np.array([[-1000, 5, 7, 9]] * 3, np.int16), {}, "level -1000 is below 0; shift or cut", id="signed 16 bits"
        ),
        pytest.param(np.array([[-10, 5, 7, 9]] * 3, np.int8), {}, "signed levels, of which some", id="signed 8 bits"),
        pytest.param(RGBA, {338: 0}, "4 bands, of which 3 can be read", id="four bands"),
        pytest.param(HIDDEN, {}, "3 of 12 pixels are not opaque by its fourth band", id="four unnamed bands"),
        pytest.param(HIDDEN, {338: 2}, "3 of 12 pixels are not opaque by its fourth band", id="opacity"),
        pytest.param(RGBA[..., :2], {262: 1, 338: 0}, "2 bands, of which 1 can be read", id="two bands"),
        pytest.param(HIDDEN.astype(np.uint16) * 257, {338: 2}, "3 of 12 pixels are not opaque", id="opacity, 16 bits"),
        pytest.param(
            np.zeros((3, 4), np.uint16), {274: 3}, "a TIFF of 16 bits that its tag Orientation turns", id="turned TIFF"
        ),
    ],
)
def test_a_tiff_that_would_become_another_image_is_refused(
    tmp_path: Path, pixels: NDArray[Any], tags: dict[int, int], message: str
) -> None:
    root = write_folder(tmp_path / "mine")
    with_image(root, "tif", lambda path: write_tiff(path, (pixels, tags)))
    assert complaint(root, bits=16).startswith(f"images/03.tif: {message}")


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.array([[0, 5, 100, 255]] * 3, np.int16), np.array([[0, 5, 100, 255]] * 3)),
        (np.array([[0, 5, 100, 127]] * 3, np.int8), np.array([[0, 5, 100, 127]] * 3)),
    ],
)
def test_signed_levels_without_a_negative_one_are_read(
    tmp_path: Path, pixels: NDArray[Any], expected: NDArray[np.integer]
) -> None:
    root = write_folder(tmp_path)
    with_image(root, "tif", lambda path: write_tiff(path, (pixels, {})))
    np.testing.assert_array_equal(loaded(root)[0], np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_an_opaque_image_is_read_and_hidden_colours_are_refused(tmp_path: Path, suffix: str) -> None:
    root = write_folder(tmp_path / "mine")
    with_image(root, suffix, lambda path: Image.fromarray(RGBA).save(path, lossless=True))
    np.testing.assert_array_equal(loaded(root)[0], picture("a"))
    Image.fromarray(HIDDEN).save(root / f"images/03.{suffix}", lossless=True, exact=True)
    assert complaint(root) == (
        f"images/03.{suffix}: 3 of 12 pixels are not opaque by its fourth band or transparent colour; save it as grey "
        "or RGB, over the background that is meant"
    )


def test_a_transparent_colour_is_refused_where_it_is_used(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine")
    pixels = np.full((3, 4, 3), 7, np.uint8)
    with_image(root, "png", lambda path: Image.fromarray(pixels).save(path, transparency=(7, 7, 8)))
    assert (loaded(root)[0] == 7).all()
    Image.fromarray(pixels).save(root / "images/03.png", transparency=(7, 7, 7))
    assert complaint(root).startswith("images/03.png: 12 of 12 pixels are not opaque")


def test_an_opaque_image_of_16_bits_is_read(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    with_image(root, "png", lambda path: cv2.imwrite(str(path), RGBA[..., [2, 1, 0, 3]].astype(np.uint16) * 257))
    np.testing.assert_array_equal(loaded(root, bits=16)[0], picture("a"))


@pytest.mark.parametrize("suffix", ["tif", "gif", "png", "webp"])
@pytest.mark.parametrize("kind", ["images", "masks"])
def test_several_pages_or_frames_are_refused(tmp_path: Path, suffix: str, kind: str) -> None:
    root = write_folder(tmp_path / "mine")
    first, second = (Image.fromarray(picture(name)) for name in "ab")
    (root / kind / "03.png").unlink()
    first.save(root / kind / f"03.{suffix}", save_all=True, append_images=[second])
    assert complaint(root) == (
        f"{kind}/03.{suffix}: 2 pages or frames in one file; save the one that is meant in a file of its own"
    )


def test_previews_are_no_pages(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    pages: list[tuple[NDArray[Any], dict[int, int]]] = [(picture("a"), {}), (picture("b", shape=(2, 2, 3)), {254: 1})]
    with_image(root, "tif", lambda path: write_tiff(path, *pages))
    np.testing.assert_array_equal(loaded(root)[0], picture("a"))
    grey = np.full((3, 4, 3), 90, np.uint8)
    (root / "images/03.tif").unlink()
    Image.fromarray(grey).save(
        root / "images/03.jpg", format="MPO", save_all=True, append_images=[Image.fromarray(picture("b"))]
    )
    assert np.abs(loaded(root)[0].astype(int) - 90).max() <= 2


@pytest.mark.parametrize("channels", [1, 3])
def test_a_large_image_of_16_bits_takes_little_more_than_its_pixels(tmp_path: Path, channels: int) -> None:
    levels = np.arange(1500 * 1500 * channels, dtype=np.uint32).reshape(1500, 1500, channels).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), levels)
    (tmp_path / "classes.csv").write_text(BINARY)
    Image.fromarray(np.zeros((1500, 1500), np.uint8)).save(tmp_path / "mask.png")
    table = ClassTable.read(tmp_path / "classes.csv")
    tracemalloc.start()
    image = read_photo(tmp_path / "a.png", bits=16).pixels
    table.label_map(tmp_path / "mask.png", tolerance=0)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 20 * 1500 * 1500
    expected = np.round(levels[..., ::-1] * (255 / 65535)).astype(np.uint8)
    np.testing.assert_array_equal(image, np.broadcast_to(expected, (1500, 1500, 3)))


def test_images_that_would_not_fit_into_memory_together_are_prepared_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    working, most, write_one = [0], [0], preparation._write

    def watched(*arguments: Any) -> Any:
        working[0] += 1
        most[0] = max(most[0], working[0])
        threading.Event().wait(0.01)
        outcome = write_one(*arguments)
        working[0] -= 1
        return outcome

    monkeypatch.setattr(preparation, "_write", watched)
    monkeypatch.setattr(preparation, "num_cores", lambda: 4)
    source = opened(write_folder(tmp_path / "mine"))  # of 12 px, which need 240 bytes
    prepare(source, tmp_path / "roomy")
    assert most[0] > 1
    most[0] = 0
    monkeypatch.setattr(preparation, "available_memory_bytes", lambda: 2 * 2 * 239)
    prepare(source, tmp_path / "narrow")
    assert most[0] == 1


# Photos that EXIF data turn


def save_turned(path: Path, pixels: NDArray[Any], orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


STORED_MASK = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]], np.uint8)


def write_turned(
    root: Path, orientation: int, *, shape: tuple[int, int] = (3, 3), mask_orientation: int = 1, suffix: str = ".png"
) -> Path:
    """Photos that are stored turned, with masks that are drawn on the stored pixels."""
    mask = STORED_MASK if shape == (3, 3) else LABEL_MAP
    write_folder(root, mask=mask * 255)
    for path in list((root / "images").iterdir()):
        for old in (path, root / "masks" / path.name):
            old.unlink()
        save_turned(path.with_suffix(suffix), picture("a", shape=(*shape, 3)), orientation)
        save_turned((root / "masks" / path.name).with_suffix(suffix), mask * 255, mask_orientation)
    return root


TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: np.fliplr, 3: lambda pixels: np.rot90(pixels, 2), 4: np.flipud, 5: lambda pixels: np.swapaxes(pixels, 0, 1),
    6: lambda pixels: np.rot90(pixels, -1), 7: lambda pixels: np.swapaxes(np.rot90(pixels, 2), 0, 1), 8: np.rot90,
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("shape", [(3, 3), (3, 4)])
@pytest.mark.parametrize("orientation", TURNS)
def test_a_mask_that_is_turned_as_its_photo_is_turned_with_it(
    tmp_path: Path, orientation: int, shape: tuple[int, int], suffix: str
) -> None:
    root = write_turned(tmp_path, orientation, mask_orientation=orientation, shape=shape, suffix=suffix)
    image, label_map = loaded(root)
    np.testing.assert_array_equal(image, TURNS[orientation](picture("a", shape=(*shape, 3))))
    np.testing.assert_array_equal(label_map, TURNS[orientation](STORED_MASK if shape == (3, 3) else LABEL_MAP))


@pytest.mark.parametrize("orientation", TURNS)
def test_where_nothing_tells_how_a_mask_lies_on_a_turned_photo_it_is_refused(tmp_path: Path, orientation: int) -> None:
    root = write_turned(tmp_path / "mine", orientation)
    assert complaint(root).splitlines()[0] == (
        f"images/{opened(root).examples[0].name}.png: its EXIF data turn or mirror it (orientation {orientation}), and "
        "its mask may be drawn on it as it is seen or as it is stored; set `masks_drawn_on: upright` or `stored`, or "
        "save it upright"
    )
    np.testing.assert_array_equal(loaded(root, masks_drawn_on="upright")[1], STORED_MASK)
    image, label_map = loaded(root, masks_drawn_on="stored")
    np.testing.assert_array_equal(label_map, TURNS[orientation](STORED_MASK))
    np.testing.assert_array_equal(image, TURNS[orientation](picture("a", shape=(3, 3, 3))))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("drawn_on", [None, "upright", "stored"])
def test_sizes_tell_how_a_mask_lies_on_a_turned_photo(tmp_path: Path, orientation: int, drawn_on: str | None) -> None:
    """Masks of 4x3 px fit photos of 4x3 px as they are stored, and of 3x4 px as they are seen."""
    root = write_turned(tmp_path / "stored", orientation, shape=(3, 4))
    np.testing.assert_array_equal(loaded(root, masks_drawn_on=drawn_on)[1], TURNS[orientation](LABEL_MAP))
    root = write_turned(tmp_path / "upright", orientation, shape=(4, 3))
    np.testing.assert_array_equal(loaded(root, masks_drawn_on=drawn_on)[1], LABEL_MAP)


def test_a_mask_that_is_turned_otherwise_than_its_photo_is_refused(tmp_path: Path) -> None:
    root = write_turned(tmp_path / "mine", 1, mask_orientation=6)
    assert complaint(root, masks_drawn_on="stored").startswith(
        f"masks/{opened(root).examples[0].name}.png: its EXIF orientation is 6, its image's 1; save both upright"
    )


def test_a_photo_of_16_bits_is_turned_too(tmp_path: Path) -> None:
    root = write_turned(tmp_path, 6)
    levels = np.arange(9, dtype=np.uint16).reshape(3, 3) * 257
    for path in (root / "images").iterdir():
        save_turned(path, levels, 6)
    image, _ = loaded(root, bits=16, masks_drawn_on="stored")
    np.testing.assert_array_equal(image[..., 0], np.rot90(np.arange(9).reshape(3, 3), -1))


@pytest.mark.parametrize("orientation", TURNS)
def test_a_grey_tiff_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    pixels = picture("a", shape=(3, 4))
    save_turned(tmp_path / "a.tif", pixels, orientation)
    found = read_photo(tmp_path / "a.tif", bits=8)
    np.testing.assert_array_equal(found.pixels[..., 0], TURNS[orientation](pixels))
    assert found.orientation == orientation


@pytest.mark.parametrize("tag", [0x0100, 0x011A], ids=["ImageWidth", "XResolution"])
def test_a_photo_with_words_for_numbers_in_its_exif_data_is_turned(tmp_path: Path, tag: int) -> None:
    word, orientation = struct.pack("<HHI4s", tag, 2, 4, b"640"), struct.pack("<HHIHxx", 0x0112, 3, 1, 6)
    entries = [word, orientation] if tag < 0x0112 else [orientation, word]
    content = b"Exif\0\0" + struct.pack("<2sHIH", b"II", 42, 8, 2) + b"".join(entries) + bytes(4)
    Image.fromarray(picture("a", shape=(3, 4))).save(tmp_path / "a.png", exif=content)
    found = read_photo(tmp_path / "a.png", bits=8)
    np.testing.assert_array_equal(found.pixels[..., 0], np.rot90(picture("a", shape=(3, 4)), -1))


@pytest.mark.parametrize(("suffix", "orientation"), [(".jp2", 1), (".tif", 1), (".tif", 6)])
def test_grey_of_12_bits_is_scaled(tmp_path: Path, suffix: str, orientation: int) -> None:
    """As satellites and microscopes write it: JPEG 2000, and TIFF with three bytes for two pixels."""
    levels = np.array([[0, 100, 255, 256], [1000, 2000, 4000, 4095]], np.uint16)
    path = tmp_path / f"a{suffix}"
    if suffix == ".jp2":
        Image.fromarray(levels).save(path)
    else:
        pairs = levels.astype(np.uint32).reshape(2, 2, 2)
        packed = pairs[..., 0] << 12 | pairs[..., 1]
        three_bytes = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1).astype(np.uint8)
        write_tiff(path, (three_bytes.reshape(2, 6), {256: 4, 258: 12, 274: orientation, 339: 1}))
    image = read_photo(path, bits=12).pixels
    expected = np.round(levels * (255 / 4095)).astype(np.uint8)
    np.testing.assert_array_equal(image, turned(expected, orientation)[..., np.newaxis].repeat(3, axis=2))
    with pytest.raises(InputError, match=r"level 4095 is above 1023, the most that 10 bits hold; set `bits`"):
        read_photo(path, bits=10)


def test_turning_without_an_orientation_changes_nothing() -> None:
    np.testing.assert_array_equal(turned(LABEL_MAP, 1), LABEL_MAP)


# Masks


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mask_with_its_label_in_the_opacity_is_refused(tmp_path: Path, channels: int) -> None:
    root = write_folder(tmp_path / "mine")
    mask = np.dstack([*channels * [np.full((3, 4), 0, np.uint8)], LABEL_MAP * 255])
    Image.fromarray(mask).save(root / "masks/03.png")
    what = "value 0" if channels == 1 else "colour 0, 0, 0"
    assert complaint(root) == (
        f"masks/03.png: pixels of {what} have the opacities 0 and 255, so that the label may be in the opacity; save "
        "the labels as grey, palette or RGB"
    )


def test_a_mask_of_16_bits_is_not_taken_for_colours_of_8(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", classes=COLORED, mask=np.zeros((3, 4, 3), np.uint8))
    cv2.imwrite(str(root / "masks/03.png"), np.full((3, 4, 3), 128, np.uint16))
    assert complaint(root) == "masks/03.png: RGB of 16 bits per channel; a mask in colours must have 8"
    Image.fromarray(np.full((3, 4), 300, np.uint16)).save(root / "masks/03.png")
    assert complaint(root).startswith("masks/03.png: mode I;16; a mask in colours must be grey, palette or RGB")


def test_a_signed_mask_is_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine")
    (root / "masks/03.png").unlink()
    write_tiff(root / "masks/03.tif", (np.array([[0, -1, 0, 0]] * 3, np.int8), {}))
    assert complaint(root).startswith("masks/03.tif: signed levels, of which some are below 0")


def test_masks_of_0_and_255_get_the_right_lines_for_the_table(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", classes="name,value\nbackground,0\ncell,1\n")
    assert complaint(root).splitlines()[0] == (
        f"masks/{opened(root).examples[0].name}.png: value 255 is no class's; those are 0, 1; 7 of its 12 pixels are "
        "of no class; the mask has the values 0, 255; if they are the classes in this order, write `background,0`, "
        "`cell,255` in classes.csv"
    )


def test_a_value_too_many_needs_a_line(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine")
    write(root / "masks/03.png", np.array([[0, 255, 7, 0]] * 3, np.uint8))
    assert complaint(root).endswith("the mask has the values 0, 7, 255; each needs a line in classes.csv")


def test_a_jpeg_mask_is_read_only_when_told(tmp_path: Path) -> None:
    smooth = np.zeros((16, 16), np.uint8)
    smooth[:, 5:] = 1
    root = write_folder(tmp_path / "mine", mask=smooth * 255)
    with_16_px = np.zeros((16, 16, 3), np.uint8)
    for path in (root / "images").iterdir():
        write(path, with_16_px)
    (root / "masks/03.png").unlink()
    Image.fromarray(smooth * 255).save(root / "masks/03.jpg", quality=60)
    stored = np.asarray(Image.open(root / "masks/03.jpg")).astype(int)
    num_odd = int(((stored != 0) & (stored != 255)).sum())
    furthest = int(np.minimum(stored, 255 - stored).max())
    assert num_odd > 0 and furthest < 100
    message = complaint(root)
    assert message.startswith("masks/03.jpg: value ")
    assert message.endswith(
        f"{num_odd} of its 256 pixels are of no class; JPEG changes pixels: export it as PNG, or set `mask_tolerance: "
        f"{furthest}`, by which pixels take the nearest class"
    )
    np.testing.assert_array_equal(loaded(root, mask_tolerance=furthest)[1], smooth)
    assert complaint(root, mask_tolerance=furthest - 1).startswith("masks/03.jpg: value ")


def test_soft_edges_of_a_mask_in_colours_take_the_nearest_class_only_when_told(tmp_path: Path) -> None:
    road = np.full((3, 4, 3), (128, 64, 128), np.uint8)
    root = write_folder(tmp_path / "mine", classes=COLORED, mask=road)
    soft = road.copy()
    soft[0] = (70, 130, 180), (80, 120, 170), (118, 74, 138), (10, 0, 5)
    write(root / "masks/03.png", soft)
    assert complaint(root) == (
        "masks/03.png: colour (10, 0, 5) is no class's; 3 of its 12 pixels are of no class; soft edges and resizing "
        "mix colours: export it without them, or set `mask_tolerance: 10`, by which pixels take the nearest class"
    )
    assert loaded(root, mask_tolerance=10)[1][0].tolist() == [1, 1, 0, IGNORE_INDEX]
    assert loaded(root, mask_tolerance=10)[1][1:].tolist() == [[0] * 4] * 2


def test_a_large_mask_is_counted_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segbench.datasets.raw.STRIP_PIXELS", 4)
    root = write_folder(tmp_path / "mine")
    write(root / "masks/03.png", np.array([[0, 255, 9, 9], [255, 0, 0, 0], [8, 0, 0, 255]], np.uint8))
    assert "value 9 is no class's; those are 0, 255; 3 of its 12 pixels are of no class" in complaint(root)
    write(root / "masks/03.png", LABEL_MAP * 255)
    np.testing.assert_array_equal(loaded(root)[1], LABEL_MAP)


def test_the_tolerance_that_is_named_is_enough_for_the_whole_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segbench.datasets.raw.STRIP_PIXELS", 4)
    soft = np.full((3, 4, 3), (128, 64, 128), np.uint8)
    root = write_folder(tmp_path / "mine", classes=COLORED, mask=soft)
    soft[0, 0], soft[2, 2] = (128, 64, 138), (128, 61, 128)
    write(root / "masks/03.png", soft)
    assert "; 2 of its 12 pixels are of no class;" in complaint(root)
    assert "set `mask_tolerance: 10`, by which" in complaint(root)


# Names


@pytest.mark.parametrize("kind", ["images", "masks"])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("b.heic", "a .heic file"),
        ("b.dcm", "a .dcm file"),
        ("b.nii.gz", "a .nii.gz file"),
        ("b.npy", "a .npy file"),
        ("IM000001", "a file without a suffix"),
    ],
)
def test_a_file_that_no_reader_knows_is_named(tmp_path: Path, kind: str, name: str, says: str) -> None:
    root = write_folder(tmp_path / "mine")
    (root / kind / name).write_bytes(b"x")
    assert complaint(root) == (
        f"{kind}/{name}: {says} is no image that can be read; save it as PNG or TIFF, or move it elsewhere"
    )


def test_what_programs_leave_beside_images_is_no_example(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    names = ("._03.png", ".DS_Store", ".hidden/a.png", "__MACOSX/._03.png", "Thumbs.db", "03.json", "notes.txt")
    for name in names:
        for kind in ("images", "masks"):
            (root / kind / name).parent.mkdir(exist_ok=True)
            (root / kind / name).write_bytes(b"x")
    assert {example.name for example in opened(root).examples} == {f"{index:02d}" for index in range(10)}


def test_images_in_a_linked_folder_are_examples(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine")
    for kind in ("images", "masks"):
        write(tmp_path / "elsewhere" / kind / "a.png", picture("a") if kind == "images" else LABEL_MAP * 255)
        (root / kind / "linked").symlink_to(tmp_path / "elsewhere" / kind)
        (root / kind / "around").symlink_to(root / kind)  # leads back to where it is
    assert {example.name for example in opened(root).examples} == {f"{i:02d}" for i in range(10)} | {"linked__a"}


def rename(root: Path, kind: str, pattern: str) -> None:
    for path in list((root / kind).iterdir()):
        path.rename(path.with_stem(pattern.replace("{name}", path.stem)))


@pytest.mark.parametrize(
    ("image_names", "mask_names", "says"),
    [
        ("{name}", "{name}_mask", '`mask_names: "{name}_mask"`'),
        ("{name}", "mask-{name}", '`mask_names: "mask-{name}"`'),
        ("img{name}", "{name}", '`image_names: "img{name}"`'),
        (
            "{name}_leftImg8bit",
            "{name}_gtFine_labelIds",
            '`image_names: "{name}_leftImg8bit"` and `mask_names: "{name}_gtFine_labelIds"`',
        ),
    ],
)
def test_names_that_differ_by_a_pattern_are_matched_when_told(
    tmp_path: Path, image_names: str, mask_names: str, says: str
) -> None:
    root = write_folder(tmp_path / "mine", dict.fromkeys(("aa_1", "ab_2", "b_1", "b_12"), ""))
    rename(root, "images", image_names)
    rename(root, "masks", mask_names)
    first, mask = (pattern.replace("{name}", "aa_1") for pattern in (image_names, mask_names))
    assert complaint(root) == (
        f"images: 4 of 4 images have no mask of the same name, but {first} and {mask} look like a pair; set {says} in "
        "the dataset's source"
    )
    source = opened(root, image_names=image_names, mask_names=mask_names)
    assert {example.name for example in source.examples} == {"aa_1", "ab_2", "b_1", "b_12"}
    for example in source.examples:
        np.testing.assert_array_equal(example.load()[0], picture(example.name))


@pytest.mark.parametrize("pattern", ["mask_{name}", "{name}_mask", "m_{name}_k"])
def test_two_underscores_in_a_name_are_no_folder(tmp_path: Path, pattern: str) -> None:
    root = write_folder(tmp_path / "mine", dict.fromkeys(("a__1", "2020__night__01", "b", "c"), ""))
    for kind in ("images", "masks"):
        (root / kind / "site").mkdir()
        (root / kind / "b.png").rename(root / kind / "site/b__2.png")
    for path in [path for path in (root / "masks").rglob("*") if path.is_file()]:
        path.rename(path.with_stem(pattern.replace("{name}", path.stem)))
    source = opened(root, mask_names=pattern)
    assert {example.name for example in source.examples} == {"a__1", "2020__night__01", "site__b__2", "c"}
    for example in source.examples:
        np.testing.assert_array_equal(example.load()[1], LABEL_MAP)


def test_other_files_beside_the_masks_of_a_pattern_are_left_alone_and_images_are_not(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine")
    rename(root, "masks", "{name}_labelIds")
    write(root / "masks/03_color.png", picture("a"))
    assert len(opened(root, mask_names="{name}_labelIds").examples) == 10
    assert complaint(root, image_names="x{name}", mask_names="{name}_labelIds").startswith(
        "images/00.png: its name does not fit image_names, which are x{name}; rename it or move it elsewhere\n"
    )


def test_masks_may_lie_beside_the_images(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine")
    rename(root, "masks", "{name}_mask")
    for path in list((root / "masks").iterdir()):
        path.rename(root / "images" / path.name)
    (root / "masks").rmdir()
    assert complaint(root) == (
        "masks: no such folder; for masks beside the images, set `mask_names`, such as {name}_mask"
    )
    source = opened(root, mask_names="{name}_mask")
    assert [example.name for example in source.examples] == [f"{index:02d}" for index in range(10)]
    np.testing.assert_array_equal(source.examples[3].load()[1], LABEL_MAP)
    (root / "images/04_mask.png").unlink()
    assert complaint(root, mask_names="{name}_mask") == "images/04.png: no mask images/04_mask.*"


def test_lists_and_groups_name_images_with_or_without_their_pattern(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    rename(root, "images", "{name}_rgb")
    for split, name in (("train", "02"), ("val", "03_rgb.png"), ("test", "04_rgb")):
        (root / f"{split}.txt").write_text(name)
    (root / "groups.csv").write_text("name,group\n02,a\n03_rgb.png,b\n04,c\n")
    source = opened(root, image_names="{name}_rgb", split=LISTS, groups="groups.csv")
    assert [(example.split, example.name, example.group) for example in source.examples] == [
        ("train", "02", "a"), ("val", "03", "b"), ("test", "04", "c"),
    ]  # fmt: skip


def test_a_group_of_two_minds_is_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine")
    (root / "groups.csv").write_text("name,group\n02,a\n02.png,b\n")
    assert complaint(root, groups="groups.csv") == "groups.csv: 02 has the groups a and b; it must have one"
    (root / "groups.csv").write_text("name,group\n02,a\n03, \n")
    assert complaint(root, groups="groups.csv") == (
        "groups.csv: 03 has no group; name one, or the image itself if it has no other"
    )


def test_fewer_groups_than_splits_are_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine")
    (root / "groups.csv").write_text("name,group\n" + "".join(f"{i:02d},{i % 2}\n" for i in range(10)))
    assert complaint(root, groups="groups.csv") == (
        "images: 2 groups; a split by ratio needs at least 3, one for each of train, val, test"
    )


def test_a_name_that_differs_by_case_is_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", dict.fromkeys(("a", "b", "c"), ""))
    (root / "masks/b.png").rename(root / "masks/B.PNG")
    assert complaint(root).splitlines()[0] == (
        f"images/b.png: no mask masks/b.*; {root}/masks/B.PNG differs from it by case, so rename one of them".replace(
            f"{root}/", ""
        )
    )


def test_the_two_spellings_of_an_umlaut_are_one_name(tmp_path: Path) -> None:
    root = write_folder(tmp_path, dict.fromkeys(("a", "b", "c"), ""))
    write(root / "images" / unicodedata.normalize("NFD", "grün.png"), picture("a"))
    write(root / "masks" / unicodedata.normalize("NFC", "grün.png"), LABEL_MAP * 255)
    for split, names in (("train", ["a", "b"]), ("val", ["c"]), ("test", [unicodedata.normalize("NFD", "grün")])):
        (root / f"{split}.txt").write_text("\n".join(names))
    assert opened(root, split=LISTS).examples[-1].name == unicodedata.normalize("NFC", "grün")


def test_a_list_that_is_no_text_is_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine")
    (root / "train.txt").write_bytes(b"\xff\xfe0\x002\x00")
    assert complaint(root, split=LISTS).startswith("train.txt: not a text file")


def test_a_labelmap_of_cvat_is_a_class_table(tmp_path: Path) -> None:
    mask = np.array([[0, 0, 0], [250, 50, 83]], np.uint8)[LABEL_MAP]
    root = write_folder(tmp_path / "mine", mask=mask)
    (root / "classes.csv").unlink()
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:250,50,83::\n")
    prepared = prepare(opened(root), tmp_path / "prepared")
    assert prepared.classes.names == ("background", "cat")
    assert all(row.class_pixels == (5, 7) for row in prepared.rows)
    (root / "labelmap.txt").write_text("background\n")
    with pytest.raises(InputError, match=r"labelmap.txt: the line background must be name:red,green,blue::$"):
        opened(root)
    (root / "labelmap.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match=r"labelmap.txt: no line with a class$"):
        opened(root)
    (root / "classes.csv").write_text(BINARY)
    assert opened(root).classes.names == ("background", "cell")
