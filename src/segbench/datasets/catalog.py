"""Opens the source of images that a dataset's section of params.yaml describes."""

from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from segbench import params
from segbench.datasets.source import Source
from segbench.files import file_digest, folder_digest, project_root
from segbench.labels import Classes

DOWNLOADED = ".downloaded"
"""Marks a folder that was downloaded, which is taken as it came."""
LARGEST_READ = 2**22
"""Bytes: larger files beside the images, such as archives, are not read for a digest."""


def open_source(source: params.AnySource) -> Source:
    """Open the source that a section describes. Raises InputError if its files are missing or wrong."""
    missing = [root for root in _roots(source) if not (project_root() / root).exists()]
    try:
        opened: Source = import_module(source.module).open_source(**source.arguments())
    finally:
        for root in missing:
            if (project_root() / root).exists():
                (project_root() / root / DOWNLOADED).touch()
    return opened


def source_files(source: params.AnySource) -> dict[str, str]:
    """Digests by path of the files that a source consists of: of small ones by content, of folders by size and time.

    The same before and after a folder is downloaded.
    """
    found = {}
    for root in _roots(source):
        folder = project_root() / root
        if not folder.exists() or (folder / DOWNLOADED).exists():
            found[str(root)] = "downloaded"
            continue
        for entry in sorted(folder.iterdir()):
            if entry.is_dir():
                found[str(root / entry.name)] = folder_digest(entry)
            elif entry.is_file() and entry.stat().st_size <= LARGEST_READ:
                found[str(root / entry.name)] = file_digest(entry)
    return found


class Attribution(NamedTuple):
    """A source's licence, the address of its home page (empty if it has none), and the papers to cite."""

    licence: str
    home: str
    papers: tuple[str, ...]


def attribution(source: params.AnySource) -> Attribution:
    """What users of a source's images owe to those who made them."""
    module = import_module(source.module)
    return Attribution(
        licence=image_licence(source),
        home=getattr(module, "IMAGE_HOME", ""),
        papers=getattr(module, "IMAGE_PAPERS", ()),
    )


def image_licence(source: params.AnySource) -> str:
    """The licence of a source's images, on which the use of what was trained on them may depend."""
    licence: str = import_module(source.module).IMAGE_LICENCE
    return licence


def _roots(source: params.AnySource) -> list[Path]:
    """The folders that a section names."""
    return [value for name in ("root", "sbd") if isinstance(value := getattr(source, name, None), Path)]


def classes_of(source: params.AnySource) -> Classes:
    """The classes of a source; its images are not looked at. Raises InputError as `open_source` does."""
    module = import_module(source.module)
    fixed: Classes | None = getattr(module, "CLASSES", None)
    return fixed or module.read_classes(**source.class_arguments())
