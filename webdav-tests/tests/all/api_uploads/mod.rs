//! Large files in several requests through the API: what arrived stays, whoever breaks off. They know
//! the contract of the API and nothing else.

mod breaking;
mod finishing;
mod limits;
mod parts;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use webdav_tests::api::{id, number};
use webdav_tests::http::Body;
use webdav_tests::{Api, Response};

/// Password of every account but `admin`.
const PASSWORD: &str = "a long password 1";
/// How long the server may take to notice that a sender is gone.
const NOTICED_WITHIN: Duration = Duration::from_secs(20);

/// Opens an upload; its id.
#[track_caller]
fn open(api: &Api, path: &str, size: usize) -> i64 {
    open_with(api, &json!({"path": path, "size": size}))
}

/// Opens an upload with any fields; its id.
#[track_caller]
fn open_with(api: &Api, asked: &Value) -> i64 {
    id(&api.post("uploads", asked).json(201))
}

/// Sends the next part, whatever comes.
#[track_caller]
fn send(api: &Api, upload: i64, offset: usize, part: &[u8]) -> Response {
    let offset = offset.to_string();
    let headers = [
        ("Upload-Offset", &*offset),
        ("Content-Type", "application/octet-stream"),
    ];
    api.send(
        "PATCH",
        &format!("uploads/{upload}"),
        &headers,
        Body::Bytes(part),
    )
}

/// The state of an upload.
#[track_caller]
fn state(api: &Api, upload: i64) -> Value {
    api.get(&format!("uploads/{upload}")).json(200)
}

/// Where an upload goes on.
#[track_caller]
fn offset(api: &Api, upload: i64) -> usize {
    usize::try_from(number(&state(api, upload), "offset")).expect("not negative")
}

/// Makes the file, whatever comes.
#[track_caller]
fn finish(api: &Api, upload: i64) -> Response {
    api.post_nothing(&format!("uploads/{upload}/finish"))
}

/// Sends what is missing and makes the file.
#[track_caller]
fn complete(api: &Api, upload: i64, content: &[u8]) -> Value {
    let at = offset(api, upload);
    if at < content.len() {
        let sent = send(api, upload, at, &content[at..]).json(200);
        assert_eq!(sent["offset"], content.len());
    }
    finish(api, upload).json(200)
}

/// Waits until what a sender that is gone has sent is kept: the offset stays and others are let in.
#[track_caller]
fn settled(api: &Api, upload: i64, wanted: impl Fn(usize) -> bool) -> usize {
    let since = Instant::now();
    loop {
        let at = offset(api, upload);
        if wanted(at) {
            return at;
        }
        assert!(since.elapsed() < NOTICED_WITHIN, "it stays at {at}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
