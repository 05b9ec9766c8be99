//! A PostgreSQL that goes away for a while. `postgres/run.sh` runs these.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use webdav_tests::content::{assert_same, noise};
use webdav_tests::proxy::Proxy;
use webdav_tests::{Api, Dav, Setup, TestServer, postgres};

/// How long after its return the database may still count as away.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// A server, and its way to the database.
fn behind_a_proxy() -> (TestServer, Proxy) {
    let address = postgres::fresh().expect("run this by postgres/run.sh");
    let (user, rest) = address.split_once('@').expect("a user");
    let (target, path) = rest.split_once('/').expect("a database");
    let proxy = Proxy::to(target);
    let database = format!("{user}@{}/{path}", proxy.address());
    let server = Setup::default().env("SYNC_DB_PATH", &database).start();
    (server, proxy)
}

#[track_caller]
fn comes_back(dav: &Dav) {
    let since = Instant::now();
    while dav.get("/health").status != 200 {
        assert!(since.elapsed() < BACK_WITHIN, "it is not well again");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_database_that_is_away_is_a_503_and_nothing_answered_is_lost() {
    let (server, proxy) = behind_a_proxy();
    let (dav, api) = (server.admin(), Api::admin(&server));
    dav.put("/dav/documents/before", b"answered").expect(&[201]);
    for round in 0..3 {
        let path = format!("/dav/documents/{round}");
        proxy.cut();
        let refused = dav.put(&path, b"x").expect(&[503]);
        assert!(refused.header("retry-after").is_some(), "{refused}");
        dav.get("/dav/documents/before").expect(&[503]);
        dav.get("/health").expect(&[503]);
        let refused = api.get("files/list?path=%2F");
        refused.problem("busy", 503);
        assert!(refused.header("retry-after").is_some(), "{refused}");

        proxy.mend();
        comes_back(&dav);
        dav.get(&path).expect(&[404]);
        dav.put(&path, b"x").expect(&[201]);
        let kept = dav.get("/dav/documents/before").expect(&[200]);
        assert_eq!(kept.body, b"answered");
    }
    let names = dav.names("/dav/documents/");
    assert_eq!(names, ["0", "1", "2", "before"]);
}

/// Four clients write files that hold their own names until all have tried `each`, while `meanwhile`
/// happens; the names of those that were answered with done.
fn write_while(server: &TestServer, each: usize, meanwhile: impl FnOnce()) -> Vec<String> {
    let writers: Vec<_> = (0..4)
        .map(|nth| {
            let dav = server.admin();
            thread::spawn(move || {
                let mut answered = Vec::new();
                for n in 0..each {
                    let name = format!("{nth}-{n}");
                    let path = format!("/dav/documents/{name}");
                    let answer = dav.put(&path, name.as_bytes()).expect(&[201, 503]);
                    if answer.status == 201 {
                        answered.push(name);
                    } else {
                        assert!(answer.header("retry-after").is_some(), "{answer}");
                        thread::sleep(Duration::from_millis(20));
                    }
                }
                answered
            })
        })
        .collect();
    meanwhile();
    let writers = writers.into_iter();
    writers.flat_map(|w| w.join().expect("a writer")).collect()
}

/// Whoever was answered with done is there, and whatever is there is whole. How many are there.
#[track_caller]
fn check(server: &TestServer, answered: &[String]) -> usize {
    let dav = server.admin();
    comes_back(&dav);
    assert!(!answered.is_empty());
    let there = dav.tree("/dav/documents/");
    for name in answered {
        let bytes = there.get(&format!("/{name}")).cloned().flatten();
        assert_eq!(bytes.as_deref(), Some(name.as_bytes()), "{name}");
    }
    for (path, bytes) in &there {
        let whole = Some(&path.as_bytes()[1..]);
        assert_eq!(bytes.as_deref(), whole, "whole or not at all");
    }
    there.len()
}

#[test]
fn writes_that_are_cut_off_are_there_or_not_and_those_answered_are() {
    let (server, proxy) = behind_a_proxy();
    let answered = write_while(&server, 60, || {
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(150));
            proxy.cut();
            thread::sleep(Duration::from_millis(100));
            proxy.mend();
        }
    });
    check(&server, &answered);
}

