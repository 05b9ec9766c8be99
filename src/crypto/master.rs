//! The key that wraps all others, and the text file it lies in.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::aead::{self, KEY_LEN, NONCE_LEN, Reference, TAG_LEN};
use super::{Error, SpaceKey, random};
use crate::types::SpaceId;

/// What the line in a key file begins with; the digit is the version of the form.
const FILE_PREFIX: &str = "sync-server-key-1:";
/// Largest key file read, in bytes: the line is 62 long, a comment-happy editor gets some room.
const FILE_MAX: u64 = 256;
/// First byte of a wrapped key.
const WRAP_VERSION: u8 = 1;
/// Bytes of a wrapped key: version ‖ nonce ‖ ciphertext ‖ tag.
const WRAPPED_LEN: usize = 1 + NONCE_LEN + KEY_LEN + TAG_LEN;

/// The key that wraps all others. Kept outside the data folder; losing it loses everything.
#[derive(ZeroizeOnDrop)]
pub struct MasterKey([u8; KEY_LEN]);

/// What a wrapped key is for. One is never taken for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapped {
    /// The key of a space.
    Space,
    /// A key that seals what is stored in a space.
    Seal,
}

impl Wrapped {
    fn aad(self, space: SpaceId) -> Vec<u8> {
        let what: &[u8] = match self {
            Self::Space => b"space key",
            Self::Seal => b"seal key",
        };
        [what, &space.0.to_be_bytes()].concat()
    }
}

/// Whether the key was there or has just been made (then the operator is told to copy it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Read from the file.
    Found,
    /// Made now.
    Created,
}

impl MasterKey {
    /// Reads the key file, or makes it (mode 0400, fsynced with its folder) when missing.
    pub fn load_or_create(path: &Path) -> Result<(Self, Origin), Error> {
        if let Some(key) = Self::load(path)? {
            return Ok((key, Origin::Found));
        }
        let key = Self::generate()?;
        if key.save(path).map_err(at(path))? {
            return Ok((key, Origin::Created));
        }
        // Somebody else made one in between; theirs counts.
        let Some(key) = Self::load(path)? else {
            return Err(at(path)(io::ErrorKind::NotFound.into()));
        };
        Ok((key, Origin::Found))
    }

    /// Waits until the key in a file is on the disk, whoever put it there.
    pub fn make_durable(path: &Path) -> Result<(), Error> {
        let synced = File::open(path).and_then(|file| file.sync_all());
        let synced = synced.and_then(|()| File::open(folder_of(path))?.sync_all());
        synced.map_err(at(path))
    }

    /// A fresh random key, for tests and for creation.
    pub fn generate() -> Result<Self, Error> {
        Ok(Self(random()?))
    }

    /// Seals a key of a space: version ‖ nonce ‖ ciphertext ‖ tag, bound to the space and its purpose.
    pub fn wrap(&self, what: Wrapped, space: SpaceId, key: &SpaceKey) -> Result<Vec<u8>, Error> {
        let nonce: aead::Nonce = random()?;
        let mut text = Zeroizing::new(*key.bytes());
        let tag = Reference::new(&self.0).seal(&nonce, &what.aad(space), &mut text[..])?;
        Ok([&[WRAP_VERSION][..], &nonce, &text[..], &tag].concat())
    }

    /// Opens what [`Self::wrap`] made.
    pub fn unwrap(&self, what: Wrapped, space: SpaceId, wrapped: &[u8]) -> Result<SpaceKey, Error> {
        let (&version, rest) = wrapped.split_first().ok_or(Error::Sealed)?;
        if version != WRAP_VERSION || wrapped.len() != WRAPPED_LEN {
            return Err(Error::Sealed);
        }
        let (nonce, rest) = rest.split_first_chunk().ok_or(Error::Sealed)?;
        let (text, tag) = rest.split_first_chunk().ok_or(Error::Sealed)?;
        let tag = tag.try_into().map_err(|_length| Error::Sealed)?;
        let mut key = Zeroizing::new(*text);
        Reference::new(&self.0).open(nonce, &what.aad(space), &mut key[..], tag)?;
        Ok(SpaceKey::from_bytes(*key))
    }

