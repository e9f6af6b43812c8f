"""An HTTP proxy on loopback that damages what passes through it, as often as it is told to."""

from __future__ import annotations

import http.client
import threading
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["slow down", "forbidden", "cut", "shorten", "flip", "lose"]
_ERRORS = {"slow down": (503, "SlowDown"), "forbidden": (403, "AccessDenied")}
_OWN = ("content-length", "connection", "transfer-encoding", "date", "server", "expect")


@dataclass
class _Order:
    fault: Fault
    method: str
    times: float


class FaultyProxy:
    """Passes requests on to a server, but for the faults ordered.

    - ``slow down``, ``forbidden``: the request is answered with that error, which repeats what it was signed
      with, and not passed on.
    - ``cut``: the connection ends in the middle of the answer.
    - ``shorten``, ``flip``: half of the answer, or one with a bit changed, looks complete.
    - ``lose``: the request is passed on, and the connection ends instead of the answer.
    """

    def __init__(self, target: str) -> None:
        self.requests: list[str] = []
        self._orders: deque[_Order] = deque()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, urlsplit(target).netloc))
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def reset(self) -> None:
        """Forgets all orders and requests."""
        with self._lock:
            self.requests.clear()
            self._orders.clear()

    def order(self, fault: Fault, times: float = 1, method: str = "") -> None:
        """The next ``times`` requests (of one method) meet the fault."""
        with self._lock:
            self._orders.append(_Order(fault, method, times))

    @property
    def waits(self) -> bool:
        """Whether some order has not met its requests yet."""
        with self._lock:
            return any(order.times > 0 for order in self._orders)

    def fault_for(self, method: str) -> Fault | None:
        """The fault that is due for a request."""
        with self._lock:
            self.requests.append(method)
            for order in self._orders:
                if order.times > 0 and order.method in ("", method):
                    order.times -= 1
                    return order.fault
        return None


def _handler(proxy: FaultyProxy, target: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:
                self.close_connection = True

        def pass_on(self) -> None:
            fault = proxy.fault_for(self.command)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if fault in _ERRORS:
                status, code = _ERRORS[fault]
                said = f"you sent {self.headers.get('authorization')}"
                text = f"<Error><Code>{code}</Code><Message>{said}</Message></Error>"
                self.answer(status, [], text.encode() if self.command != "HEAD" else b"", len(text))
                return
            connection = http.client.HTTPConnection(target, timeout=10)
            sent = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
            try:
                connection.request(self.command, self.path, body, sent)
                response = connection.getresponse()
                content = response.read()
                size = int(response.headers.get("content-length", len(content)))
                headers = response.getheaders()
            except OSError:
                self.close_connection = True
                return
            finally:
                connection.close()
            if fault in ("shorten", "flip"):
                headers = [header for header in headers if not header[0].lower().startswith("x-amz-checksum")]
                middle = len(content) // 2
                turned = bytes(byte ^ 1 for byte in content[middle : middle + 1])
                flipped = content[:middle] + turned + content[middle + 1 :]
                content = content[:middle] if fault == "shorten" else flipped
                size = len(content)
            if fault == "lose":
                self.close_connection = True
                return
            if fault == "cut":
                content, self.close_connection = content[: len(content) // 2], True
            self.answer(response.status, headers, content, size)

        def answer(self, status: int, headers: list[tuple[str, str]], content: bytes, size: int) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in _OWN:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = pass_on  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return Handler
