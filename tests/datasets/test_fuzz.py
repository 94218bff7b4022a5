"""Whatever a file holds, it is read rightly or refused in one line, and nothing is written elsewhere."""

import io
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from segbench.datasets import camvid, scenes
from segbench.datasets.class_table import ClassTable
from segbench.datasets.preparation import prepare
from segbench.datasets.prepared import Prepared
from segbench.datasets.raw import read_mask, read_photo
from segbench.datasets.source import SPLITS, read_pair
from segbench.errors import InputError
from segbench.images import read_image, read_label_map
from segbench.labels import IGNORE_INDEX

FUZZ = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
RNG = np.random.default_rng(0)
GREY, COLOR = RNG.integers(0, 2, (12, 16), np.uint8) * 255, RNG.integers(0, 256, (12, 16, 3), np.uint8)
TABLE = "name,value,red,green,blue\na,0,1,2,3\nb,255,3,2,1\nignore,7,0,0,0\n"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A prepared dataset, and its manifest as it should be."""
    root = tmp_path_factory.mktemp("prepared") / "drawn"
    prepare(scenes.open_source(seed=0, width_px=32, height_px=32, num_train=2, num_val=1, num_test=1), root)
    return root, (root / "manifest.csv").read_bytes()


@FUZZ
@given(place=st.floats(0, 1), length=st.integers(0, 40), other=st.binary(max_size=12))
def test_any_manifest_is_read_or_refused(prepared: tuple[Path, bytes], place: float, length: int, other: bytes) -> None:
    root, content = prepared
    start = int(place * len(content))
    (root / "manifest.csv").write_bytes(content[:start] + other + content[start + length :])
    found = in_one_line(lambda: Prepared.open(root), root / "manifest.csv")
    assert found is None or {row.split for row in found.rows} <= set(SPLITS)


def in_one_line(read: Callable[[], Any], about: Path) -> Any:
    """What is read, or None for an InputError that names the file in one line; any other error fails the test."""
    try:
        return read()
    except InputError as error:
        assert str(error).startswith(str(about))
        assert len(str(error).splitlines()) == 1
        return None


# Class tables

cells = st.one_of(
    st.sampled_from(["name", "value", "red", "green", "blue", "ignore", "road", "0", "1", "255", "-1", "1e9", '"', ""]),
    st.text(max_size=6),
)
tables = st.lists(st.lists(cells, max_size=6).map(",".join), max_size=6).map("\n".join)


@FUZZ
@given(content=st.one_of(st.binary(max_size=60), tables.map(lambda text: text.encode(errors="surrogatepass"))))
def test_any_class_table(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "classes.csv"
    path.write_bytes(content)
    table = in_one_line(lambda: ClassTable.read(path), path)
    if table is not None:
        assert len(table.classes) > 1
        assert {*table.of_value.values(), *table.of_color.values()} <= {*range(len(table.classes)), IGNORE_INDEX}


@FUZZ
@given(content=st.one_of(st.binary(max_size=60), st.text(":,\n# a0", max_size=40).map(str.encode)))
def test_any_labelmap(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labelmap.txt"
    path.write_bytes(content)
    in_one_line(lambda: ClassTable.read(path), path)


# Images and masks


def encoded(pixels: NDArray[Any], form: str, **how: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=form, **how)
    return file.getvalue()


FILES = {
    "png": encoded(COLOR, "PNG"),
    "grey.png": encoded(GREY, "PNG"),
    "16 bits.png": encoded(GREY.astype(np.uint16) * 257, "PNG"),
    "jpg": encoded(COLOR, "JPEG"),
    "tif": encoded(COLOR, "TIFF", compression="tiff_lzw"),
    "16 bits.tif": encoded(GREY.astype(np.uint16) * 257, "TIFF"),
    "gif": encoded(GREY, "GIF"),
    "webp": encoded(COLOR, "WEBP"),
    "bmp": encoded(COLOR, "BMP"),
    "pgm": encoded(GREY, "PPM"),
}


@pytest.mark.parametrize("name", FILES)
@settings(FUZZ, max_examples=25)
@given(data=st.data())
def test_any_damage_to_an_image(tmp_path: Path, name: str, data: st.DataObject) -> None:
    content = bytearray(
        FILES[name][: data.draw(st.one_of(st.none(), st.integers(0, len(FILES[name]))), label="cut at")]
    )
    for place in data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=4), label="changed bytes"):
        content[place : place + 1] = bytes([data.draw(st.integers(0, 255))]) if content else b""
    path, table_path = tmp_path / f"a.{name.rpartition('.')[2]}", tmp_path / "classes.csv"
    path.write_bytes(content)
    table_path.write_text(TABLE)
    photo = in_one_line(lambda: read_photo(path, bits=16), path)
    if photo is not None:
        assert photo.pixels.dtype == np.uint8 and photo.pixels.shape[2] == 3
    labels = in_one_line(lambda: ClassTable.read(table_path).label_map(path, tolerance=0), path)
    if labels is not None:
        assert set(np.unique(labels[0])) <= {0, 1, IGNORE_INDEX}


MODES = [
    "1",
    "L",
    "LA",
    "La",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBa",
    "RGBX",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "I;16",
    "F",
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp", "gif", "bmp", "tga"])
def test_any_mode_of_an_image(tmp_path: Path, mode: str, suffix: str) -> None:
    """A photo is what Pillow shows of the file; what has more than colours is refused."""
    levels = np.full((4, 6), 200 if mode != "1" else 255, np.uint8)
    bands = len(Image.new(mode, (1, 1)).getbands())
    image = Image.frombytes(mode, (6, 4), _bytes_of(levels, mode, bands))
    path = tmp_path / f"a.{suffix}"
    try:
        image.save(path)
    except (OSError, KeyError, ValueError):
        pytest.skip(f"Pillow writes no {mode} as {suffix}")
    photo = in_one_line(lambda: read_photo(path, bits=16), path)
    in_one_line(lambda: read_mask(path), path)
    with Image.open(path) as stored:
        if photo is None:
            is_refused = stored.mode in ("F", "I", "LAB") or stored.has_transparency_data or mode == "RGBX"
            assert is_refused or (mode, suffix) == ("P", "bmp")
        elif stored.mode.startswith("I;16"):
            assert (photo.pixels == np.round(np.asarray(stored)[..., None] * (255 / 65535))).all()
        else:
            np.testing.assert_array_equal(photo.pixels, np.asarray(stored.convert("RGB")))


def _bytes_of(levels: NDArray[np.uint8], mode: str, bands: int) -> bytes:
    match mode:
        case "1":
            return np.packbits(levels > 0, axis=1).tobytes()
        case "I":
            return levels.astype(np.int32).tobytes()
        case "I;16":
            return (levels.astype(np.uint16) * 257).tobytes()
        case "F":
            return levels.astype(np.float32).tobytes()
    return np.repeat(levels[..., None], bands, axis=2).tobytes()


LABELS = np.array([[0, 1, 1, 0, 1], [1, 1, 0, 0, 0], [0, 1, 0, 1, 1]], np.uint8).repeat(4, axis=0)
PALETTE = [9, 9, 9, 4, 5, 6]


def label_file(form: str, **how: Any) -> bytes:
    """LABELS as an indexed image whose colours say nothing about its values."""
    image = Image.fromarray(LABELS, mode="P")
    image.putpalette(PALETTE)
    file = io.BytesIO()
    image.save(file, format=form, **how)
    return file.getvalue()


LABEL_FILES = {
    "png": label_file("PNG"),
    "1 bit.png": label_file("PNG", bits=1),
    "tif": label_file("TIFF"),
    "lzw.tif": label_file("TIFF", compression="tiff_lzw"),
    "deflate.tif": label_file("TIFF", compression="tiff_adobe_deflate"),
    "packbits.tif": label_file("TIFF", compression="packbits"),
    "bmp": label_file("BMP"),
    "tga": label_file("TGA"),
    "rle.tga": label_file("TGA", compression="tga_rle"),
    "gif": label_file("GIF", optimize=False),
    "pgm": encoded(LABELS, "PPM"),
    "grey.png": encoded(LABELS, "PNG"),
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("name", LABEL_FILES)
def test_a_label_map_cut_anywhere_is_whole_or_refused(tmp_path: Path, name: str) -> None:
    content, path, table = LABEL_FILES[name], tmp_path / f"a.{name.rpartition('.')[2]}", tmp_path / "classes.csv"
    table.write_text("name,value\na,0\nb,1\n")
    readers = (
        lambda: read_label_map(path),
        lambda: read_pair(path, path, {0: 0, 1: 1})[1],
        lambda: ClassTable.read(table).label_map(path, tolerance=0)[0],
    )
    for length in (*range(len(content) - 1, -1, -11), len(content)):
        path.write_bytes(content[:length])
        for read in readers:
            labels = in_one_line(read, path)
            if labels is not None:
                np.testing.assert_array_equal(labels, LABELS, err_msg=f"cut at {length} of {len(content)}")
    assert labels is not None, "the whole file is read"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("name", FILES)
def test_a_photo_cut_anywhere_is_whole_or_refused(tmp_path: Path, name: str) -> None:
    content, path = FILES[name], tmp_path / f"a.{name.rpartition('.')[2]}"
    path.write_bytes(content)
    photo, image = read_photo(path, bits=16).pixels, read_image(path)
    for length in range(len(content) - 1, -1, -11):
        path.write_bytes(content[:length])
        for read, whole in ((lambda: read_photo(path, bits=16).pixels, photo), (lambda: read_image(path), image)):
            pixels = in_one_line(read, path)
            if pixels is not None:
                np.testing.assert_array_equal(pixels, whole, err_msg=f"cut at {length} of {len(content)}")


@settings(FUZZ, max_examples=60)
@given(
    palette=st.binary(max_size=12).map(lambda colors: 3 * colors),
    transparency=st.one_of(st.none(), st.integers(0, 3), st.binary(min_size=1, max_size=4)),
    bits=st.sampled_from([1, 2, 4, 8]),
    suffix=st.sampled_from(["png", "tif", "bmp"]),
)
def test_a_palette_says_nothing_about_labels(
    tmp_path: Path, palette: bytes, transparency: int | bytes | None, bits: int, suffix: str
) -> None:
    path, table = tmp_path / f"a.{suffix}", tmp_path / "classes.csv"
    image = Image.fromarray(LABELS, mode="P")
    image.putpalette(palette)
    how: dict[str, Any] = {"bits": bits} if suffix == "png" else {}
    if transparency is not None and suffix == "png":
        how["transparency"] = transparency
    image.save(path, **how)
    table.write_text("name,value\na,0\nb,1\n")
    readers = [lambda: ClassTable.read(table).label_map(path, tolerance=0)[0]]
    if suffix != "bmp":  # no published dataset has such files
        readers.append(lambda: read_label_map(path))
    for read in readers:
        labels = in_one_line(read, path)
        if labels is not None:
            np.testing.assert_array_equal(labels, LABELS)
        else:
            assert suffix == "bmp", "of black and white"


def test_a_bmp_that_pillow_would_take_for_one_of_1_bit_is_refused(tmp_path: Path) -> None:
    """A mask of 8 bits whose palette is black and white: Pillow would read each bit as a pixel."""
    path = tmp_path / "a.bmp"
    image = Image.fromarray(LABELS, mode="P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(path)
    for read in (lambda: read_mask(path), lambda: read_photo(path, bits=8)):
        with pytest.raises(InputError, match=r"a.bmp: a BMP file with a grey palette .* read wrongly; save it as PNG$"):
            read()
    Image.fromarray(LABELS > 0).save(path)
    np.testing.assert_array_equal(read_mask(path).pixels, LABELS * 255)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "tga", "gif"])
def test_labels_in_any_mode_are_those_that_were_drawn_or_refused(tmp_path: Path, mode: str, suffix: str) -> None:
    """Masks that are black and white."""
    levels = LABELS * 255
    bands = len(Image.new(mode, (1, 1)).getbands())
    image = Image.frombytes(mode, LABELS.shape[::-1], _bytes_of(levels, mode, bands))
    if mode in ("P", "PA"):
        image.putpalette([level for value in range(256) for level in (value, value, value)])
    path, table = tmp_path / f"a.{suffix}", tmp_path / "classes.csv"
    try:
        image.save(path)
    except (OSError, KeyError, ValueError):
        pytest.skip(f"Pillow writes no {mode} as {suffix}")
    one = 65535 if mode == "I;16" else 255
    table.write_text(f"name,value,red,green,blue\na,0,0,0,0\nb,{one},255,255,255\n")
    for read in (
        lambda: ClassTable.read(table).label_map(path, tolerance=0)[0],
        lambda: read_pair(path, path, {0: 0, one: 1})[1],
    ):
        labels = in_one_line(read, path)
        if labels is not None:
            np.testing.assert_array_equal(labels, LABELS)
        else:
            assert mode not in ("L", "P") or suffix == "gif"


def test_an_image_of_15000_px_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    content = bytearray(FILES["grey.png"])
    header = content[12:16] + (15_000).to_bytes(4, "big") * 2 + content[24:29]
    path = tmp_path / "images/a.png"
    path.parent.mkdir()
    path.write_bytes(content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:])
    for read in (lambda: read_photo(path, bits=8), lambda: read_mask(path), lambda: read_label_map(path)):
        with pytest.raises(
            InputError, match=r"a.png: more than 178956970 pixels; cut it into tiles or make it smaller$"
        ):
            read()


def test_a_small_file_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    content = bytearray(FILES["grey.png"])
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    for read in (lambda: read_photo(path, bits=8), lambda: read_mask(path)):
        with pytest.raises(InputError, match=r"a.png: more than \d+ pixels; cut it into tiles"):
            read()


# Archives

parts = st.sampled_from(["CamVid", "..", "", "train", "C:", "a", "~", "."])


@settings(FUZZ, max_examples=50)
@given(names=st.lists(st.lists(parts, min_size=1, max_size=5).map("/".join), max_size=5))
def test_any_names_in_an_archive(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    archive, root = folder / "a.zip", folder / "raw" / "camvid"
    root.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as bundle:
        for name in names:
            bundle.writestr(zipfile.ZipInfo(name), "x")
    before = set(folder.rglob("*"))
    monkeypatch.setattr(camvid, "download", lambda _, path: shutil.copyfile(archive, path))
    with pytest.raises(InputError, match="^url: "):
        camvid._download(root, "url", "digest")
    assert set(folder.rglob("*")) == before
