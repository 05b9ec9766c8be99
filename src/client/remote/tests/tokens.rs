use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use tempfile::tempdir;
use tokio::time::{sleep, timeout};

use super::tokens;
use crate::client::config::Secrets;
use crate::client::remote::tokens::Tool;
use crate::client::remote::{Kept, Place};

#[tokio::test]
async fn the_file_is_for_its_owner_alone_and_is_replaced_as_a_whole() {
    let directory = tempdir().unwrap();
    let place = Place::of(directory.path(), Secrets::File);
    assert!(place.load().await.unwrap().is_none());
    let file = directory.path().join("token.json");
    for name in ["first", "second"] {
        // One that was left behind by a crash, and that others may read.
        fs::write(directory.path().join("token.new"), "half").unwrap();
        place
            .save(&Kept::of(&tokens(name, 900), 1_000))
            .await
            .unwrap();
        let kept = place.load().await.unwrap().unwrap();
        assert_eq!(
            (kept.access, kept.ends),
            (format!("access-{name}"), 901_000)
        );
        assert_eq!(kept.refresh, format!("sr_{name}"));
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let names: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["token.json"]);
    place.forget().await.unwrap();
    place.forget().await.unwrap();
    assert!(place.load().await.unwrap().is_none());
}

#[tokio::test]
async fn a_file_that_cannot_be_written_or_read_is_named() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "nothing of ours").unwrap();
    let below = Place::File(file.join("token.json"));
    let error = below
        .save(&Kept::of(&tokens("1", 900), 0))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("file/token.json"), "{error}");
    let error = Place::File(file).load().await.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

/// Stands for `secret-tool`: keeps what it is given in files named after the attributes.
fn stand_in(directory: &std::path::Path) -> PathBuf {
    let script = format!(
        "#!/bin/sh\nkept='{}'\nverb=$1; shift\ncase $1 in --*) shift;; esac\necho \"$verb $*\" >> \"$kept/asked\"\n\
         name=\"$kept/$2-$(echo \"$4\" | tr / _)\"\ncase $verb in\nstore) cat > \"$name\";;\n\
         lookup) [ -e \"$name\" ] || exit 1; cat \"$name\";;\nclear) rm -f \"$name\";;\nesac\n",
        directory.display()
    );
    let tool = directory.join("secret-tool");
    fs::write(&tool, script).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    tool
}

#[tokio::test]
async fn the_keyring_gets_secrets_by_standard_input_and_never_as_arguments() {
    let directory = tempdir().unwrap();
    let tool = stand_in(directory.path());
    let tool = Tool(tool.as_os_str());
    tool.try_out().await.unwrap();
    assert_eq!(tool.lookup("/home/me/.config").await.unwrap(), None);
    tool.store("/home/me/.config", b"the secret").await.unwrap();
    assert_eq!(
        tool.lookup("/home/me/.config").await.unwrap().unwrap(),
        b"the secret"
    );
    assert_eq!(tool.lookup("/another").await.unwrap(), None);
    tool.clear("/home/me/.config").await.unwrap();
    assert_eq!(tool.lookup("/home/me/.config").await.unwrap(), None);
    let asked = fs::read_to_string(directory.path().join("asked")).unwrap();
    assert!(
        asked.contains("store service sync-client config /home/me/.config"),
        "{asked}"
    );
    assert!(
        !asked.contains("secret\n") && !asked.contains("the secret"),
        "{asked}"
    );
}

#[tokio::test]
async fn a_keyring_that_fails_says_why_and_one_that_is_not_there_as_well() {
    let directory = tempdir().unwrap();
    let failing = directory.path().join("failing");
    fs::write(&failing, "#!/bin/sh\necho 'no session bus' >&2; exit 1\n").unwrap();
    fs::set_permissions(&failing, fs::Permissions::from_mode(0o755)).unwrap();
    let tool = Tool(failing.as_os_str());
    for error in [
        tool.try_out().await.err(),
        tool.lookup("a").await.err(),
        tool.clear("a").await.err(),
    ] {
        assert!(error.unwrap().to_string().contains("no session bus"));
    }
    let absent = directory.path().join("absent");
    let error = Tool(absent.as_os_str()).store("a", b"b").await.unwrap_err();
    assert!(
        error.kind() == io::ErrorKind::NotFound && error.to_string().contains("absent"),
        "{error}"
    );
}

#[tokio::test]
async fn a_secret_may_be_longer_than_a_pipe_holds() {
    let directory = tempdir().unwrap();
    let tool = stand_in(directory.path());
    let tool = Tool(tool.as_os_str());
    let secret = vec![b's'; 256 * 1024];
    tool.store("long", &secret).await.unwrap();
    assert_eq!(tool.lookup("long").await.unwrap().unwrap(), secret);
}

#[tokio::test]
async fn a_keyring_that_nobody_waits_for_any_more_is_ended() {
    let directory = tempdir().unwrap();
    let (tool, begun) = (
        directory.path().join("silent"),
        directory.path().join("begun"),
    );
    let script = format!("#!/bin/sh\nexec sleep 60 > '{}'\n", begun.display());
    fs::write(&tool, script).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let tool = Tool(tool.as_os_str());
    let until = async {
        while !is_held(&begun) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        found = tool.lookup("a") => panic!("{found:?}"),
        () = until => {}
    }
    let ended = async {
        while is_held(&begun) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(5), ended).await.unwrap();
}

/// Whether a process has a file open.
fn is_held(file: &std::path::Path) -> bool {
    let links = |process: fs::DirEntry| {
        fs::read_dir(process.path().join("fd"))
            .into_iter()
            .flatten()
    };
    let mut open = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .flat_map(links)
        .flatten();
    open.any(|link| fs::read_link(link.path()).is_ok_and(|to| to == file))
}
