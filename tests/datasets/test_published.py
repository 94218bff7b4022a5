"""Published datasets, each on a tiny tree in its true layout: names, splits, groups and class indices."""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from segbench.datasets import ade20k, cityscapes, coco, oxford_pet, voc2012
from segbench.datasets.preparation import prepare
from segbench.datasets.source import Source
from segbench.errors import InputError
from segbench.labels import IGNORE_INDEX
from tests.datasets.server import serving

SHAPE = (4, 6)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)


def write(path: Path, pixels: NDArray[Any] = IMAGE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def labels(*values: int) -> NDArray[np.uint8]:
    """A label map with these values in turn."""
    return np.resize(np.array(values, np.uint8), SHAPE)


def names(source: Source, split: str) -> list[str]:
    return [example.name for example in source.examples if example.split == split]


def label_map(source: Source, name: str) -> list[int]:
    """The first row of an example's label map."""
    (example,) = (example for example in source.examples if example.name == name)
    image, indices = example.load()
    assert image.shape == (*indices.shape, 3)
    first: list[int] = indices[0].tolist()
    return first


# Pascal VOC 2012


def write_voc(root: Path) -> Path:
    voc = root / "VOCdevkit" / "VOC2012"
    lists = voc / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    train, val = [f"2007_{index:06d}" for index in range(20)], ["2008_000001", "2008_000002"]
    (lists / "train.txt").write_text("\n".join(train) + "\n")
    (lists / "val.txt").write_text("\n".join(val) + "\n")
    for name in [*train, *val, "2009_000001"]:
        write(voc / "JPEGImages" / f"{name}.jpg")
    for name in [*train, *val]:
        path = voc / "SegmentationClass" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        mask = Image.frombytes("P", SHAPE[::-1], labels(0, 15, 20, 255, 1, 2).tobytes())
        mask.putpalette(bytes(range(256)) * 3)
        mask.save(path)
    return root


def write_sbd(root: Path) -> Path:
    """Labels of an image that VOC does not label, and of one image in each of VOC's lists."""
    (root / "cls").mkdir(parents=True)
    for name in ("2009_000001", "2007_000003", "2008_000001"):
        content = {"GTcls": {"Boundaries": 0, "Segmentation": labels(0, 7, 7, 7, 7, 7), "CategoriesPresent": 7}}
        savemat(root / "cls" / f"{name}.mat", content)
    (root / "train.txt").write_text("2007_000003\n2008_000001\n")
    (root / "val.txt").write_text("2009_000001\n")
    return root


def test_voc_keeps_its_labels_and_its_val_is_our_test(tmp_path: Path) -> None:
    source = voc2012.open_source(write_voc(tmp_path / "voc"), sbd=None)
    assert names(source, "test") == ["2008_000001", "2008_000002"]
    assert names(source, "val") == ["2007_000000", "2007_000019"]
    assert len(names(source, "train")) == 18
    assert label_map(source, "2007_000005") == [0, 15, 20, IGNORE_INDEX, 1, 2]
    assert source.classes.names[15] == "person"
    assert source.classes.colors[:3] == ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    assert source.classes.colors[20] == (0, 64, 128)


def test_sbd_adds_training_labels_only_where_voc_has_none(tmp_path: Path) -> None:
    source = voc2012.open_source(write_voc(tmp_path / "voc"), sbd=write_sbd(tmp_path / "sbd"))
    assert "2009_000001" in names(source, "train")
    assert len(names(source, "train")) == 19
    assert names(source, "test") == ["2008_000001", "2008_000002"]
    assert label_map(source, "2009_000001") == [0, 7, 7, 7, 7, 7]
    assert label_map(source, "2007_000003") == [0, 15, 20, IGNORE_INDEX, 1, 2]


def test_a_damaged_label_of_sbd_is_named(tmp_path: Path) -> None:
    sbd = write_sbd(tmp_path / "sbd")
    (sbd / "cls/2009_000001.mat").write_bytes(b"not a matrix")
    source = voc2012.open_source(write_voc(tmp_path / "voc"), sbd=sbd)
    with pytest.raises(InputError, match=r"^.*/2009_000001\.mat: not readable as SBD's labels [^\n]*$"):
        label_map(source, "2009_000001")


@pytest.mark.parametrize("missing", ["JPEGImages/2007_000004.jpg", "SegmentationClass/2007_000004.png"])
def test_a_missing_file_of_voc_is_named(tmp_path: Path, missing: str) -> None:
    root = write_voc(tmp_path / "voc")
    (root / "VOCdevkit/VOC2012" / missing).unlink()
    with pytest.raises(InputError, match=rf"^.*/VOC2012/{missing}: no such file, but a list names it$"):
        voc2012.open_source(root, sbd=None)


# Cityscapes


def write_cityscapes(root: Path) -> Path:
    for split, city in (("train", "aachen"), ("train", "ulm"), ("val", "lindau"), ("train", "aachen")):
        frame = f"{city}_000000_000019"
        write(root / "leftImg8bit" / split / city / f"{frame}_leftImg8bit.png")
        folder = root / "gtFine" / split / city
        write(folder / f"{frame}_gtFine_labelIds.png", labels(7, 33, 0, 6, 24, 26))
        write(folder / f"{frame}_gtFine_color.png", IMAGE)
    return root


def test_cityscapes_ids_become_train_ids_and_whole_cities_our_val(tmp_path: Path) -> None:
    source = cityscapes.open_source(write_cityscapes(tmp_path))
    assert {(example.split, example.group) for example in source.examples} == {
        ("train", "aachen"),
        ("val", "ulm"),
        ("test", "lindau"),
    }
    assert label_map(source, "aachen_000000_000019") == [0, 18, IGNORE_INDEX, IGNORE_INDEX, 11, 13]
    assert source.classes.names[11] == "person"
    assert len(source.classes) == 19


def test_cityscapes_table_is_torchvisions() -> None:
    from torchvision.datasets import Cityscapes

    published = {entry.train_id: entry for entry in Cityscapes.classes if entry.train_id not in (-1, 255)}
    assert {index: (label_id, name, color) for index, (label_id, name, color) in enumerate(cityscapes.TABLE)} == {
        index: (entry.id, entry.name, entry.color) for index, entry in published.items()
    }


def test_an_id_that_cityscapes_lacks_is_named(tmp_path: Path) -> None:
    root = write_cityscapes(tmp_path)
    path = root / "gtFine/train/ulm/ulm_000000_000019_gtFine_labelIds.png"
    write(path, labels(7, 34))
    with pytest.raises(InputError, match=f"^{path}: value 34 is no class's"):
        label_map(cityscapes.open_source(root), "ulm_000000_000019")


def test_missing_labels_of_cityscapes_are_named(tmp_path: Path) -> None:
    root = write_cityscapes(tmp_path)
    path = root / "gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png"
    path.unlink()
    with pytest.raises(InputError, match=f"^{path}: no such file, but its image names it$"):
        cityscapes.open_source(root)
    with pytest.raises(InputError, match="no images; the root holds leftImg8bit and gtFine, unpacked"):
        cityscapes.open_source(tmp_path / "elsewhere")


# Oxford pets


def write_pets(root: Path) -> Path:
    pets = root / "oxford-iiit-pet"
    cats, dogs = [f"Abyssinian_{index}" for index in range(20)], ["english_cocker_spaniel_7", "pug_1"]
    for name in [*cats, *dogs]:
        write(pets / "images" / f"{name}.jpg")
        write(pets / "annotations" / "trimaps" / f"{name}.png", labels(2, 2, 3, 1, 1, 3))
    (pets / "annotations" / "trainval.txt").write_text("".join(f"{name} 1 1 1\n" for name in cats))
    (pets / "annotations" / "test.txt").write_text("".join(f"{name} 25 2 13\n" for name in dogs))
    return root


def test_pets_trimaps_become_two_classes_and_a_border_without_one(tmp_path: Path) -> None:
    source = oxford_pet.open_source(write_pets(tmp_path))
    assert names(source, "test") == ["english_cocker_spaniel_7", "pug_1"]
    assert names(source, "val") == ["Abyssinian_0", "Abyssinian_19"]
    assert label_map(source, "pug_1") == [1, 1, IGNORE_INDEX, 0, 0, IGNORE_INDEX]
    assert {(example.split, example.group) for example in source.examples} == {
        ("train", "cat"),
        ("val", "cat"),
        ("test", "dog"),
    }


# ADE20K


def write_ade20k(root: Path) -> Path:
    for split, kind, count in (("training", "train", 10), ("validation", "val", 2)):
        for index in range(1, count + 1):
            name = f"ADE_{kind}_{index:08d}"
            write(root / "images" / split / f"{name}.jpg")
            write(root / "annotations" / split / f"{name}.png", labels(0, 1, 2, 150, 1, 1))
    lines = ["1\t0.1576\t11664\t1172\t1\twall", "2\t0.1072\t6046\t612\t1\tbuilding, edifice"]
    lines += [f"{index}\t0.0001\t1\t1\t0\tthing {index}, object" for index in range(3, 151)]
    (root / "objectInfo150.txt").write_text("\n".join(["Idx\tRatio\tTrain\tVal\tStuff\tName", *lines]) + "\n")
    return root


def test_ade20ks_zero_label_has_no_class(tmp_path: Path) -> None:
    source = ade20k.open_source(write_ade20k(tmp_path))
    assert label_map(source, "ADE_train_00000003") == [IGNORE_INDEX, 0, 1, 149, 0, 0]
    assert source.classes.names[:3] == ("wall", "building", "thing 3")
    assert len(set(source.classes.colors)) == 150
    assert names(source, "test") == ["ADE_val_00000001", "ADE_val_00000002"]
    assert names(source, "val") == ["ADE_train_00000001"]
    assert len(names(source, "train")) == 9


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("objectInfo150.txt", "no such file; it comes in ADEChallengeData2016.zip, which is the root"),
        ("annotations/training/ADE_train_00000003.png", "no such file, but its image names it"),
    ],
)
def test_a_missing_file_of_ade20k_is_named(tmp_path: Path, missing: str, message: str) -> None:
    root = write_ade20k(tmp_path)
    (root / missing).unlink()
    with pytest.raises(InputError, match=f"^{root / missing}: {message}$"):
        ade20k.open_source(root)


