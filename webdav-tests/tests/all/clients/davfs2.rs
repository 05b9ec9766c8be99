//! davfs2 1.6: a mounted folder for programs that know files only (CT24).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use webdav_tests::TestServer;
use webdav_tests::content::{assert_same, noise};
use webdav_tests::process::{run, tool};

use super::{ADMIN_PASSWORD, Home, Reads, Writes, assert_shows};

pub(super) struct Davfs2;

/// A mount; leaving it behind would hold the directory and its process.
struct Mount {
    dir: PathBuf,
    mounted: bool,
}

impl Mount {
    /// Mounts the account's root. Needs root and `/dev/fuse`.
    #[track_caller]
    fn new(home: &Home) -> Self {
        let (dir, cache) = (home.make("mnt"), home.make("davfs-cache"));
        // The daemon gives up root and runs as the user davfs2.
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).expect("our own directory");
        let secrets = home.path("davfs-secrets");
        fs::write(&secrets, format!("{} admin {ADMIN_PASSWORD}\n", home.url))
            .expect("our own directory");
        fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).expect("our own file");
        // buf_size: with the default, listing fails with EINVAL on kernels from 6.16 (davfs2 1.6.1).
        let settings = format!(
            "buf_size 512\nask_auth 0\nsecrets {}\ncache_dir {}\n",
            secrets.display(),
            cache.display()
        );
        fs::write(home.path("davfs.conf"), settings).expect("our own directory");
        let mut mount = tool("mount");
        mount
            .args(["-t", "davfs", "-o"])
            .arg(format!("conf={}", home.path("davfs.conf").display()));
        run(mount.arg(&home.url).arg(&dir), b"").expect_success("mount -t davfs");
        Self { dir, mounted: true }
    }

    /// Uploads everything and unmounts.
    #[track_caller]
    fn flush(mut self) {
        self.mounted = false;
        run(tool("umount").arg(&self.dir), b"").expect_success("umount");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted {
            run(tool("umount").arg("--lazy").arg(&self.dir), b"");
        }
    }
}

impl Reads for Davfs2 {
    fn name(&self) -> &'static str {
        "davfs2"
    }

    fn fetch(&self, home: &Home, folder: &str, names: &[&str], into: &Path) {
        let mount = Mount::new(home);
        let dir = mount.dir.join(folder);
        let listed = fs::read_dir(&dir).expect("the mounted folder");
        let listed = listed.map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        });
        assert_shows(&listed.collect::<Vec<_>>().join("\n"), names, self.name());
        for name in names {
            fs::copy(dir.join(name), into.join(name))
                .unwrap_or_else(|e| panic!("davfs2 reads {name}: {e}"));
        }
        mount.flush();
    }
}

impl Writes for Davfs2 {
    fn store(&self, home: &Home, folder: &str, names: &[&str], from: &Path) {
        let mount = Mount::new(home);
        for name in names {
            let to = mount.dir.join(folder).join(name);
            fs::copy(from.join(name), to).unwrap_or_else(|e| panic!("davfs2 writes {name}: {e}"));
        }
        mount.flush();
    }
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).expect("a directory").next().is_none()
}

#[test]
fn programs_work_in_a_mounted_folder() {
    let server = TestServer::start();
    let home = Home::new(&server);
    let bytes = noise(1, 700_000);
    let mount = Mount::new(&home);
    let dir = mount.dir.join("documents/project");

    fs::create_dir(&dir).expect("mkdir");
    fs::write(dir.join("a.bin"), &bytes).expect("write");
    fs::write(dir.join("b.txt"), b"first").expect("write");
    fs::rename(dir.join("a.bin"), dir.join("renamed.bin"))
        .expect("rename of a file that is still to be uploaded");
    fs::write(dir.join("gone.txt"), b"x").expect("write");
    fs::remove_file(dir.join("gone.txt")).expect("remove");
    assert_same(
        &fs::read(dir.join("renamed.bin")).expect("read"),
        &bytes,
        "what was written",
    );
    run(tool("df").arg(&mount.dir), b"").expect_success("df");
    mount.flush();

    let dav = server.admin();
    assert_eq!(
        dav.names("/dav/documents/project/"),
        ["b.txt", "renamed.bin"]
    );
    assert_same(
        &dav.get("/dav/documents/project/renamed.bin").body,
        &bytes,
        "what arrived",
    );
    // What cannot be uploaded ends in lost+found, or stays in the cache.
    let mount = Mount::new(&home);
    assert!(
        is_empty(&mount.dir.join("lost+found")),
        "something could not be uploaded"
    );
    mount.flush();
}

#[test]
fn existing_files_are_changed_renamed_and_removed_through_the_mount() {
    let server = TestServer::start();
    let home = Home::new(&server);
    let dav = server.admin();
    for name in ["change", "rename", "remove", "append"] {
        dav.put(&format!("/dav/documents/{name}"), b"the old content")
            .expect(&[201]);
    }
    dav.mkcol("/dav/documents/tree/").expect(&[201]);
    dav.put("/dav/documents/tree/leaf", b"x").expect(&[201]);
    let mount = Mount::new(&home);
    let dir = mount.dir.join("documents");

    fs::write(dir.join("change"), b"the new content").expect("write");
    fs::rename(dir.join("rename"), dir.join("renamed")).expect("rename");
    fs::remove_file(dir.join("remove")).expect("remove");
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(dir.join("append"))
        .expect("open");
    std::io::Write::write_all(&mut file, b" and more").expect("append");
    drop(file);
    fs::remove_dir_all(dir.join("tree")).expect("remove a tree");
    mount.flush();

    assert_eq!(
        dav.names("/dav/documents/"),
        ["append", "change", "renamed"]
    );
    assert_eq!(dav.get("/dav/documents/change").body, b"the new content");
    assert_eq!(
        dav.get("/dav/documents/append").body,
        b"the old content and more"
    );
    assert_eq!(dav.get("/dav/documents/renamed").body, b"the old content");
    // Nothing is left locked.
    for name in ["append", "change", "renamed"] {
        dav.put(&format!("/dav/documents/{name}"), b"y")
            .expect(&[204]);
    }
}

#[test]
fn a_folder_with_hundreds_of_files_is_listed_whole() {
    let server = TestServer::start();
    let home = Home::new(&server);
    let dav = server.admin();
    for n in 0..300 {
        dav.put(&format!("/dav/photos/{n}.jpg"), b"x")
            .expect(&[201]);
    }
    let mount = Mount::new(&home);
    assert_eq!(
        fs::read_dir(mount.dir.join("photos"))
            .expect("a folder")
            .count(),
        300
    );
    mount.flush();
}
