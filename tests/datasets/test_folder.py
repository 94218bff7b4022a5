"""A user's own folder is read, or one line per mistake says why not."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segbench import params
from segbench.datasets import folder, preparation
from segbench.datasets.class_table import ClassTable
from segbench.datasets.preparation import prepare
from segbench.datasets.source import Source
from segbench.errors import InputError
from segbench.labels import IGNORE_INDEX

BINARY = "name,value\nbackground,0\ncell,255\n"
COLORED = "name,red,green,blue\nroad,128,64,128\nsky,70,130,180\ncar,0,0,142\nignore,0,0,0\n"
LABEL_MAP = np.array([[0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 1, 1]], np.uint8)
RATIO = params.RatioSplit(by="ratio", val=0.2, test=0.2, seed=0)
FOLDERS = params.FoldersSplit(by="folders")
LISTS = params.ListsSplit(by="lists")


def picture(name: str, *, shape: tuple[int, ...] = (3, 4, 3)) -> NDArray[np.uint8]:
    return np.random.default_rng(list(name.encode())).integers(0, 256, shape, np.uint8)


def write(path: Path, pixels: NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_folder(
    root: Path, names: Mapping[str, str] | None = None, *, classes: str = BINARY, mask: NDArray[Any] = LABEL_MAP * 255
) -> Path:
    """Images of these names and splits, or ten in no split, all with one mask."""
    for name, split in (names or dict.fromkeys((f"{index:02d}" for index in range(10)), "")).items():
        write(root / "images" / split / f"{name}.png", picture(name))
        write(root / "masks" / split / f"{name}.png", mask)
    (root / "classes.csv").write_text(classes)
    return root


def opened(root: Path, *, split: Any = RATIO, groups: str | None = None, bits: int = 8, **more: Any) -> Source:
    return folder.open_source(root, groups=Path(groups) if groups else None, bits=bits, split=split, **more)


def names_by_split(source: Source) -> dict[str, list[str]]:
    names = defaultdict(list)
    for example in source.examples:
        names[example.split].append(example.name)
    return names


def complaint(root: Path, **how: Any) -> str:
    """The error message about a folder, with paths in that folder."""
    with pytest.raises(InputError) as caught:
        prepare(opened(root, **how), root.parent / "prepared")
    return str(caught.value).replace(f"{root}/", "")


def deep_folder(root: Path) -> tuple[Path, bytes]:
    """Ten images of 16 bits that use 12 at most, one of them damaged; its path, and its right content."""
    write_folder(root)
    for path in (root / "images").iterdir():
        cv2.imwrite(str(path), picture(path.stem).astype(np.uint16) * 16)
    content = path.read_bytes()
    path.write_bytes(content[:40])
    return path, content


@pytest.mark.parametrize("is_killed", [False, True])
def test_pixels_of_other_parameters_are_not_taken_for_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    """Parameters A, then B, then A again. Killed: after B wrote an image, and before it took that down."""
    damaged, content = deep_folder(tmp_path / "mine")

    def stopped(*arrays: object) -> None:
        raise KeyboardInterrupt

    complaint(tmp_path / "mine", bits=16)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt if is_killed else InputError):
        if is_killed:
            patch.setattr(preparation, "align", stopped)
        prepare(opened(tmp_path / "mine", bits=12), tmp_path / "prepared")
    damaged.write_bytes(content)
    found = prepare(opened(tmp_path / "mine", bits=16), tmp_path / "prepared")
    expected = prepare(opened(tmp_path / "mine", bits=16), tmp_path / "anew")
    assert found.fingerprint == expected.fingerprint
    for row in expected.rows:
        np.testing.assert_array_equal(found.image(row), expected.image(row))


def test_label_maps_of_another_class_table_are_not_taken_for_done(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine")
    last = root / "images" / "09.png"
    content = last.read_bytes()
    last.write_bytes(content[:40])
    for classes in (BINARY, "name,value\ncell,255\nbackground,0\n"):
        (root / "classes.csv").write_text(classes)
        complaint(root)
    (root / "classes.csv").write_text(BINARY)
    last.write_bytes(content)
    found = prepare(opened(root), tmp_path / "prepared")
    for row in found.rows:
        np.testing.assert_array_equal(found.label_map(row), LABEL_MAP)


# Masks


@pytest.mark.parametrize(
    ("classes", "mask"),
    [
        pytest.param("name,value\na,0\nb,1\n", LABEL_MAP, id="indexed"),
        pytest.param("name,value\na,0\nb,255\n", LABEL_MAP * 255, id="black and white"),
        pytest.param("name,value\na,7\nb,40000\n", np.array([7, 40000], np.uint16)[LABEL_MAP], id="16 bits"),
        pytest.param("name,value\na,0\nb,255\n", LABEL_MAP.astype(bool), id="one bit"),
        pytest.param("name,value\na,0\nb,9\n", np.repeat(LABEL_MAP[..., None] * 9, 3, axis=2), id="grey saved as RGB"),
        pytest.param(
            "name,red,green,blue\na,1,2,3\nb,3,2,1\n", np.array([[1, 2, 3], [3, 2, 1]], np.uint8)[LABEL_MAP], id="RGB"
        ),
        pytest.param(
            "name,red,green,blue\na,1,2,3\nb,3,2,1\n",
            np.array([[1, 2, 3, 255], [3, 2, 1, 0]], np.uint8)[LABEL_MAP],
            id="RGB with opacity",
        ),
        pytest.param(
            "name,red,green,blue\na,0,0,0\nb,9,9,9\n", LABEL_MAP * 9, id="grey levels that are named by colour"
        ),
        pytest.param(
            "name,value,red,green,blue\na,0,1,2,3\nb,1,3,2,1\n",
            np.array([[1, 2, 3], [3, 2, 1]], np.uint8)[LABEL_MAP],
            id="RGB with values in the table",
        ),
    ],
)
def test_a_mask_of_any_form_becomes_class_indices(tmp_path: Path, classes: str, mask: NDArray[Any]) -> None:
    source = opened(write_folder(tmp_path, classes=classes, mask=mask))
    image, label_map = source.examples[0].load()
    np.testing.assert_array_equal(label_map, LABEL_MAP)
    np.testing.assert_array_equal(image, picture(source.examples[0].name))
    assert source.classes.names == ("a", "b")


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("name,value\na,0\nb,1\n", LABEL_MAP),
        ("name,red,green,blue\na,0,0,255\nb,255,0,0\n", 1 - LABEL_MAP),
    ],
)
def test_a_palette_mask_is_read_by_index_or_else_by_colour(
    tmp_path: Path, classes: str, expected: NDArray[np.uint8]
) -> None:
    root = write_folder(tmp_path, classes=classes)
    for path in (root / "masks").iterdir():
        mask = Image.frombytes("P", LABEL_MAP.shape[::-1], LABEL_MAP.tobytes())
        mask.putpalette([255, 0, 0, 0, 0, 255])
        mask.save(path)
    np.testing.assert_array_equal(opened(root).examples[0].load()[1], expected)


def test_ignored_pixels_may_have_several_values(tmp_path: Path) -> None:
    classes = "name,value\na,1\nb,2\nignore,0\nignore,255\n"
    root = write_folder(tmp_path, classes=classes, mask=np.array([[0, 1, 255, 1]] * 3, np.uint8))
    label_map = opened(root).examples[0].load()[1]
    assert label_map[0].tolist() == [IGNORE_INDEX, 0, IGNORE_INDEX, 0]


def test_value_255_of_a_mask_may_be_a_class(tmp_path: Path) -> None:
    """255 is IGNORE_INDEX in prepared label maps, but white in many masks."""
    prepared = prepare(opened(write_folder(tmp_path / "mine")), tmp_path / "prepared")
    assert all(row.class_pixels == (5, 7) and row.ignored_pixels == 0 for row in prepared.rows)


def test_colours_come_from_the_table_or_else_are_distinct(tmp_path: Path) -> None:
    write_folder(tmp_path, classes=COLORED)
    assert folder.read_classes(tmp_path).colors == ((128, 64, 128), (70, 130, 180), (0, 0, 142))
    lines = "".join(f"class {index},{index}\n" for index in range(255))
    write_folder(tmp_path, classes="name,value\n" + lines)
    assert len(set(folder.read_classes(tmp_path).colors)) == 255


# Images


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp", "gif", "ppm"])
def test_images_are_of_any_common_format(tmp_path: Path, suffix: str) -> None:
    root = write_folder(tmp_path)
    for path in list((root / "images").iterdir()):
        Image.fromarray(np.full((3, 4, 3), 90, np.uint8)).save(path.with_suffix(f".{suffix}"))
        if suffix != "png":
            path.unlink()
    assert np.abs(opened(root).examples[0].load()[0].astype(int) - 90).max() <= 2


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("bits", "white"), [(16, 65535), (12, 4095)])
def test_images_of_16_bits_are_scaled_by_the_bits_that_they_use(
    tmp_path: Path, suffix: str, channels: int, bits: int, white: int
) -> None:
    """OpenCV writes what Pillow cannot: RGB of 16 bits."""
    root = write_folder(tmp_path)
    levels = np.arange(12 * channels).reshape(3, 4, channels) * (white // (12 * channels - 1))
    for path in list((root / "images").iterdir()):
        path.unlink()
        cv2.imwrite(str(path.with_suffix(f".{suffix}")), levels[..., ::-1].astype(np.uint16))
    image = opened(root, bits=bits).examples[0].load()[0]
    np.testing.assert_array_equal(image, np.broadcast_to(np.round(levels * 255 / white), (3, 4, 3)))


def test_an_image_that_uses_more_bits_is_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    write(root / "images/03.png", np.full((3, 4), 4096, np.uint16))
    assert complaint(root, bits=12) == (
        "images/03.png: level 4096 is above 4095, the most that 12 bits hold; set `bits`"
    )


def test_a_grey_image_becomes_rgb_and_a_turned_one_upright(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    for path in (root / "images").iterdir():
        exif = Image.Exif()
        exif[0x0112] = 6  # turned by 90 degrees, as cameras write it
        Image.fromarray(picture("a", shape=(4, 3))).save(path, exif=exif)
    image, label_map = opened(root).examples[0].load()
    assert image.shape == (*label_map.shape, 3) == (3, 4, 3)
    np.testing.assert_array_equal(image[..., 0], np.rot90(picture("a", shape=(4, 3)), -1))


# Splits


def test_splits_by_folders(tmp_path: Path) -> None:
    root = write_folder(tmp_path, {"a": "train", "b": "train", "c": "val", "d": "test"})
    assert names_by_split(opened(root, split=FOLDERS)) == {"train": ["a", "b"], "val": ["c"], "test": ["d"]}


def test_splits_by_lists_of_names_with_or_without_suffix(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    for split, lines in (("train", "02\n00.png\n"), ("val", "  05.jpg\n\n"), ("test", "07")):
        (root / f"{split}.txt").write_text(lines)
    assert names_by_split(opened(root, split=LISTS)) == {"train": ["02", "00"], "val": ["05"], "test": ["07"]}


def test_a_ratio_gives_each_split_its_share_by_the_seed(tmp_path: Path) -> None:
    root = write_folder(tmp_path, dict.fromkeys((f"{index:03d}" for index in range(100)), ""))
    first = names_by_split(opened(root))
    assert {split: len(names) for split, names in first.items()} == {"train": 60, "val": 20, "test": 20}
    assert names_by_split(opened(root)) == first
    other = names_by_split(opened(root, split=RATIO.model_copy(update={"seed": 1})))
    assert set(other["test"]) != set(first["test"])


@pytest.mark.parametrize("seed", range(5))
def test_a_split_by_ratio_keeps_groups_together_and_leaves_no_split_empty(tmp_path: Path, seed: int) -> None:
    names = [f"{index:02d}" for index in range(30)]
    root = write_folder(tmp_path, dict.fromkeys(names, ""))
    (root / "patients.csv").write_text("name,group\n" + "".join(f"{name}.png,p{int(name) // 10}\n" for name in names))
    source = opened(root, split=RATIO.model_copy(update={"seed": seed}), groups="patients.csv")
    counts = Counter((example.split, example.group) for example in source.examples)
    assert sorted(split for split, _ in counts) == ["test", "train", "val"]
    assert set(counts.values()) == {10}
    assert all(example.block == example.group for example in source.examples)


def test_the_names_of_images_in_subfolders_have_no_slash(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    write(root / "images/site/a.jpg", picture("a"))
    write(root / "masks/site/a.png", LABEL_MAP * 255)
    assert "site__a" in {example.name for example in opened(root).examples}


# Mistakes


def remove(relative: str) -> Callable[[Path], None]:
    return lambda root: (root / relative).unlink()


def paint(relative: str, pixels: NDArray[Any]) -> Callable[[Path], object]:
    return lambda root: write(root / relative, pixels)


def make_float(stem: str) -> Callable[[Path], object]:
    def change(root: Path) -> None:
        (root / f"{stem}.png").unlink()
        write(root / f"{stem}.tif", LABEL_MAP.astype(np.float32))

    return change


def cut(relative: str) -> Callable[[Path], object]:
    return lambda root: (root / relative).write_bytes((root / relative).read_bytes()[:40])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove("masks/03.png"), "images/03.png: no mask masks/03.*"),
        (remove("images/03.png"), "masks/03.png: no image images/03.*"),
        (paint("images/03.jpg", picture("a")), "images/03.png: it has the same name as images/03.jpg"),
        (paint("masks/03.png", LABEL_MAP), "masks/03.png: value 1 is no class's; those are 0, 255"),
        (paint("masks/03.png", LABEL_MAP * 254), "masks/03.png: value 254 is no class's; those are 0, 255"),
        (
            paint("masks/03.png", picture("a")),
            "masks/03.png: a mask in colours, but classes.csv has no columns red, green and blue",
        ),
        (
            make_float("masks/03"),
            "masks/03.tif: mode F; a mask must be grey, palette or RGB, of 8 or 16 bits",
        ),
        (
            paint("masks/03.png", LABEL_MAP.T * 255),
            "train/03.png: the image is 4x3, its label map 3x4; they must be of one size",
        ),
        (cut("masks/03.png"), "masks/03.png: not a readable image"),
        (cut("images/03.png"), "images/03.png: not a readable image"),
        (
            make_float("images/03"),
            "images/03.tif: mode F; an image must have 8 or 16 bits per channel",
        ),
        (remove("classes.csv"), "classes.csv: no such file; it must be a table with the columns name"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    root = write_folder(tmp_path / "mine")
    damage(root)
    assert complaint(root).startswith(message)
    assert "\n" not in complaint(root)


def test_a_colour_of_no_class_is_named(tmp_path: Path) -> None:
    road = np.full((3, 4, 3), (128, 64, 128), np.uint8)
    root = write_folder(tmp_path / "mine", classes=COLORED, mask=road)
    wrong = road.copy()
    wrong[2, 3] = 127, 64, 128  # as saving as JPEG or bilinear resizing would make it
    write(root / "masks/04.png", wrong)
    assert complaint(root).startswith("masks/04.png: colour (127, 64, 128) is no class's; 1 of its 12 pixels is of no")


def test_all_wrong_masks_are_listed_up_to_twenty(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", dict.fromkeys((f"{index:02d}" for index in range(23)), ""), mask=LABEL_MAP)
    lines = complaint(root).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "... and 3 more"


def test_a_missing_folder_or_list_is_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", {"a": "train", "b": "test"})
    assert complaint(root, split=FOLDERS) == "images/val: no such folder"
    assert complaint(root, split=LISTS) == (
        "train.txt: no such file; a split by lists needs train.txt, val.txt and test.txt"
    )


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine")
    for split, lines in (("train", "02"), ("val", ""), ("test", "07")):
        (root / f"{split}.txt").write_text(lines)
    assert complaint(root, split=LISTS) == "the split val is empty; it must have at least one image"


def test_a_list_that_names_no_image_or_one_twice_is_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine")
    for split, lines in (("train", "02\n03"), ("val", "12\n13"), ("test", "07")):
        (root / f"{split}.txt").write_text(lines)
    assert complaint(root, split=LISTS) == "val.txt: there is no image 12\nval.txt: there is no image 13"
    (root / "val.txt").write_text("03")
    assert complaint(root, split=LISTS) == "image 03 is in train and val; it must be in one"


def test_a_group_in_two_splits_is_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", {"a": "train", "b": "val", "c": "test", "d": "test"})
    (root / "groups.csv").write_text("name,group\na,anna\nb,bert\nc,anna\nd,carl\n")
    assert complaint(root, split=FOLDERS, groups="groups.csv") == "group anna is in train and test; it must be in one"


def test_an_image_without_a_group_is_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "mine", {"a": "train", "b": "val", "c": "test"})
    (root / "groups.csv").write_text("name,group\na,anna\nc,carl\n")
    assert complaint(root, split=FOLDERS, groups="groups.csv") == "groups.csv: no line for b"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no column name; its first line is "),
        ("class,value\na,0\n", "no column name; its first line is class,value"),
        ("name value\na 0\n", "no column name; its first line is name value"),
        ("name,value,value\na,0,1\n", "the column value is there 2 times"),
        (
            "name,value\na,0\nignore,1\n",
            "only the class a; name the rest too, such as background, on a line of its own",
        ),
        ("name,value\n", "no line below the header"),
        ("name,index\na,0\n", "it needs a column value, or columns red, green and blue, beside name"),
        ("name,red,green\na,0,0\n", "it needs a column value, or columns red, green and blue, beside name"),
        ("name,value\na,0,1\n", "the line a,0,1 must have 2 cells: name,value"),
        ("name,value\na,0\nb,x\n", "value of b is 'x'; it must be a whole number, 0 to 65535"),
        ("name,value\na,0\nb,-1\n", "value of b is '-1'; it must be a whole number, 0 to 65535"),
        ("name,value\na,0\nb," + 5000 * "1" + "\n", "value of b is '111"),
        ("name,value\na,0\nb,65536\n", "value of b is '65536'; it must be a whole number, 0 to 65535"),
        ("name,red,green,blue\na,0,0,256\n", "blue of a is '256'; it must be a whole number, 0 to 255"),
        ("name,value\na,0\nb,0\n", "the value 0 is there 2 times; it must stand for one class"),
        (
            "name,red,green,blue\na,1,2,3\nignore,1,2,3\n",
            "the colour (1, 2, 3) is there 2 times; it must stand for one",
        ),
        ("name,value\na,0\na,1\n", "a class name is there twice"),
        ("name,value\nignore,0\n", "0 classes; there must be 1 to 255"),
        ("name,value\nthis/that,0\n", "the name 'this/that' must have only letters, digits, spaces and . _ -"),
        ("name,value\n" + "".join(f"{i},{i}\n" for i in range(256)), "256 classes; there must be 1 to 255"),
        (b"name,value\n\xff,0\n", "not a CSV file"),
    ],
)
def test_a_wrong_class_table_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    root = write_folder(tmp_path / "mine")
    (root / "classes.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert complaint(root).startswith(f"classes.csv: {message}")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xef\xbb\xbfname, value\r\nroad , 0\r\nsky,1\r\n,\r\n", id="byte order mark"),
        pytest.param(b"name;value\nroad;0\nsky;1\n", id="semicolons"),
        pytest.param(b"name\tvalue\nroad\t0\nsky\t1\n", id="tabs"),
        pytest.param(b"Name,Value\nroad,0\nsky,1\n", id="capitals"),
    ],
)
def test_a_spreadsheets_class_table_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "classes.csv").write_bytes(content)
    table = ClassTable.read(tmp_path / "classes.csv")
    assert table.classes.names == ("road", "sky")
    assert table.of_value == {0: 0, 1: 1}


def test_ignore_may_have_a_capital(tmp_path: Path) -> None:
    write_folder(tmp_path, classes="name,value\na,0\nb,1\nIgnore,2\nIGNORE,3\n")
    table = ClassTable.read(tmp_path / "classes.csv")
    assert table.classes.names == ("a", "b")
    assert table.of_value == {0: 0, 1: 1, 2: IGNORE_INDEX, 3: IGNORE_INDEX}
