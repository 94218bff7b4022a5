"""Mends what a kill, a full disk or a failing one has damaged in DVC's own files: `python -m pipeline.mend`.

DVC does not read a file of its cache again to see whether it is whole: it would put a damaged one in place, again and
again. Here all are read. Damaged ones are removed, and so are their copies in the project; `dvc repro` then makes them
anew.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from pipeline import lock

CACHE = Path(".dvc/cache/files/md5")
OF_FOLDER = ".dir"
"""Suffix of a file of the cache that lists a folder's files."""


def damaged_in_cache() -> list[Path]:
    """Files of the cache whose content is not what their name says."""
    return [path for path in sorted(CACHE.glob("??/*")) if _md5(path) != _name(path).removesuffix(OF_FOLDER)]


def copies_of(damaged: set[str]) -> Iterator[Path]:
    """Files in the project that should have what damaged files of the cache should have, and have not."""
    for path, md5 in _outputs():
        if md5 in damaged and path.is_file() and _md5(path) != md5:
            yield path


def _outputs() -> Iterator[tuple[Path, str]]:
    """Every file that DVC's locks know of, and its md5."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    locks = [yaml.load(path.read_text(encoding="utf-8"), loader) for path in lock.LOCKS if path.exists()]
    stages = [stage for content in locks for stage in content["stages"].values()]
    for output in (output for stage in stages for output in stage.get("outs", [])):
        path, md5 = Path(output["path"]), str(output["md5"])
        yield path, md5
        if md5.endswith(OF_FOLDER):
            try:
                listed = json.loads((CACHE / md5[:2] / md5[2:]).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            yield from ((path / entry["relpath"], entry["md5"]) for entry in listed)


def _name(path: Path) -> str:
    return path.parent.name + path.name


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def main() -> None:
    """Mend, and say what was done."""
    found = lock.mend()
    damaged = damaged_in_cache()
    for path in copies_of({_name(path) for path in damaged}):
        path.unlink()
        found.append(f"{path}: damaged, as is DVC's copy; removed")
    for path in damaged:
        path.unlink()
        found.append(f"{path}: damaged; removed")
    print("\n".join(found) or "Nothing is damaged.")


if __name__ == "__main__":
    main()
