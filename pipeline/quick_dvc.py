"""DVC, as `make reproduce` runs it: dvc.lock is read once, is written within milliseconds, and is always whole.

At the end of each stage, DVC itself parses and prints the whole file, in place: two seconds of a core with 120 stages,
in which a kill leaves half a file. Here DVC's own printer prints the stage that has changed, between the others' lines.
The bytes are those that DVC would have written. DVC also parses dvc.yaml and dvc.lock again for each stage that it is
asked for. After each run, it would tell how to add dvc.lock to git: here that is left out, as models run side by side.
"""

import logging
import pickle
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from dvc import cli, dvcfile
from dvc.repo import scm_context
from dvc.stage import Stage, serialize
from dvc.utils import strictyaml
from dvc.utils.serialize import dump_yaml

from segbench.files import replacing

NEXT = re.compile(r"^(?:  )?\S", re.MULTILINE)
"""The first line of the stage, or of the section, that follows."""
parse = strictyaml.parse_yaml
dump_all = dvcfile.Lockfile.dump_stages


def with_stage(text: str, name: str, content: Any) -> str:
    """The text of a dvc.lock with a stage's content in the place of its former one, or at the end of the stages."""
    with tempfile.TemporaryDirectory() as folder:
        printed = Path(folder) / "dvc.lock"
        dump_yaml(printed, {"stages": {name: content}})
        head, lines = printed.read_text(encoding="utf-8").split("\n", 1)
    first_line = lines[: lines.index("\n") + 1]
    start = text.find(f"\n{first_line}") + 1
    if not start:  # a new stage
        start = end = _end_of_section(text, f"{head}\n")
    else:
        following = NEXT.search(text, start + len(first_line))
        end = following.start() if following else len(text)
    return text[:start] + lines + text[end:]


def _end_of_section(text: str, head: str) -> int:
    start = text.index(f"\n{head}") + 1 + len(head)
    following = re.compile(r"^\S", re.MULTILINE).search(text, start)
    return following.start() if following else len(text)


def dump_stages(lockfile: dvcfile.Lockfile, stages: Iterable[Stage], **options: Any) -> None:
    """In the place of DVC's own method, which still makes a new file."""
    stages = list(stages)
    path = Path(lockfile.path)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if not ("\nstages:\n" in text and text.endswith("\n")):
        dump_all(lockfile, stages, **options)
        return
    changed = text
    for stage in stages:
        for name, content in serialize.to_lockfile(stage, **options).items():
            changed = with_stage(changed, name, content)
    if changed != text:
        dvcfile.logger.info("Updating lock file '%s'", lockfile.relpath)
        with replacing(path) as temporary:
            temporary.write_text(changed, encoding="utf-8")
        lockfile.repo.scm_context.track_file(lockfile.relpath)


@cache
def _parsed(text: str, path: str) -> bytes:
    return pickle.dumps(parse(text, path))


def parse_once(text: str, path: str, typ: str = "safe") -> Any:
    """In the place of DVC's own function: what a text means, and a new copy for each caller."""
    return pickle.loads(_parsed(text, str(path))) if typ == "safe" else parse(text, path, typ=typ)


def main(arguments: Sequence[str]) -> int:
    """DVC's exit code for these arguments of its command line."""
    dvcfile.Lockfile.dump_stages = dump_stages
    strictyaml.parse_yaml = parse_once
    logging.getLogger(scm_context.__name__).setLevel(logging.WARNING)
    return int(cli.main(list(arguments)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
