"""A digest of all that a folder holds, by content: a copy of the folder on another machine has the same.

Content is read once. The digest is kept under the names, sizes and times of the folder's files, which are known without
reading them.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from segbench.files import file_digest, folder_digest, project_root, replacing

KEPT = Path("data/digests")


def contents_digest(folder: Path) -> str:
    """16 hexadecimal digits of the names and contents of all files in a folder; links that lead nowhere count too."""
    kept = project_root() / KEPT / folder_digest(folder)
    if kept.exists():
        return kept.read_text(encoding="ascii")
    files = sorted(Path(parent) / name for parent, _, names in os.walk(folder, followlinks=True) for name in names)
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # hashing lets other threads run
        digests = threads.map(lambda path: file_digest(path) if path.exists() else None, files)
        told = "".join(
            f"{path.relative_to(folder).as_posix()} {digest}\n" for path, digest in zip(files, digests, strict=True)
        )
    found = hashlib.sha256(told.encode()).hexdigest()[:16]
    with replacing(kept) as temporary:
        temporary.write_text(found, encoding="ascii")
    return found
