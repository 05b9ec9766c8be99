//! Stores that earlier releases made open in this one: everything is there byte for byte, more goes in,
//! room is given back, and they open again. `fixtures/make.py` made them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;
use sha1::{Digest, Sha1};
use webdav_tests::api::{encode, id, number, text};
use webdav_tests::content::{hex, noise, sha1_hex};
use webdav_tests::http::Body;
use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::{Api, Dav, Setup, TestServer, planted, xml};

/// Longest file that is read more than once.
const SHORT: u64 = 1 << 20;

/// Counts and hashes what is written to it.
#[derive(Default)]
struct Hashed(u64, Sha1);

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        self.1.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a file is for WebDAV.
fn href(path: &str) -> String {
    let names: Vec<String> = path.split('/').map(encode).collect();
    format!("/dav{}", names.join("/"))
}

#[track_caller]
fn same(dav: &Dav, at: &str, facts: &Value) {
    let mut hashed = Hashed::default();
    dav.download(at, &mut hashed).expect(&[200]);
    assert_eq!(hashed.0, facts["size"], "{at}");
    assert_eq!(hex(&hashed.1.finalize()), facts["sha1"], "{at}");
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().expect("an object").iter();
    members.map(|(name, value)| (&**name, value))
}

/// A store, and what must be in it.
struct Store {
    server: TestServer,
    api: Api,
    expected: Value,
}

impl Store {
    fn open(folder: &Path) -> Self {
        let expected = fs::read(folder.join("expected.json")).expect("what is in it");
        let server = Setup::default().over(folder).start();
        Self {
            api: Api::login(&server, "admin", ADMIN_PASSWORD),
            expected: serde_json::from_slice(&expected).expect("JSON"),
            server,
        }
    }

    fn dav(&self) -> Dav {
        self.server.admin()
    }

    /// Every file up to a length, byte for byte.
    fn check_files(&self, most: u64) {
        let dav = self.dav();
        for (path, facts) in members(&self.expected["files"]) {
            if facts["size"].as_u64().expect("a size") <= most {
                same(&dav, &href(path), facts);
            }
        }
    }

    /// The feed names the files there are, and no others.
    fn check_feed(&self, also: &[&str]) {
        let (changes, _) = self.api.pull(None);
        let files = changes.iter().map(|change| &change["node"]);
        let files = files.filter(|node| node["kind"] == "file");
        let told: BTreeMap<&str, i64> = files
            .map(|node| (text(node, "path"), number(node, "size")))
            .collect();
        let expected =
            members(&self.expected["files"]).map(|(path, facts)| (path, number(facts, "size")));
        for (path, size) in expected {
            assert_eq!(told.get(path), Some(&size), "{path}");
        }
        let others = told
            .keys()
            .filter(|path| self.expected["files"][**path].is_null());
        let others: Vec<_> = others
            .filter(|path| !path.contains("contested"))
            .copied()
            .collect();
        assert_eq!(others, also);
    }

    fn check_versions(&self) {
        for (path, versions) in members(&self.expected["versions"]) {
            let node = id(&self.api.info(path));
            let listed = self.api.get(&format!("files/{node}/versions")).json(200);
            let listed = listed["items"].as_array().expect("items").iter().rev();
            let expected = versions.as_array().expect("versions");
            assert_eq!(listed.len(), expected.len(), "{path}");
            for (version, facts) in listed.zip(expected) {
                let nth = number(version, "number");
                let got = self
                    .api
                    .get(&format!("files/download?id={node}&version={nth}"));
                assert_eq!(
                    sha1_hex(&got.expect(&[200]).body),
                    facts["sha1"],
                    "{path} {nth}"
                );
            }
        }
    }

    /// Both sides of the conflict, and what the winner was before.
    fn check_conflict(&self) {
        let conflicts = self.api.all("conflicts");
        let sides = ["node", "copy"].map(|side| text(&conflicts[0][side], "path"));
        let mut found = sides.map(|path| self.api.download(path));
        found.sort();
        assert_eq!(found, [&b"second"[..], b"third"]);
    }

    fn check_property(&self) {
        let property = &self.expected["property"];
        let path = href(text(property, "path"));
        let listing = self
            .dav()
            .propfind(&path, "0", &xml::propfind("<T:colour/>"));
        let colour = listing.only().get("urn:test", "colour");
        assert_eq!(colour, property["colour"].as_str());
    }

