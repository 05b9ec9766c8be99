//! Every client against every other.

use webdav_tests::TestServer;

use super::cadaver::Cadaver;
use super::curl::Curl;
use super::davfs2::Davfs2;
use super::gio::Gio;
use super::kio::Kio;
use super::rclone::Rclone;
use super::{Home, Reads, SAMPLES, Writes, assert_same_samples, samples};

#[test]
fn what_one_client_stores_every_other_reads_back_identical() {
    let server = TestServer::start();
    let home = Home::new(&server);
    let writers: [&dyn Writes; 5] = [&Curl, &Gio, &Cadaver, &Rclone("owncloud"), &Davfs2];
    let readers: [&dyn Reads; 6] = [&Curl, &Gio, &Cadaver, &Rclone("other"), &Davfs2, &Kio];
    for (writer, seed) in writers.iter().zip(1..) {
        let folder = format!("documents/from {}", writer.name());
        server
            .admin()
            .mkcol(&format!("/dav/{}/", super::encoded(&folder)))
            .expect(&[201]);
        let from = home.make(&format!("{}-stores", writer.name()));
        samples(&from, seed);
        writer.store(&home, &folder, &SAMPLES, &from);
    }
    for reader in readers {
        for writer in writers {
            let (by, of) = (reader.name(), writer.name());
            let into = home.make(&format!("{by}-reads-{of}"));
            reader.fetch(&home, &format!("documents/from {of}"), &SAMPLES, &into);
            let expected = home.path(&format!("{of}-stores"));
            assert_same_samples(&into, &expected, &format!("stored by {of}, read by {by}"));
        }
    }
}
