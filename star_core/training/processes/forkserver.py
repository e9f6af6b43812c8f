"""A process that has torch loaded and forks a fresh child for every candidate.

    owner (never imports torch) ──control socket──▶ server (torch, Lightning loaded) ──fork──▶ child
      ▲                                                                                          │
      └───────────── status pipe: "pid 7", "exit 0" (from the server) · channel (from the child) ┘

Why not ``multiprocessing``'s own fork server: it is one per program, takes its environment from
the owner's, runs the owner's main module again in every child, and reports wrong exit codes when
several threads start processes at once.

Nothing outlives the owner, however it dies: the control socket's end of file makes the server kill
every child's process group and leave; a dying server takes its children along (``PR_SET_PDEATHSIG``);
and a child that reads its channel meets the end of file there.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_MESSAGE = struct.Struct("=cq")
_FORK, _KILL = b"f", b"k"
_PR_SET_PDEATHSIG = 1
_START = """
import json, sys
arguments = json.loads(sys.argv[1])
sys.path[:] = arguments.pop("path")
from star_core.training.processes.forkserver import serve
serve(**arguments)
"""


class ServerDied(Exception):  # noqa: N818
    """The server ended without being asked to."""


@dataclass(frozen=True, slots=True)
class Child:
    """A forked child, seen from the owner.

    Attributes:
        channel: Connected to the socket the child's entry function is called with.
        status: Read end of a pipe: a line ``pid N`` once it runs, ``exit N`` once it is gone (negative:
            killed by that signal); end of file before that means that the server died.
        server: The process that forks and buries it.
    """

    channel: socket.socket
    status: int
    server: subprocess.Popen[bytes]

    def close(self) -> None:
        """Lets go of the child, which ends it if it is still there."""
        self.channel.close()
        os.close(self.status)


class ForkServer:
    """The owner's end. Safe to use from several threads.

    Args:
        entry: What a child runs: ``module:function``, called with its channel.
        preload: Modules the server imports before it forks; one that cannot be imported is left to
            the child to complain about.
        environment: All variables of the server, and so of every child.
    """

    def __init__(self, entry: str, preload: Sequence[str], environment: Mapping[str, str]) -> None:
        self._entry, self._preload, self._environment = entry, list(preload), dict(environment)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._closed = False

    def start(self) -> None:
        """Starts the server if it is not running, without waiting for its imports.

        Raises:
            ServerDied: The server was closed.
        """
        with self._lock:
            self._started()

    def fork(self) -> Child:
        """Asks for a child; it is there once its status says so.

        Raises:
            ServerDied: While asking (the next call starts another server), or this was closed.
        """
        channel, child_channel = socket.socketpair()
        status, child_status = os.pipe()
        try:
            with self._lock:
                return Child(channel, status, self._ask([child_channel.fileno(), child_status]))
        except (OSError, ServerDied) as error:
            channel.close()
            os.close(status)
            raise ServerDied(str(error)) from error
        finally:
            child_channel.close()
            os.close(child_status)

    def _ask(self, descriptors: list[int]) -> subprocess.Popen[bytes]:
        message = _MESSAGE.pack(_FORK, 0)
        control, process = self._started()
        try:
            socket.send_fds(control, [message], descriptors)
        except OSError:
            # It died just now, so that it still looks alive.
            self._stop()
            control, process = self._started()
            socket.send_fds(control, [message], descriptors)
        return process

    def kill(self, pid: int) -> None:
        """Kills a child and its process group; nothing happens if it is gone.

        The server does it, because only a parent knows that a process id is still its child's.
        """
        with self._lock:
            if self._control is not None:
                # A dead server's children are dead.
                with contextlib.suppress(OSError):
                    self._control.sendall(_MESSAGE.pack(_KILL, pid))

    def give_up(self, child: Child, pid: int = 0) -> None:
        """Kills a server that does not do its work, and its children; the next ``fork`` starts another.

        Args:
            child: One of its children.
            pid: That child's, whose process group goes too. While the server has not seen it gone, nobody
                else has its process id.
        """
        if pid and child.server.poll() is None:
            _kill_group(pid)
        child.server.kill()

    def close(self) -> None:
        """Ends the server and every child, for good."""
        with self._lock:
            self._closed = True
            self._stop()

    def _started(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        if self._closed:
            raise ServerDied("closed")
        if self._process is not None and self._control is not None and self._process.poll() is None:
            return self._control, self._process
        self._stop()
        control, theirs = socket.socketpair()
        arguments = {
            "path": sys.path,
            "control": theirs.fileno(),
            "entry": self._entry,
            "preload": self._preload,
        }
        with theirs:
            # Its own session: Ctrl-C reaches the owner alone, who decides what becomes of candidates.
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, json.dumps(arguments)],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=2,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._control = control
        return control, self._process

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:  # still importing
                self._process.kill()
                self._process.wait()
        self._control = self._process = None


def serve(control: int, entry: str, preload: Sequence[str]) -> None:
    """The server's life: import, then fork and bury until the owner is gone.

    Args:
        control: File descriptor of the control socket.
        entry: As in ``ForkServer``.
        preload: As in ``ForkServer``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # imports make much and leave little: a seventh of their time would be looking for it
    for name in preload:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.enable()
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=control) as owner:
        _Server(owner, entry).run()


class _Server:
    def __init__(self, owner: socket.socket, entry: str) -> None:
        self._owner, self._entry = owner, entry
        self._children: dict[int, int] = {}
        self._pid = os.getpid()
        self._wake, self._woken = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._woken, False)

    def run(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        try:
            poll = select.poll()
            poll.register(self._owner, select.POLLIN)
            poll.register(self._wake, select.POLLIN)
            while True:
                ready = [descriptor for descriptor, _ in poll.poll()]
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 4096)
                self._bury()
                if self._owner.fileno() in ready and not self._obey():
                    return
        finally:
            for pid in self._children:
                _kill_group(pid)

    def _obey(self) -> bool:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._owner, _MESSAGE.size, 2)
        except ConnectionError:
            return False
        while 0 < len(message) < _MESSAGE.size:
            message += self._owner.recv(_MESSAGE.size - len(message)) or b"\0" * _MESSAGE.size
        if not message:
            return False
        order, pid = _MESSAGE.unpack(message)
        if order == _FORK:
            self._fork(*descriptors)
        elif order == _KILL and pid in self._children:
            _kill_group(pid)
        return True

    def _fork(self, channel: int, status: int) -> None:
        pid = os.fork()
        if pid == 0:
            self._become_child(channel, status)
        with contextlib.suppress(OSError):  # the child does the same; whoever is first
            os.setpgid(pid, pid)
        os.close(channel)
        self._children[pid] = status
        _say(status, f"pid {pid}\n")

    def _become_child(self, channel: int, status: int) -> None:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            with contextlib.suppress(OSError):
                os.setpgid(0, 0)
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != self._pid:
                    os._exit(1)
            for descriptor in (status, self._wake, self._woken, *self._children.values()):
                os.close(descriptor)
            self._owner.close()
            os.set_inheritable(channel, False)
            module, _, function = self._entry.partition(":")
            with socket.socket(fileno=channel) as connected:
                getattr(importlib.import_module(module), function)(connected)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            # Not sys.exit: the server's own frames and exit handlers are not the child's to run.
            os._exit(code)

    def _bury(self) -> None:
        while self._children:
            pid, ending = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            status = self._children.pop(pid)
            _say(status, f"exit {os.waitstatus_to_exitcode(ending)}\n")
            os.close(status)


def _say(status: int, line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # the owner does not wait for this one any more
        os.write(status, line.encode())


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
