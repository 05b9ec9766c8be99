//! What travels when a file has changed: `GET sync/delta`, `sync/manifest`, `sync/signature`, and the
//! edits of a push; counted on the connection, heads included.

use serde_json::json;
use sync_server::chunk::signature::{BLOCK_MAX, BLOCK_MIN, entry};
use sync_server::protocol::sync::{OnConflict, PushPut, PushStatus};
use webdav_tests::api::{self, Api, route};
use webdav_tests::content::{Noise, assert_same, noise, prose};
use webdav_tests::device::{Device, Push, Style, put};
use webdav_tests::process::run_ok;
use webdav_tests::{Response, Setup, TestServer, Traffic};

const PASSWORD: &str = "a long password 1";
const KEEP: OnConflict = OnConflict::Keep;
const MTIME: i64 = 1_700_000_000_000;

/// Uploads a file whole; its id and etag.
#[track_caller]
fn write(api: &Api, path: &str, bytes: &[u8]) -> (i64, String) {
    let node = api.upload(path, bytes);
    (api::id(&node), api::text(&node, "etag").to_owned())
}

/// The delta must give `new` of `old`.
#[track_caller]
fn check(device: &Device, id: i64, (from, old): (Option<&str>, &[u8]), (to, new): (&str, &[u8])) {
    let delta = device.delta(id, from, to);
    assert_same(&delta.apply(old), new, "the delta");
}

/// Edits of bytes as programs do them.
fn edited(old: &[u8], random: &mut Noise) -> Vec<u8> {
    let mut new = old.to_vec();
    for _ in 0..=random.number() % 4 {
        let mut pick = |most: usize| {
            let number = usize::try_from(random.number() % (most as u64 + 1));
            number.expect("small")
        };
        let at = pick(new.len());
        let gone = pick((new.len() - at).min(3000));
        let put = noise(pick(1 << 20) as u64, pick(3000));
        match pick(4) {
            0 => drop(new.splice(at..at + gone, [])),
            1 => drop(new.splice(at..at, put)),
            2 => new.extend_from_slice(&put),
            3 => new.truncate(at),
            _ => {
                let end = new.len().min(at + put.len());
                let len = end - at;
                new[at..end].copy_from_slice(&put[..len]);
            }
        }
    }
    new
}

#[test]
fn deltas_between_versions_of_every_size_give_the_right_bytes() {
    let server = TestServer::start();
    let mut device = Device::admin(&server, "laptop");
    let sizes = [
        0, 1, 100, 8191, 8192, 8193, 16_383, 16_384, 16_385, 65_536, 300_000, 1_000_000, 4_000_000,
    ];
    let rounds = if crate::long() { 40 } else { 3 };
    let mut random = Noise::new(11, 0);
    for round in 0..rounds {
        for size in sizes {
            let path = format!("/documents/{size}");
            let mut old = if round % 2 == 0 {
                noise(round, size)
            } else {
                prose(size)
            };
            old.truncate(size);
            let new = edited(&old, &mut random);
            let (_, from) = write(device.api(), &path, &old);
            let (id, to) = write(device.api(), &path, &new);
            let context = format!("round {round}, {size} bytes");
            println!("{context}");
            // Empty beginnings are no versions.
            if !old.is_empty() {
                check(&device, id, (Some(&from), &old), (&to, &new));
                check(&device, id, (Some(&to), &new), (&from, &old));
            }
            check(&device, id, (None, &[]), (&to, &new));
            check(&device, id, (Some(&to), &new), (&to, &new));
            let space = device.api().info(&path)["space"].as_i64().expect("an id");
            let manifest = device.api().get(&format!("sync/manifest?id={id}"));
            let expected = device.space(space).cut(&new).manifest();
            assert_eq!(manifest.expect(&[200]).body, expected, "{context}");
        }
    }
}

#[test]
fn a_file_that_grows_out_of_the_database_or_shrinks_back_is_still_told_by_its_changes() {
    let server = TestServer::start();
    let device = Device::admin(&server, "laptop");
    let large = noise(1, 500_000);
    let small = large[..5000].to_vec();
    let (_, a) = write(device.api(), "/documents/a", &small);
    let (id, b) = write(device.api(), "/documents/a", &large);
    // One chunk begins with the whole of the other content.
    let delta = device.delta(id, Some(&a), &b);
    assert_same(&delta.apply(&small), &large, "grown");
    assert_eq!(delta.kinds()[0], "COPY");
    let delta = device.delta(id, Some(&b), &a);
    assert_same(&delta.apply(&large), &small, "shrunk");
    assert_eq!(delta.kinds(), ["COPY"]);
}

