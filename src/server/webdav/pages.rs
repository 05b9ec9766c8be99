//! Walks the children of a collection page by page, holding one page at a time.

use crate::tree::{Lock, Node, Page, Property, Result, Tree, With};

use super::quirks::{AppleFiles, is_apple_file};

/// A collection being walked.
pub(crate) struct Pages {
    tree: Tree,
    of: Node,
    with: With,
    apple: AppleFiles,
    page: Page,
    at: usize,
}

/// One child, with what was asked for beside it.
pub(crate) struct Child<'a> {
    /// The node.
    pub(crate) node: &'a Node,
    /// Its dead properties.
    pub(crate) dead: &'a [Property],
    /// Locks on it.
    pub(crate) locks: &'a [Lock],
}

impl Pages {
    /// Reads the first page, so that a failing store is noticed before anything is sent.
    pub(crate) async fn open(tree: Tree, of: Node, with: With, apple: AppleFiles) -> Result<Self> {
        let page = tree.list(&of, with, None).await?;
        Ok(Self {
            tree,
            of,
            with,
            apple,
            page,
            at: 0,
        })
    }

    /// Makes the next child available; `false` at the end.
    pub(crate) async fn advance(&mut self) -> Result<bool> {
        loop {
            if self.at < self.page.nodes.len() {
                self.at += 1;
                let name = &self.page.nodes[self.at - 1].name;
                if self.apple == AppleFiles::Keep || !is_apple_file(name) {
                    return Ok(true);
                }
                continue;
            }
            let Some(end) = self.page.next.take() else {
                return Ok(false);
            };
            self.page = self.tree.list(&self.of, self.with, Some(end)).await?;
            self.at = 0;
        }
    }

    /// The child that [`Self::advance`] has made available.
    pub(crate) fn current(&self) -> Child<'_> {
        let node = &self.page.nodes[self.at - 1];
        let dead = self.page.properties.get(&node.id);
        let locks = self.page.locks.get(&node.id);
        Child {
            node,
            dead: dead.map_or(&[], Vec::as_slice),
            locks: locks.map_or(&[], Vec::as_slice),
        }
    }
}
