"""Times, memory and CPU of sync-client beside rsync, cp and Syncthing. Used by client.py."""

import os
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from devices import PATIENCE, Client, Late, Rsync, Syncthing, cpu, differ, look, memory, until
from peers import SyncServer

FILES, FOLDERS, BYTES, LARGE, MANY = 10_000, 100, 4096, 1 << 30, 100_000


def fill(folder, files=FILES, folders=FOLDERS):
    for n in range(folders):
        os.mkdir(folder / f"folder-{n:03}")
        for nth in range(files // folders):
            (folder / f"folder-{n:03}/file-{nth:04}").write_bytes(os.urandom(BYTES))


def fill_large(folder):
    with open(folder / "large", "wb") as file:
        for _ in range(LARGE >> 20):
            file.write(os.urandom(1 << 20))


class Place:
    """A temporary folder, and what runs in it."""

    def __init__(self):
        self.root, self.parts = Path(tempfile.mkdtemp(prefix="sync-bench-")), []

    def add(self, part):
        self.parts.append(part)
        return part

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for part in reversed(self.parts):
            part.stop()
        shutil.rmtree(self.root, ignore_errors=True)


def ours(make):
    """Up until the server's durable answer, down to a second device, and a pass that finds nothing.

    Seconds, seconds of CPU, and those of the server.
    """
    with Place() as place:
        server = place.add(SyncServer())
        a, b = (place.add(Client(place.root, name, server.port)) for name in "ab")
        a.sync()
        b.sync()
        make(a.folder)
        before = server.cpu()
        up = a.sync()
        between = server.cpu()
        down = b.sync()
        after = server.cpu()
        assert not differ(a.folder, b.folder)
        idle = min(a.sync() for _ in range(5))
        return {"up": up + (between - before,), "down": down + (after - between,), "nothing new": idle + (0,)}


def rsync(make):
    with Place() as place:
        daemon = place.add(Rsync(place.root))
        folder, other = place.root / "from", place.root / "to"
        folder.mkdir()
        other.mkdir()
        make(folder)
        up = daemon.push(folder, daemon.port)
        os.sync()
        down = daemon.pull(other, daemon.port)
        idle = min(daemon.push(folder, daemon.port) for _ in range(5))
        assert not differ(folder, other)
        return {"up": up, "down": down, "nothing new": idle}


def syncthing(make):
    """From the look at a folder that is filled until the other one has all of it: up and down at once."""
    with Place() as place:
        try:
            peers = place.add(Syncthing(place.root))
        except Late:
            return "its two did not find each other"
        made = place.root / "made"
        made.mkdir()
        make(made)
        for entry in list(made.iterdir()):
            os.rename(entry, peers.folders[0] / entry.name)
        begun = time.perf_counter()
        peers.scan()
        wanted = look(peers.folders[0])
        try:
            until(lambda: look(peers.folders[1]) == wanted, PATIENCE, 0.1)
        except Late:
            return f"not there after {PATIENCE:.0f} s"
        return time.perf_counter() - begun


def row(name, numbers):
    print(f"| {name} | " + " | ".join(numbers) + " |", flush=True)


def table(title, make, rounds, extra=None):
    print(f"\n{title}; medians of {rounds}.\n\n| | up s | down s | nothing new s |\n|---|---|---|---|")
    runs = [ours(make) for _ in range(rounds)]
    cells = []
    for step in ("up", "down", "nothing new"):
        wall, own, server = (median(run[step][n] for run in runs) for n in range(3))
        cells.append(f"{wall:.3f} (CPU {own:.2f}, server {server:.2f})")
    row("sync-client", cells)
    runs = [rsync(make) for _ in range(rounds)]
    took = [median(run[step] for run in runs) for step in ("up", "down", "nothing new")]
    row("rsync -a, daemon, not durable", [f"{seconds:.3f}" for seconds in took])
    if extra:
        took = median(extra() for _ in range(rounds))
        row("cp and fsync", [f"{took:.3f}", f"{took:.3f}", ""])
    runs = [syncthing(make) for _ in range(rounds)]
    if words := [run for run in runs if isinstance(run, str)]:
        row("Syncthing, A to B", [words[0], "", ""])
    else:
        row("Syncthing, A to B", [f"both ways: {median(runs):.3f}", "", ""])


def copy():
    with Place() as place:
        fill_large(place.root)
        begun = time.perf_counter()
        shutil.copyfile(place.root / "large", place.root / "copy")
        with open(place.root / "copy", "rb") as file:
            os.fsync(file.fileno())
        return time.perf_counter() - begun


def small(rounds):
    table(f"First sync of {FILES:,} files of {BYTES} bytes in {FOLDERS} folders", fill, rounds)


def large(rounds):
    table("A file of 1 GiB of noise", fill_large, rounds, copy)


def daemons(place):
    """Two devices kept in step by daemons."""
    server = place.add(SyncServer())
    pair = [place.add(Client(place.root, name, server.port)) for name in "ab"]
    for device in pair:
        device.sync()
        device.start()
    time.sleep(2)
    return pair


def late(folders, times=30):
    """Milliseconds from a change in one folder until another has it."""
    measured = []
    for n in range(times):
        content = f"change {n}\n" * (n + 1)
        begun = time.perf_counter()
        (folders[0] / "note").write_text(content)
        there = folders[1] / "note"
        until(lambda: there.exists() and there.stat().st_size == len(content), 60, 0.001)
        measured.append((time.perf_counter() - begun) * 1000)
        time.sleep(0.4)
    tenth = sorted(measured)[int(times * 0.9)]
    return f"median {median(measured):.0f} ms, 90th percentile {tenth:.0f} ms, max {max(measured):.0f} ms"


def latency(_rounds):
    """From a change at A until B has it on disk."""
    print()
    with Place() as place:
        print("Change at A until it is on B's disk:", late([device.folder for device in daemons(place)]), flush=True)
    with Place() as place:
        try:
            print("Syncthing:", late(place.add(Syncthing(place.root)).folders, 10), flush=True)
        except Late:
            print("Syncthing: not there after 60 s", flush=True)


def idle(_rounds):
    """What a daemon takes when nothing happens."""
    with Place() as place:
        pair = daemons(place)
        fill(pair[0].folder)
        until(lambda: look(pair[1].folder) == look(pair[0].folder), PATIENCE, 0.2)
        time.sleep(5)
        pids = [device.process.pid for device in pair]
        before = [cpu(pid) for pid in pids]
        time.sleep(30)
        used = [cpu(pid) - was for pid, was in zip(pids, before)]
        print(f"\nIdle daemons with {FILES:,} files, 30 s: {used[0] * 1000:.0f} and {used[1] * 1000:.0f} ms of CPU; "
              f"RSS, PSS: {both(pair)}", flush=True)


def both(pair):
    return "; ".join("{} {:.0f}, {:.0f} MiB".format(device.name, *memory(device.process.pid)) for device in pair)


def many(_rounds):
    """Memory of daemons with 100,000 files."""
    with Place() as place:
        pair = daemons(place)
        made = place.root / "made"
        made.mkdir()
        fill(made, MANY, 1000)
        begun = time.perf_counter()
        os.rename(made, pair[0].folder / "made")
        try:
            until(lambda: look(pair[1].folder) == look(pair[0].folder), 1200, 1)
        except Late:
            print(f"\n{MANY:,} files did not arrive in 1200 s: {len(look(pair[1].folder)):,} did", flush=True)
            return
        took = time.perf_counter() - begun
        time.sleep(3)
        print(f"\n{MANY:,} files, A to B by daemons in {took:.0f} s. RSS, PSS after it:", both(pair), flush=True)
        for device in pair:
            device.stop()
            device.start()
        time.sleep(15)
        print("After a restart:", both(pair), flush=True)
        for device in pair:
            device.stop()
        wall, used = min(pair[0].sync() for _ in range(3))
        print(f"`sync` with nothing new: {wall:.3f} s, {used:.2f} s of CPU", flush=True)


def run(options):
    known = {"small": small, "large": large, "latency": latency, "idle": idle, "many": many}
    for name in options.what[1:] or known:
        known[name](options.rounds)
