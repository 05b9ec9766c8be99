//! `/install.sh`: the client from the server, for whoever pipes it into a shell.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use webdav_tests::{Setup, TestServer};

/// A server beside whose program lies a client: a program of this machine that only knows its own name.
fn server() -> TestServer {
    let server = Setup::default().apart().start();
    fs::copy("/bin/true", client(&server)).expect("room");
    server
}

fn client(server: &TestServer) -> PathBuf {
    server.dir().join("bin/sync-client")
}

#[track_caller]
fn script(server: &TestServer) -> String {
    let answer = server.anonymous().get("/install.sh").expect(&[200]);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    String::from_utf8(answer.body).expect("text")
}

/// Runs a script in a home that is empty; with the programs in `path`, or those of this machine.
#[track_caller]
fn run(shell: &[&str], script: &str, path: Option<&Path>) -> (TempDir, Output) {
    let home = TempDir::new().expect("a folder");
    let file = home.path().join("script");
    fs::write(&file, script).expect("room");
    let mut command = Command::new(shell[0]);
    command
        .args(&shell[1..])
        .arg(&file)
        .env_clear()
        .stdin(Stdio::null());
    command
        .env("HOME", home.path())
        .env("PATH", path.unwrap_or(Path::new("/usr/bin:/bin")));
    command.env("TMPDIR", home.path());
    let output = command.output().expect("a shell");
    fs::remove_file(&file).expect("it is ours");
    (home, output)
}

/// All that lies below a folder.
fn below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("it is below");
                found.push(name.display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[track_caller]
fn refused(script: &str, reason: &str) {
    let (home, output) = run(&["sh"], script, None);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{output:?}");
    assert!(said.contains(reason), "{said}");
    let left = fs::read_dir(home.path()).expect("a folder").count();
    assert_eq!(left, 0, "{:?}", below(home.path()));
}

#[test]
fn the_script_installs_the_client_of_the_server_and_its_unit() {
    let server = server();
    let script = script(&server);
    let shells: [&[&str]; 3] = [&["sh"], &["dash"], &["bash", "--posix"]];
    for shell in shells {
        let (home, output) = run(shell, &script, None);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(
            said.contains("configure") && said.contains(&server.url()),
            "{said}"
        );
        assert_eq!(
            below(home.path()),
            [
                ".config/systemd/user/sync-client.service",
                ".local/bin/sync-client"
            ]
        );
        let program = home.path().join(".local/bin/sync-client");
        assert!(fs::read(&program).expect("a file") == fs::read(client(&server)).expect("a file"));
        let mode = fs::metadata(&program).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        assert!(Command::new(&program).status().expect("it runs").success());
        let unit = home.path().join(".config/systemd/user/sync-client.service");
        let unit = fs::read_to_string(unit).expect("a file");
        let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/sync-client.service");
        assert_eq!(unit, fs::read_to_string(ours).expect("a file"));
    }
}

#[test]
fn wget_will_do_and_without_either_nothing_happens() {
    let server = server();
    let script = script(&server);
    let programs = TempDir::new().expect("a folder");
    let link = |name: &str| {
        let from = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(name));
        let from = from
            .iter()
            .find(|from| from.exists())
            .expect("a usual program");
        std::os::unix::fs::symlink(from, programs.path().join(name)).expect("a link");
    };
    for name in [
        "uname",
        "mktemp",
        "rm",
        "sha256sum",
        "cut",
        "mkdir",
        "cp",
        "chmod",
        "cat",
        "mv",
    ] {
        link(name);
    }
    let (home, output) = run(&["/bin/sh"], &script, Some(programs.path()));
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("curl or wget"),
        "{output:?}"
    );
    assert_eq!(below(home.path()), [""; 0]);
    link("wget");
    let (home, output) = run(&["/bin/sh"], &script, Some(programs.path()));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(below(home.path()).len(), 2);
}

#[test]
fn what_is_not_what_the_server_has_is_not_installed() {
    let server = server();
    let told = script(&server);
    let mut program = fs::read(client(&server)).expect("a file");
    *program.last_mut().expect("a byte") ^= 1;
    fs::write(client(&server), &program).expect("room");
    refused(&told, "not what the server has");
    // One that is asked for now knows it.
    let told = script(&server);
    let (_home, output) = run(&["sh"], &told, None);
    assert!(output.status.success(), "{output:?}");
    // A part of it, as of a download that broke off, does nothing.
    let len = told.trim_end().len();
    for end in [len / 4, len / 2, len * 3 / 4, len - "main".len(), len - 1] {
        let (home, _output) = run(&["sh"], &told[..end], None);
        assert_eq!(below(home.path()), [""; 0], "{}", &told[..end]);
    }
    // For another machine than this.
    program[18] = if program[18] == 62 { 183 } else { 62 };
    fs::write(client(&server), &program).expect("room");
    refused(&script(&server), "and this is");
    let told = script(&server);
    fs::remove_file(client(&server)).expect("it is ours");
    let here = told.replace("machine='aarch64'", "machine='x86_64'");
    let here = if cfg!(target_arch = "x86_64") {
        here
    } else {
        told.replace("'x86_64'", "'aarch64'")
    };
    refused(&here, "gives no sync-client");
}

#[test]
fn a_server_without_a_client_says_so_and_only_reading_is_allowed() {
    let server = Setup::default().apart().start();
    let dav = server.anonymous();
    for path in ["/install.sh", "/download/sync-client"] {
        let answer = dav.get(path).expect(&[404]);
        assert!(answer.text().contains("no sync-client"), "{answer}");
    }
    fs::write(client(&server), "#!/bin/sh\n").expect("room");
    dav.get("/install.sh").expect(&[404]);
    fs::copy("/bin/true", client(&server)).expect("room");
    for path in ["/install.sh", "/download/sync-client"] {
        let answer = dav.request("HEAD", path, &[], b"").expect(&[200]);
        assert!(answer.body.is_empty());
        for method in ["POST", "PUT", "DELETE", "PROPFIND"] {
            dav.request(method, path, &[], b"").expect(&[405]);
        }
    }
    for host in ["a'b", "a$(x)", "a/b", "x y"] {
        let mut raw = webdav_tests::raw::Raw::connect(&server.address());
        raw.send(format!("GET /install.sh HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let answer = raw
            .answer(std::time::Duration::from_secs(20))
            .expect("an answer");
        assert_eq!(answer.status, 400, "{answer}");
    }
}