#[test]
fn the_current_version_is_what_is_meant_when_none_is_named() {
    let server = TestServer::start();
    let device = Device::admin(&server, "laptop");
    let (id, first) = write(device.api(), "/documents/a", b"first");
    let (_, second) = write(device.api(), "/documents/a", b"second");
    let ask = |asked: &[(&str, &str)]| {
        let id = id.to_string();
        let asked = [&[("id", &*id)], asked].concat();
        let answer = device
            .api()
            .get(&route("sync/delta", &asked))
            .expect(&[200]);
        webdav_tests::device::Delta::read(&answer.body).expect("a delta")
    };
    let delta = ask(&[]);
    assert_eq!(
        (delta.head.from.as_deref(), &delta.head.to),
        (None, &second)
    );
    let delta = ask(&[("from", &first)]);
    assert_eq!((delta.head.from, delta.head.to), (Some(first), second));
}

#[test]
fn versions_that_are_not_kept_are_404_by_name() {
    let server = Setup::default()
        .env("SYNC_VERSIONS__KEEP", "2")
        .env("SYNC_VERSIONS__KEEP_ALWAYS", "1")
        .start();
    let api = Api::admin(&server);
    let (node, pruned) = write(&api, "/documents/a", b"0");
    let (_, other) = write(&api, "/documents/b", b"somebody else's");
    let kept = (1..6).map(|n| write(&api, "/documents/a", format!("{n}").as_bytes()).1);
    let kept: Vec<String> = kept.collect();
    let id = node.to_string();
    let ask = |from: &str, to: &str| {
        api.get(&route(
            "sync/delta",
            &[("id", &*id), ("from", from), ("to", to)],
        ))
    };
    ask(&kept[3], &kept[4]).expect(&[200]);
    for gone in [&*pruned, &other, "fffffff"] {
        ask(gone, &kept[4]).problem_at("not-found", 404, "from");
        ask(&kept[4], gone).problem_at("not-found", 404, "to");
        api.get(&route("sync/manifest", &[("id", &*id), ("etag", gone)]))
            .problem_at("not-found", 404, "etag");
        let asked = json!({"id": node, "etag": gone, "block": 1024, "ranges": [[0, 1]]});
        sign(&api, &asked).problem_at("not-found", 404, "etag");
    }
    for wrong in ["", "d1", "x", "f", "f-1"] {
        ask(wrong, &kept[4]).problem_at("invalid", 422, "from");
        ask(&kept[4], wrong).problem_at("invalid", 422, "to");
    }
}

#[track_caller]
fn sign(api: &Api, asked: &serde_json::Value) -> Response {
    api.post("sync/signature", asked)
}

#[test]
fn collections_and_what_others_have_are_refused() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, None);
    let (api, bob) = (
        Api::admin(&server),
        Api::register(&server, "bob", PASSWORD, "phone"),
    );
    let theirs = api::id(&bob.upload("/documents/diary", b"secret"));
    let folder = api::id(&api.info("/documents"));
    let trashed = api::id(&api.upload("/documents/gone", b"x"));
    api.remove("/documents/gone");
    for (id, name, status) in [
        (folder, "is-a-collection", 409),
        (theirs, "not-found", 404),
        (trashed, "not-found", 404),
        (1 << 50, "not-found", 404),
    ] {
        api.get(&format!("sync/delta?id={id}"))
            .problem(name, status);
        api.get(&format!("sync/manifest?id={id}"))
            .problem(name, status);
        let asked = json!({"id": id, "block": 1024, "ranges": [[0, 1]]});
        sign(&api, &asked).problem(name, status);
    }
    let space = bob.info("/documents")["space"].as_i64().expect("an id");
    for space in [space, 1 << 40] {
        api.get(&format!("sync/keys?space={space}"))
            .problem("not-found", 404);
    }
}

