"""Edits of a folder that every device would make, the same ones each time. Used by client.py."""

import os
import random
import shutil
import sqlite3
import tempfile
from pathlib import Path

MB = 1_000_000
ROWS = 460_000
CRATES = Path.home() / ".cargo/registry/src"


def noise(size, seed):
    return random.Random(f"noise {seed}").randbytes(size)


def save(path, content):
    """Writes a file as most programs do: beside the folder, then in its place."""
    with tempfile.NamedTemporaryFile(dir=path.parent.parent, delete=False) as new:
        new.write(content)
    os.chmod(new.name, 0o644)
    os.replace(new.name, path)


class Edit:
    """A kind of edit: `begin` fills an empty folder, `change` is the nth edit; aimed at: rsync's bytes ÷ ours."""

    name, first, later = "", 1.0, 1.0

    def begin(self, folder):
        save(folder / "file", self.content())

    def change(self, folder, nth):
        save(folder / "file", self.changed((folder / "file").read_bytes(), random.Random(f"edit {nth}")))


class Bytes(Edit):
    def __init__(self, count, first):
        self.count, self.first, self.later = count, first, 60
        self.name = f"{count} byte{'s' if count > 1 else ''} in 100 MB of noise"

    def content(self):
        return noise(100 * MB, 1)

    def changed(self, old, rng):
        new = bytearray(old)
        for _ in range(self.count):
            new[rng.randrange(len(new))] ^= rng.randrange(1, 256)
        return new


class Front(Edit):
    name, first, later = "4 KiB of noise at the front of 50 MB of noise", 12, 15

    def content(self):
        return noise(50 * MB, 2)

    def changed(self, old, rng):
        return rng.randbytes(4096) + old


class FrontOfMore(Front):
    """rsync's sums grow with the file; 4 KiB of noise stay 4 KiB."""

    name = "4 KiB of noise at the front of 100 MB of noise"

    def content(self):
        return noise(100 * MB, 2)


class Lines(Front):
    """As a log or a list of changes grows at its beginning."""

    name = "4 KiB of text at the front of 50 MB of noise"

    def changed(self, old, rng):
        def line():
            begun, took = rng.randrange(86400), rng.randrange(1000)
            return f"{begun:05} request {rng.randrange(1 << 32):08x} took {took} ms\n".encode()

        return b"".join(line() for _ in range(200))[:4096] + old


class Append(Front):
    name, first, later = "1 MB of noise appended to 50 MB", 1.05, 1.05

    def changed(self, old, rng):
        return old + rng.randbytes(MB)


class Rows(Edit):
    name, first, later = "1,000 row updates in 50 MB of SQLite", 3, 50

    def begin(self, folder):
        path = folder.parent / "making.db"
        with sqlite3.connect(path, isolation_level=None) as db:
            rng = random.Random("rows")
            db.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, note TEXT, size INTEGER, changed INTEGER,"
                       " weight REAL)")
            db.execute("CREATE INDEX item_name ON item (name)")
            rows = ((n, f"item {rng.randbytes(6).hex()}", f"note {n} on {rng.randbytes(16).hex()}", rng.randrange(MB),
                     1_700_000_000 + n, rng.randrange(1000) / 7) for n in range(1, ROWS + 1))
            db.execute("BEGIN")
            db.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?, ?)", rows)
            db.execute("COMMIT")
            db.execute("VACUUM")
        db.close()
        os.replace(path, folder / "file")

    def change(self, folder, nth):
        """The database is open beside the folder and is put in its place."""
        path, rng = folder.parent / "making.db", random.Random(f"edit {nth}")
        shutil.copyfile(folder / "file", path)
        with sqlite3.connect(path) as db:
            for _ in range(1000):
                values = (rng.randrange(MB), rng.randrange(ROWS) + 1)
                db.execute("UPDATE item SET size = ?, changed = changed + 86400 WHERE id = ?", values)
        db.close()
        os.replace(path, folder / "file")


class Source(Edit):
    name, first, later = "300 files of a source tree", 1.0, 2
    files = None
    crates = ("tokio-1", "serde-saphyr-", "zerocopy-0", "rustix-", "futures-util-", "ring-")

    def begin(self, folder):
        for crate in self.crates:
            found = sorted(CRATES.glob(f"*/{crate}*"))
            if not found:
                raise SystemExit(f"no crate {crate}* in {CRATES}: build the project first")
            shutil.copytree(found[-1], folder / found[-1].name)

    def chosen(self, folder):
        """The same files each time; what is that short may become what it was."""
        files = [path for path in sorted(folder.rglob("*.rs")) if path.stat().st_size > 200]
        self.files = self.files or random.Random("files").sample([path.relative_to(folder) for path in files], 300)
        return [folder / path for path in self.files]

    def change(self, folder, nth):
        rng = random.Random(f"edit {nth}")
        for path in self.chosen(folder):
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(len(lines))
                what = rng.randrange(3)
                if what == 0:
                    lines[at] = lines[at].rstrip("\n") + f" // see {rng.choice(lines).strip()[:30]}\n"
                elif what == 1 or len(lines) < 3:
                    name = rng.choice(("count", "state", "left", "next"))
                    lines.insert(at, f"    let {name} = {rng.randrange(10_000)};\n")
                else:
                    del lines[at]
            path.write_text("".join(lines), encoding="utf-8")


class Rename(Edit):
    first = later = 1000

    def __init__(self, folder):
        self.folder = folder
        self.name = "rename of a folder with 300 files, 20 MB" if folder else "rename of a file of 20 MB"

    def begin(self, folder):
        if not self.folder:
            return save(folder / "thing-0", noise(20 * MB, 4))
        os.mkdir(folder / "thing-0")
        for n in range(300):
            (folder / f"thing-0/part-{n:03}").write_bytes(noise(20 * MB // 300, n))

    def change(self, folder, nth):
        os.rename(folder / f"thing-{nth - 1}", folder / f"thing-{nth}")


class Copy(Rename):
    def __init__(self, folder):
        super().__init__(folder)
        self.name = self.name.replace("rename", "copy")

    def change(self, folder, nth):
        (shutil.copytree if self.folder else shutil.copy2)(folder / "thing-0", folder / f"thing-{nth}")


EDITS = [
    Bytes(1, 20), Bytes(10, 6), Front(), FrontOfMore(), Lines(), Append(), Rows(), Source(),
    Rename(False), Rename(True), Copy(False), Copy(True),
]
