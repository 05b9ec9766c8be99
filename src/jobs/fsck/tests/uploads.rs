//! Unfinished uploads whose bytes were lost.

use bytes::Bytes;
use sha1::{Digest, Sha1};

use super::fixture::{Bench, flip, noise, path};
use crate::store::content::Checksum;
use crate::tree::{Base, Error, NewUpload, UploadError};
use crate::types::UploadId;

/// An upload of which all bytes have arrived.
async fn arrived(bench: &Bench, bytes: &[u8], checksum: Option<&str>) -> UploadId {
    let new = NewUpload {
        size: bytes.len() as u64,
        modified: None,
        created: None,
        base: Base::Unstated,
        checksum: checksum.map(|text| Checksum::parse(text).unwrap()),
    };
    let session = bench.tree.upload_open(&path("/a"), new).await.unwrap();
    let mut appender = bench.tree.upload_append(session.id, 0).await.unwrap();
    appender.push(Bytes::copy_from_slice(bytes)).await.unwrap();
    appender.pause().await.unwrap();
    session.id
}

async fn is_given_up(bench: &Bench, id: UploadId, what: &str) {
    let finished = bench.tree.upload_finish(id, None).await;
    assert!(
        matches!(finished, Err(UploadError::Tree(Error::NotFound))),
        "{what}: {finished:?}"
    );
    let left = bench.tree.upload_get(id).await;
    assert!(
        matches!(left, Err(UploadError::Tree(Error::NotFound))),
        "{what}"
    );
}

#[tokio::test]
async fn an_upload_that_lost_bytes_is_given_up_and_begins_anew() {
    let bytes = noise(1, 700_000);
    let sum = Sha1::digest(&bytes);
    let sum = sum.iter().map(|byte| format!("{byte:02x}"));
    let stated = format!("SHA1:{}", sum.collect::<String>());
    for what in ["marked", "read at the end", "without a row"] {
        let bench = Bench::empty().await;
        let checksum = (what == "read at the end").then_some(stated.as_str());
        let id = arrived(&bench, &bytes, checksum).await;
        if what == "without a row" {
            let delete = "DELETE FROM chunk WHERE id = (SELECT min(id) FROM chunk)";
            bench.plant(delete, &[]).await;
        } else {
            flip(&bench.segments()[0], 32 + 16 + 40);
        }
        if what == "marked" {
            bench.fsck(true, true).await;
        }

        is_given_up(&bench, id, what).await;

        let again = arrived(&bench, &bytes, checksum).await;
        bench.tree.upload_finish(again, None).await.unwrap();
        assert!(bench.read("/a").await.unwrap() == bytes, "{what}");
        assert_eq!(bench.kinds().await, [], "{what}");
    }
}

#[tokio::test]
async fn an_upload_that_was_refused_for_another_reason_stays() {
    let bench = Bench::empty().await;
    let id = arrived(&bench, &noise(1, 700_000), None).await;
    bench.tree.mkdir(&path("/a"), None).await.unwrap();

    let refused = bench.tree.upload_finish(id, None).await;

    assert!(matches!(
        refused,
        Err(UploadError::Tree(Error::IsACollection))
    ));
    bench.tree.upload_get(id).await.unwrap();
}
