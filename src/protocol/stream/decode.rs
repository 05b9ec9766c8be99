//! Reading records from bytes that arrive in any pieces. Does no I/O and holds at most one record.

use bytes::Bytes;

use super::{
    FILE_MAX, MAGIC, NUMBER_MAX, PATCH_BASE_MAX, PATCH_PACKED_MAX, PATCH_RAW_MAX, Problem, Record,
    StreamError, kind,
};

/// What a body in the making grows by at least, in bytes. It grows with what has arrived, not with
/// what a head promises.
const GROW_MIN: usize = 64 * 1024;
/// Most numbers of one head (PATCH).
const NUMBERS_MAX: usize = 4;

/// Reads a stream piece by piece.
pub struct Decoder {
    input: Bytes,
    state: State,
    /// Name of the record being read.
    record: &'static str,
    /// Where it begins.
    begin: u64,
    /// Bytes read from the input.
    position: u64,
    /// Nothing can be read behind a record that cannot.
    failed: Option<StreamError>,
}

enum State {
    /// So many bytes of the magic were read.
    Magic(usize),
    /// Between records.
    Kind,
    /// In the numbers of a head.
    Head(Head),
    /// In the bytes behind a head, which together make one record.
    Body {
        head: Head,
        len: usize,
        body: Vec<u8>,
    },
    /// So many bytes of a literal are left.
    Literal(u64),
}

/// The numbers of a record as far as they were read.
#[derive(Clone, Copy)]
struct Head {
    kind: u8,
    fields: &'static [Field],
    numbers: [u64; NUMBERS_MAX],
    /// Numbers that are complete.
    done: usize,
    /// Bits of the number being read.
    shift: u32,
}

/// A number of a head.
#[derive(Clone, Copy)]
struct Field {
    name: &'static str,
    most: u64,
}

const fn field(name: &'static str, most: u64) -> Field {
    Field { name, most }
}

const FILE: &[Field] = &[field("length", FILE_MAX)];
const COPY: &[Field] = &[
    field("base offset", NUMBER_MAX),
    field("length", NUMBER_MAX),
];
const LIT: &[Field] = &[field("length", NUMBER_MAX)];
const PATCH: &[Field] = &[
    field("base offset", NUMBER_MAX),
    field("base length", PATCH_BASE_MAX),
    field("raw length", PATCH_RAW_MAX),
    field("packed length", PATCH_PACKED_MAX),
];
/// Bytes of a REF's stand-in.
const REF_LEN: usize = 16;

impl Default for Decoder {
    fn default() -> Self {
        Self {
            input: Bytes::new(),
            state: State::Magic(0),
            record: "magic",
            begin: 0,
            position: 0,
            failed: None,
        }
    }
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes. Call [`Self::next`] until it gives `None` before; else both are held.
    pub fn feed(&mut self, bytes: Bytes) {
        if self.input.is_empty() {
            self.input = bytes;
        } else {
            self.input = [&self.input[..], &bytes].concat().into();
        }
    }

