"""Servers to measure: sync-server, Apache mod_dav and rclone serve, each in a temporary directory."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from base64 import b64encode
from http.client import HTTPConnection
from pathlib import Path

PASSWORD = "Correct-Horse-9-Battery"
AUTH = "Basic " + b64encode(f"admin:{PASSWORD}".encode()).decode()
HERE = Path(__file__).resolve().parent

APACHE = """
ServerRoot /etc/apache2
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule dav_module /usr/lib/apache2/modules/mod_dav.so
LoadModule dav_fs_module /usr/lib/apache2/modules/mod_dav_fs.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
TypesConfig /etc/mime.types
User www-data
Group www-data
Listen 127.0.0.1:{port}
ServerName localhost
PidFile {dir}/pid
ErrorLog {dir}/error.log
DavLockDB {dir}/lock
DocumentRoot {dir}/root
<Directory {dir}/root>
Dav On
Require all granted
</Directory>
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A running server: `port`, the process, and `ready` seconds until it answered or said so."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sync-bench-")
        os.chmod(self.dir, 0o755)
        begun = time.perf_counter()
        self.port = self.start()
        self.ready = time.perf_counter() - begun

    def spawn(self, *command, **options):
        self.log = open(f"{self.dir}/log", "wb")
        self.process = subprocess.Popen(command, stderr=self.log, start_new_session=True, **options)

    def wait_for_port(self, port):
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return port
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit(f"{self.name} did not start: {open(self.log.name).read()}")
                time.sleep(0.005)

    def pids(self):
        """The process and its children."""
        found = [self.process.pid]
        for pid in found:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            found.extend(int(child) for child in children.split())
        return found

    def cpu(self):
        """CPU seconds used so far."""
        ticks = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def pss(self):
        """Proportional memory in MiB."""
        total = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total / 1024

    def connect(self):
        return HTTPConnection("127.0.0.1", self.port, timeout=300)

    def request(self, connection, method, path, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Authorization": AUTH, **headers})
        response = connection.getresponse()
        return response.status, response.read()

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()

    def stop(self):
        self.end()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class SyncServer(Server):
    name = "sync-server"

    def start(self):
        binary = os.environ.get("SYNC_SERVER_BIN", HERE.parent / "target/release/sync-server")
        for part in ("db", "data", "config"):
            os.mkdir(f"{self.dir}/{part}")
        settings = {
            "SYNC_BIND": "127.0.0.1", "SYNC_PORT": "0", "SYNC_DB_PATH": f"{self.dir}/db/sync.db",
            "SYNC_DATA_PATH": f"{self.dir}/data", "SYNC_KEY_FILE": f"{self.dir}/config/master.key",
            "SYNC_ADMIN_PASSWORD": PASSWORD,
        }
        others = {name: value for name, value in os.environ.items() if not name.startswith("SYNC_")}
        self.binary, self.env = str(binary), {**others, **settings}
        self.spawn(self.binary, env=self.env, cwd=self.dir, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if "listening on " in line:
                return int(line.strip().rstrip("/").rsplit(":", 1)[1])
        raise SystemExit(f"sync-server did not start: {open(self.log.name).read()}")

    def run(self, *arguments):
        """Runs a command beside the server: seconds, most memory in MiB, what it printed."""
        begun, memory = time.perf_counter(), 0
        command = subprocess.Popen([self.binary, *arguments], env=self.env, cwd=self.dir, stdout=subprocess.PIPE)
        while command.poll() is None:
            status = Path(f"/proc/{command.pid}/status").read_text()
            memory = max([memory] + [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")])
            time.sleep(0.01)
        took, said = time.perf_counter() - begun, command.stdout.read().decode()
        assert command.returncode == 0, (arguments, command.returncode, said)
        return took, memory / 1024, said


class Apache(Server):
    name = "apache"

    def start(self):
        port = free_port()
        os.makedirs(f"{self.dir}/root/dav")
        Path(f"{self.dir}/conf").write_text(APACHE.format(port=port, dir=self.dir))
        subprocess.run(["chown", "-R", "www-data", self.dir], check=True)
        self.spawn("apache2", "-f", f"{self.dir}/conf", "-DFOREGROUND")
        return self.wait_for_port(port)


class Rclone(Server):
    name = "rclone"

    def start(self):
        port = free_port()
        os.mkdir(f"{self.dir}/root")
        self.spawn("rclone", "serve", "webdav", f"{self.dir}/root", "--baseurl", "/dav", "--addr", f"127.0.0.1:{port}")
        return self.wait_for_port(port)
