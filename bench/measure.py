#!/usr/bin/env python3
"""Measures the server, beside Apache mod_dav and rclone serve where that says more. Asserts nothing.

usage: bench/measure.py [start] [tree] [propfind] [put] [bulk] [fetch] [check] [pull] [hint]      (all without arguments)
needs: target/release/sync-server (or SYNC_SERVER_BIN), apache2, rclone, wrk
"""

import os
import subprocess
import sys
import threading
import time
from statistics import median

from peers import AUTH, HERE, Apache, Rclone, SyncServer
from sync import bulk, check, fetch, hint, pull

ENTRIES = 10_000
ROUNDS = 7
LIST = (
    '<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:"><D:prop><D:resourcetype/>'
    "<D:getcontentlength/><D:getetag/><D:getlastmodified/><D:displayname/></D:prop></D:propfind>"
)


def fill(server, folder, entries=ENTRIES, writers=8):
    """Makes a folder of small files, each with contents of its own."""
    server.request(server.connect(), "MKCOL", folder)

    def write(part):
        connection = server.connect()
        for n in range(part, entries, writers):
            status, body = server.request(connection, "PUT", f"{folder}file-{n:05}.txt", f"file {n}\n" * 4)
            assert status == 201, (server.name, status, body[:200])

    threads = [threading.Thread(target=write, args=(part,)) for part in range(writers)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return entries / (time.perf_counter() - begun)


def timed(server, connection, method, path, wanted, body=None, **headers):
    begun = time.perf_counter()
    status, answer = server.request(connection, method, path, body, **headers)
    took = (time.perf_counter() - begun) * 1000
    assert status in wanted, (server.name, method, path, status, answer[:300])
    return took, answer


def start():
    """Time until ready, and memory when idle."""
    ready, pss = [], []
    for _ in range(5):
        with SyncServer() as server:
            ready.append(server.ready * 1000)
            pss.append(server.pss())
    print(f"start: ready after {median(ready):.0f} ms (max {max(ready):.0f}), idle PSS {median(pss):.1f} MiB")


def tree():
    """MOVE, COPY and DELETE of a folder with 10,000 files."""
    times = {"MOVE": [], "COPY": [], "DELETE": []}
    with SyncServer() as server:
        rate = fill(server, "/dav/documents/a/")
        connection = server.connect()
        for n in range(ROUNDS):
            step = lambda *args, **headers: timed(server, connection, *args, **headers)[0]
            times["MOVE"].append(step("MOVE", "/dav/documents/a/", (201,), Destination="/dav/photos/a/"))
            times["MOVE"].append(step("MOVE", "/dav/photos/a/", (201,), Destination="/dav/documents/a/"))
            times["COPY"].append(step("COPY", "/dav/documents/a/", (201,), Destination=f"/dav/photos/c{n}/"))
            times["DELETE"].append(step("DELETE", f"/dav/photos/c{n}/", (204,)))
        print(f"tree: filled with {rate:.0f} files/s by 8 writers in Python")
    for method, measured in times.items():
        print(f"tree: {method} of {ENTRIES} files: median {median(measured):.1f} ms, max {max(measured):.1f} ms")


def propfind():
    """PROPFIND Depth 1 of 10,000 entries, the servers in turn."""
    servers = [SyncServer(), Apache(), Rclone()]
    try:
        wall = {server.name: [] for server in servers}
        cpu = {server.name: 0.0 for server in servers}
        size = {}
        connections = {}
        for server in servers:
            fill(server, "/dav/big/")
            connections[server.name] = server.connect()
        for n in range(ROUNDS + 1):
            for server in servers:
                before = server.cpu()
                connections[server.name].close()  # idle connections end meanwhile
                took, answer = timed(server, connections[server.name], "PROPFIND", "/dav/big/", (207,), LIST, Depth="1")
                found = answer.count(b"file-0")
                assert found >= ENTRIES, (server.name, found)
                size[server.name] = len(answer)
                if n > 0:  # the first fills caches
                    wall[server.name].append(took)
                    cpu[server.name] += server.cpu() - before
        for name, measured in wall.items():
            print(
                f"propfind: {name:12} wall min {min(measured):.0f} ms, median {median(measured):.0f} ms, "
                f"CPU {cpu[name] / ROUNDS * 1000:.0f} ms, {size[name] / 1e6:.1f} MB"
            )
    finally:
        for server in servers:
            server.stop()


def put():
    """16 connections that create files of 4 KiB; the server answers when they are durable."""
    with SyncServer() as server:
        server.request(server.connect(), "MKCOL", "/dav/put/")
        command = ["wrk", "-t", "2", "-c", "16", "-d", "5s", "--latency", "-s", str(HERE / "put.lua")]
        for _ in range(3):
            url = f"http://127.0.0.1:{server.port}/dav/put/"
            server.request(server.connect(), "MKCOL", "/dav/put/")
            done = subprocess.run([*command, url], env={**os.environ, "AUTH": AUTH, "BYTES": "4096"}, capture_output=True, text=True)
            result = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
            print("put:", *(result or [done.stdout, done.stderr]))
            server.request(server.connect(), "DELETE", "/dav/put/")


if __name__ == "__main__":
    known = {"start": start, "tree": tree, "propfind": propfind, "put": put, "bulk": bulk, "fetch": fetch, "check": check, "pull": pull, "hint": hint}
    chosen = sys.argv[1:] or list(known)
    if unknown := set(chosen) - set(known):
        sys.exit(f"{__doc__}\nunknown: {', '.join(unknown)}")
    for name in chosen:
        known[name]()