    /// The next record or piece of a literal; `None` when more bytes are needed. After an error, the
    /// same error again.
    #[expect(
        clippy::should_implement_trait,
        reason = "`None` is not the end here, as an iterator's is"
    )]
    pub fn next(&mut self) -> Result<Option<Record>, StreamError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.step().map_err(|problem| {
            let error = self.error(problem);
            self.failed = Some(error.clone());
            error
        })
    }

    /// Whether the stream may end here: an error when it ends within a record, and the error there
    /// was. Call it when no bytes are left and [`Self::next`] gives `None`.
    pub fn finish(&self) -> Result<(), StreamError> {
        match (&self.failed, &self.state) {
            (Some(error), _) => Err(error.clone()),
            (None, State::Kind) if self.input.is_empty() => Ok(()),
            (None, _) => Err(self.error(Problem::Truncated)),
        }
    }

    /// How long the body of a record is that was begun, in bytes: it is held until it is whole.
    pub fn collecting(&self) -> Option<usize> {
        match &self.state {
            State::Body { len, .. } => Some(*len),
            State::Magic(_) | State::Kind | State::Head(_) | State::Literal(_) => None,
        }
    }

    /// Bytes of the stream that were read.
    pub fn position(&self) -> u64 {
        self.position
    }

    fn error(&self, problem: Problem) -> StreamError {
        StreamError {
            record: self.record,
            offset: self.begin,
            problem,
        }
    }

    fn step(&mut self) -> Result<Option<Record>, Problem> {
        while !self.input.is_empty() {
            let record = match std::mem::replace(&mut self.state, State::Kind) {
                State::Magic(seen) => self.magic(seen)?,
                State::Kind => self.kind()?,
                State::Head(head) => self.head(head)?,
                State::Body { head, len, body } => self.body(head, len, body),
                State::Literal(left) => Some(self.literal(left)),
            };
            if record.is_some() {
                return Ok(record);
            }
        }
        Ok(None)
    }

    fn magic(&mut self, seen: usize) -> Result<Option<Record>, Problem> {
        if self.byte() != MAGIC[seen] {
            return Err(Problem::Magic);
        }
        if seen + 1 < MAGIC.len() {
            self.state = State::Magic(seen + 1);
        }
        Ok(None)
    }

    fn kind(&mut self) -> Result<Option<Record>, Problem> {
        self.begin = self.position;
        self.record = "record";
        let kind = self.byte();
        let (record, fields) = match kind {
            kind::FILE => ("FILE", FILE),
            kind::COPY => ("COPY", COPY),
            kind::REF => ("REF", &[][..]),
            kind::LIT => ("LIT", LIT),
            kind::PATCH => ("PATCH", PATCH),
            kind::SAME => return Ok(Some(Record::Same)),
            kind::END => return Ok(Some(Record::End)),
            unknown => return Err(Problem::Kind(unknown)),
        };
        self.record = record;
        let head = Head {
            kind,
            fields,
            numbers: [0; NUMBERS_MAX],
            done: 0,
            shift: 0,
        };
        if fields.is_empty() {
            self.begin_body(head, REF_LEN);
        } else {
            self.state = State::Head(head);
        }
        Ok(None)
    }

    /// Takes one byte of a number.
    fn head(&mut self, mut head: Head) -> Result<Option<Record>, Problem> {
        let Field { name: field, most } = head.fields[head.done];
        let byte = self.byte();
        let number = &mut head.numbers[head.done];
        // Nine times seven bits are all that is below 2^63.
        if head.shift == 63 {
            return Err(Problem::Huge { field });
        }
        *number |= u64::from(byte & 0x7f) << head.shift;
        head.shift += 7;
        if byte & 0x80 == 0 {
            if byte == 0 && head.shift > 7 {
                return Err(Problem::Overlong { field });
            }
            let value = *number;
            if value > most {
                return Err(Problem::TooLong { field, value, most });
            }
            head.done += 1;
            head.shift = 0;
        }
        if head.done < head.fields.len() {
            self.state = State::Head(head);
            return Ok(None);
        }
        self.whole_head(head)
    }

    fn whole_head(&mut self, head: Head) -> Result<Option<Record>, Problem> {
        let [first, second, _, packed_len] = head.numbers;
        match head.kind {
            kind::COPY | kind::PATCH if first + second > NUMBER_MAX => Err(Problem::Beyond),
            kind::COPY => Ok(Some(Record::Copy {
                offset: first,
                len: second,
            })),
            kind::LIT => {
                if first > 0 {
                    self.state = State::Literal(first);
                }
                Ok(Some(Record::Lit { len: first }))
            }
            kind::PATCH => Ok(self.begin_body(head, small(packed_len))),
            _ => Ok(self.begin_body(head, small(first))),
        }
    }

    /// The record at once, when its body is empty.
    fn begin_body(&mut self, head: Head, len: usize) -> Option<Record> {
        if len == 0 {
            return Some(record(&head, Bytes::new()));
        }
        self.state = State::Body {
            head,
            len,
            body: Vec::new(),
        };
        None
    }

    fn body(&mut self, head: Head, len: usize, mut body: Vec<u8>) -> Option<Record> {
        let part = self.bytes(len - body.len());
        if part.len() == len {
            return Some(record(&head, part));
        }
        if body.capacity() - body.len() < part.len() {
            let grown = body.len().max(GROW_MIN).max(part.len());
            body.reserve_exact(grown.min(len - body.len()));
        }
        body.extend_from_slice(&part);
        if body.len() == len {
            return Some(record(&head, body.into()));
        }
        self.state = State::Body { head, len, body };
        None
    }

    fn literal(&mut self, left: u64) -> Record {
        let part = self.bytes(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - part.len() as u64;
        if left > 0 {
            self.state = State::Literal(left);
        }
        Record::LitPart(part)
    }

    /// At most so many bytes off the front of the input.
    fn bytes(&mut self, most: usize) -> Bytes {
        let part = self.input.split_to(most.min(self.input.len()));
        self.position += part.len() as u64;
        part
    }

    /// A byte off the front of the input, which is not empty.
    fn byte(&mut self) -> u8 {
        self.bytes(1)[0]
    }
}

#[cfg(test)]
impl Decoder {
    /// Bytes of memory in use.
    pub(super) fn held(&self) -> usize {
        let body = match &self.state {
            State::Body { body, .. } => body.capacity(),
            State::Magic(_) | State::Kind | State::Head(_) | State::Literal(_) => 0,
        };
        self.input.len() + body
    }
}

/// A record of a whole head and body.
fn record(head: &Head, body: Bytes) -> Record {
    let [base_offset, base_len, raw_len, _] = head.numbers;
    match head.kind {
        kind::FILE => Record::File(body),
        kind::REF => Record::Ref(*body.first_chunk().expect("a stand-in has 16 bytes")),
        _ => Record::Patch {
            base_offset,
            base_len: u32::try_from(base_len).expect("the head was checked"),
            raw_len: u32::try_from(raw_len).expect("the head was checked"),
            packed: body,
        },
    }
}

/// A length that the head was checked to keep within a few MiB.
fn small(number: u64) -> usize {
    usize::try_from(number).expect("the head was checked")
}
