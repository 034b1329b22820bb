"""A loopback download server with optional faults, and a small model to download from it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import random
import re
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Plan:
    """Response to one request; the default is that of a well-behaved server.

    Parameters
    ----------
    cut, stall:
        Number of bytes of the body after which the connection is closed, or stalls.
    announced:
        Content-Length, if it differs from the true one.
    ranges:
        Whether Range is respected.
    """

    status: int = 200
    body: bytes | None = None
    content_type: str = "application/octet-stream"
    cut: int | None = None
    stall: int | None = None
    announced: int | None = None
    ranges: bool = True
    etag: str = '"1"'
    headers: tuple[tuple[str, str], ...] = ()


class Server(ThreadingHTTPServer):
    """``files`` by path; ``plans`` by path, one per request, the last one repeated; ``log`` of (path, Range)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.plans: dict[str, list[Plan]] = {}
        self.log: list[tuple[str, str | None]] = []
        self.delay = 0.0
        self.closing = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, *_: object) -> None:
        """Ignore errors of clients that a test killed."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.log.append((self.path, self.headers.get("Range")))
        time.sleep(self.server.delay)
        plans = self.server.plans.get(self.path, [])
        plan = plans.pop(0) if len(plans) > 1 else (plans or [Plan()])[0]
        body = plan.body if plan.body is not None else self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        start, status = 0, plan.status
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, plan.etag)
        if asked and plan.ranges and same and status == 200:
            start = int(asked[1])
            status = 206 if start < len(body) else 416
        self.send_response(status)
        self.send_header("Content-Type", plan.content_type)
        self.send_header("ETag", plan.etag)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if status == 416:
            self.send_header("Content-Range", f"bytes */{len(body)}")
            body = b""
        for name, value in plan.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(plan.announced or len(body) - start))
        self.end_headers()
        end = next((k for k in (plan.cut, plan.stall) if k is not None), len(body))
        self._slowly(body[start : max(end, start)])
        if plan.stall is not None:
            self.server.closing.wait(20)

    def _slowly(self, body: bytes) -> None:
        """Send the body in pieces, so that a client can be killed between two of them."""
        for k in range(0, len(body), 8192):
            self.wfile.write(body[k : k + 8192])
            if self.server.delay:
                time.sleep(self.server.delay)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serve():
    """A running :class:`Server` that offers :func:`small_model`."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    server.files = small_model()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()


def small_model() -> dict[str, bytes]:
    """A mesh of 40 kB and a zip of 90 kB that cannot be compressed."""
    noise = random.Random(7)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("checkpoints/a", noise.randbytes(60_000))
        archive.writestr("checkpoints/b", noise.randbytes(30_000))
    return {"/mesh.obj": noise.randbytes(40_000), "/checkpoints.zip": zipped.getvalue()}


def write_manifest(path: Path, server: Server, mirrors: list[dict[str, str]] | None = None) -> Path:
    """A manifest with the small model: the mesh's hash is published, the zip's is not."""
    mesh = server.files["/mesh.obj"]
    known = {"name": "mesh.obj", "size": len(mesh), "sha256": hashlib.sha256(mesh).hexdigest()}
    unknown = {"name": "checkpoints.zip", "size": None, "sha256": None}
    mirrors = mirrors or [{"url": server.url("/checkpoints.zip")}]
    entry = {
        "summary": "A small model",
        "licence": "CC0",
        "origin": "loopback",
        "embedded": False,
        "config": {"shape": {"vertices": 3}, "texture": {}, "composer": "published"},
        "files": {role: {"name": f"{role}.bin", "size": None, "sha256": None} for role in ("mesh", "a", "b")},
        "notice": "for tests only",
        "by_hand": ["ask the tests"],
        "sources": {
            "mesh": {**known, "mirrors": [{"url": server.url("/mesh.obj")}]},
            "checkpoints": {**unknown, "mirrors": mirrors},
        },
    }
    path.write_text(json.dumps({"version": 1, "models": {"small": entry}}), encoding="utf-8")
    return path
