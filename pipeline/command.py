"""From the command line to a stage's main."""

import argparse
import atexit
import errno
import gc
import inspect
import io
import os
import sys
from collections.abc import Callable

from pipeline import SEARCH_FOR_GARBAGE, guard, lock
from pipeline.guard import refuse_changes as refuse_changes
from pipeline.parent import end_with_parent
from segbench.errors import InputError

UNWRITABLE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some disk"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "let it and its folder be written to"),
}
"""What helps, by the number of the system's error."""
LESS_MEMORY = (
    "in params.yaml, training needs less with a smaller train.batch_size or input.crop_px, prediction with a smaller "
    "input.tile_px or input.scale; or run fewer models at a time"
)


def print_anything() -> None:
    """Let what the terminal cannot show be printed as an escape sequence, instead of ending the program."""
    for stream in (sys.__stdout__, sys.__stderr__):  # the real ones: the import of dvc.api hides them behind others
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(errors="backslashreplace")


def leave_out_imports() -> None:
    """Let Python search for garbage again, but not in what was imported: each search would take half a second."""
    gc.freeze()
    gc.set_threshold(*SEARCH_FOR_GARBAGE)


def is_out_of_memory(error: Exception) -> bool:
    """Whether a GPU's or a machine's memory was full, as Python, NumPy and torch say it; torch need not be imported."""
    of_torch = type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator: can't allocate" in str(error)
    return of_torch or isinstance(error, MemoryError)


def run(main: Callable[..., None]) -> None:
    """Call `main` with its keyword arguments from the command line: --model unet --out data/weights.

    A user's mistake ends the program with its one clear line and exit code 1. After a success the process ends at
    once, since Python would take half a second to dismantle what it has imported.
    """
    parser = argparse.ArgumentParser(description=inspect.getdoc(main))
    for name, parameter in inspect.signature(main).parameters.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=parameter.annotation, required=True)
    end_with_parent()
    print_anything()
    arguments = vars(parser.parse_args())
    leave_out_imports()
    try:
        if "DVC_STAGE" in os.environ:
            lock.keep()
        with guard.unchanged(dataset=arguments.get("dataset", ""), model=arguments.get("model", "")):
            main(**arguments)
    except InputError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        what = UNWRITABLE[error.errno]
        sys.exit(f"error: {error.filename or 'a file'} cannot be written: {error.strerror}; {what}, run again")
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        sys.exit(f"error: memory is full ({(str(error) or 'no more is granted').splitlines()[0]}); {LESS_MEMORY}")
    atexit._run_exitfuncs()  # what libraries do at the end, such as ending their processes
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
