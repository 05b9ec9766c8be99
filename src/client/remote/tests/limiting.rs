use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use crate::client::remote::Limits;
use crate::client::remote::limit::Metered;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

fn rate(bytes: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(bytes)
}

/// Both ends of a pipe that holds little, one of them metered.
fn pipe(limits: &Arc<Limits>) -> (Metered<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(8 * 1024);
    (Metered::new(near, Arc::clone(limits)), far)
}

/// Seconds that it takes to send so many bytes.
async fn send(limits: &Arc<Limits>, bytes: u64) -> f64 {
    let (mut near, mut far) = pipe(limits);
    let sink = tokio::spawn(async move { tokio::io::copy(&mut far, &mut tokio::io::sink()).await });
    let begun = Instant::now();
    near.write_all(&vec![1; usize::try_from(bytes).unwrap()])
        .await
        .unwrap();
    near.shutdown().await.unwrap();
    let took = begun.elapsed().as_secs_f64();
    assert_eq!(sink.await.unwrap().unwrap(), bytes);
    took
}

async fn receive(limits: &Arc<Limits>, bytes: u64) -> f64 {
    let (mut near, mut far) = pipe(limits);
    let source = tokio::spawn(async move {
        far.write_all(&vec![1; usize::try_from(bytes).unwrap()])
            .await
            .unwrap();
    });
    let begun = Instant::now();
    let mut got = Vec::new();
    near.read_to_end(&mut got).await.unwrap();
    assert_eq!(got.len() as u64, bytes);
    source.await.unwrap();
    begun.elapsed().as_secs_f64()
}

fn is_about(took: f64, wanted: f64) {
    assert!(
        (wanted * 0.9..wanted * 1.1).contains(&took),
        "{took} s in place of {wanted} s"
    );
}

#[tokio::test(start_paused = true)]
async fn bytes_take_the_time_that_the_rate_gives_them_in_each_direction() {
    for (bytes_per_second, seconds) in [(KIB, 20), (10 * KIB, 20), (MIB, 10), (50 * MIB, 1)] {
        let limits = Arc::new(Limits::default());
        limits.set(rate(bytes_per_second), rate(2 * bytes_per_second));
        let bytes = bytes_per_second * seconds;
        let seconds = f64::from(u32::try_from(seconds).unwrap());
        is_about(send(&limits, bytes).await, seconds);
        is_about(receive(&limits, bytes).await, seconds / 2.0);
        assert_eq!((limits.sent(), limits.received()), (bytes, bytes));
    }
}

#[tokio::test(start_paused = true)]
async fn connections_share_the_rate() {
    let limits = Arc::new(Limits::default());
    limits.set(rate(100 * KIB), None);
    let begun = Instant::now();
    tokio::join!(send(&limits, MIB), send(&limits, MIB), send(&limits, MIB));
    is_about(begun.elapsed().as_secs_f64(), 30.0 * 1.024);
}

#[tokio::test(start_paused = true)]
async fn no_connection_takes_the_share_of_another() {
    let limits = Arc::new(Limits::default());
    limits.set(rate(4 * KIB), rate(4 * KIB));
    let shares: Vec<_> = (0..3)
        .map(|_| {
            let (mut near, mut far) = pipe(&limits);
            tokio::spawn(async move {
                let endless = tokio::spawn(async move {
                    let mut zeros = tokio::io::repeat(0);
                    tokio::io::copy(&mut zeros, &mut far).await
                });
                let mut got = 0;
                let until = Instant::now() + Duration::from_mins(1);
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(read) = tokio::time::timeout_at(until, near.read(&mut buffer)).await {
                    got += read.unwrap();
                }
                endless.abort();
                f64::from(u32::try_from(got).unwrap())
            })
        })
        .collect();
    for share in shares {
        is_about(share.await.unwrap(), 80.0 * 1024.0);
    }
}

#[tokio::test(start_paused = true)]
async fn time_that_was_not_used_gives_no_burst() {
    let limits = Arc::new(Limits::default());
    limits.set(rate(10 * KIB), None);
    send(&limits, KIB).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    is_about(send(&limits, 100 * KIB).await, 10.0);
}

#[tokio::test(start_paused = true)]
async fn a_new_rate_holds_for_what_is_running() {
    let limits = Arc::new(Limits::default());
    limits.set(rate(KIB), None);
    let begun = Instant::now();
    let sending = tokio::spawn({
        let limits = Arc::clone(&limits);
        async move { send(&limits, MIB).await }
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    limits.set(rate(MIB), None);
    sending.await.unwrap();
    let took = begun.elapsed().as_secs_f64();
    assert!((10.5..11.5).contains(&took), "{took} s");
    limits.set(None, None);
    assert!(send(&limits, 10 * MIB).await < 0.1);
}

#[tokio::test]
async fn over_tcp_the_rate_is_kept_within_a_tenth() {
    const RATE: u64 = 8 * MIB;
    const SIZE: usize = 12 * 1024 * 1024;
    let limits = Arc::new(Limits::default());
    limits.set(rate(RATE), rate(RATE));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let peer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = vec![0; SIZE];
        stream.read_exact(&mut got).await.unwrap();
        stream.write_all(&got).await.unwrap();
    });
    let stream = TcpStream::connect(at).await.unwrap();
    let mut stream = Metered::new(stream, Arc::clone(&limits));
    let begun = Instant::now();
    stream.write_all(&vec![7; SIZE]).await.unwrap();
    is_about(begun.elapsed().as_secs_f64(), 1.5);
    let begun = Instant::now();
    let mut back = vec![0; SIZE];
    let read = timeout(Duration::from_secs(10), stream.read_exact(&mut back)).await;
    read.unwrap().unwrap();
    is_about(begun.elapsed().as_secs_f64(), 1.5);
    peer.await.unwrap();
}
