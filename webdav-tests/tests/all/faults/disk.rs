//! The tables: what fails, and what clients are told meanwhile.

use webdav_tests::faults::call::{CREATE, OPEN, READ, SYNC, TRUNCATE, WRITE};
use webdav_tests::faults::class::{DB, DB_FOLDER, SEG, SEG_FOLDER, SHM, WAL};
use webdav_tests::faults::{Fault, Faults, How};

use super::world::{Cell, World};

const NONE: &[u16] = &[];
const LATER: &[u16] = &[503];
const FULL: &[u16] = &[507];

/// A cell whose fault begins beside writers that are busy.
const fn cell(
    name: &'static str,
    classes: u32,
    calls: u32,
    how: How,
    writes: &'static [u16],
) -> Cell {
    let fault = Fault {
        classes,
        calls,
        how,
        evict: false,
    };
    Cell {
        name,
        fault,
        at_once: false,
        writes,
        reads: NONE,
        shows_in_reads: false,
        degraded: false,
    }
}

/// The page cache forgets at once what a sync did not write.
const fn evicting(cell: Cell) -> Cell {
    let fault = Fault {
        evict: true,
        ..cell.fault
    };
    Cell { fault, ..cell }
}

const fn at_once(cell: Cell) -> Cell {
    Cell {
        at_once: true,
        ..cell
    }
}

const fn reading(cell: Cell, reads: &'static [u16]) -> Cell {
    Cell {
        reads,
        shows_in_reads: true,
        ..cell
    }
}

/// The database is in doubt meanwhile. A part of its log may have been copied while somebody read, and no sync come after
/// it: then what is read may not be on the disk, and nothing is told until it is.
const fn degraded(cell: Cell) -> Cell {
    Cell {
        degraded: true,
        reads: LATER,
        ..cell
    }
}

const FOLDERS: u32 = SEG | SEG_FOLDER;

const SEGMENTS: [Cell; 15] = [
    cell("write a segment, ENOSPC", SEG, WRITE, How::Full, FULL),
    cell("write a segment, EIO", SEG, WRITE, How::Broken, LATER),
    cell("write a segment, short", SEG, WRITE, How::Torn, LATER),
    cell("write a segment, stall", SEG, WRITE, How::Stalls(700), NONE),
    cell("sync a segment, EIO", SEG, SYNC, How::Broken, LATER),
    evicting(cell(
        "sync a segment, EIO, forgotten",
        SEG,
        SYNC,
        How::Broken,
        LATER,
    )),
    cell("sync a segment, ENOSPC", SEG, SYNC, How::Full, FULL),
    cell("sync a segment, stall", SEG, SYNC, How::Stalls(700), NONE),
    at_once(cell(
        "sync its folder, EIO",
        SEG_FOLDER,
        SYNC,
        How::Broken,
        LATER,
    )),
    at_once(cell(
        "make a segment, ENOSPC",
        FOLDERS,
        CREATE,
        How::Full,
        FULL,
    )),
    at_once(cell(
        "make a segment, EIO",
        FOLDERS,
        CREATE,
        How::Broken,
        LATER,
    )),
    at_once(cell(
        "make a segment, EMFILE",
        FOLDERS,
        CREATE,
        How::Crowded,
        LATER,
    )),
    reading(
        cell("read a segment, EIO", SEG, READ, How::Broken, NONE),
        &[500],
    ),
    reading(
        at_once(cell(
            "open a segment, EMFILE",
            SEG,
            OPEN,
            How::Crowded,
            NONE,
        )),
        LATER,
    ),
    cell("read a segment, stall", SEG, READ, How::Stalls(700), NONE),
];

