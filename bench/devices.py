"""Who keeps folders in step: sync-client, an rsync daemon and Syncthing, in a temporary folder. Used by client.py."""

import filecmp
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from peers import HERE, PASSWORD, free_port

RSYNC = "use chroot = no\nuid = root\ngid = root\nlog file = {log}\n[m]\npath = {folder}\nread only = no\n"
QUIET = 0.7
PATIENCE = 300.0


class Late(Exception):
    """Something did not come in time."""


def until(happened, patience=PATIENCE, pause=0.01):
    end = time.monotonic() + patience
    while not happened():
        if time.monotonic() > end:
            raise Late
        time.sleep(pause)


def look(folder):
    """What a folder shows: sizes and milliseconds of files, and collections; not what a program keeps for itself."""
    found = {}
    for at, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in (".sync-client", ".stfolder")]
        for name in folders:
            found[os.path.relpath(f"{at}/{name}", folder)] = None
        for name in files:
            try:
                about = os.lstat(f"{at}/{name}")
            except FileNotFoundError:
                continue
            found[os.path.relpath(f"{at}/{name}", folder)] = (about.st_size, about.st_mtime_ns // 1_000_000)
    return found


def differ(one, other):
    """Paths whose bytes are not the same in both."""
    seen, there = look(one), look(other)
    return sorted(set(seen) ^ set(there)) + [
        path for path, about in seen.items()
        if about and there.get(path) and not filecmp.cmp(f"{one}/{path}", f"{other}/{path}", shallow=False)
    ]


def memory(pid):
    """VmRSS and PSS in MiB."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    pss = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return int(status["VmRSS"].split()[0]) / 1024, pss / 1024


def cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def end(process):
    if process and process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Client:
    """A device with a folder of its own; `port` is that of the server, or of a proxy before it."""

    def __init__(self, root, name, port):
        self.binary = os.environ.get("SYNC_CLIENT_BIN", str(HERE.parent / "target/release/sync-client"))
        self.home, self.name, self.process = Path(root) / name, name, None
        self.folder, self.config = self.home / "folder", self.home / "config"
        self.folder.mkdir(parents=True)
        others = {key: value for key, value in os.environ.items() if not key.startswith(("SYNC_", "DBUS_", "XDG_"))}
        self.env = {**others, "HOME": str(self.home), "SYNC_PASSWORD": PASSWORD}
        self.run("configure", "--server", f"http://127.0.0.1:{port}", "--user", "admin", "--sync-dir", str(self.folder),
                 "--device-name", name, "--secrets", "file")

    def command(self, *arguments):
        return [self.binary, "--config-dir", str(self.config), *arguments]

    def run(self, *arguments):
        """Runs a command: seconds, seconds of CPU, and what it printed."""
        before, begun = os.times(), time.perf_counter()
        done = subprocess.run(self.command(*arguments), env=self.env, capture_output=True, text=True, timeout=1800)
        took, after = time.perf_counter() - begun, os.times()
        if done.returncode != 0:
            raise SystemExit(f"{self.name}: {arguments}: exit {done.returncode}: {done.stdout}{done.stderr}")
        used = after.children_user + after.children_system - before.children_user - before.children_system
        return took, used, done.stdout

    def sync(self):
        """One run; seconds, and seconds of CPU."""
        took, used, said = self.run("sync", "--json")
        if json.loads(said.splitlines()[-1])["failed"]:
            raise SystemExit(f"{self.name}: not in step: {said}")
        return took, used

    def start(self):
        self.log = open(self.home / "log", "ab")
        self.process = subprocess.Popen(self.command("daemon"), env=self.env, stdout=self.log, stderr=self.log)

    def stop(self):
        end(self.process)
        self.process = None

    def shadowless(self):
        """Forgets old bytes."""
        for path in (self.folder / ".sync-client/shadow").glob("*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def about(self):
        return json.loads(self.run("status", "--json")[2])


class Rsync:
    """An rsync daemon with one module."""

    def __init__(self, root):
        self.folder, self.port = Path(root) / "rsync/folder", free_port()
        self.folder.mkdir(parents=True)
        config = self.folder.parent / "conf"
        config.write_text(RSYNC.format(log=f"{config}.log", folder=self.folder))
        command = ["rsync", "--daemon", "--no-detach", f"--config={config}", "--address=127.0.0.1"]
        self.process = subprocess.Popen([*command, f"--port={self.port}"], stdin=subprocess.DEVNULL)
        until(lambda: not os.system(f"rsync rsync://127.0.0.1:{self.port}/ > {config}.out 2>&1"), 10, 0.05)

    def push(self, folder, port, *options):
        return self.run(*options, f"{folder}/", f"rsync://127.0.0.1:{port}/m/")

    def pull(self, folder, port, *options):
        return self.run(*options, f"rsync://127.0.0.1:{port}/m/", f"{folder}/")

    def run(self, *arguments):
        """Seconds."""
        begun = time.perf_counter()
        done = subprocess.run(["rsync", "-a", "--delete", *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{done.stderr}{(self.folder.parent / 'conf.log').read_text()[-1000:]}")
        return time.perf_counter() - begun

    def stop(self):
        end(self.process)


class Syncthing:
    """Two that know each other and nobody else; `folders` are kept in step."""

    def __init__(self, root):
        self.root, self.processes, self.folders, ids, self.ports = Path(root) / "syncthing", [], [], [], []
        self.homes = [self.root / name for name in ("a", "b")]
        for home in self.homes:
            home.mkdir(parents=True)
            done = subprocess.run(["syncthing", "generate", f"--home={home}", "--no-default-folder"],
                                  capture_output=True, text=True, env={**os.environ, "HOME": str(home)})
            assert done.returncode == 0, done.stderr
            told = subprocess.run(["syncthing", f"--home={home}", "--device-id"], capture_output=True, text=True)
            ids.append(told.stdout.strip())
            self.folders.append(home / "folder")
            (home / "folder/.stfolder").mkdir(parents=True)
            self.ports.append((free_port(), free_port()))
        for n, home in enumerate(self.homes):
            self.configure(home, n, ids)
        for home in self.homes:
            log = open(home / "log", "wb")
            command = ["syncthing", "serve", f"--home={home}", "--no-browser", "--no-restart", "--no-upgrade"]
            env = {**os.environ, "HOME": str(home), "STNODEFAULTFOLDER": "1"}
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=env))
        until(self.connected, 60, 0.1)

    def configure(self, home, n, ids):
        path = home / "config.xml"
        tree = ElementTree.parse(path)
        config = tree.getroot()
        for old in config.findall("folder") + config.findall("device"):
            config.remove(old)
        settings = {"id": "f", "label": "f", "path": str(self.folders[n]), "type": "sendreceive",
                    "rescanIntervalS": "3600", "fsWatcherEnabled": "true", "fsWatcherDelayS": "1"}
        folder = ElementTree.SubElement(config, "folder", settings)
        for other, identity in enumerate(ids):
            ElementTree.SubElement(folder, "device", id=identity)
            device = ElementTree.SubElement(config, "device", id=identity, name=str(other), compression="metadata")
            ElementTree.SubElement(device, "address").text = f"tcp://127.0.0.1:{self.ports[other][1]}"
        gui = config.find("gui")
        gui.find("address").text = f"127.0.0.1:{self.ports[n][0]}"
        self.key = gui.find("apikey").text if n == 0 else self.key
        options = config.find("options")
        for old in options.findall("listenAddress"):
            options.remove(old)
        off = ("globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled", "natEnabled", "startBrowser",
               "crashReportingEnabled")
        wanted = {"listenAddress": f"tcp://127.0.0.1:{self.ports[n][1]}", "urAccepted": "-1",
                  "reconnectionIntervalS": "1", **dict.fromkeys(off, "false")}
        for name, text in wanted.items():
            found = options.find(name)
            found = ElementTree.SubElement(options, name) if found is None else found
            found.text = text
        tree.write(path)

    def ask(self, path, method="GET"):
        url = f"http://127.0.0.1:{self.ports[0][0]}/rest/{path}"
        request = urllib.request.Request(url, method=method, headers={"X-API-Key": self.key})
        return json.loads(urllib.request.urlopen(request, timeout=PATIENCE).read() or b"null")

    def connected(self):
        try:
            return any(peer["connected"] for peer in self.ask("system/connections")["connections"].values())
        except OSError:
            return False

    def scan(self):
        """Has the first one look at once."""
        self.ask("db/scan?folder=f", "POST")

    def stop(self):
        for process in self.processes:
            end(process)
