#!/usr/bin/env python3
"""Measures sync-client beside rsync and Syncthing. Asserts nothing but that what arrives is what was sent.

usage: bench/client.py [--server FILE] [--client FILE] [--rounds N] [--only TEXT] wire|trace|bulk …
  wire   bytes of the connections for an edit, beside rsync; --one-shot: runs of `sync` instead of daemons
  trace  what passes for an edit of one byte, frame by frame
  bulk   times, memory and CPU; or some of: small, large, idle, latency, many
needs: the release build of both (or --server, --client), rsync, syncthing
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from devices import QUIET, Client, Late, Rsync, differ, look, until
from edits import EDITS, noise, save
from peers import SyncServer
from proxy import Proxy, told


class Pair:
    """A server and two devices of one account, each behind a proxy of its own."""

    def __init__(self, daemons, keep=False):
        self.daemons, self.server = daemons, SyncServer()
        self.root = Path(tempfile.mkdtemp(prefix="sync-bench-"))
        self.proxies = [Proxy(self.server.port, keep) for _ in range(2)]
        self.a, self.b = (Client(self.root, name, proxy.port) for name, proxy in zip("ab", self.proxies))

    def start(self):
        """The first sync, and the daemons."""
        for device in (self.a, self.b):
            device.sync()
        if self.daemons:
            self.a.start()
            self.b.start()
            time.sleep(1)
        self.settle()

    def settle(self):
        """Waits until B has what A has, and nothing passes any more."""
        if not self.daemons:
            self.a.sync()
            self.b.sync()
        until(lambda: look(self.a.folder) == look(self.b.folder), 120, 0.05)
        until(lambda: all(time.monotonic() - proxy.last > QUIET for proxy in self.proxies), 120, 0.05)

    def count(self, change):
        """Bytes of A and of B for a change at A, up and down."""
        for proxy in self.proxies:
            proxy.mark()
        change()
        self.settle()
        if wrong := differ(self.a.folder, self.b.folder):
            raise SystemExit(f"not the same on both: {wrong[:10]}")
        return [proxy.since() for proxy in self.proxies]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for part in (self.a, self.b, *self.proxies, self.server):
            part.stop()
        shutil.rmtree(self.root, ignore_errors=True)


def wire_rsync(edit, rounds):
    """Bytes that rsync takes for the same edits, both directions."""
    root = Path(tempfile.mkdtemp(prefix="sync-bench-"))
    daemon = Rsync(root)
    proxy = Proxy(daemon.port)
    try:
        folder, counted = root / "from/folder", []
        folder.mkdir(parents=True)
        edit.begin(folder)
        daemon.push(folder, daemon.port, "--whole-file")
        for nth in range(1, rounds + 1):
            # A file of the same size that was written in the same second is the same to rsync.
            time.sleep(1)
            edit.change(folder, nth)
            proxy.mark()
            daemon.push(folder, proxy.port, "-z", "--no-whole-file")
            counted.append(sum(proxy.since()))
        assert not differ(folder, daemon.folder)
        return median(counted)
    finally:
        daemon.stop()
        proxy.stop()
        shutil.rmtree(root, ignore_errors=True)


def wire_ours(edit, rounds, daemons):
    """Medians of (up, down) for edits without and with old bytes kept, and for pulls."""
    first, later, pulls = [], [], []
    with Pair(daemons) as pair:
        edit.begin(pair.a.folder)
        pair.start()
        for nth in range(1, 2 * rounds + 1):
            if nth % 2:
                pair.a.shadowless()
            a, b = pair.count(lambda: edit.change(pair.a.folder, nth))
            (first if nth % 2 else later).append(a)
            pulls.append(b)
    return [tuple(median(way) for way in zip(*counted)) for counted in (first, later, pulls)]


def wire(options):
    """A row for each edit."""
    how = "runs of `sync`" if options.one_shot else "daemons"
    print(f"\nBytes of TCP, both directions (up + down), by {how}; × is rsync ÷ ours, with the aim behind.\n")
    print("| edit | rsync | first edit | × | later edits | × | pull | × |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for edit in EDITS:
        if options.only and options.only not in edit.name:
            continue
        theirs = wire_rsync(edit, 2 * options.rounds)
        try:
            counted = wire_ours(edit, options.rounds, not options.one_shot)
        except Late:
            print(f"| {edit.name} | {theirs:,.0f} | did not arrive |", flush=True)
            continue
        cells = []
        for (up, down), aim in zip(counted, (edit.first, edit.later, edit.later)):
            times = theirs / (up + down)
            low = "" if times >= aim else " **"
            cells.append(f"{up + down:,.0f} ({up:,.0f} + {down:,.0f}) | {times:,.4g} ({aim}){low}")
        print(f"| {edit.name} | {theirs:,.0f} | {' | '.join(cells)} |", flush=True)


def trace(options):
    """Each frame of an edit of one byte."""
    for daemons in (False, True):
        with Pair(daemons, keep=True) as pair:
            print(f"\n# {'Daemons' if daemons else 'Runs of `sync`'}")
            save(pair.a.folder / "file", noise(20_000_000, 1))
            pair.start()
            for nth, name in enumerate(("first edit", "later edit")):
                content = bytearray((pair.a.folder / "file").read_bytes())
                content[12_345_678] ^= 1 + nth
                counted = pair.count(lambda: save(pair.a.folder / "file", content))
                for device, proxy, ways in zip("AB", pair.proxies, counted):
                    print(f"\n## {name}, {device}: {ways[0]} up, {ways[1]} down")
                    for n, line in enumerate(proxy.lines):
                        if lines := told(line):
                            print(f" connection {n}", *lines, sep="\n")


def bulk(options):
    import bulk as parts
    parts.run(options)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--server")
    parser.add_argument("--client")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--one-shot", action="store_true")
    parser.add_argument("what", nargs="+")
    options = parser.parse_args()
    for name in ("server", "client"):
        if given := getattr(options, name):
            os.environ[f"SYNC_{name.upper()}_BIN"] = str(Path(given).resolve())
    known = {"wire": wire, "trace": trace, "bulk": bulk}
    if options.what[0] not in known:
        sys.exit(f"{__doc__}\nunknown: {options.what[0]}")
    known[options.what[0]](options)


if __name__ == "__main__":
    main()
