"""What Schemathesis must know of this API: how to log in, and what binary bodies and cursors look like.

Everything else it takes from the OpenAPI document and from schemathesis.toml.
"""

import itertools
import json
import os

import requests
import schemathesis
from hypothesis import strategies as st

API = os.environ["API_URL"]
PASSWORD = os.environ["API_PASSWORD"]
with open("state.json", encoding="utf-8") as file:
    STATE = json.load(file)

# Wrong log-ins count by address; the server believes ours (SYNC_TRUSTED_PROXIES), so that a run can have many.
ADDRESSES = (f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in itertools.count(1))


@schemathesis.auth()
class Device:
    """A device of its own for the run; a new one whenever its log-in has ended."""

    def get(self, case, context):
        asked = {"account": "admin", "password": PASSWORD, "name": "the one that tests", "type": "linux"}
        headers = {"X-Forwarded-For": next(ADDRESSES)}
        answer = requests.post(f"{API}/auth/register", json=asked, headers=headers, timeout=60)
        answer.raise_for_status()
        return answer.json()["access_token"]

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"


# Fields and parameters of which one or the other may come. OpenAPI cannot say that of parameters, and of
# fields only in ways that make clumsy clients.
ALTERNATIVES = {
    "registerDevice": itertools.cycle([["code"], ["account", "password"]]),
    "downloadFile": itertools.cycle([["path"], ["id"]]),
    "listFiles": itertools.cycle([["path"], ["id"]]),
    # Few nodes have the etag that was drawn.
    "deleteNode": itertools.cycle([["etag"], []]),
    "getDelta": itertools.cycle([["from", "to"], ["from"], ["to"], []]),
    "getManifest": itertools.cycle([["etag"], []]),
    # No upload has the root that was drawn.
    "finishUpload": itertools.cycle([["root"], [], ["root"], ["root"]]),
}


@schemathesis.hook
def before_call(context, case, kwargs):
    case.headers["X-Forwarded-For"] = next(ADDRESSES)
    if not case.meta or not case.meta.generation.mode.is_positive:
        return
    name = case.operation.definition.raw["operationId"]
    for dropped in next(ALTERNATIVES.get(name, iter([[]]))):
        for fields in (case.query, case.body):
            if isinstance(fields, dict):
                fields.pop(dropped, None)
    if name == "registerDevice" and isinstance(case.body, dict) and "code" not in case.body:
        case.body.setdefault("account", "admin")
        case.body.setdefault("password", PASSWORD)
    if name == "getSignatures" and isinstance(case.body, dict):
        # Parts lie in the file and follow each other.
        parts = enumerate(case.body.get("ranges", [])[:100])
        case.body["ranges"] = [[nth * 2000, part[1] % 2000 + 1] for nth, part in parts]
    if isinstance(case.query, dict) and "cursor" in case.query:
        # A cursor is whatever an answer gave. With the oldest a poll has something to tell at once.
        case.query["cursor"] = STATE["cursors"].get(name, STATE["since"])


def whole(value):
    """JSON Schema calls 1.0 an integer. No client writes it, and the server does not read it as one."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: whole(below) for name, below in value.items()}
    if isinstance(value, list):
        return [whole(below) for below in value]
    return value


@schemathesis.hook
def map_body(context, body):
    return whole(body)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whatever stands in a form's part is the file's bytes, also what was meant to be wrong."""
    accepted = type(failure).__name__ == "AcceptedNegativeData"
    form = case.media_type == "multipart/form-data" and isinstance(case.body, dict)
    return not (accepted and form and case.body.keys() == {"file"})


# The stream of a push (docs/PROTOCOL.md).


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def record(kind, *parts):
    return bytes([kind]) + b"".join(parts)


def with_length(content):
    return varint(len(content)) + content


def file_record(header):
    return record(1, with_length(json.dumps(header).encode()))


PATHS = st.sampled_from(["contested 3", "pushed", "Grüße", "below/pushed"]).map("/documents/{}".format)
TAGS = st.sampled_from(["none", "f1", "f2", "f3"])


@st.composite
def files(draw):
    literals = draw(st.lists(st.binary(max_size=300), max_size=3))
    size = draw(st.sampled_from([sum(map(len, literals)), 7]))
    optional = {
        "base": TAGS,
        "conflict": st.sampled_from(["keep", "refuse"]),
        "mtime": st.integers(0, 2**41),
        "class": st.sampled_from(["small", "large"]),
    }
    header = draw(st.fixed_dictionaries({"op": st.just("put"), "path": PATHS, "size": st.just(size)}, optional=optional))
    operations = [record(4, with_length(literal)) for literal in literals]
    if draw(st.booleans()):
        header["root"] = draw(st.sampled_from(["00" * 16, "ab" * 16]))
        copy, reference, same = record(2, varint(0), varint(3)), record(3, bytes(16)), record(6)
        operations += draw(st.lists(st.sampled_from([copy, reference, same]), max_size=2))
    return file_record(header) + b"".join(operations) + record(7)


def item(op, **fields):
    optional = {"base": TAGS} if op == "delete" else {}
    return st.fixed_dictionaries({"op": st.just(op)} | fields, optional=optional).map(file_record)


ITEMS = st.one_of(
    files(),
    item("mkdir", path=PATHS),
    item("delete", path=PATHS),
    item("move", **{"from": PATHS, "to": PATHS, "overwrite": st.booleans()}),
    item("copy", **{"from": PATHS, "to": PATHS, "overwrite": st.booleans()}),
)
STREAMS = st.lists(ITEMS, max_size=6).map(lambda items: b"SYN1" + b"".join(items))
schemathesis.openapi.media_type("application/vnd.sync-server.stream", STREAMS)


# Binary answers: their outer form. What is in them, other tests prove.


@schemathesis.deserializer("application/vnd.sync-server.stream")
def stream(context, response):
    assert response.content.startswith(b"SYN1\x01"), "no stream"
    return response.content.decode("latin-1")


@schemathesis.deserializer("application/vnd.sync-server.manifest")
def manifest(context, response):
    assert len(response.content) % 20 == 0, "no list of entries of 20 bytes"
    return response.content.decode("latin-1")


@schemathesis.deserializer("application/vnd.sync-server.signature")
def signature(context, response):
    assert len(response.content) % 12 == 0, "no list of entries of 12 bytes"
    return response.content.decode("latin-1")
