"""Puts some of everything into a fresh server and writes down what the requests of a run can name.

usage: plant.py API_URL PASSWORD CONFIG    writes state.json, and CONFIG with the values that exist
"""

import json
import sys

import requests


class Device:
    """A device of the admin, logged in."""

    def __init__(self, api, password, name):
        self.api = api
        asked = {"account": "admin", "password": password, "name": name, "type": "linux"}
        self.token = self.call("POST", "/auth/register", json=asked)["access_token"]

    def call(self, method, path, headers=None, **body):
        headers = headers or {}
        if hasattr(self, "token"):
            headers["Authorization"] = f"Bearer {self.token}"
        answer = requests.request(method, self.api + path, headers=headers, timeout=60, **body)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def upload(self, name, content, **query):
        query["path"] = f"/documents/{name}"
        return self.call("POST", "/files/upload", params=query, data=content)["node"]

    def open(self, name, size, part):
        opened = self.call("POST", "/uploads", json={"path": f"/documents/{name}", "size": size})["id"]
        self.call("PATCH", f"/uploads/{opened}", data=part, headers={"Upload-Offset": "0"})
        return opened

    def cursor(self, route, **query):
        return self.call("GET", route, params=query | {"limit": 1})["next"]


def plant(device):
    """The values by name, and the state that hooks.py needs."""
    state = {"since": device.call("GET", "/sync/status")["cursor"]}
    large = bytes(n * n % 251 for n in range(300_000))
    nodes = [device.call("POST", "/files/mkdir", json={"path": "/documents/below"})]
    nodes += [device.upload("a.txt", text) for text in [b"one", b"one two", b"one two three"]][-1:]
    nodes += [device.upload("large.bin", content) for content in [large, b"before " + large]][-1:]
    versions = [device.call("GET", f"/files/{node['id']}/versions")["items"] for node in nodes[1:]]
    for n in range(8):
        base = device.upload(f"contested {n}", b"first")["etag"]
        device.upload(f"contested {n}", b"second")
        device.upload(f"contested {n}", b"third", base=base)
    gone = [device.upload(f"gone {n}", b"gone")["id"] for n in range(16)]
    for node in gone:
        device.call("DELETE", f"/files/{node}")
    watches = [requests.post(f"{device.api}/garmin/pair", json={}, timeout=60).json()["c"] for _ in range(3)]
    doomed = [device.open(f"doomed {n}", 1000, b"1") for n in range(4)]
    uploads = [device.open(f"open {n}", 1000, b"1") for n in range(3)]
    uploads += [device.open(f"whole {n}", 2, b"12") for n in range(3)]
    device.call("POST", f"/uploads/{uploads[-1]}/finish")
    conflicts = [found["id"] for found in device.call("GET", "/conflicts")["items"]]
    values = {
        "nodes": [node["id"] for node in nodes],
        "spare": [device.upload(f"spare {n}", b"spare")["id"] for n in range(16)],
        "gone": gone,
        "tags": [version["etag"] for found in versions for version in found],
        "watches": watches,
        "uploads": uploads,
        "doomed": doomed,
        "conflicts": conflicts,
        "spaces": [nodes[0]["space"]],
    }
    state["cursors"] = {
        "listFiles": device.cursor("/files/list", path="/documents"),
        "searchFiles": device.cursor("/files/search", q="gone") or str(nodes[0]["id"]),
        "listTrash": device.cursor("/trash"),
        "listConflicts": str(conflicts[0]),
    }
    return values, state


if __name__ == "__main__":
    found, kept = plant(Device(sys.argv[1], sys.argv[2], "the one that plants"))
    with open("schemathesis.toml", "w", encoding="utf-8") as file:
        with open(sys.argv[3], encoding="utf-8") as config:
            file.write(config.read())
        for name, entries in found.items():
            file.write(f"\n[dictionaries.{name}]\nvalues = {json.dumps(entries)}\n")
    with open("state.json", "w", encoding="utf-8") as file:
        json.dump(kept, file)
