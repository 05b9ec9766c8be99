//! What the subcommands do: a few lines each around accounts and figures. They open the same store
//! as a running server and may run beside it.

mod cleanup;
mod conflicts;
mod disk_usage;
mod export;
mod fsck;
mod gc;
mod recover;
mod rekey;
mod scrub;

use std::io::{Write, stderr, stdout};

use super::cli::{Command, Device, PasswordSource, Quota, User};
use super::config::Config;
use super::error::Result;
use super::{healthcheck, password, serve, startup};
use crate::accounts::{DeviceKind, NewAccount, PairingCode};
use crate::jobs::reseal;
use crate::store::meta::totals;
use crate::types::{Clock, DeviceId};
use startup::Opened;

/// Runs one command to its end.
pub async fn run(command: Command, config: Config) -> Result<()> {
    let text = match command {
        Command::Serve => return serve(config).await,
        Command::Healthcheck => return healthcheck::ask(&config),
        Command::User(command) => user(command, &config).await?,
        Command::Device(command) => device(command, &config).await?,
        Command::Status => status(&config).await?,
        Command::DiskUsage => disk_usage::report(&config).await?,
        Command::Conflicts => conflicts::list(&config).await?,
        Command::Cleanup(what) => cleanup::run(what, &config).await?,
        Command::Export(what) => return export::run(what, &config).await,
        Command::Rekey(what) => rekey::run(&what, &config).await?,
        Command::Gc { grace } => gc::run(&config, grace).await?,
        Command::Recover => recover::run(&config).await?,
        Command::Fsck(what) => fsck::run(what, &config).await?,
        Command::Scrub(what) => scrub::run(what, &config).await?,
    };
    stdout().write_all(text.as_bytes())?;
    Ok(())
}

async fn user(command: User, config: &Config) -> Result<String> {
    match command {
        User::Add {
            name,
            admin,
            quota,
            password,
        } => {
            let password = password::read(&password)?;
            let quota = quota.or(config.quota_default).map(|size| size.as_u64());
            let new = NewAccount {
                name: name.clone(),
                password,
                admin,
                quota,
            };
            let opened = open(config).await?;
            startup::add_account(&opened, new, &Clock::system()).await?;
            close(&opened, format!("made account {name}\n")).await
        }
        User::List => {
            let opened = open(config).await?;
            let accounts = opened.accounts.list().await?;
            let lines = accounts.iter().map(|account| {
                let role = if account.admin { "admin" } else { "user" };
                let (used, quota) = (size(account.used), account.quota.map_or("-".into(), size));
                format!(
                    "{}\t{role}\t{used}\t{quota}\t{}\n",
                    account.name, account.devices
                )
            });
            let table =
                "NAME\tROLE\tUSED\tQUOTA\tDEVICES\n".to_owned() + &lines.collect::<String>();
            close(&opened, table).await
        }
        User::Passwd { name, password } => set_password(config, &name, &password).await,
        User::Quota {
            name,
            quota: Quota(quota),
        } => {
            let opened = open(config).await?;
            opened.accounts.set_quota(&name, quota).await?;
            let quota = quota.map_or("no limit".into(), size);
            close(&opened, format!("quota of {name}: {quota}\n")).await
        }
        User::Remove { name } => {
            let opened = open(config).await?;
            opened.accounts.remove(&name).await?;
            close(&opened, format!("removed account {name}\n")).await
        }
    }
}

async fn set_password(config: &Config, name: &str, source: &PasswordSource) -> Result<String> {
    let password = password::read(source)?;
    let opened = open(config).await?;
    opened.accounts.set_password(name, &password).await?;
    close(&opened, format!("new password for {name}\n")).await
}