    /// Seals for `new` what this key sealed. What comes out is opened and compared before it is returned.
    pub fn rewrap(
        &self,
        new: &Self,
        what: Wrapped,
        space: SpaceId,
        wrapped: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let key = self.unwrap(what, space, wrapped)?;
        let again = new.wrap(what, space, &key)?;
        if new.unwrap(what, space, &again)?.bytes() != key.bytes() {
            return Err(Error::Sealed);
        }
        Ok(again)
    }

    /// A short public name of the key (first 8 bytes of a keyed hash), to say *which* key is wrong.
    pub fn fingerprint(&self) -> [u8; 8] {
        let hash = blake3::keyed_hash(&self.0, b"sync-server master key fingerprint");
        std::array::from_fn(|at| hash.as_bytes()[at])
    }

    /// The fingerprint as people and the database have it: 16 hexadecimal digits.
    pub fn name(&self) -> String {
        format!("{:016x}", u64::from_be_bytes(self.fingerprint()))
    }

    /// The key that signs access tokens, derived from this one.
    pub fn token_key(&self) -> Zeroizing<[u8; KEY_LEN]> {
        self.derive(b"sync-server access tokens")
    }

    /// The key that hashes pairing codes, derived from this one.
    pub fn code_key(&self) -> Zeroizing<[u8; KEY_LEN]> {
        self.derive(b"sync-server pairing codes")
    }

    /// A key for one purpose; none of them tells anything of another or of this one.
    pub(super) fn derive(&self, purpose: &[u8]) -> Zeroizing<[u8; KEY_LEN]> {
        Zeroizing::new(blake3::keyed_hash(&self.0, purpose).into())
    }

    /// The key in the file; `None` when there is no file.
    pub fn load(path: &Path) -> Result<Option<Self>, Error> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(path)(error)),
        };
        let mut text = Zeroizing::new(Vec::new());
        file.take(FILE_MAX + 1)
            .read_to_end(&mut text)
            .map_err(at(path))?;
        let is_whole = text.len() as u64 <= FILE_MAX;
        let key = is_whole.then(|| parse(&text)).flatten();
        let key = key.ok_or_else(|| Error::Format {
            path: path.to_owned(),
        })?;
        Ok(Some(key))
    }

    /// Puts the key into a new file; `false` when there is one already, which stays as it is.
    fn save(&self, path: &Path) -> io::Result<bool> {
        let folder = folder_of(path);
        fs::create_dir_all(folder)?;
        let temporary = temporary_beside(path)?;
        let linked = self
            .write_new(&temporary)
            .and_then(|()| fs::hard_link(&temporary, path));
        // Either it has its final name now or it is of no use.
        drop(fs::remove_file(&temporary));
        let made = match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            // File systems without hard links (vfat, some network shares): made in place instead.
            // A crash half way leaves a file that is no key, and nothing was sealed with it yet.
            Err(_no_links) => self.write_new(path),
            Ok(()) => Ok(()),
        };
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            other => other?,
        }
        File::open(folder)?.sync_all()?;
        Ok(true)
    }

    /// Makes the file, never replacing one, and waits until its bytes are on the disk.
    fn write_new(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(path)?;
        let code = Zeroizing::new(BASE64.encode(self.0));
        let line = Zeroizing::new(format!("{FILE_PREFIX}{}\n", *code));
        file.write_all(line.as_bytes())?;
        file.sync_all()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(redacted)")
    }
}

