//! `sync-client conflicts`.

use super::opened::session;
use super::{Error, say, say_json};
use crate::client::config::{Config, ConfigDir};
use crate::client::resolve::act::all;
use crate::client::show::time;
use crate::protocol::files::Node;

/// Shows the conflicts that nobody has resolved.
pub(super) async fn list(dir: &ConfigDir, json: bool) -> Result<(), Error> {
    let config = Config::load(dir)?;
    let session = session(dir, &config).await?;
    let conflicts = all(&session).await?;
    if json {
        return say_json(&conflicts);
    }
    if conflicts.is_empty() {
        return say("no conflicts");
    }
    for conflict in &conflicts {
        let (node, copy) = (path(conflict.node.as_ref()), path(conflict.copy.as_ref()));
        let at = time(conflict.at);
        say(&format!(
            "{}  {at}  {node}\n      kept beside it: {copy}",
            conflict.id
        ))?;
    }
    Ok(())
}

/// The path of a file of a conflict.
pub(super) fn path(node: Option<&Node>) -> &str {
    node.map_or("(deleted)", |node| &node.path)
}
