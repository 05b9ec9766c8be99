"""A TCP proxy that counts what passes, and tells the frames of HTTP/2 in it. Used by client.py."""

import socket
import threading
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAMES = (
    "DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY",
    "WINDOW_UPDATE", "CONTINUATION",
)
UP, DOWN = 0, 1


class Line:
    """One connection: what passed in each direction, kept when asked to."""

    def __init__(self, ends):
        self.ends, self.threads = ends, []
        self.bytes, self.marks, self.kept = [0, 0], [0, 0], [bytearray(), bytearray()]


class Proxy:
    """Passes connections to `port` on; what it counts is the payload of TCP."""

    def __init__(self, port, keep=False):
        self.target, self.keep, self.lines, self.last = port, keep, [], time.monotonic()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.accepting = threading.Thread(target=self.accept, daemon=True)
        self.accepting.start()

    def accept(self):
        while True:
            try:
                here, _ = self.listener.accept()
            except OSError:
                return
            try:
                there = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                here.close()
                continue
            line = Line((here, there))
            self.lines.append(line)
            for end in line.ends:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.threads = [threading.Thread(target=self.pump, args=(line, way), daemon=True) for way in (UP, DOWN)]
            for thread in line.threads:
                thread.start()

    def pump(self, line, way):
        source, sink = line.ends[way], line.ends[1 - way]
        try:
            while piece := source.recv(256 * 1024):
                line.bytes[way] += len(piece)
                self.last = time.monotonic()
                if self.keep:
                    line.kept[way] += piece
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            shut(line.ends)

    def mark(self):
        """Counts from here on."""
        for line in self.lines:
            line.marks = list(line.bytes)

    def since(self):
        """Bytes up and down since the mark."""
        return tuple(sum(line.bytes[way] - line.marks[way] for line in self.lines) for way in (UP, DOWN))

    def stop(self):
        shut([self.listener])  # wakes the thread: it must not wait at a number that another socket gets
        self.accepting.join()
        for line in self.lines:
            shut(line.ends)
            for thread in line.threads:
                thread.join()
            for end in line.ends:
                end.close()
        self.listener.close()


def shut(sockets):
    for each in sockets:
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # its other end is gone


def frames(stream):
    """(begin, size with its head, kind, stream, payload) of every HTTP/2 frame behind the preface."""
    at = len(PREFACE) if stream.startswith(PREFACE) else 0
    while at + 9 <= len(stream):
        size, kind = int.from_bytes(stream[at:at + 3], "big"), stream[at + 3]
        number = int.from_bytes(stream[at + 5:at + 9], "big") & 0x7FFFFFFF
        name = FRAMES[kind] if kind < len(FRAMES) else f"frame {kind}"
        yield at, size + 9, name, number, bytes(stream[at + 9:at + 9 + size])
        at += size + 9


def told(line):
    """Lines of text for what passed on a connection since the mark: frames, or bytes of HTTP/1.1 and WebSocket."""
    out = []
    http2 = line.kept[UP].startswith(PREFACE)
    for way, name in ((UP, "up"), (DOWN, "down")):
        passed = line.bytes[way] - line.marks[way]
        if not passed:
            continue
        out.append(f"  {name}: {passed} bytes")
        if not http2:
            out.append(f"    {printable(line.kept[way][line.marks[way]:], 600)}")
            continue
        if way == UP and line.marks[way] == 0:
            out.append(f"    preface: {len(PREFACE)}")
        for begin, size, kind, number, payload in frames(line.kept[way]):
            if begin < line.marks[way]:
                continue
            shown = "" if kind == "HEADERS" else "  " + printable(payload, 200)
            out.append(f"    {kind:<13} stream {number:<3} {size:>6}{shown}")
    return out


def printable(raw, most):
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in raw[:most])
    return text + (" …" if len(raw) > most else "")
