"""Downloads from a real server that can be cut short, resumed, or refuse to resume."""

import gzip
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from segbench.datasets.download import CHUNK_BYTES, download

CONTENT = np.random.default_rng(0).bytes(3 * CHUNK_BYTES + 17)


class Server(ThreadingHTTPServer):
    """Serves CONTENT at any address, and keeps the Range header of every request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requested_ranges: list[str | None] = []
        self.knows_ranges = True
        self.sends_length = True
        self.compresses = False
        self.sends_at_most: int | None = None
        self.status_code = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/data.zip"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:  # http.server's name
        byte_range = self.headers["Range"]
        self.server.requested_ranges.append(byte_range)
        start = (
            int(byte_range.removeprefix("bytes=").removesuffix("-")) if byte_range and self.server.knows_ranges else 0
        )
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else self.server.status_code)
        body = CONTENT[start:]
        if self.server.compresses and "gzip" in self.headers["Accept-Encoding"]:
            self.send_header("Content-Encoding", "gzip")
            body = gzip.compress(body, compresslevel=0)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        if self.server.sends_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.sends_at_most])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "data.zip"


def partial_of(path: Path) -> Path:
    return path.with_name("data.zip.partial")


def leave_partial(path: Path, *, num_bytes: int) -> None:
    path.parent.mkdir()
    partial_of(path).write_bytes(CONTENT[:num_bytes])


def assert_complete(path: Path) -> None:
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("sends_length", [True, False])
def test_a_file_arrives_whole(server: Server, path: Path, sends_length: bool) -> None:
    server.sends_length = sends_length
    download(server.url, path)
    assert_complete(path)
    assert server.requested_ranges == [None]


def test_only_the_rest_of_a_partial_file_is_asked_for(server: Server, path: Path) -> None:
    leave_partial(path, num_bytes=1000)
    download(server.url, path)
    assert_complete(path)
    assert server.requested_ranges == ["bytes=1000-"]


def test_a_server_that_cannot_resume_starts_again(server: Server, path: Path) -> None:
    server.knows_ranges = False
    leave_partial(path, num_bytes=1000)
    download(server.url, path)
    assert_complete(path)


def test_a_cut_connection_is_an_error_that_keeps_the_partial_file_and_the_next_call_resumes_it(
    server: Server, path: Path
) -> None:
    server.sends_at_most = 2 * CHUNK_BYTES + 5
    with pytest.raises(OSError, match="bytes"):
        download(server.url, path)
    kept = partial_of(path).read_bytes()
    assert len(kept) >= CHUNK_BYTES
    assert kept == CONTENT[: len(kept)]
    assert not path.exists()
    server.sends_at_most = None
    download(server.url, path)
    assert_complete(path)
    assert server.requested_ranges == [None, f"bytes={len(kept)}-"]


@pytest.mark.parametrize("num_bytes", [len(CONTENT), len(CONTENT) + 3])
def test_a_partial_file_as_long_as_the_whole_is_downloaded_again(server: Server, path: Path, num_bytes: int) -> None:
    leave_partial(path, num_bytes=0)
    partial_of(path).write_bytes(b"x" * num_bytes)
    download(server.url, path)
    assert_complete(path)
    assert server.requested_ranges == [f"bytes={num_bytes}-", None]


def test_a_server_that_can_compress_is_asked_not_to(server: Server, path: Path) -> None:
    """Content-Length and Range would count compressed bytes, not those of the file."""
    server.compresses = True
    download(server.url, path)
    assert_complete(path)


def test_a_servers_error_page_is_not_the_file(server: Server, path: Path) -> None:
    server.status_code = 404
    with pytest.raises(OSError, match="404"):
        download(server.url, path)
    assert list(path.parent.iterdir()) == []


def test_a_server_that_is_not_there_is_an_error_and_leaves_no_file(path: Path) -> None:
    with pytest.raises(OSError, match="refused"):
        download("http://127.0.0.1:9/data.zip", path)
    assert list(path.parent.iterdir()) == []
