//! Tests of the codec: what is written reads back however it arrives, and nothing else reads.

use proptest::prelude::*;

use super::*;

/// Records as a reader gives them, with literals whole.
fn any_record() -> impl Strategy<Value = Record> {
    let number = prop_oneof![0..300_u64, 0..=NUMBER_MAX / 2];
    let bytes = prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
    prop_oneof![
        bytes.clone().prop_map(Record::File),
        (number.clone(), number.clone()).prop_map(|(offset, len)| Record::Copy { offset, len }),
        any::<[u8; 16]>().prop_map(Record::Ref),
        bytes.clone().prop_map(Record::LitPart),
        (number, 0..=PATCH_BASE_MAX, 0..=PATCH_RAW_MAX, bytes).prop_map(
            |(base_offset, base_len, raw_len, packed)| Record::Patch {
                base_offset,
                base_len: u32::try_from(base_len).unwrap(),
                raw_len: u32::try_from(raw_len).unwrap(),
                packed,
            }
        ),
        Just(Record::Same),
        Just(Record::End),
    ]
}

fn encode(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    magic(&mut out);
    for record in records {
        match record {
            Record::File(json) => file(&mut out, json),
            Record::Copy { offset, len } => copy(&mut out, *offset, *len),
            Record::Ref(blinded) => reference(&mut out, blinded),
            Record::Lit { len } => lit_head(&mut out, *len),
            Record::LitPart(bytes) => lit(&mut out, bytes),
            Record::Patch {
                base_offset,
                base_len,
                raw_len,
                packed,
            } => patch(&mut out, *base_offset, *base_len, *raw_len, packed),
            Record::Same => same(&mut out),
            Record::End => end(&mut out),
        }
    }
    out
}

/// Reads a stream that arrives in pieces of these lengths; literals come whole.
fn decode(bytes: &[u8], pieces: &[usize]) -> Result<Vec<Record>, StreamError> {
    let (mut decoder, mut records, mut left) = (Decoder::new(), Vec::new(), 0);
    let (mut rest, mut lengths) = (bytes, pieces.iter().cycle());
    while !rest.is_empty() {
        let (piece, others) = rest.split_at(rest.len().min(*lengths.next().unwrap()));
        rest = others;
        decoder.feed(Bytes::copy_from_slice(piece));
        while let Some(record) = decoder.next()? {
            match (record, records.last_mut()) {
                (Record::Lit { len }, _) => {
                    left = len;
                    records.push(Record::LitPart(Bytes::new()));
                }
                (Record::LitPart(part), Some(Record::LitPart(whole))) => {
                    assert!(!part.is_empty());
                    left -= part.len() as u64;
                    *whole = [&whole[..], &part].concat().into();
                }
                (record, _) => {
                    assert_eq!(left, 0);
                    records.push(record);
                }
            }
        }
    }
    decoder.finish()?;
    assert_eq!(decoder.position(), bytes.len() as u64);
    Ok(records)
}

fn fails(bytes: &[u8]) -> StreamError {
    let stream = [&MAGIC[..], bytes].concat();
    let error = decode(&stream, &[stream.len()]).unwrap_err();
    assert_eq!(decode(&stream, &[1]).unwrap_err(), error);
    error
}

proptest! {
    #[test]
    fn what_is_written_reads_back_however_it_arrives(
        records in prop::collection::vec(any_record(), 0..12),
        pieces in prop::collection::vec(1_usize..200, 1..5),
    ) {
        prop_assert_eq!(decode(&encode(&records), &pieces), Ok(records));
    }

    #[test]
    fn a_stream_cut_off_within_a_record_is_truncated(
        records in prop::collection::vec(any_record(), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = encode(&records);
        let cut = cut.index(whole.len());
        let ends: Vec<_> = (0..=records.len()).map(|n| encode(&records[..n]).len()).collect();
        let read = decode(&whole[..cut], &[64]);
        let expected = ends.iter().position(|end| *end == cut);
        let expected = expected.map(|whole| records[..whole].to_vec()).ok_or(Problem::Truncated);
        prop_assert_eq!(read.map_err(|error| error.problem), expected);
    }

    #[test]
    fn arbitrary_bytes_neither_panic_nor_make_much_be_held(
        bytes in prop::collection::vec(prop_oneof![0..8_u8, any::<u8>()], 0..200),
        piece in 1_usize..50,
    ) {
        let mut decoder = Decoder::new();
        decoder.feed(Bytes::from_static(&MAGIC));
        'stream: for piece in bytes.chunks(piece) {
            decoder.feed(Bytes::copy_from_slice(piece));
            loop {
                match decoder.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => {
                        prop_assert_eq!(decoder.next(), Err(error));
                        break 'stream;
                    }
                }
            }
            prop_assert!(decoder.held() <= 128 * 1024, "{}", decoder.held());
        }
    }
}