#[test]
fn a_commit_whose_answer_is_lost_is_refused_and_whole() {
    let (server, proxy) = behind_a_proxy();
    let answered = write_while(&server, 60, || {
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(150));
            proxy.cut_behind_commits();
            thread::sleep(Duration::from_millis(150));
            proxy.mend();
        }
    });
    let there = check(&server, &answered);
    let cut = proxy.commits_cut();
    println!(
        "{cut} commits cut, {} files answered, {there} there",
        answered.len()
    );
    assert!(
        cut > 0 && there > answered.len(),
        "no commit was cut behind"
    );
    // Repeating does no harm.
    let again = write_again(&server);
    assert_eq!(check(&server, &again), 240);
}

/// Writes all the files once more; their names.
fn write_again(server: &TestServer) -> Vec<String> {
    let dav = server.admin();
    let names = (0..4).flat_map(|nth| (0..60).map(move |n| format!("{nth}-{n}")));
    let names: Vec<_> = names.collect();
    for name in &names {
        let path = format!("/dav/documents/{name}");
        dav.put(&path, name.as_bytes()).expect(&[201, 204]);
    }
    names
}

/// Runs statements as the owner of the server's tables.
#[track_caller]
fn run(server: &TestServer, statements: &str) {
    let (address, schema) =
        postgres::server_and_schema(server).expect("run this by postgres/run.sh");
    let statements = format!("SET search_path = {schema}; {statements}");
    let mut psql = Command::new("psql");
    let psql = psql.args([&address, "-qX", "-v", "ON_ERROR_STOP=1", "-c", &statements]);
    assert!(
        psql.status().expect("psql starts").success(),
        "{statements}"
    );
}

/// The tables are those that each kind of content ends in.
const FAILING: [&str; 3] = ["node", "content", "chunk"];

fn fail(server: &TestServer, code: &str) {
    let function = format!(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = '{code}'; END $$;"
    );
    let triggers = FAILING.map(|table| {
        format!(
            "CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON {table}
             FOR EACH STATEMENT EXECUTE FUNCTION fail();"
        )
    });
    run(server, &(function + &triggers.concat()));
}

#[test]
fn a_database_whose_disk_is_full_or_broken_refuses_writes_and_goes_on_when_that_is_over() {
    let server = TestServer::start();
    let (dav, api) = (server.admin(), Api::admin(&server));
    let large = noise(1, 300_000);
    dav.put("/dav/documents/before", b"answered").expect(&[201]);
    for (nth, (code, status)) in [("53100", 507), ("58030", 503)].into_iter().enumerate() {
        fail(&server, code);
        for bytes in [&b"small"[..], &large] {
            let refused = dav.put("/dav/documents/new", bytes).expect(&[status]);
            let later = refused.header("retry-after").is_some();
            assert_eq!(later, status == 503, "{refused}");
        }
        let before = dav.put("/dav/documents/before", b"other");
        before.expect(&[status]);
        let refused = api.post("files/mkdir", &serde_json::json!({"path": "/documents/d"}));
        assert_eq!(refused.status, status, "{refused}");
        let kept = dav.get("/dav/documents/before").expect(&[200]);
        assert_eq!(kept.body, b"answered");
        dav.get("/dav/documents/new").expect(&[404]);

        run(&server, "DROP FUNCTION fail() CASCADE;");
        let path = format!("/dav/documents/{nth}");
        dav.put(&path, &large).expect(&[201]);
        assert_same(&dav.get(&path).expect(&[200]).body, &large, "after it");
    }
    assert_eq!(dav.names("/dav/documents/"), ["0", "1", "before"]);
}

#[test]
fn a_database_that_stands_still_is_waited_for() {
    let (server, proxy) = behind_a_proxy();
    let answered = write_while(&server, 40, || {
        thread::sleep(Duration::from_millis(100));
        proxy.stand_still();
        thread::sleep(Duration::from_millis(1500));
        proxy.mend();
    });
    assert_eq!(answered.len(), 160, "nothing was refused");
    check(&server, &answered);
}

#[test]
fn what_was_answered_outlives_crashes_of_the_database() {
    let mut database = postgres::Own::start();
    let server = Setup::default()
        .env("SYNC_DB_PATH", database.address())
        .start();
    let answered = write_while(&server, 60, || {
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(300));
            database.crash();
            comes_back(&server.anonymous());
        }
    });
    let there = check(&server, &answered);
    println!(
        "3 crashes, {} files answered, {there} there",
        answered.len()
    );
}
