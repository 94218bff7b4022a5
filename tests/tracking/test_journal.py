"""Journals on disk."""

from pathlib import Path

import pytest

from segbench.tracking.journal import ENTRIES, Journal, journal_names


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def test_a_line_that_a_kill_has_torn_is_dropped() -> None:
    journal = Journal.begin({"do": "begin"})
    for number in range(3):
        journal.append({"do": "tags", "tags": {"n": number}})
    journal.close()
    path = journal.folder / ENTRIES
    path.write_bytes(path.read_bytes()[:-5])
    again = Journal.reopen(journal.name)
    assert again is not None
    assert len(list(again.entries())) == 3
    again.append({"do": "tags", "tags": {"n": 9}})
    assert [entry["tags"]["n"] for entry, _ in again.entries() if "tags" in entry] == [0, 1, 9]
    assert again.size == path.stat().st_size


def test_a_journal_that_is_written_to_is_left_alone() -> None:
    journal = Journal.begin({"do": "begin"})
    assert Journal.reopen(journal.name) is None
    journal.close()
    again = Journal.reopen(journal.name)
    assert again is not None
    again.remove()
    assert journal_names() == [] and list(journal.folder.parent.iterdir()) == []
