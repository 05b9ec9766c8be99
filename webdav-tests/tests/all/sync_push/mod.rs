//! `POST sync/push`: many files and changes in one stream.

mod conflicts;
mod malformed;
mod memory;
mod modes;
mod need;
mod operations;
mod refused;

use sync_server::protocol::files::Node;
use sync_server::protocol::problem::Problem;
use sync_server::protocol::sync::{PushItem, PushPut, PushResult, PushStatus};
use webdav_tests::TestServer;
use webdav_tests::device::{Device, Push, put};

const PASSWORD: &str = "a long password 1";

/// A server and a device of `admin` that has pulled.
#[track_caller]
fn begin() -> (TestServer, Device) {
    let server = TestServer::start();
    let mut device = Device::admin(&server, "laptop");
    device.pull();
    (server, device)
}

/// The header of a new file.
fn new(path: &str, size: usize) -> PushPut {
    based("none", path, size)
}

/// The header of a file made from a version.
fn based(base: &str, path: &str, size: usize) -> PushPut {
    PushPut {
        base: Some(base.to_owned()),
        ..put(path, size)
    }
}

fn mkdir(path: &str) -> PushItem {
    PushItem::Mkdir {
        path: path.to_owned(),
        mtime: None,
    }
}

fn moved(from: &str, to: &str) -> PushItem {
    PushItem::Move {
        from: from.to_owned(),
        to: to.to_owned(),
        overwrite: false,
    }
}

fn copied(from: &str, to: &str) -> PushItem {
    PushItem::Copy {
        from: from.to_owned(),
        to: to.to_owned(),
        overwrite: false,
    }
}

fn deleted(path: &str, base: Option<&str>) -> PushItem {
    PushItem::Delete {
        path: path.to_owned(),
        id: None,
        parent: None,
        base: base.map(ToOwned::to_owned),
    }
}

/// The result of a push with one item.
#[track_caller]
fn one(device: &Device, push: &Push) -> PushResult {
    let [result] = <[PushResult; 1]>::try_from(device.results(push)).expect("one result");
    result
}

/// Sends a file whole; it must be done.
#[track_caller]
fn write(device: &Device, put: &PushPut, bytes: &[u8]) -> Node {
    let mut push = Push::new();
    push.whole(put, bytes);
    done(one(device, &push))
}

/// The node of an item that was done without a conflict.
#[track_caller]
fn done(result: PushResult) -> Node {
    assert_eq!(result.status, PushStatus::Done, "{result:?}");
    assert_eq!(result.conflict, None);
    result.node.expect("done with a node")
}

/// The problem of an item that was refused.
#[track_caller]
fn refused(result: &PushResult, name: &str, field: Option<&str>) -> Problem {
    assert_eq!(result.status, PushStatus::Error, "{result:?}");
    assert_eq!((&result.node, &result.conflict), (&None, &None));
    let problem = result.problem.clone().expect("an error has a problem");
    assert_eq!(
        (problem.name(), problem.field.as_deref()),
        (name, field),
        "{problem:?}"
    );
    problem
}