# COCO

CATEGORIES = [{"id": 1, "name": "person"}, {"id": 44, "name": "bottle"}, {"id": 183, "name": "tree-merged"}]


def write_coco(root: Path) -> Path:
    """Images of both splits, with both kinds of labels; segment 1193046 is RGB (86, 52, 18)."""
    for split, count in (("train2017", 10), ("val2017", 2)):
        annotations = []
        for index in range(count):
            name = f"{index + (100 if split == 'val2017' else 0):012d}"
            write(root / split / f"{name}.jpg")
            panoptic = np.zeros((*SHAPE, 3), np.uint8)
            panoptic[:, 1] = 86, 52, 18
            panoptic[:, 2] = 7, 0, 0
            write(root / "annotations" / f"panoptic_{split}" / f"{name}.png", panoptic)
            write(root / "annotations" / f"stuff_{split}_pixelmaps" / f"{name}.png", labels(0, 183, 44, 1, 1, 1))
            segments = [{"id": 1193046, "category_id": 183, "iscrowd": 0}, {"id": 7, "category_id": 44, "iscrowd": 0}]
            annotations.append({"image_id": index, "file_name": f"{name}.png", "segments_info": segments})
        content = json.dumps({"annotations": annotations, "categories": CATEGORIES})
        for kind in ("panoptic", "stuff"):
            (root / "annotations" / f"{kind}_{split}.json").write_text(content)
    return root


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("panoptic", [IGNORE_INDEX, 2, 1, IGNORE_INDEX, IGNORE_INDEX, IGNORE_INDEX]),
        ("stuff", [IGNORE_INDEX, 2, 1, 0, 0, 0]),
    ],
)
def test_cocos_categories_become_class_indices(tmp_path: Path, kind: coco.Labels, expected: list[int]) -> None:
    source = coco.open_source(write_coco(tmp_path), labels=kind)
    assert source.classes.names == ("person", "bottle", "tree-merged")
    assert names(source, "test") == ["000000000100", "000000000101"]
    assert names(source, "val") == ["000000000000"]
    assert label_map(source, "000000000003") == expected