#[test]
fn the_form_of_version_one_never_changes() {
    let records = [
        Record::File(Bytes::from_static(b"{}")),
        Record::Copy {
            offset: 0,
            len: 300,
        },
        Record::Ref([9; 16]),
        Record::LitPart(Bytes::from_static(b"abc")),
        Record::Patch {
            base_offset: NUMBER_MAX - 128,
            base_len: 128,
            raw_len: 1,
            packed: Bytes::from_static(b"z"),
        },
        Record::Same,
        Record::End,
    ];
    let mut expected = b"SYN1\x01\x02{}\x02\x00\xac\x02\x03".to_vec();
    expected.extend([9; 16]);
    expected
        .extend(b"\x04\x03abc\x05\xff\xfe\xff\xff\xff\xff\xff\xff\x7f\x80\x01\x01\x01z\x06\x07");
    assert_eq!(encode(&records), expected);
    assert_eq!(decode(&expected, &[1]), Ok(records.to_vec()));
}

#[test]
fn another_magic_is_refused() {
    for bytes in [&b"SYN2\x07"[..], b"PK\x03\x04", b"{"] {
        let error = decode(bytes, &[1]).unwrap_err();
        assert_eq!((error.offset, error.problem), (0, Problem::Magic));
    }
    for bytes in [&b""[..], b"SYN"] {
        assert_eq!(decode(bytes, &[1]).unwrap_err().problem, Problem::Truncated);
    }
}

#[test]
fn errors_name_the_record_its_place_and_the_field() {
    for (bytes, text) in [
        (
            &b"\x07\x08"[..],
            "record at byte 5 of the stream: unknown kind 8",
        ),
        (b"\x00", "record at byte 4 of the stream: unknown kind 0"),
        (
            b"\x02\x01\x80\x00",
            "COPY at byte 4 of the stream: length is not in its shortest form",
        ),
        (
            b"\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            "LIT at byte 4 of the stream: length is too large for a number",
        ),
        (
            b"\x02\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
            "COPY at byte 4 of the stream: offset and length together are too large",
        ),
        (
            b"\x01\x81\x80\x01",
            "FILE at byte 4 of the stream: length is 16385, more than 16384",
        ),
        (
            b"\x05\x00\x81\x80\x80\x04",
            "PATCH at byte 4 of the stream: base length is 8388609, more than 8388608",
        ),
        (
            b"\x05\x00\x00\x81\x80\x80\x02",
            "PATCH at byte 4 of the stream: raw length is 4194305, more than 4194304",
        ),
        (
            b"\x05\x00\x00\x00\x81\x80\x84\x02",
            "PATCH at byte 4 of the stream: packed length is 4259841, more than 4259840",
        ),
        (
            b"\x04\x02a",
            "LIT at byte 4 of the stream: the stream ends within it",
        ),
        (
            b"\x03aaa",
            "REF at byte 4 of the stream: the stream ends within it",
        ),
    ] {
        assert_eq!(fails(bytes).to_string(), text);
    }
}

#[test]
fn a_literal_streams_through_without_being_held() {
    let mut stream = MAGIC.to_vec();
    lit_head(&mut stream, 1 << 40);
    let mut decoder = Decoder::new();
    decoder.feed(stream.into());
    assert_eq!(decoder.next(), Ok(Some(Record::Lit { len: 1 << 40 })));
    let piece = Bytes::from(vec![5; 1 << 20]);
    for _ in 0..64 {
        decoder.feed(piece.clone());
        assert_eq!(decoder.next(), Ok(Some(Record::LitPart(piece.clone()))));
        assert_eq!(decoder.next(), Ok(None));
        assert_eq!(decoder.held(), 0);
    }
    assert_eq!(decoder.finish().unwrap_err().problem, Problem::Truncated);
}

#[test]
fn a_large_body_is_gathered_in_the_room_it_needs() {
    let packed = Bytes::from(vec![7; usize::try_from(PATCH_PACKED_MAX).unwrap()]);
    let record = Record::Patch {
        base_offset: 1,
        base_len: 2,
        raw_len: 3,
        packed,
    };
    let (mut decoder, mut read) = (Decoder::new(), Vec::new());
    for piece in encode(std::slice::from_ref(&record)).chunks(9_999) {
        decoder.feed(Bytes::copy_from_slice(piece));
        read.extend(std::iter::from_fn(|| decoder.next().unwrap()));
        assert!(
            decoder.held() as u64 <= PATCH_PACKED_MAX,
            "{}",
            decoder.held()
        );
    }
    assert!(read == [record]);
}

#[test]
fn a_decoder_says_how_long_the_record_is_that_it_collects() {
    let stream = encode(&[
        Record::Patch {
            base_offset: 0,
            base_len: 0,
            raw_len: 1,
            packed: vec![7; 100_000].into(),
        },
        Record::LitPart(vec![7; 100_000].into()),
    ]);
    let mut decoder = Decoder::new();
    let mut seen = Vec::new();
    for piece in stream.chunks(50_000) {
        decoder.feed(Bytes::copy_from_slice(piece));
        while decoder.next().unwrap().is_some() {}
        seen.push(decoder.collecting());
    }
    assert_eq!(seen, [Some(100_000), Some(100_000), None, None, None]);
}
