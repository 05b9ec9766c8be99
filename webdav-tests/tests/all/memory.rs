//! The memory bound: whatever is asked of it, the server stays small.

mod still;

use std::io::{self, Read, Write};

use serde_json::json;
use webdav_tests::api::{encode, id};
use webdav_tests::content::{Noise, prose};
use webdav_tests::http::Body;
use webdav_tests::{Api, Dav, TestServer, memory, xml};

/// Most resident memory under load, in MiB.
const PEAK_MIB: u64 = 100;
/// Most memory of an idle server, in MiB (PSS).
const IDLE_MIB: u64 = 25;
/// What may stay of a crowd of log-ins, in MiB: threads and connections. One check of a password takes 19.
const REST_MIB: u64 = 8;

fn up_and_down(dav: &Dav, len: u64) {
    dav.send(
        "PUT",
        "/dav/big.bin",
        &[],
        Body::Stream(&mut Noise::new(1, len), len),
    )
    .expect(&[201]);
    let mut counted = Counted::default();
    dav.download("/dav/big.bin", &mut counted).expect(&[200]);
    assert_eq!(counted.bytes, len);
    assert_eq!(
        counted.sum,
        Counted::of(&mut Noise::new(1, len)).sum,
        "the download differs"
    );
}

/// Length and an order-dependent sum of a stream.
#[derive(Default)]
struct Counted {
    bytes: u64,
    sum: u64,
}

