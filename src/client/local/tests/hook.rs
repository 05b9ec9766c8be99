//! Lets a test act in the middle of a change, on its own thread.

use std::cell::{Cell, RefCell};

use rustix::io::Errno;

type Act = Box<dyn FnMut()>;

thread_local! {
    static ACTS: RefCell<Vec<(&'static str, Act)>> = const { RefCell::new(Vec::new()) };
    static WATCHES: Cell<usize> = const { Cell::new(usize::MAX) };
    static PLAIN: Cell<bool> = const { Cell::new(false) };
}

/// Called where something could happen in between.
pub(in crate::client::local) fn reach(at: &str) {
    let act = ACTS.with_borrow_mut(|acts| {
        let found = acts.iter().position(|(name, _)| *name == at)?;
        Some(acts.remove(found).1)
    });
    if let Some(mut act) = act {
        act();
    }
}

/// Something that is to be done at a point. The test fails when that was not reached by the time this is dropped.
#[must_use]
pub(in crate::client) struct Waiting(&'static str);

impl Drop for Waiting {
    fn drop(&mut self) {
        let reached = ACTS.with_borrow(|acts| acts.iter().all(|(name, _)| *name != self.0));
        assert!(
            reached || std::thread::panicking(),
            "`{}` was not reached",
            self.0
        );
    }
}

/// Does something when this point is reached for the first time.
pub(in crate::client) fn once(at: &'static str, act: impl FnMut() + 'static) -> Waiting {
    ACTS.with_borrow_mut(|acts| acts.push((at, Box::new(act))));
    Waiting(at)
}

/// Whether the file system is to behave as one that cannot exchange names.
pub(in crate::client::local) fn is_plain() -> bool {
    PLAIN.get()
}

/// Makes it so, on this thread.
pub(super) fn set_plain(plain: bool) {
    PLAIN.set(plain);
}

/// Takes one of the watches that the system has.
pub(in crate::client::local) fn take_watch() -> Result<(), Errno> {
    let left = WATCHES.get().checked_sub(1).ok_or(Errno::NOSPC)?;
    WATCHES.set(left);
    Ok(())
}

/// How many watches the system has, for this thread.
pub(super) fn set_watches(watches: usize) {
    WATCHES.set(watches);
}
