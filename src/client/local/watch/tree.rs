//! Which directory a watch belongs to. A watch stays with its directory when that moves, so each knows only its own
//! name and the watch of the one above.

use std::collections::HashMap;

/// The watched directories; some 100 bytes for each.
#[derive(Default)]
pub(super) struct Watched {
    dirs: HashMap<i32, Place>,
    root: Option<i32>,
}

struct Place {
    above: i32,
    name: Box<str>,
}

impl Watched {
    /// How many.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.dirs.len()
    }

    /// A directory in another one, or the root.
    pub(super) fn add(&mut self, wd: i32, above: i32, path: &str) {
        if path.is_empty() {
            self.root = Some(wd);
        }
        let name = super::split(path).1.into();
        self.dirs.insert(wd, Place { above, name });
    }

    /// A directory has moved.
    pub(super) fn put(&mut self, wd: i32, above: i32, name: &str) {
        if let Some(place) = self.dirs.get_mut(&wd) {
            *place = Place {
                above,
                name: name.into(),
            };
        }
    }

    pub(super) fn remove(&mut self, wd: i32) {
        self.dirs.remove(&wd);
    }

    /// The path of a directory; none when it, or one above, is not watched any more.
    pub(super) fn path(&self, wd: i32) -> Option<String> {
        let mut names: Vec<&str> = Vec::new();
        let mut at = wd;
        while Some(at) != self.root {
            let place = self.dirs.get(&at)?;
            // Two that lie in each other come from events that were missed.
            if names.len() > crate::types::MAX_DEPTH {
                return None;
            }
            names.push(&place.name);
            at = place.above;
        }
        names.reverse();
        Some(names.join("/"))
    }

    /// The watch of a name in a directory. Looks at all of them, for this is rarely asked.
    pub(super) fn find(&self, above: i32, name: &str) -> Option<i32> {
        let mut all = self.dirs.iter();
        all.find(|(wd, place)| {
            place.above == above && &*place.name == name && Some(**wd) != self.root
        })
        .map(|(wd, _)| *wd)
    }

    /// A directory and all below it.
    pub(super) fn below(&self, path: &str) -> Vec<(i32, String)> {
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let all = self
            .dirs
            .keys()
            .filter_map(|&wd| Some((wd, self.path(wd)?)));
        all.filter(|(_, at)| at == path || at.starts_with(&prefix))
            .collect()
    }

    /// The watch of a path.
    pub(super) fn at(&self, path: &str) -> Option<i32> {
        let names = path.split('/').filter(|name| !name.is_empty());
        names.fold(self.root, |at, name| self.find(at?, name))
    }
}
