//! The steps by which bytes and rows get to the disk. Tests stop the world before any one of them, as a
//! kill or a power cut does: that step and all later ones fail. Elsewhere this is nothing at all.

use std::io;
use std::path::Path;

/// What is about to be done.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "only tests look at it"))]
pub(in crate::store) enum Step<'s> {
    /// A file is made.
    Create(&'s Path),
    /// Bytes go into it.
    Write,
    /// They are made durable.
    Sync,
    /// What a folder holds is changed or made durable.
    Folder,
    /// A file gets another name.
    Rename(&'s Path, &'s Path),
    /// A file goes.
    Unlink(&'s Path),
    /// A transaction begins.
    Begin,
    /// It is committed.
    Commit,
    /// Whoever waits for it is told.
    Answer,
}

/// To be called before each step.
#[cfg(not(test))]
#[inline]
#[expect(clippy::unnecessary_wraps, reason = "fails in tests")]
pub(in crate::store) fn at(_: Step<'_>) -> io::Result<()> {
    Ok(())
}

/// To be called when all bytes of a file were synced.
#[cfg(not(test))]
#[inline]
pub(in crate::store) fn synced(_: &Path) {}

/// To be called when the name of a file was synced.
#[cfg(not(test))]
#[inline]
pub(in crate::store) fn named(_: &Path) {}

#[cfg(test)]
pub(crate) use planned::{Loss, Plan};
#[cfg(test)]
pub(in crate::store) use planned::{at, named, synced};

#[cfg(test)]
mod planned {
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::fs::{self, File};
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex, MutexGuard};

    use super::{Path, Step, io};

    thread_local! {
        /// What the steps of this thread belong to.
        static FOLLOWED: RefCell<Option<Arc<Plan>>> = const { RefCell::new(None) };
    }

    /// What becomes of bytes that were written and not synced.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Loss {
        /// They stay: only the process went.
        Nothing,
        /// They go, and files with them whose names were not synced.
        Unsynced,
        /// Half of them become zeros.
        Torn,
    }

    /// Where one process, made of threads that follow it, ends.
    #[derive(Default)]
    pub(crate) struct Plan(Mutex<State>);

    #[derive(Default)]
    struct State {
        passed: u64,
        /// How many steps are left until the world stops.
        left: Option<u64>,
        /// Whether steps are left out before which the disk is as it was before the one before.
        thin: bool,
        answered: bool,
        stopped: Option<String>,
        files: HashMap<PathBuf, Kept>,
    }

    /// What a power cut leaves of a file that this process made.
    #[derive(Clone, Copy, Default)]
    struct Kept {
        synced: u64,
        named: bool,
    }

    impl Plan {
        /// Makes this thread follow it.
        pub(crate) fn follow(self: &Arc<Self>) {
            FOLLOWED.set(Some(Arc::clone(self)));
        }

        /// Stops the world when so many more steps were made.
        pub(crate) fn stop_after(&self, steps: u64) {
            self.state().left = Some(steps);
        }

        /// From now on does not count steps before which the disk is as it was before the one before.
        pub(crate) fn count_fewer(&self) {
            self.state().thin = true;
        }

        /// Before which step the world was stopped.
        pub(crate) fn stopped(&self) -> Option<String> {
            self.state().stopped.clone()
        }

        /// Whether the world stops some time.
        pub(crate) fn ends(&self) -> bool {
            self.state().left.is_some()
        }

        /// How many steps were made.
        pub(crate) fn passed(&self) -> u64 {
            self.state().passed
        }

        /// Whether a power cut would have taken anything.
        pub(crate) fn owes(&self) -> bool {
            let state = self.state();
            let owing = |(path, kept): (&PathBuf, &Kept)| {
                let len = fs::metadata(path).map_or(0, |data| data.len());
                !kept.named || len > kept.synced
            };
            state.files.iter().any(owing)
        }

        /// Does to the files what the end of the process does to them. Nobody may follow it any more.
        pub(crate) fn lose(&self, loss: Loss) -> io::Result<()> {
            for (path, kept) in &self.state().files {
                let len = match fs::metadata(path) {
                    Ok(data) => data.len(),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                };
                match loss {
                    Loss::Nothing => {}
                    Loss::Unsynced if !kept.named => fs::remove_file(path)?,
                    Loss::Unsynced => cut(path, kept.synced)?,
                    Loss::Torn => {
                        cut(path, kept.synced + (len - kept.synced) / 2)?;
                        cut(path, len)?;
                    }
                }
            }
            Ok(())
        }

        fn pass(&self, step: Step<'_>) -> io::Result<()> {
            let mut state = self.state();
            let same =
                matches!(step, Step::Commit) || (state.answered && matches!(step, Step::Begin));
            let counts = !(state.thin && same);
            state.answered = matches!(step, Step::Answer);
            if state.stopped.is_none() && state.left == Some(0) && counts {
                let text = format!("{step:?}");
                let kind = text.split('(').next().unwrap_or_default();
                state.stopped = Some(kind.to_owned());
            }
            if state.stopped.is_some() {
                return Err(io::Error::other("the world has stopped"));
            }
            if counts {
                state.left = state.left.map(|left| left - 1);
                state.passed += 1;
            }
            let files = &mut state.files;
            if let Step::Create(path) = step {
                files.insert(path.to_owned(), Kept::default());
            } else if let Step::Unlink(path) = step {
                files.remove(path);
            } else if let Step::Rename(from, to) = step {
                let mut kept = files.remove(from).unwrap_or_default();
                kept.named = false;
                files.insert(to.to_owned(), kept);
            }
            Ok(())
        }

        fn state(&self) -> MutexGuard<'_, State> {
            self.0.lock().unwrap()
        }
    }

    fn cut(path: &Path, len: u64) -> io::Result<()> {
        File::options().write(true).open(path)?.set_len(len)
    }

    pub(in crate::store) fn at(step: Step<'_>) -> io::Result<()> {
        let plan = FOLLOWED.with_borrow(Clone::clone);
        plan.map_or(Ok(()), |plan| plan.pass(step))
    }

    pub(in crate::store) fn synced(path: &Path) {
        note(path, |kept| {
            kept.synced = fs::metadata(path).map_or(0, |data| data.len());
        });
    }

    pub(in crate::store) fn named(path: &Path) {
        note(path, |kept| kept.named = true);
    }

    fn note(path: &Path, how: impl FnOnce(&mut Kept)) {
        if let Some(plan) = FOLLOWED.with_borrow(Clone::clone)
            && let Some(kept) = plan.state().files.get_mut(path)
        {
            how(kept);
        }
    }

    #[test]
    fn what_was_not_synced_is_lost_and_nothing_gets_to_the_disk_after_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let plan = Arc::new(Plan::default());
        plan.follow();
        plan.stop_after(3);
        at(Step::Create(&file)).unwrap();
        at(Step::Write).unwrap();
        fs::write(&file, [1; 10]).unwrap();
        at(Step::Sync).unwrap();
        synced(&file);
        named(&file);
        fs::write(&file, [1; 30]).unwrap();

        assert!(at(Step::Begin).is_err() && at(Step::Answer).is_err());
        assert_eq!(plan.stopped().as_deref(), Some("Begin"));
        assert_eq!((plan.passed(), plan.owes()), (3, true));
        plan.lose(Loss::Torn).unwrap();
        assert_eq!(
            fs::read(&file).unwrap(),
            [[1; 10], [1; 10], [0; 10]].concat()
        );
        plan.lose(Loss::Unsynced).unwrap();
        assert_eq!(fs::read(&file).unwrap(), [1; 10]);
    }
}
