"""Sends the journals of runs that wait on the disk; MLflow is imported only if there are any and the store is there."""

from functools import cache
from typing import TYPE_CHECKING

from segbench.tracking.environment import set_environment
from segbench.tracking.journal import Journal, journal_names, now_ms
from segbench.tracking.location import follow_the_project, problem, shown, store_uri
from segbench.tracking.trouble import warn

if TYPE_CHECKING:
    from segbench.tracking.sending import Store

REST = "work goes on; runs wait in data/tracking, and later stages send them, or python -m pipeline.send_runs"


def check_store() -> None:
    """Warn, in one line, if runs cannot be sent now; else send those that wait."""
    uri = store_uri()
    if what := problem(uri):
        warn(f"{shown(uri)}: {what}; {REST}")
    else:
        send_waiting()


def send_waiting() -> bool:
    """Send all runs that wait and that no process writes to. One warning, and False, if the store fails.

    A training that was killed ends as such; its run goes on if the training does.
    """
    follow_the_project()
    try:
        for name in journal_names():
            journal = Journal.reopen(name)
            if journal is None:  # its training goes on, or another process sends it
                continue
            try:
                what = _send_ended(journal)
            finally:
                journal.close()
            if what:  # the rest would fail as well, and a training's run must come before that of its evaluation
                warn(f"{what}; {REST}")
                return False
    except Exception as error:  # a damaged journal, or a disk that fails
        warn(f"data/tracking: {error!r}; {REST}")
        return False
    return True


def _send_ended(journal: Journal) -> str:
    """Send a journal that nothing writes to, and remove it. What went wrong; empty if nothing did."""
    is_of_killed_stage = not journal.is_of_training and not journal.has_ended
    if journal.header is None or is_of_killed_stage:  # the stage runs again
        journal.remove()
        return ""
    if not journal.has_ended:
        journal.append({"do": "status", "status": "KILLED", "time": now_ms()})
    is_sent = journal.sent.get("uri") == store_uri() and journal.sent["end"] == journal.size
    if not is_sent and (what := try_to_send(journal)):
        return what
    if not journal.is_continued:
        journal.remove()
    return ""


def try_to_send(journal: Journal) -> str:
    """Send what the store lacks of a journal: what went wrong, and where; empty if nothing did."""
    uri = store_uri()
    if what := problem(uri):
        return f"{shown(uri)}: {what}"
    try:
        _opened(uri).send(journal)
    except Exception as error:  # of whatever library: no result may be lost for it
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"{shown(uri)}: {reason} (while sending {journal.folder})"
    return ""


@cache
def _opened(uri: str) -> "Store":
    set_environment()
    from segbench.tracking.sending import Store  # MLflow takes seconds to import

    return Store(uri)