impl Counted {
    fn of(source: &mut Noise) -> Self {
        let mut counted = Self::default();
        io::copy(source, &mut counted).expect("noise never fails");
        counted
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.sum = (self.sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn many_files(dav: &Dav, count: u64) {
    dav.mkcol("/dav/many/").expect(&[201]);
    std::thread::scope(|scope| {
        for part in 0..8 {
            let dav = dav.again();
            scope.spawn(move || {
                for n in (part..count).step_by(8) {
                    dav.put(&format!("/dav/many/{n}"), format!("file {n}").as_bytes())
                        .expect(&[201]);
                }
            });
        }
    });
    for depth_1 in [xml::LIST, xml::ALLPROP] {
        assert_eq!(
            dav.propfind("/dav/many/", "1", depth_1).entries.len() as u64,
            count + 1
        );
    }
}

fn many_readers(dav: &Dav) {
    let len = 4_000_000;
    dav.send(
        "PUT",
        "/dav/read.bin",
        &[],
        Body::Stream(&mut Noise::new(2, len), len),
    )
    .expect(&[201]);
    let expected = Counted::of(&mut Noise::new(2, len)).sum;
    std::thread::scope(|scope| {
        for _ in 0..64 {
            let dav = dav.again();
            scope.spawn(move || {
                for _ in 0..2 {
                    let mut counted = Counted::default();
                    dav.download("/dav/read.bin", &mut counted).expect(&[200]);
                    assert_eq!(counted.sum, expected, "a download differs");
                }
            });
        }
    });
}

fn many_writers(dav: &Dav) {
    let len = 4_000_000;
    std::thread::scope(|scope| {
        for n in 0..16 {
            let dav = dav.again();
            scope.spawn(move || {
                let body = Body::Stream(&mut Noise::new(n, len), len);
                dav.send("PUT", &format!("/dav/w{n}.bin"), &[], body)
                    .expect(&[201]);
            });
        }
    });
}

#[test]
fn big_files_many_files_and_many_readers_fit_into_the_bound() {
    let (big, count) = if crate::long() {
        (1 << 30, 10_000)
    } else {
        (256 << 20, 2000)
    };
    let server = TestServer::start();
    let dav = server.admin();
    let mut peaks = Vec::new();
    let mut phase = |name: &str, work: &dyn Fn()| {
        memory::reset_peak(server.pid());
        work();
        peaks.push((name.to_owned(), memory::peak_mib(server.pid())));
    };
    phase("a big file up and down", &|| up_and_down(&dav, big));
    phase("many small files", &|| many_files(&dav, count));
    phase("64 readers", &|| many_readers(&dav));
    phase("16 writers", &|| many_writers(&dav));
    println!("peak RSS in MiB: {peaks:?}");
    let highest = peaks
        .iter()
        .map(|(_, peak)| *peak)
        .max()
        .expect("four phases");
    assert!(highest <= PEAK_MIB, "{peaks:?}");
}

/// Uploads `len` bytes of noise as a form.
fn big_form(api: &Api, len: u64) {
    let head = "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n".as_bytes();
    let tail = "\r\n--x--\r\n".as_bytes();
    let whole = len + (head.len() + tail.len()) as u64;
    let mut body = head.chain(Noise::new(4, len)).chain(tail);
    let media = [("Content-Type", "multipart/form-data; boundary=x")];
    let body = Body::Stream(&mut body, whole);
    api.send("POST", "files/upload?path=/form", &media, body)
        .json(201);
}

/// The same in one part of a resumable upload.
fn big_part(api: &Api, len: u64) {
    let upload = id(&api
        .post("uploads", &json!({"path": "/part", "size": len}))
        .json(201));
    let (route, at) = (format!("uploads/{upload}"), [("Upload-Offset", "0")]);
    let body = Body::Stream(&mut Noise::new(5, len), len);
    api.send("PATCH", &route, &at, body).json(200);
    api.post_nothing(&format!("{route}/finish")).json(200);
}

/// A few kilobytes that become `len` bytes on the server, and come back so.
fn packed(api: &Api, len: usize) {
    let body = zstd::encode_all(&*prose(len), 3).expect("memory");
    let coding = [("Content-Encoding", "zstd")];
    let body = Body::Bytes(&body);
    api.send("POST", "files/upload?path=/packed.txt", &coding, body)
        .json(201);
    let coding = [("Accept-Encoding", "zstd")];
    api.get_with("files/download?path=/packed.txt", &coding)
        .expect(&[200]);
}

/// Everything there is, in the largest pages.
fn all_names(api: &Api, dav: &Dav, count: u64) {
    many_files(dav, count);
    for list in [
        "files/list?recursive=true&limit=1000",
        "files/search?q=1&limit=1000",
    ] {
        let mut asked = list.to_owned();
        while let Some(next) = api.get(&asked).json(200)["next"].as_str() {
            asked = format!("{list}&cursor={}", encode(next));
        }
    }
    let changes = api.get("sync/pull?limit=10000").json(200);
    let changes = changes["changes"].as_array().expect("changes");
    assert!(changes.len() as u64 > count, "{} changes", changes.len());
}

#[test]
fn what_the_api_takes_and_gives_fits_into_the_bound() {
    let (big, count) = if crate::long() {
        (1 << 30, 20_000)
    } else {
        (200 << 20, 2000)
    };
    let server = TestServer::start();
    let (api, dav) = (Api::admin(&server), server.admin());
    let mut peaks = Vec::new();
    let mut phase = |name: &str, work: &dyn Fn()| {
        memory::reset_peak(server.pid());
        work();
        peaks.push((name.to_owned(), memory::peak_mib(server.pid())));
    };
    phase("a big form", &|| big_form(&api, big));
    phase("a big part", &|| big_part(&api, big));
    phase("a bomb", &|| packed(&api, 200 << 20));
    phase("a big download", &|| {
        let mut counted = Counted::default();
        let path = "/api/v1/files/download?path=/part";
        api.http().download(path, &mut counted).expect(&[200]);
        assert_eq!(counted.sum, Counted::of(&mut Noise::new(5, big)).sum);
    });
    phase("all names", &|| all_names(&api, &dav, count));
    println!("peak RSS in MiB: {peaks:?}");
    assert!(peaks.iter().all(|(_, peak)| *peak <= PEAK_MIB), "{peaks:?}");
}

#[test]
fn an_idle_server_is_small() {
    let mut server = TestServer::start();
    let first = memory::pss_mib(server.pid());
    server.restart();
    let started = memory::pss_mib(server.pid());
    let before = memory::own_mib(server.pid());
    // Checking a password takes 19 MiB for a moment; they must not stay.
    server
        .admin()
        .request("PROPFIND", "/dav/", &[("Depth", "1")], b"")
        .expect(&[207]);
    let used = memory::pss_mib(server.pid());
    println!("idle PSS in MiB: first start {first}, later {started}, after a login {used}");
    assert!(first.max(started) <= IDLE_MIB, "{first}, {started}");
    let after = memory::own_mib(server.pid());
    assert!(
        after <= before + REST_MIB,
        "{before} MiB before, {after} MiB afterwards"
    );
}

#[test]
fn readers_that_do_not_read_hold_little() {
    use webdav_tests::raw::Raw;
    let server = TestServer::start();
    let dav = server.admin();
    let len = 20_000_000;
    dav.send(
        "PUT",
        "/dav/a.bin",
        &[],
        Body::Stream(&mut Noise::new(3, len), len),
    )
    .expect(&[201]);
    memory::reset_peak(server.pid());
    let authorization = dav.authorization().expect("logged in");
    let waiting: Vec<Raw> = (0..64)
        .map(|_| {
            let mut raw = Raw::connect(&server.address());
            raw.send(format!(
                "GET /dav/a.bin HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n"
            ));
            raw
        })
        .collect();
    // Requests of others in between give the downloads time to fill what they can.
    for _ in 0..100 {
        dav.request("PROPFIND", "/dav/", &[("Depth", "1")], b"")
            .expect(&[207]);
    }
    let peak = memory::peak_mib(server.pid());
    drop(waiting);
    assert!(
        peak <= PEAK_MIB,
        "{peak} MiB with 64 downloads that stand still"
    );
}

#[test]
fn memory_for_checking_passwords_is_given_back() {
    let server = TestServer::start();
    let before = memory::own_mib(server.pid());
    std::thread::scope(|scope| {
        for n in 0..40 {
            let stranger = server
                .anonymous()
                .login(&format!("nobody{n}"), "wrong password");
            // Refused, or told to come again when too many wait.
            scope.spawn(move || stranger.get("/dav/").expect(&[401, 503]));
        }
    });
    let (peak, after) = (
        memory::peak_mib(server.pid()),
        memory::own_mib(server.pid()),
    );
    assert!(peak <= PEAK_MIB, "{peak} MiB while hashing");
    assert!(
        after <= before + REST_MIB,
        "{before} MiB before, {after} MiB afterwards"
    );
}
