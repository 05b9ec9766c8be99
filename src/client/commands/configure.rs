//! `sync-client configure`.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::Path;

use super::opened::{server, trust};
use super::{Error, say, say_json};
use crate::client::cli::Configure;
use crate::client::config::{self, Config, ConfigDir};
use crate::client::local::folder::{Folder, FolderError};
use crate::client::remote::{Place, Session, api::auth};

/// Longest password file that is read, in bytes.
const PASSWORD_MAX: u64 = 64 * 1024;

/// Logs in and writes the settings.
pub(super) async fn configure(dir: &ConfigDir, asked: &Configure, json: bool) -> Result<(), Error> {
    let before = match Config::load(dir) {
        Ok(config) => Some(config),
        Err(config::Error::Missing(_)) => None,
        Err(error) => return Err(error.into()),
    };
    dir.create()?;
    let _lock = dir.lock()?;
    let folder =
        std::path::absolute(&asked.sync_dir).map_err(|error| Error::Io("--sync-dir", error))?;
    let same = before
        .as_ref()
        .filter(|before| before.folder == folder && before.account == asked.user);
    if let Some(other) = before.as_ref().filter(|_| same.is_none()) {
        return Err(Error::Said(format!(
            "{} is set up for {} of {} already; use another --config-dir, or remove this one",
            dir.path().display(),
            other.folder.display(),
            other.account,
        )));
    }
    let device = asked.device_name.clone().unwrap_or_else(host_name);
    let server = server(
        &asked.server,
        &trust(asked.ca_file.as_deref(), asked.fingerprint.as_deref())?,
    )?;
    server.connect().await?;
    let tokens = match &asked.code {
        Some(code) => auth::register_by_code(&server, code, &device).await?,
        None => auth::register(&server, &asked.user, &password(asked)?, &device).await?,
    };
    if tokens.account.name != asked.user {
        return Err(Error::Said(format!(
            "the code is one of {}, not of {}",
            tokens.account.name, asked.user
        )));
    }
    let (secrets, said) = Place::choose(asked.secrets).await;
    let folder_id = match same {
        Some(before) => before.folder_id.clone(),
        None => mark(&folder)?,
    };
    let mut config = same
        .cloned()
        .unwrap_or_else(|| Config::new(folder, folder_id));
    config.server = asked.server.clone();
    config.account = asked.user.clone();
    config.device = device;
    config.secrets = secrets;
    config.ca_file = asked
        .ca_file
        .as_deref()
        .map(std::path::absolute)
        .transpose()
        .map_err(|error| Error::Io("--ca-file", error))?;
    config.fingerprint = asked.fingerprint.clone();
    Session::begin(server, Place::of(dir.path(), secrets), &tokens).await?;
    config.save(dir)?;
    if json {
        return say_json(&config);
    }
    if let Some(said) = said {
        say(&said)?;
    }
    say(&format!(
        "{} is kept in step with {} from now on, by `sync-client sync` or `sync-client daemon`",
        config.folder.display(),
        config.server
    ))
}

/// Makes the folder if need be, and marks it. One that was marked before, by settings that are lost, stays it.
fn mark(folder: &Path) -> Result<String, Error> {
    fs::create_dir_all(folder).map_err(|error| Error::Io("--sync-dir", error))?;
    match Folder::create(folder) {
        Err(FolderError::Taken(_)) => Ok(Folder::id_of(folder)?),
        made => Ok(made?),
    }
}

/// From the file, the environment, or whoever sits there.
fn password(asked: &Configure) -> Result<String, Error> {
    if let Some(file) = &asked.password_file {
        let about = fs::metadata(file).map_err(|error| Error::Io("--password-file", error))?;
        if about.len() > PASSWORD_MAX {
            return Err(Error::Said("--password-file is too long".to_owned()));
        }
        let text = fs::read_to_string(file).map_err(|error| Error::Io("--password-file", error))?;
        return Ok(text.lines().next().unwrap_or_default().to_owned());
    }
    if let Ok(password) = std::env::var("SYNC_PASSWORD") {
        return Ok(password);
    }
    if !io::stdin().is_terminal() {
        return Err(Error::Said(
            "the password is asked for on a terminal; or give --password-file or SYNC_PASSWORD"
                .to_owned(),
        ));
    }
    let prompt = format!("Password of {}: ", asked.user);
    rpassword::prompt_password(prompt).map_err(|error| Error::Io("the password", error))
}

fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.is_empty() {
        "linux".to_owned()
    } else {
        name
    }
}