#[test]
fn signatures_are_those_of_the_blocks() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    for size in [1, 5000, 100_000, 700_001] {
        let bytes = noise(1, size);
        let (id, etag) = write(&api, &format!("/documents/{size}"), &bytes);
        let end = size as u64;
        let parts: [&[(u64, u64)]; 3] = [
            &[(0, end)],
            &[(0, 1)],
            &[(end / 3, end / 2 + 1), (end - 1, end)],
        ];
        for parts in parts {
            let ranges: Vec<_> = parts.iter().map(|(start, end)| *start..*end).collect();
            for block in [BLOCK_MIN, 1024, 10_000, BLOCK_MAX] {
                if ranges.windows(2).any(|pair| pair[0].end > pair[1].start) {
                    continue;
                }
                let asked: Vec<_> = ranges.iter().map(|r| (r.start, r.end - r.start)).collect();
                let asked = json!({"id": id, "etag": etag, "block": block, "ranges": asked});
                let answer = sign(&api, &asked).expect(&[200]);
                let part = |at: u64| usize::try_from(at).expect("small");
                let blocks = ranges
                    .iter()
                    .flat_map(|r| bytes[part(r.start)..part(r.end)].chunks(block));
                let expected: Vec<u8> = blocks.flat_map(entry).collect();
                assert_eq!(answer.body, expected, "{asked}");
                let length = expected.len().to_string();
                assert_eq!(answer.header("content-length"), Some(&*length));
            }
        }
    }
    let id = api::id(&api.upload("/documents/a", &noise(1, 5000)));
    let many: Vec<_> = (0..5000).map(|n| (n, 1)).collect();
    for (block, ranges, field) in [
        (511, json!([[0, 1]]), "block"),
        (65_537, json!([[0, 1]]), "block"),
        (1024, json!([[0, 5001]]), "ranges"),
        (1024, json!([[5000, 1]]), "ranges"),
        (1024, json!([[0, 0]]), "ranges"),
        (1024, json!([[10, 10], [15, 10]]), "ranges"),
        (1024, json!([[10, 10], [0, 10]]), "ranges"),
        (1024, json!([[u64::MAX, 2]]), "ranges"),
        (1024, json!(many), "ranges"),
    ] {
        let asked = json!({"id": id, "block": block, "ranges": ranges});
        sign(&api, &asked).problem_at("invalid", 422, field);
    }
}

#[test]
fn a_delta_is_compressed_when_the_client_asks() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let text = prose(1_000_000);
    let (id, _) = write(&api, "/documents/a", &text);
    let asked = format!("sync/delta?id={id}");
    let answer = api
        .get_with(&asked, &[("Accept-Encoding", "zstd")])
        .expect(&[200]);
    assert_eq!(answer.header("content-encoding"), Some("zstd"));
    assert!(answer.body.len() < text.len() / 4, "{}", answer.body.len());
    let stream = zstd::decode_all(&*answer.body).expect("a frame");
    let delta = webdav_tests::device::Delta::read(&stream).expect("a delta");
    assert_same(&delta.apply(&[]), &text, "the file");
}

/// What is counted: one device pushes an edit, the other pulls it.
struct Wire {
    server: TestServer,
    writer: Device,
    reader: Device,
}

impl Wire {
    /// Both have a file.
    fn with(path: &str, bytes: &[u8]) -> Self {
        let server = TestServer::start();
        let (mut writer, mut reader) = (
            Device::admin(&server, "laptop"),
            Device::admin(&server, "phone"),
        );
        writer.pull();
        assert!(writer.write(path, bytes.to_vec(), MTIME, Style::Whole, KEEP));
        writer.push();
        writer.pull();
        reader.pull();
        Self {
            server,
            writer,
            reader,
        }
    }

    /// Traffic of a push of what was edited, and of the pull that fetches it.
    #[track_caller]
    fn exchange(&mut self) -> (Traffic, Traffic) {
        let before = self.writer.api().http().traffic();
        let outcomes = self.writer.push();
        let pushed = self.writer.api().http().traffic() - before;
        assert!(
            outcomes
                .iter()
                .all(|one| one.result.status == PushStatus::Done)
        );
        let before = self.reader.api().http().traffic();
        self.reader.pull();
        let pulled = self.reader.api().http().traffic() - before;
        println!("push {pushed:?}, pull {pulled:?}");
        self.writer.pull();
        (pushed, pulled)
    }

    #[track_caller]
    fn check(&self, path: &str, bytes: &[u8]) {
        let node = self.reader.mirror().at(path).expect("a file");
        assert_same(self.reader.content(&node.etag).expect("bytes"), bytes, path);
        let got = self
            .server
            .admin()
            .get(&format!("/dav{path}"))
            .expect(&[200]);
        assert_same(&got.body, bytes, path);
    }
}

#[track_caller]
fn at_most(traffic: &[Traffic], bytes: u64) {
    for traffic in traffic {
        assert!(
            traffic.sent <= bytes && traffic.received <= bytes,
            "{traffic:?}"
        );
    }
}

#[test]
fn one_byte_in_100_mb_travels_in_2_kb_each_way() {
    let mut bytes = noise(1, 100_000_000);
    let mut wire = Wire::with("/documents/large.bin", &bytes);
    bytes[50_000_000] ^= 1;
    assert!(wire.writer.write(
        "/documents/large.bin",
        bytes.clone(),
        MTIME,
        Style::Delta,
        KEEP
    ));
    let (pushed, pulled) = wire.exchange();
    at_most(&[pushed, pulled], 2000);
    wire.check("/documents/large.bin", &bytes);
    // Renamed and copied, it travels not at all.
    assert!(
        wire.writer
            .rename("/documents/large.bin", "/photos/renamed.bin")
    );
    let (pushed, pulled) = wire.exchange();
    at_most(&[pushed, pulled], 2000);
    assert!(
        wire.writer
            .copy("/photos/renamed.bin", "/documents/copy.bin")
    );
    let (pushed, pulled) = wire.exchange();
    at_most(&[pushed, pulled], 2000);
    wire.check("/photos/renamed.bin", &bytes);
    wire.check("/documents/copy.bin", &bytes);
    // A device that finds the same bytes at another place need not know that they were copied.
    assert!(wire.writer.write(
        "/documents/same.bin",
        bytes.clone(),
        MTIME,
        Style::Same,
        KEEP
    ));
    let (pushed, pulled) = wire.exchange();
    at_most(&[pushed, pulled], 2000);
    wire.check("/documents/same.bin", &bytes);
}