fn parse(text: &[u8]) -> Option<MasterKey> {
    let line = std::str::from_utf8(text).ok()?.trim_ascii_end();
    let code = line.strip_prefix(FILE_PREFIX)?;
    let bytes = Zeroizing::new(BASE64.decode(code).ok()?);
    Some(MasterKey(bytes.as_slice().try_into().ok()?))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A name beside `path` that nobody has.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    let number = getrandom::u64().map_err(|_unavailable| io::Error::other("no random bytes"))?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{number:016x}.new"));
    Ok(path.with_file_name(name))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SPACE: SpaceId = SpaceId(7);
    const KIND: Wrapped = Wrapped::Space;

    #[test]
    fn a_missing_key_is_made_once_and_found_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config").join("master.key");
        let (made, origin) = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(origin, Origin::Created);
        let (found, origin) = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(origin, Origin::Found);
        assert_eq!(made.fingerprint(), found.fingerprint());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o400
        );
        // No temporary file stays behind.
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn an_existing_key_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let (first, _) = MasterKey::load_or_create(&path).unwrap();
        assert!(!MasterKey::generate().unwrap().save(&path).unwrap());
        let kept = MasterKey::load(&path).unwrap().unwrap();
        assert_eq!(kept.fingerprint(), first.fingerprint());
    }

    #[test]
    fn a_line_end_more_or_less_does_not_matter_but_anything_else_does() {
        let key = MasterKey([9; 32]);
        let line = format!("{FILE_PREFIX}{}", BASE64.encode([9; 32]));
        for text in [line.clone(), format!("{line}\n"), format!("{line}\r\n")] {
            assert_eq!(
                parse(text.as_bytes()).unwrap().fingerprint(),
                key.fingerprint()
            );
        }
        let short = format!("{FILE_PREFIX}{}", BASE64.encode([9; 31]));
        for text in [
            "",
            "\n",
            "sync-server-key-1:",
            "sync-server-key-2:AAAA",
            &line[1..],
            &short,
        ] {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let key = &MasterKey::generate().unwrap();
        key.write_new(&path).unwrap();
        let line = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let blank = "\n".repeat(256);
        for text in [
            "hello",
            &format!("{line}{blank}"),
            &format!("{line}{blank}x"),
        ] {
            fs::write(&path, text).unwrap();
            let read = MasterKey::load_or_create(&path);
            assert!(matches!(read, Err(Error::Format { .. })), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_wrapped_key_opens_only_with_its_master_and_its_space() {
        let master = MasterKey::generate().unwrap();
        let key = SpaceKey::generate().unwrap();
        let wrapped = master.wrap(KIND, SPACE, &key).unwrap();
        assert_eq!(
            master.unwrap(KIND, SPACE, &wrapped).unwrap().bytes(),
            key.bytes()
        );
        assert!(master.unwrap(Wrapped::Seal, SPACE, &wrapped).is_err());
        assert!(matches!(
            master.unwrap(KIND, SpaceId(8), &wrapped),
            Err(Error::Sealed)
        ));
        assert!(
            MasterKey::generate()
                .unwrap()
                .unwrap(KIND, SPACE, &wrapped)
                .is_err()
        );
        for at in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 0x40;
            assert!(master.unwrap(KIND, SPACE, &changed).is_err(), "byte {at}");
            assert!(
                master.unwrap(KIND, SPACE, &wrapped[..at]).is_err(),
                "cut at {at}"
            );
        }
    }

    #[test]
    fn a_key_is_wrapped_anew_only_by_whoever_can_open_it() {
        let (old, new) = (MasterKey([9; 32]), MasterKey([8; 32]));
        let key = SpaceKey::generate().unwrap();
        let wrapped = old.wrap(KIND, SPACE, &key).unwrap();
        let again = old.rewrap(&new, KIND, SPACE, &wrapped).unwrap();
        assert_eq!(
            new.unwrap(KIND, SPACE, &again).unwrap().bytes(),
            key.bytes()
        );
        assert!(old.unwrap(KIND, SPACE, &again).is_err());
        assert!(new.rewrap(&old, KIND, SPACE, &wrapped).is_err());
        assert!(old.rewrap(&new, KIND, SpaceId(8), &wrapped).is_err());
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_by_master() {
        let (one, other) = (MasterKey([9; 32]), MasterKey([8; 32]));
        assert_eq!(one.token_key(), MasterKey([9; 32]).token_key());
        assert_ne!(one.token_key(), one.code_key());
        assert_ne!(one.token_key(), other.token_key());
        assert_ne!(one.code_key(), other.code_key());
        assert_ne!(one.token_key()[..8], one.fingerprint());
    }

    #[test]
    fn debug_output_says_nothing_of_the_key() {
        assert_eq!(format!("{:?}", MasterKey([9; 32])), "MasterKey(redacted)");
    }
}
