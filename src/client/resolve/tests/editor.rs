//! Editors, played by shell scripts.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::client::resolve::editor::edit_with;
use crate::client::resolve::signals::Signals;
use crate::client::resolve::{Error, Result};

/// A script in a folder of its own, that notes in `seen` which file it is given.
fn script(dir: &Path, does: &str) -> OsString {
    let path = dir.join("an editor.sh");
    let seen = dir.join("seen");
    fs::write(
        &path,
        format!(
            "#!/bin/sh\nfor file; do :; done\nprintf %s \"$file\" > '{}'\n{does}\n",
            seen.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
    format!("'{}' --wait", path.display()).into()
}

fn seen(dir: &Path) -> PathBuf {
    PathBuf::from(fs::read_to_string(dir.join("seen")).unwrap())
}

async fn edited(dir: &Path, does: &str) -> Result<Vec<u8>> {
    let mut signals = Signals::listen().unwrap();
    let name = Path::new("a name; with $(what) a shell 'obeys'.txt");
    let edited = edit_with(&script(dir, does), name, b"before\n", &mut signals).await;
    let file = seen(dir);
    assert_eq!(file.file_name(), name.file_name());
    assert!(!file.parent().unwrap().exists(), "{file:?} is still there");
    edited
}

#[tokio::test]
async fn what_is_saved_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let does = "stat -c %a \"$file\" \"$(dirname \"$file\")\" >> \"$file\"";
    let text = String::from_utf8(edited(dir.path(), does).await.unwrap()).unwrap();
    assert_eq!(text, "before\n600\n700\n");
}

#[tokio::test]
async fn an_editor_may_put_another_file_in_its_place_and_others_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let does = "echo after > \"$file.new\"; cp \"$file\" \"$file~\"; mv \"$file.new\" \"$file\"";
    assert_eq!(edited(dir.path(), does).await.unwrap(), b"after\n");
}

#[tokio::test]
async fn a_file_that_is_left_as_it_is_resolves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let error = edited(dir.path(), "true").await.unwrap_err();
    assert!(error.to_string().contains("nothing was changed"), "{error}");
}

#[tokio::test]
async fn an_editor_that_fails_resolves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let error = edited(dir.path(), "echo x >> \"$file\"; exit 3")
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Refused(said) if said.contains("exit status: 3")),
        "{error}"
    );
    let error = edited(dir.path(), "kill -9 $$").await.unwrap_err();
    assert!(error.to_string().contains("signal"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_gone_or_too_long_resolves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        edited(dir.path(), "rm \"$file\"").await,
        Err(Error::Io(..))
    ));
    assert!(matches!(
        edited(dir.path(), "truncate -s 9M \"$file\"").await,
        Err(Error::Io(..))
    ));
}

#[tokio::test]
async fn a_signal_ends_the_editor_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let does = format!(
        "echo $$ > '{}'; exec sleep 60",
        dir.path().join("id").display()
    );
    let mut signals = Signals::listen().unwrap();
    let script = script(dir.path(), &does);
    let edit = edit_with(&script, Path::new("a"), b"before", &mut signals);
    let terminate = async {
        let id = loop {
            let id = fs::read_to_string(dir.path().join("id")).unwrap_or_default();
            if id.ends_with('\n') {
                break id.trim().to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        let ours = std::process::id().to_string();
        let sent = std::process::Command::new("/bin/sh")
            .args(["-c", "kill -TERM $0", &ours])
            .status();
        assert!(sent.unwrap().success());
        id
    };
    let (edited, id) = tokio::join!(edit, terminate);
    assert!(matches!(edited, Err(Error::Signal(15))));
    assert!(!Path::new("/proc").join(id).exists());
    assert!(!seen(dir.path()).exists());
}
