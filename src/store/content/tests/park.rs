//! Uploads that stop and go on, in this process or the next.

use proptest::prelude::*;

use super::*;
use crate::chunk::Class;
use crate::store::content::Parked;
use crate::types::UploadId;

impl Fixture {
    /// Pushes bytes with a stop at each of `stops`, where all that is left is what a row can hold.
    async fn stage_with_stops(&self, bytes: &[u8], class: Class, stops: &[usize]) -> Staged {
        let keys = self
            .store
            .keys
            .of(&self.store.meta, self.space)
            .await
            .unwrap();
        let mut upload = Upload::begin(&self.store, Arc::clone(&keys), class);
        let mut from = 0;
        for &stop in stops {
            for piece in bytes[from..stop].chunks(199_999) {
                upload.push(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            let parked = upload.park().await.unwrap();
            assert_eq!(parked.written(), stop as u64);
            assert!(parked.tail.len() < class.max());
            let tail = parked.seal_tail(&keys, UploadId(1)).await.unwrap();
            let manifest = parked.manifest.encode();
            let again = Parked::open(&keys, UploadId(1), stop as u64, &manifest, tail).await;
            let resumed = Upload::resume(&self.store, self.space, class, again.unwrap());
            upload = resumed.await.unwrap();
            assert_eq!(upload.written(), stop as u64);
            from = stop;
        }
        upload
            .push(Bytes::copy_from_slice(&bytes[from..]))
            .await
            .unwrap();
        upload.finish().await.unwrap().unwrap()
    }

    async fn check_stops(&self, bytes: &[u8], class: Class, stops: &[usize]) {
        let whole = self.stage_with_stops(bytes, class, &[]).await;
        let staged = self.stage_with_stops(bytes, class, stops).await;
        assert_eq!(
            (staged.root, staged.size),
            (whole.root, whole.size),
            "{stops:?}"
        );
        match (&staged.body, &whole.body) {
            (StagedBody::Inline(_), StagedBody::Inline(_)) => {}
            (one, other) => assert_eq!(one, other),
        }
        let put = self
            .store
            .meta
            .write(move |tx| Box::pin(async move { contents::insert(tx, &staged).await }));
        assert!(self.get(put.await.unwrap()).await == bytes);
    }
}

#[test]
fn an_upload_that_stops_anywhere_any_number_of_times_is_the_same_content() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fixture = runtime.block_on(fixture());
    let all = [noise(2 * MIB), vec![0; MIB]].concat();
    let stops = prop::collection::vec(any::<prop::sample::Index>(), 0..5);
    let sizes = prop_oneof![0..20_000_usize, 0..all.len()];
    let config = ProptestConfig::with_cases(80);
    proptest!(config, |(size in sizes, stops in stops, large: bool)| {
        let class = if large { Class::Large } else { Class::Small };
        let mut stops: Vec<_> = stops.into_iter().map(|stop| stop.index(size + 1)).collect();
        stops.sort_unstable();
        runtime.block_on(fixture.check_stops(&all[..size], class, &stops));
    });
}

#[tokio::test]
async fn stops_at_the_limits_of_inline_and_of_chunks_are_the_same_content() {
    let f = fixture().await;
    let bytes = noise(MIB);
    let min = Class::Small.min();
    for stop in [0, 1, 8191, 8192, 8193, min - 1, min, min + 1, MIB - 1, MIB] {
        f.check_stops(&bytes, Class::Small, &[stop]).await;
        f.check_stops(&bytes[..stop], Class::Small, &[stop, stop])
            .await;
        f.check_stops(&bytes[..stop], Class::Small, &[stop / 2])
            .await;
    }
    // Chunks of the greatest length.
    let zeroes = vec![0; 3 * MIB];
    for stop in [Class::Small.max() - 1, Class::Small.max(), MIB] {
        f.check_stops(&zeroes, Class::Small, &[stop, 2 * stop])
            .await;
    }
}

#[tokio::test]
async fn what_has_settled_grows_with_what_is_sent_and_is_durable() {
    let f = fixture().await;
    let mut upload = Upload::start(&f.store, f.space, None, None).await.unwrap();
    assert!(upload.settled().is_none());
    upload.push(Bytes::from(noise(3 * MIB))).await.unwrap();
    upload.send().await.unwrap();
    upload.push(Bytes::from(noise(MIB))).await.unwrap();
    upload.send().await.unwrap();
    let (manifest, covered) = upload.settled().unwrap();
    assert!(
        (2 * MIB as u64..=3 * MIB as u64).contains(&covered),
        "{covered}"
    );
    let mut conn = f.store.meta.read().await.unwrap();
    let lengths = crate::store::meta::chunks::raw_lens(&mut conn, f.space, manifest.runs());
    assert_eq!(lengths.await.unwrap().iter().sum::<u64>(), covered);
}