/// Makes a database of above 50 MB, and a copy of it with 1000 rows updated.
const DATABASE: &str = r#"
import random, shutil, sqlite3, sys
old, new, rows = sys.argv[1], sys.argv[2], 480_000
pick = random.Random(7)
db = sqlite3.connect(old)
db.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, note TEXT, size INTEGER, changed INTEGER, weight REAL)")
db.execute("CREATE INDEX item_name ON item (name)")
db.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?, ?)", (
    (n, "item %012X" % pick.getrandbits(48), "note %d on %032X" % (n, pick.getrandbits(128)),
     pick.randrange(1_000_000), 1_700_000_000 + n, pick.randrange(1000) / 7) for n in range(1, rows + 1)))
db.commit()
db.execute("VACUUM")
db.close()
shutil.copyfile(old, new)
db = sqlite3.connect(new)
for _ in range(1000):
    db.execute("UPDATE item SET size = ?, changed = changed + 86400 WHERE id = ?",
        (pick.randrange(1_000_000), pick.randrange(rows) + 1))
db.commit()
db.close()
"#;

#[test]
fn a_thousand_rows_of_a_50_mb_database_travel_in_60_kb() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (old, new) = (file("old.db"), file("new.db"));
    run_ok("python3", &["-c", DATABASE, &old, &new]);
    let [old, new] = [old, new].map(|path| std::fs::read(path).expect("a database"));
    assert!(old.len() >= 50_000_000, "{}", old.len());
    assert_eq!(old.len(), new.len());
    let mut wire = Wire::with("/documents/app.db", &old);
    assert!(
        wire.writer
            .write("/documents/app.db", new.clone(), MTIME, Style::Delta, KEEP)
    );
    let (pushed, pulled) = wire.exchange();
    assert!(
        pushed.sent <= 60_000 && pushed.received <= 2000,
        "{pushed:?}"
    );
    assert!(
        pulled.received <= 60_000 && pulled.sent <= 2000,
        "{pulled:?}"
    );
    wire.check("/documents/app.db", &new);
}

#[test]
fn appending_and_inserting_cost_what_is_new() {
    let old = noise(1, 20_000_000);
    let mut wire = Wire::with("/documents/log", &old);
    let appended = [&old[..], &noise(2, 100_000)].concat();
    let inserted = [b"a new first line\n", &appended[..]].concat();
    for (bytes, most) in [(appended, 102_000), (inserted, 2500)] {
        assert!(
            wire.writer
                .write("/documents/log", bytes.clone(), MTIME, Style::Delta, KEEP)
        );
        let (pushed, pulled) = wire.exchange();
        at_most(&[pushed, pulled], most);
        wire.check("/documents/log", &bytes);
    }
}

#[test]
fn a_client_without_the_old_bytes_sends_what_the_signatures_do_not_find() {
    use sync_server::chunk::signature::{Match, Signature};
    let server = TestServer::start();
    let mut device = Device::admin(&server, "laptop");
    let old = noise(1, 2_000_000);
    let (id, etag) = write(device.api(), "/documents/a", &old);
    let mut new = old.clone();
    new.splice(1_000_000..1_000_000, *b"inserted");
    let asked = json!({"id": id, "etag": etag, "block": 1024, "ranges": [[0, old.len()]]});
    let signed = sign(device.api(), &asked).expect(&[200]).body;
    let whole = 0..old.len() as u64;
    let signature = Signature::parse(std::slice::from_ref(&whole), 1024, &signed);
    let info = device.api().info("/documents/a");
    let space = device.space(info["space"].as_i64().expect("an id"));
    let header = PushPut {
        base: Some(etag),
        root: Some(space.root(&new)),
        ..put("/documents/a", new.len())
    };
    let mut push = Push::new();
    push.begin(&header);
    for part in signature.expect("a signature").match_blocks(&new) {
        match part {
            Match::Copy { base, len } => push.copy(base, len),
            Match::Literal(range) => push.lit(&new[range]),
        };
    }
    push.end();
    assert!(push.bytes().len() < 3000, "{}", push.bytes().len());
    assert_eq!(device.results(&push)[0].status, PushStatus::Done);
    assert_same(&server.admin().get("/dav/documents/a").body, &new, "a");
}
