//! One program for all targets (`sync_server::fuzzing`); `SYNC_FUZZ_TARGET` says which.

#![cfg_attr(all(feature = "run", fuzzing), no_main)]

#[cfg(all(feature = "run", fuzzing))]
mod run {
    use std::sync::LazyLock;

    /// The target that was asked for.
    static TARGET: LazyLock<sync_server::fuzzing::Target> = LazyLock::new(|| {
        let name = std::env::var("SYNC_FUZZ_TARGET").unwrap_or_default();
        let known = sync_server::fuzzing::TARGETS.iter();
        let mut found = known.filter(|(target, _)| *target == name);
        match found.next() {
            Some((_, target)) => *target,
            None => panic!("SYNC_FUZZ_TARGET: there is no target `{name}`"),
        }
    });

    libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));
}

#[cfg(not(all(feature = "run", fuzzing)))]
fn main() {
    eprintln!("fuzz/run.sh builds and runs the targets");
    std::process::exit(2);
}
