//! The layers, the sample file and what is said about mistakes.

use super::*;

const SAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/config.yaml"));

fn environment(pairs: &[(&str, &str)]) -> Result<Config, Error> {
    let pairs = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::extract(&Figment::new().merge(Environment::read(pairs)))
}

fn yaml(text: &str) -> Result<Config, Error> {
    Config::extract(&Figment::new().merge(Yaml::string(text)))
}

#[test]
fn the_sample_file_says_what_the_defaults_are() {
    assert_eq!(yaml(SAMPLE).unwrap(), Config::default());
}

#[test]
fn the_sample_file_names_every_key() {
    let debug = format!("{:#?}", Config::default());
    for line in debug.lines() {
        let Some((key, _)) = line.trim().split_once(": ") else {
            continue;
        };
        assert!(
            SAMPLE.contains(&format!("{key}:")),
            "config.yaml lacks `{key}`"
        );
    }
}

#[test]
fn an_unknown_key_is_named_with_its_place() {
    let error = yaml("versions:\n  kep: 3\n").unwrap_err().to_string();
    assert!(
        error.contains("`kep`") && error.contains("versions"),
        "{error}"
    );
    let error = environment(&[("SYNC_PROT", "1")]).unwrap_err().to_string();
    assert!(error.contains("SYNC_PROT"), "{error}");
    let error = environment(&[("SYNC_TRASH__KEP", "1")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("SYNC_TRASH__KEP"), "{error}");
}

#[test]
fn a_wrong_value_is_named_with_its_place() {
    let error = environment(&[("SYNC_PORT", "tcp://10.0.0.1:80")])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("SYNC_PORT") && error.contains("enableServiceLinks"),
        "{error}"
    );
    let error = yaml("trash: { keep: soon }").unwrap_err().to_string();
    assert!(error.contains("trash.keep"), "{error}");
}

#[test]
fn every_environment_name_of_the_contract_works() {
    let config = environment(&[
        ("SYNC_BIND", "0.0.0.0"),
        ("SYNC_PORT", "0"),
        ("SYNC_DB_PATH", "/x/sync.db"),
        ("SYNC_DATA_PATH", "/x/data"),
        ("SYNC_LOG_LEVEL", "debug"),
        ("SYNC_LOG_FORMAT", "json"),
        ("SYNC_KEY_FILE", "/x/key"),
        ("SYNC_ADMIN_PASSWORD", "0123"),
        ("SYNC_QUOTA_DEFAULT", "5 GiB"),
        ("SYNC_TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1,::1"),
        ("SYNC_METRICS_TOKEN", "true"),
        ("SYNC_TLS_CERT", "/x/cert.pem"),
        ("SYNC_TLS_KEY", "/x/key.pem"),
        ("SYNC_TLS__MIN_VERSION", "1.3"),
        ("SYNC_HTTP__IDLE_TIMEOUT", "1m 30s"),
        ("SYNC_HTTP__CONNECTIONS_MAX", "7"),
        ("SYNC_VERSIONS__KEEP", "20"),
        ("SYNC_TRASH__KEEP", "7days"),
        ("SYNC_ACTIVITY__KEEP", "1y"),
        ("SYNC_FEED__KEEP", "30d"),
        ("SYNC_JOBS__START_AFTER", "0s"),
        ("SYNC_WEBDAV__APPLE_FILES", "hide"),
        ("SYNC_WEBDAV__OWN_HOSTS", "a.example,b.example"),
    ])
    .unwrap();
    assert_eq!(config.bind.to_string(), "0.0.0.0");
    assert_eq!((config.port, config.log_format), (0, LogFormat::Json));
    assert_eq!(config.db_path, Database::File("/x/sync.db".into()));
    assert_eq!(config.data_path, Path::new("/x/data"));
    assert_eq!(config.admin_password, Some(Secret::new("0123")));
    assert_eq!(config.metrics_token, Some(Secret::new("true")));
    assert_eq!(config.quota_default, Some(ByteSize::gib(5)));
    assert_eq!(config.trusted_proxies.len(), 3);
    assert_eq!(config.tls.cert.as_deref(), Some(Path::new("/x/cert.pem")));
    assert_eq!(config.tls.min_version, TlsVersion::V1_3);
    assert_eq!(config.http.idle_timeout, Duration::from_secs(90));
    assert_eq!((config.http.connections_max, config.versions.keep), (7, 20));
    assert_eq!(config.trash.keep, Duration::from_hours(7 * 24));
    assert_eq!(config.activity.keep, Duration::from_hours(8766));
    assert_eq!(config.feed.keep, Duration::from_hours(30 * 24));
    assert_eq!(config.jobs.start_after, Duration::ZERO);
    assert_eq!(config.webdav.apple_files, AppleFiles::Hide);
    assert_eq!(config.webdav.own_hosts, ["a.example", "b.example"]);
}

#[test]
fn flags_win_over_environment_and_environment_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    std::fs::write(&file, "port: 1\nlog_level: warn\nkey_file: /file\n").unwrap();
    let pairs = [("SYNC_PORT", "2"), ("SYNC_LOG_LEVEL", "debug")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let flags = Flags {
        port: Some(3),
        ..Flags::default()
    };
    let config = Config::load(Some(&file), pairs.into_iter(), &flags).unwrap();
    assert_eq!((config.port, config.log_level.as_str()), (3, "debug"));
    assert_eq!(config.key_file, Path::new("/file"));
}

#[test]
fn an_address_of_postgresql_is_read_and_shown_without_its_password() {
    let config = environment(&[("SYNC_DB_PATH", "postgres://me:secret@db/sync")]).unwrap();
    let address = "postgres://me:secret@db/sync".to_owned();
    assert_eq!(config.db_path, Database::Postgres(address));
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn a_named_file_must_exist() {
    let missing = Path::new("/nowhere/config.yaml");
    let loaded = Config::load(Some(missing), std::iter::empty(), &Flags::default());
    assert!(matches!(loaded, Err(Error::NoFile(_))));
}

#[test]
fn what_is_not_built_and_what_makes_no_sense_is_said() {
    let said = |text: &str| yaml(text).unwrap_err().to_string();
    assert!(said("data_path: s3://bucket/x").contains("S3 storage is not built yet"));
    assert!(said("tls: { cert: a.pem }").contains("both cert and key"));
    assert!(said("http: { connections_max: 0 }").contains("at least 1"));
    assert!(said("http: { idle_timeout: 0s }").contains("longer than zero"));
    assert!(said("versions: { keep: 3 }").contains("keep_always"));
    assert!(said("log_level: 'a=b=c'").contains("log_level"));
}

#[test]
fn an_empty_file_and_empty_variables_change_nothing() {
    assert_eq!(yaml("# nothing\n").unwrap(), Config::default());
    assert_eq!(
        environment(&[("SYNC_ADMIN_PASSWORD", "")]).unwrap(),
        Config::default()
    );
}

#[test]
fn secrets_are_not_printed() {
    let config = environment(&[("SYNC_ADMIN_PASSWORD", "hunter2")]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let error = yaml("admin_password: [hunter2]").unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}