async fn device(command: Device, config: &Config) -> Result<String> {
    let opened = open(config).await?;
    let accounts = &opened.accounts;
    let text = match command {
        Device::Add { account, name } => {
            let account = accounts.find(&account).await?;
            let (id, secret) = accounts
                .device_add(account, &name, DeviceKind::Webdav)
                .await?;
            format!("device {id}, password {secret}\n")
        }
        Device::Pair { account } => {
            let account = accounts.find(&account).await?;
            let PairingCode { code, expires_in } = accounts.pairing_code(account, None).await?;
            format!("code {code}, good once for {} minutes\n", expires_in / 60)
        }
        Device::Confirm {
            account,
            code,
            name,
        } => {
            let account = accounts.find(&account).await?;
            let watch = accounts
                .watch_confirm(None, account, &code, name.as_deref())
                .await?;
            format!("device {}, {}\n", watch.id, watch.name)
        }
        Device::List { account } => {
            let account = accounts.find(&account).await?;
            let devices = accounts.device_list(account).await?;
            let lines = devices.iter().map(|device| {
                let state = if device.revoked.is_some() {
                    "revoked"
                } else {
                    "active"
                };
                format!(
                    "{}\t{state}\t{}\t{}\n",
                    device.id,
                    device.kind.as_str(),
                    device.name
                )
            });
            "ID\tSTATE\tTYPE\tNAME\n".to_owned() + &lines.collect::<String>()
        }
        Device::Revoke { account, id } => {
            let account = accounts.find(&account).await?;
            accounts.device_revoke(account, DeviceId(id)).await?;
            format!("revoked device {id}\n")
        }
    };
    close(&opened, text).await
}

async fn status(config: &Config) -> Result<String> {
    let running = startup::is_served(&config.data_path);
    let opened = open(config).await?;
    let totals = totals::totals(&mut *opened.store.meta.read().await?).await?;
    let text = format!(
        "version {}\nserver {}\ndatabase {}\ndata {}\naccounts {}\ndevices {}\nfiles {}\n\
         bytes {}\nversions {}\ntrashed {}\nconflicts {}\n",
        env!("CARGO_PKG_VERSION"),
        if running { "running" } else { "stopped" },
        config.db_path,
        config.data_path.display(),
        totals.accounts,
        totals.devices,
        totals.files,
        totals.bytes,
        totals.versions,
        totals.trashed,
        totals.conflicts,
    );
    let text = if reseal::under_way(&opened.store.meta).await? {
        text + "resealing under way\n"
    } else {
        text
    };
    close(&opened, text).await
}

async fn open(config: &Config) -> Result<Opened> {
    let opened = startup::open(config, Clock::system()).await?;
    let warning = startup::greeting(config, opened.key, None, "");
    stderr().write_all(warning.as_bytes())?;
    Ok(opened)
}

async fn close(opened: &Opened, text: String) -> Result<String> {
    opened.store.close().await;
    Ok(text)
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::accounts::Credentials;
    use crate::store::meta::testing;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn a_printed_code_lets_a_device_in_to_the_account() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            db_path: testing::database(&folder.path().join("db")),
            data_path: folder.path().join("data"),
            key_file: folder.path().join("config/master.key"),
            ..Config::default()
        };
        let opened = startup::open(&config, Clock::system()).await.unwrap();
        let clock = Clock::system();
        startup::first_account(&opened, &config, &clock)
            .await
            .unwrap();
        let account = "Admin".to_owned();

        let text = device(Device::Pair { account }, &config).await.unwrap();

        let code = text.strip_prefix("code ").unwrap();
        let (code, rest) = code.split_once(',').unwrap();
        assert_eq!(rest, " good once for 10 minutes\n");
        let (who, kind) = (Credentials::Code(code), DeviceKind::Linux);
        let made = opened.accounts.register(PEER, who, "laptop", kind).await;
        assert_eq!(made.unwrap().name, startup::FIRST_ACCOUNT);
        let account = "nobody".to_owned();
        assert!(device(Device::Pair { account }, &config).await.is_err());
        opened.store.close().await;
    }
}
