//! How commands reach a daemon at work: a socket in the folder of settings, one line of JSON each way.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::config::{self, ConfigDir};

/// Name of the socket.
const NAME: &str = "control.sock";
/// Longest line, in bytes.
const LINE_MAX: u64 = 64 * 1024;
/// Questions that wait for a daemon at work.
const QUEUE: usize = 4;
/// How long one side waits for the other.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a daemon is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// How it stands.
    Status,
    /// Look at both sides now.
    Sync,
    /// Look at both sides now and delete what is gone, whatever that is.
    SyncForced,
    /// Read the settings again.
    Reload,
}

/// What a daemon answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// What it does at this moment, in words.
    pub doing: String,
    /// Bytes per second to the server of late.
    pub up: u64,
    /// Bytes per second from the server of late.
    pub down: u64,
    /// Bytes to the server since it began.
    pub sent: u64,
    /// Bytes from the server since it began.
    pub received: u64,
    /// Whether the server can be reached.
    pub online: bool,
}

/// Asks the daemon that uses these settings; none when there is no daemon.
pub async fn ask(dir: &ConfigDir, ask: Ask) -> io::Result<Option<Live>> {
    let stream = match UnixStream::connect(dir.file(NAME)).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let talk = async {
        let mut stream = BufReader::new(stream.take(LINE_MAX));
        let mut line = serde_json::to_vec(&ask)?;
        line.push(b'\n');
        stream.get_mut().get_mut().write_all(&line).await?;
        let mut answer = String::new();
        stream.read_line(&mut answer).await?;
        Ok(Some(serde_json::from_str(&answer)?))
    };
    timeout(PATIENCE, talk)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// The socket of a daemon; it goes when this is dropped.
pub struct Listener {
    asked: Mutex<mpsc::Receiver<(Ask, Asker)>>,
    task: JoinHandle<()>,
    path: PathBuf,
}

impl Listener {
    /// Takes the place of one that a killed daemon left. The caller holds the lock of the folder.
    pub fn open(dir: &ConfigDir) -> io::Result<Self> {
        let path = dir.file(NAME);
        config::remove_file(&path)?;
        let socket = UnixListener::bind(&path)?;
        let (sender, asked) = mpsc::channel(QUEUE);
        let task = tokio::spawn(accept(socket, sender));
        Ok(Self {
            asked: Mutex::new(asked),
            task,
            path,
        })
    }

    /// The next question, and where its answer goes. None is lost when this is dropped before it is ready.
    pub async fn next(&self) -> io::Result<(Ask, Asker)> {
        let next = self.asked.lock().await.recv().await;
        next.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

/// Reads questions until nobody wants them any more.
async fn accept(socket: UnixListener, sender: mpsc::Sender<(Ask, Asker)>) {
    while let Ok((stream, _)) = socket.accept().await {
        let mut stream = BufReader::new(stream.take(LINE_MAX));
        let mut line = String::new();
        let read = timeout(PATIENCE, stream.read_line(&mut line)).await;
        // Whoever says nothing that is understood is not answered.
        if let Ok(Ok(_)) = read
            && let Ok(ask) = serde_json::from_str(&line)
        {
            let from = Asker(stream.into_inner().into_inner());
            if sender.send((ask, from)).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
        // One that stays is replaced by the next daemon.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Somebody who waits for an answer.
pub struct Asker(UnixStream);

impl Asker {
    /// Answers; one who went away does not matter.
    pub async fn answer(mut self, live: &Live) {
        let Ok(mut said) = serde_json::to_vec(live) else {
            return;
        };
        said.push(b'\n');
        drop(timeout(PATIENCE, self.0.write_all(&said)).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_reaches_the_daemon_and_its_answer_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let dir = ConfigDir::find(Some(dir.path())).unwrap();
        dir.create().unwrap();
        assert_eq!(ask(&dir, Ask::Status).await.unwrap(), None);
        let listener = Listener::open(&dir).unwrap();
        let live = Live {
            doing: "waiting".to_owned(),
            ..Live::default()
        };
        let (heard, answered) = tokio::join!(
            async {
                let (heard, from) = listener.next().await.unwrap();
                from.answer(&live).await;
                heard
            },
            ask(&dir, Ask::SyncForced)
        );
        assert_eq!(heard, Ask::SyncForced);
        assert_eq!(answered.unwrap(), Some(live));
        drop(listener);
        assert_eq!(ask(&dir, Ask::Status).await.unwrap(), None);
    }
}