const LOG: [Cell; 9] = [
    cell("write the log, ENOSPC", WAL, WRITE, How::Full, FULL),
    degraded(cell("write the log, EIO", WAL, WRITE, How::Broken, LATER)),
    degraded(cell("write the log, short", WAL, WRITE, How::Torn, LATER)),
    cell("write the log, stall", WAL, WRITE, How::Stalls(700), NONE),
    degraded(cell("sync the log, EIO", WAL, SYNC, How::Broken, LATER)),
    degraded(evicting(cell(
        "sync the log, EIO, forgotten",
        WAL,
        SYNC,
        How::Broken,
        LATER,
    ))),
    degraded(cell("sync the log, ENOSPC", WAL, SYNC, How::Full, LATER)),
    cell("sync the log, stall", WAL, SYNC, How::Stalls(700), NONE),
    degraded(cell(
        "cut the log, EIO",
        WAL,
        TRUNCATE | SYNC,
        How::Broken,
        LATER,
    )),
];

const DATABASE: [Cell; 8] = [
    cell("write the database, ENOSPC", DB, WRITE, How::Full, NONE),
    degraded(cell(
        "write the database, EIO",
        DB,
        WRITE,
        How::Broken,
        LATER,
    )),
    degraded(cell(
        "write the database, short",
        DB,
        WRITE,
        How::Torn,
        LATER,
    )),
    cell(
        "write the database, stall",
        DB,
        WRITE,
        How::Stalls(700),
        NONE,
    ),
    degraded(cell("sync the database, EIO", DB, SYNC, How::Broken, LATER)),
    degraded(evicting(cell(
        "sync the database, EIO, forgotten",
        DB,
        SYNC,
        How::Broken,
        LATER,
    ))),
    cell("sync the database, stall", DB, SYNC, How::Stalls(700), NONE),
    reading(
        cell("read the database, EIO", DB | WAL, READ, How::Broken, LATER),
        LATER,
    ),
];

fn live_through(what: &str, cells: &[Cell]) {
    let rounds = if crate::long() { 10 } else { 1 };
    let mut world = World::new();
    for _ in 0..rounds {
        for cell in cells {
            world.live_through(cell);
        }
    }
    // Reads go on as a rule.
    assert!(world.figures.read_meanwhile > 100, "{:?}", world.figures);
    world.figures.print(what);
}

#[test]
fn segments_that_fail_lose_nothing_answered() {
    live_through("segments", &SEGMENTS);
}

#[test]
fn a_log_of_the_database_that_fails_loses_nothing_answered() {
    live_through("log of the database", &LOG);
}

#[test]
fn a_file_of_the_database_that_fails_loses_nothing_answered() {
    live_through("file of the database", &DATABASE);
}

#[test]
fn a_folder_of_the_database_that_cannot_be_synced_stops_the_start() {
    let faults = Faults::new();
    let mut server = faults.setup().start();
    server.admin().put("/dav/a", b"x").expect(&[201]);
    assert!(server.stop().success());
    faults.begin(Fault {
        classes: DB_FOLDER,
        calls: SYNC,
        how: How::Broken,
        evict: false,
    });
    let said = server.refuses_to_start();
    assert!(said.contains("folder of the database"), "{said}");
    faults.end();
    server.start_again();
    assert_eq!(server.admin().get("/dav/a").body, b"x");
}

#[test]
fn a_database_that_cannot_be_opened_for_too_many_files_is_named_and_disturbs_nobody() {
    let faults = Faults::new();
    let server = faults.setup().start();
    let dav = server.admin();
    dav.put("/dav/a", b"x").expect(&[201]);
    faults.begin(Fault {
        classes: DB | WAL | SHM,
        calls: OPEN | CREATE,
        how: How::Crowded,
        evict: false,
    });
    let refused = server.cli(&["user", "list"], "");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("unable to open database"), "{said}");
    assert!(faults.hits() > 0);
    dav.put("/dav/a", b"y").expect(&[204, 503]);
    faults.end();
    server.cli_ok(&["user", "list"], "");
    dav.put("/dav/a", b"z").expect(&[204]);
    assert_eq!(dav.get("/dav/a").body, b"z");
}
