"""Measures the sync API: bulk pushes, pulls and how long a hint takes. Used by measure.py."""

import base64
import json
import os
import shutil
import socket
import threading
import time
from statistics import median

from peers import PASSWORD, SyncServer

FILES = 10_000
BYTES = 4096
ROUNDS = 5
STREAM = "application/vnd.sync-server.stream"


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def file(path, content):
    """The records of a new file."""
    head = json.dumps({"op": "put", "path": path, "size": len(content)}).encode()
    return b"\x01" + varint(len(head)) + head + b"\x04" + varint(len(content)) + content + b"\x07"


class Device:
    """A registered device on a connection of its own."""

    def __init__(self, server):
        self.server, self.connection = server, server.connect()
        body = {"account": "admin", "password": PASSWORD, "name": "bench", "type": "linux"}
        self.token = None
        self.token = self.call("POST", "/auth/register", json.dumps(body), "application/json")["access_token"]

    def send(self, method, path, body=None, kind=None):
        headers = {"Content-Type": kind} if kind else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        self.connection.request(method, f"/api/v1{path}", body, headers)
        response = self.connection.getresponse()
        answer = response.read()
        assert response.status < 300, (method, path, response.status, answer[:300])
        return answer

    def call(self, *request):
        return json.loads(self.send(*request) or b"null")


def push(device, folder, files=FILES, size=BYTES):
    """Pushes small files in one request; seconds until all are durable."""
    asked = json.dumps({"path": folder, "parents": True})
    device.call("POST", "/files/mkdir", asked, "application/json")
    stream = b"SYN1" + b"".join(file(f"{folder}/file-{n:05}", os.urandom(size)) for n in range(files))
    begun = time.perf_counter()
    results = device.call("POST", "/sync/push", stream, STREAM)["results"]
    took = time.perf_counter() - begun
    assert len(results) == files and all(result["status"] == "done" for result in results)
    return took


def bulk():
    """10,000 new files of 4 KiB in one push."""
    with SyncServer() as server:
        device = Device(server)
        rates = [FILES / push(device, f"/documents/bulk{n}") for n in range(ROUNDS)]
        print(f"bulk: {FILES} files of {BYTES} bytes in one push: median {median(rates):.0f} files/s, min {min(rates):.0f}")


def fetch():
    """10,000 files of 4 KiB, as many as possible in each request."""
    with SyncServer() as server:
        device = Device(server)
        device.call("POST", "/files/mkdir", json.dumps({"path": "/documents/many"}), "application/json")
        cursor = device.call("GET", "/sync/status")["cursor"]
        push(device, "/documents/many")
        changes = device.call("GET", f"/sync/pull?limit={FILES}&cursor={cursor}")["changes"]
        nodes = [change["node"] for change in changes]
        items = [{"id": node["id"], "to": node["etag"]} for node in nodes]
        assert len(items) == FILES
        bodies = [json.dumps({"items": items[n:n + 1000]}) for n in range(0, FILES, 1000)]
        rates, before = [], server.cpu()
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            got = sum(len(device.send("POST", "/sync/fetch", body, "application/json")) for body in bodies)
            rates.append(FILES / (time.perf_counter() - begun))
            assert got > FILES * BYTES
        cpu = (server.cpu() - before) / ROUNDS / FILES * 1e6
        print(f"fetch: {FILES} files of {BYTES} bytes in {len(bodies)} requests: median {median(rates):.0f} files/s, "
              f"max {max(rates):.0f}, {cpu:.0f} us of CPU each")


def check():
    """fsck and scrub beside a server with 100,000 files, 4 KiB each and every tenth 40 KiB; then its database is lost."""
    with SyncServer() as server:
        device = Device(server)
        for n in range(10):
            push(device, f"/documents/small{n}", 9_000)
            push(device, f"/documents/large{n}", 1_000, 10 * BYTES)
        for command in (["fsck"], ["fsck", "--deep"], ["scrub", "--from-start"]):
            took, memory, said = server.run(*command)
            print(f"check: {' '.join(command)}: {took:.2f} s, {memory:.0f} MiB; {' '.join(said.split())}")
        wait_for_snapshot(server)
        server.end()
        shutil.rmtree(f"{server.dir}/db")
        os.mkdir(f"{server.dir}/db")
        took, memory, said = server.run("recover")
        print(f"check: recover: {took:.2f} s, {memory:.0f} MiB; {' '.join(said.split())}")


def wait_for_snapshot(server):
    """Returns once the snapshot has all that was written before."""
    since, connection = time.time() + 1, server.connect()
    of = b'sync_job_last_success_timestamp_seconds{job="snapshot"} '
    while True:
        page = server.request(connection, "GET", "/metrics")[1].splitlines()
        if any(line.startswith(of) and float(line[len(of):]) > since for line in page):
            return
        time.sleep(0.5)


def pull():
    """10,000 changes in one pull, and a pull with nothing new."""
    with SyncServer() as server:
        device = Device(server)
        cursor = device.call("GET", "/sync/status")["cursor"]
        push(device, "/documents/many")
        many = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            answer = device.send("GET", f"/sync/pull?limit={FILES}&cursor={cursor}")
            many.append((time.perf_counter() - begun) * 1000)
        changes = json.loads(answer)
        assert len(changes["changes"]) == FILES
        last = device.call("GET", f"/sync/pull?cursor={changes['cursor']}")["cursor"]
        idle, before = [], server.cpu()
        for _ in range(1000):
            begun = time.perf_counter()
            device.send("GET", f"/sync/pull?cursor={last}")
            idle.append((time.perf_counter() - begun) * 1000)
        cpu = server.cpu() - before
        print(f"pull: {FILES} changes: median {median(many):.0f} ms, max {max(many):.0f} ms, {len(answer) / 1e6:.1f} MB")
        print(f"pull: nothing new: median {median(idle):.2f} ms round trip in Python, {cpu:.2f} ms of CPU each")


def hint():
    """From the answer of a WebDAV PUT to the hint on another device's WebSocket, and before it."""
    with SyncServer() as server:
        device = Device(server)
        heard = listen(server, device.token)
        late = []
        connection = server.connect()
        for n in range(200):
            begun = time.perf_counter()
            status, _ = server.request(connection, "PUT", "/dav/documents/hint", f"{n}")
            assert status in (201, 204)
            heard.wait()
            late.append((heard.at - begun) * 1000)
        print(f"hint: from sending a PUT to hearing of it: median {median(late):.2f} ms, max {max(late):.2f} ms")


class Heard:
    """When the last message came."""

    def __init__(self):
        self.at, self.event = 0.0, threading.Event()

    def wait(self):
        assert self.event.wait(5), "no hint within 5 s"
        self.event.clear()


def listen(server, token):
    """Opens a WebSocket and notes when messages come."""
    stream = socket.create_connection(("127.0.0.1", server.port))
    key = base64.b64encode(os.urandom(16)).decode()
    stream.sendall(
        f"GET /api/v1/sync/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += stream.recv(4096)
    assert b" 101 " in answer.split(b"\r\n")[0], answer
    heard = Heard()

    def follow():
        while message := stream.recv(4096):
            if message[0] == 0x81:  # a text; pings are not counted
                heard.at = time.perf_counter()
                heard.event.set()

    threading.Thread(target=follow, daemon=True).start()
    return heard