    /// The lock holds, and its token opens it.
    fn check_lock(&self) {
        let lock = &self.expected["lock"];
        let (path, condition) = (
            href(text(lock, "path")),
            format!("({})", text(lock, "token")),
        );
        let dav = self.dav();
        let bytes = dav.get(&path).expect(&[200]).body;
        dav.put(&path, &bytes).expect(&[423]);
        dav.request("PUT", &path, &[("If", &condition)], &bytes)
            .expect(&[204]);
    }

    /// An upload goes on where it stopped.
    fn finish_upload(&self) {
        let upload = &self.expected["upload"];
        let (nth, offset) = (id(upload), number(upload, "offset"));
        let state = self.api.get(&format!("uploads/{nth}")).json(200);
        assert_eq!(number(&state, "offset"), offset);
        let seed = u64::try_from(number(upload, "seed")).expect("a seed");
        let rest = noise(
            seed,
            usize::try_from(number(upload, "rest")).expect("a length"),
        );
        let headers = [("Upload-Offset", &*offset.to_string())];
        let sent = self.api.send(
            "PATCH",
            &format!("uploads/{nth}"),
            &headers,
            Body::Bytes(&rest),
        );
        sent.expect(&[200]);
        self.api
            .post_nothing(&format!("uploads/{nth}/finish"))
            .expect(&[200]);
        same(&self.dav(), &href(text(upload, "path")), upload);
    }

    /// What was deleted comes back as it was.
    fn restore(&self) {
        let listed = self.api.all("trash");
        assert_eq!(listed.len(), members(&self.expected["trash"]).count());
        for node in listed {
            self.api
                .post_nothing(&format!("trash/{}/restore", id(&node)))
                .expect(&[200]);
        }
        for (path, facts) in members(&self.expected["trash"]) {
            same(&self.dav(), &href(path), facts);
        }
    }

    /// Deletes a copy for good and collects, so that chunks move to other segments.
    fn collect(&mut self) {
        let gone = self.api.info("/photos/copied");
        self.api.remove("/photos/copied");
        self.api
            .delete(&format!("trash/{}", id(&gone)))
            .expect(&[204]);
        let files = self.expected["files"].as_object_mut().expect("files");
        files.retain(|path, _| !path.starts_with("/photos/copied/"));
        let said = self.server.cli_ok(&["gc", "--grace", "0s"], "");
        assert!(
            !said.contains("damaged") || said.contains("damaged\t0"),
            "{said}"
        );
    }
}

#[test]
fn stores_of_earlier_releases_open_whole_and_go_on() {
    let all = planted::all();
    assert!(!all.is_empty(), "there are no fixtures");
    for folder in all {
        println!("{}", folder.display());
        // Given
        let mut store = Store::open(&folder);
        // When it is opened, everything is as it was
        store.check_files(u64::MAX);
        store.check_feed(&[]);
        store.check_versions();
        store.check_conflict();
        store.check_property();
        let guest = store
            .server
            .anonymous()
            .login("guest", "Battery-9-Horse-Correct");
        for (path, facts) in members(&store.expected["guest"]) {
            same(&guest, &href(path), facts);
        }
        // Then it goes on from there
        store.check_lock();
        store.finish_upload();
        store.restore();
        store
            .dav()
            .put("/dav/documents/new", &noise(77, 100_000))
            .expect(&[201]);
        store.collect();
        let parked = text(&store.expected["upload"], "path").to_owned();
        for _ in 0..2 {
            store.check_files(SHORT);
            store.check_versions();
            store.check_conflict();
            store.check_property();
            let deleted = members(&store.expected["trash"]).map(|(path, _)| path);
            let mut also: Vec<&str> = deleted.chain(["/documents/new", &parked]).collect();
            also.sort_unstable();
            store.check_feed(&also);
            // And opens again
            store.server.restart();
            store.api = store.api.on(&store.server);
        }
        let end = [("Range", "bytes=-3000000")];
        let large = store
            .dav()
            .request("GET", "/dav/documents/large", &end, b"")
            .expect(&[206]);
        assert_eq!(large.body[2_997_999..], noise(5, 2_001)[..]);
    }
}