def test_a_segment_that_cocos_json_lacks_is_named(tmp_path: Path) -> None:
    root = write_coco(tmp_path)
    path = root / "annotations/panoptic_train2017/000000000003.png"
    write(path, np.full((*SHAPE, 3), 9, np.uint8))
    with pytest.raises(InputError, match=rf"^{path}: colour \(9, 9, 9\) is no class's$"):
        label_map(coco.open_source(root, labels="panoptic"), "000000000003")


@pytest.mark.parametrize("missing", ["annotations/panoptic_val2017.json", "val2017/000000000100.jpg"])
def test_a_missing_file_of_coco_is_named(tmp_path: Path, missing: str) -> None:
    root = write_coco(tmp_path)
    (root / missing).unlink()
    with pytest.raises(InputError, match=f"^{root / missing}: no such file"):
        coco.open_source(root, labels="panoptic")


# Downloads, from a real server by torchvision's own code


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and its address."""
    folder = tmp_path / "served"
    with serving(folder) as address:
        yield folder, address


def pack(archive: Path, contents: dict[str, Path]) -> str:
    """Write a tar archive of folders, by their names in the archive; returns its MD5."""
    with tarfile.open(archive, "w:gz" if archive.suffix in (".gz", ".tgz") else "w") as bundle:
        for name, path in contents.items():
            bundle.add(path, name)
    return hashlib.md5(archive.read_bytes()).hexdigest()


def test_voc_and_sbd_are_downloaded_by_torchvision(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import SBDataset, voc

    folder, url = served
    unpacked, sbd = write_voc(tmp_path / "unpacked"), write_sbd(tmp_path / "unpacked_sbd")
    for name in ("img", "inst"):
        (sbd / name).mkdir()
    entry = voc.DATASET_YEAR_DICT["2012"]
    md5 = pack(folder / entry["filename"], {"VOCdevkit": unpacked / "VOCdevkit"})
    monkeypatch.setitem(voc.DATASET_YEAR_DICT, "2012", {**entry, "url": f"{url}/{entry['filename']}", "md5": md5})
    monkeypatch.setattr(SBDataset, "url", f"{url}/benchmark.tgz")
    monkeypatch.setattr(SBDataset, "md5", pack(folder / "benchmark.tgz", {"benchmark_RELEASE/dataset": sbd}))
    source = voc2012.open_source(tmp_path / "raw" / "voc", sbd=tmp_path / "raw" / "sbd")
    assert len(source.examples) == 23
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == ["sbd", "voc"]
    assert len(prepare(source, tmp_path / "prepared").rows) == 23


def test_pets_are_downloaded_by_torchvision(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import OxfordIIITPet

    folder, url = served
    pets = write_pets(tmp_path / "unpacked") / "oxford-iiit-pet"
    resources = [
        (f"{url}/{name}.tar.gz", pack(folder / f"{name}.tar.gz", {name: pets / name}))
        for name in ("images", "annotations")
    ]
    monkeypatch.setattr(OxfordIIITPet, "_RESOURCES", resources)
    assert len(oxford_pet.open_source(tmp_path / "raw").examples) == 22


@pytest.mark.parametrize("reason", ["no server", "another archive"])
def test_a_failed_download_is_reported_in_one_line_and_leaves_no_folder(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    from torchvision.datasets import OxfordIIITPet

    folder, url = served
    pack(folder / "images.tar.gz", {"images": write_pets(tmp_path / "unpacked")})
    address = f"{url}/images.tar.gz" if reason == "another archive" else "http://127.0.0.1:9/images.tar.gz"
    monkeypatch.setattr(OxfordIIITPet, "_RESOURCES", [(address, "0" * 32)])
    root = tmp_path / "raw" / "pets"
    with pytest.raises(InputError, match=rf"^{root}: no such folder, and it cannot be downloaded \([^\n]*$"):
        oxford_pet.open_source(root)
    assert list(root.parent.iterdir()) == []


def a_member(name: str, *, link: str = "", is_hard: bool = False) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    if link:
        member.type, member.linkname = tarfile.LNKTYPE if is_hard else tarfile.SYMTYPE, link
    return member


@pytest.mark.parametrize(
    "members",
    [
        [a_member("../out")],
        [a_member("images/../../../out")],
        [a_member("images", link="../.."), a_member("images/out")],
        [a_member("images/a.jpg", link="/etc/passwd")],
        [a_member("images/a.jpg", link="../../../secret")],
        [a_member("images/a.jpg", link="../secret", is_hard=True)],
    ],
    ids=lambda members: " and ".join(f"{member.name} {member.linkname}".strip() for member in members),
)
def test_an_archive_that_reaches_outside_its_folder_is_refused_and_leaves_nothing(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: list[tarfile.TarInfo]
) -> None:
    from torchvision.datasets import OxfordIIITPet

    folder, url = served
    with tarfile.open(folder / "images.tar.gz", "w:gz") as bundle:
        for member in members:
            bundle.addfile(member)
    md5 = hashlib.md5((folder / "images.tar.gz").read_bytes()).hexdigest()
    monkeypatch.setattr(OxfordIIITPet, "_RESOURCES", [(f"{url}/images.tar.gz", md5)])
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/secret").touch()
    before = set(tmp_path.rglob("*"))
    root = tmp_path / "raw" / "pets"
    with pytest.raises(InputError, match=rf"^{root}: no such .* be downloaded \([^\n]*(outside|absolute path)[^\n]*$"):
        oxford_pet.open_source(root)
    assert set(tmp_path.rglob("*")) == before


def test_an_absolute_name_in_an_archive_lies_inside_its_folder(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import OxfordIIITPet

    folder, url = served
    with tarfile.open(folder / "images.tar.gz", "w:gz") as bundle:
        bundle.addfile(a_member(f"{tmp_path}/out"))
    resources = [(f"{url}/images.tar.gz", hashlib.md5((folder / "images.tar.gz").read_bytes()).hexdigest())]
    pets = write_pets(tmp_path / "unpacked") / "oxford-iiit-pet"
    resources += [
        (f"{url}/{name}.tgz", pack(folder / f"{name}.tgz", {name: pets / name})) for name in ("images", "annotations")
    ]
    monkeypatch.setattr(OxfordIIITPet, "_RESOURCES", resources)
    assert len(oxford_pet.open_source(tmp_path / "raw").examples) == 22
    assert not (tmp_path / "out").exists()
    assert (tmp_path / f"raw/oxford-iiit-pet/{tmp_path}/out").exists()
