//! One block: the records of one commit, packed, with their event keys and the checksums that chain
//! it to the one before.
//!
//! Layout, little-endian:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic |
//! | 8 | 2 | format |
//! | 10 | 2 | flags: 1 = redacted, 2 = the block before may not have been on the disk yet |
//! | 12 | 4 | records |
//! | 16 | 8 | sequence number of the block |
//! | 24 | 8 | position of the first record |
//! | 32 | 4 | bytes of the records |
//! | 36 | 4 | bytes of the records after LZ4 |
//! | 40 | 16 | original checksum of the block before (the chain) |
//! | 56 | 16 | original checksum: the content checksum when the block was first written |
//! | 72 | 16 | content checksum: BLAKE3, first 128 bits, over bytes 0..56, the original if redacted, keys and records |
//! | 88 | 8 | header checksum: BLAKE3, first 64 bits, over bytes 0..88 |
//! | 96 | 16 a record | event keys; zeros where a record has none |
//! | … | | the records, each with its length, LZ4 |
//!
//! An erasure gives a block a new content but leaves its original checksum, so the blocks after it stay as they are.

use std::collections::BTreeSet;

use crate::domain::{Fingerprint, Position, Record, RecordBody};
use crate::store::codec::{self, CodecError};

/// Bytes before the keys.
pub(crate) const HEADER_BYTES: usize = 96;
/// What a block begins with; 0xF6 and 0xFF stand in no text.
pub(crate) const MAGIC: [u8; 8] = *b"\xF6nbblk\xFF\n";
/// The newest format this program knows.
pub(crate) const FORMAT: u16 = 1;
/// The most records of one block, and so of one append.
pub const MAX_BLOCK_RECORDS: usize = 65_536;
/// The most bytes of the encoded records of one block, and so of one append.
pub const MAX_BLOCK_BYTES: usize = 64 << 20;

const REDACTED: u16 = 1;
const UNSYNCED: u16 = 2;

/// 128 bits of BLAKE3 over a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Checksum(pub(crate) [u8; 16]);

/// Why bytes are not a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BlockError {
    /// Fewer bytes than the block says it has.
    #[error("cut short")]
    Short,
    /// More bytes than the block says it has.
    #[error("something follows the block")]
    Long,
    /// Not the beginning of a block, or a damaged one.
    #[error("the header does not match its checksum")]
    Header,
    /// A newer program wrote it.
    #[error("block format {0}")]
    Newer(u16),
    /// The header is sound but says what cannot be.
    #[error("the header is out of bounds")]
    Bounds,
    /// The content does not match its checksum.
    #[error("the content does not match its checksum")]
    Content,
    /// The records cannot be unpacked.
    #[error("the records cannot be unpacked")]
    Packed,
    /// There are more or fewer records than the header says.
    #[error("more or fewer records than the header says")]
    Count,
    /// A record cannot be read.
    #[error(transparent)]
    Record(#[from] CodecError),
}

/// Where a new block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// The number of the block; the first is 0.
    pub(crate) sequence: u64,
    /// The position of its first record.
    pub(crate) first: Position,
    /// The original checksum of the block before; zeros for the first.
    pub(crate) previous: Checksum,
}

/// What stands before the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    flags: u16,
    /// How many records, at least 1.
    pub(crate) count: u32,
    /// Where it stands.
    pub(crate) place: Place,
    raw_bytes: u32,
    packed_bytes: u32,
    /// The checksum the next block names.
    pub(crate) original: Checksum,
    content: Checksum,
}

impl Header {
    /// Reads the first [`HEADER_BYTES`] of a block.
    ///
    /// # Errors
    /// `Short`, `Header`, `Newer` or `Bounds`.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, BlockError> {
        let bytes: &[u8; HEADER_BYTES] = bytes
            .get(..HEADER_BYTES)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(BlockError::Short)?;
        if bytes[..8] != MAGIC || checksum64(&bytes[..88]) != bytes[88..] {
            return Err(BlockError::Header);
        }
        let format = u16::from_le_bytes(array(bytes, 8));
        if format > FORMAT {
            return Err(BlockError::Newer(format));
        }
        let header = Self {
            flags: u16::from_le_bytes(array(bytes, 10)),
            count: u32::from_le_bytes(array(bytes, 12)),
            place: Place {
                sequence: u64::from_le_bytes(array(bytes, 16)),
                first: Position(u64::from_le_bytes(array(bytes, 24))),
                previous: Checksum(array(bytes, 40)),
            },
            raw_bytes: u32::from_le_bytes(array(bytes, 32)),
            packed_bytes: u32::from_le_bytes(array(bytes, 36)),
            original: Checksum(array(bytes, 56)),
            content: Checksum(array(bytes, 72)),
        };
        let bounded = (1..=MAX_BLOCK_RECORDS).contains(&(header.count as usize))
            && header.raw_bytes as usize <= MAX_BLOCK_BYTES
            && header.packed_bytes as usize <= packed_bound(header.raw_bytes as usize)
            && header.place.first.0 < u64::MAX / 2;
        if bounded {
            Ok(header)
        } else {
            Err(BlockError::Bounds)
        }
    }

    /// The bytes of the whole block.
    pub(crate) fn block_bytes(&self) -> usize {
        HEADER_BYTES + 16 * self.count as usize + self.packed_bytes as usize
    }

    /// The position after its last record.
    pub(crate) fn end(&self) -> Position {
        self.place.first.plus(u64::from(self.count))
    }

    /// Where the next block stands.
    pub(crate) fn next_place(&self) -> Place {
        Place {
            sequence: self.place.sequence + 1,
            first: self.end(),
            previous: self.original,
        }
    }

    /// True if an erasure changed it.
    pub(crate) fn is_redacted(&self) -> bool {
        self.flags & REDACTED != 0
    }

    /// True if it was written while the block before it may not have been on the disk yet.
    pub(crate) fn follows_unsynced(&self) -> bool {
        self.flags & UNSYNCED != 0
    }

    fn write(&self, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.flags.to_le_bytes());
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes.extend_from_slice(&self.place.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.place.first.0.to_le_bytes());
        bytes.extend_from_slice(&self.raw_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.packed_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.place.previous.0);
        bytes.extend_from_slice(&self.original.0);
        bytes.extend_from_slice(&self.content.0);
        let check = checksum64(&bytes);
        bytes.extend_from_slice(&check);
        bytes.extend_from_slice(body);
        bytes
    }
}

/// A block whose checksums were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    header: Header,
    bytes: Vec<u8>,
}

impl Block {
    /// Packs records; `follows_unsynced` says that the block before may not be on the disk yet. Nothing if there are
    /// no records, more than [`MAX_BLOCK_RECORDS`], or more than [`MAX_BLOCK_BYTES`] of them.
    pub(crate) fn pack(place: Place, records: &[&Record], follows_unsynced: bool) -> Option<Self> {
        if !(1..=MAX_BLOCK_RECORDS).contains(&records.len()) {
            return None;
        }
        let mut keys = Vec::with_capacity(16 * records.len());
        let mut raw = Vec::with_capacity(128 * records.len());
        for record in records {
            let key = record.key().map_or([0; 16], |key| key.0);
            keys.extend_from_slice(&key);
            codec::encode(record, &mut raw);
            if raw.len() > MAX_BLOCK_BYTES {
                return None;
            }
        }
        let flags = if follows_unsynced { UNSYNCED } else { 0 };
        Some(Self::seal(flags, place, None, keys, &raw))
    }

    fn seal(
        flags: u16,
        place: Place,
        original: Option<Checksum>,
        keys: Vec<u8>,
        raw: &[u8],
    ) -> Self {
        let count = u32::try_from(keys.len() / 16).expect("at most MAX_BLOCK_RECORDS");
        let mut body = keys;
        let keys_bytes = body.len();
        body.resize(
            keys_bytes + lz4_flex::block::get_maximum_output_size(raw.len()),
            0,
        );
        let packed = lz4_flex::block::compress_into(raw, &mut body[keys_bytes..])
            .expect("the room is what lz4_flex asks for");
        body.truncate(keys_bytes + packed);
        let mut header = Header {
            flags,
            count,
            place,
            raw_bytes: u32::try_from(raw.len()).expect("at most MAX_BLOCK_BYTES"),
            packed_bytes: u32::try_from(packed).expect("bounded by MAX_BLOCK_BYTES"),
            original: original.unwrap_or_default(),
            content: Checksum::default(),
        };
        // the sums stand in no byte that is summed, so the first writing may leave them empty
        let unsummed = header.write(&[]);
        header.content = content_checksum(&unsummed, header.is_redacted(), &body);
        header.original = original.unwrap_or(header.content);
        let bytes = header.write(&body);
        Self { header, bytes }
    }

    /// Verifies everything except the chain, which needs the block before.
    ///
    /// # Errors
    /// [`BlockError`]; never a panic, whatever the bytes.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, BlockError> {
        let header = Header::parse(&bytes)?;
        match bytes.len().cmp(&header.block_bytes()) {
            std::cmp::Ordering::Less => return Err(BlockError::Short),
            std::cmp::Ordering::Greater => return Err(BlockError::Long),
            std::cmp::Ordering::Equal => {}
        }
        let sum = content_checksum(&bytes, header.is_redacted(), &bytes[HEADER_BYTES..]);
        if sum != header.content || !(header.is_redacted() || header.original == header.content) {
            return Err(BlockError::Content);
        }
        Ok(Self { header, bytes })
    }

    /// What stands before the keys.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The whole block as it is kept.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn packed_keys(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..HEADER_BYTES + 16 * self.header.count as usize]
    }

    /// The event keys, also of redacted records, with the positions of their records.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (Position, Fingerprint)> + '_ {
        let first = self.header.place.first;
        let keys = self.packed_keys().chunks_exact(16).enumerate();
        keys.filter_map(move |(index, key)| {
            let key: [u8; 16] = key.try_into().expect("chunks of 16");
            (key != [0; 16]).then(|| (first.plus(index as u64), Fingerprint(key)))
        })
    }

    /// Unpacks the records.
    ///
    /// # Errors
    /// `Packed`.
    pub(crate) fn open(&self) -> Result<Unpacked, BlockError> {
        let packed = &self.bytes[HEADER_BYTES + 16 * self.header.count as usize..];
        // at most MAX_BLOCK_BYTES: Header::parse saw to it
        let mut raw = vec![0; self.header.raw_bytes as usize];
        match lz4_flex::block::decompress_into(packed, &mut raw) {
            Ok(bytes) if bytes == raw.len() => Ok(Unpacked {
                raw,
                offset: 0,
                next: self.header.place.first,
                left: self.header.count,
            }),
            _ => Err(BlockError::Packed),
        }
    }

    /// How many records at `positions` are in this block and not redacted yet.
    ///
    /// # Errors
    /// `Packed`, `Count` or `Record`.
    pub(crate) fn redactable(&self, positions: &BTreeSet<Position>) -> Result<u64, BlockError> {
        let here = self.header.place.first..self.header.end();
        if positions.range(here).next().is_none() {
            return Ok(0);
        }
        let mut count = 0;
        for read in self.open()? {
            let (position, record) = read?;
            count += u64::from(is_redactable(positions, position, &record));
        }
        Ok(count)
    }

    /// This block with the records at `positions` redacted, and how many that changed; nothing if
    /// it changed none. Positions, keys and the chain stay.
    ///
    /// # Errors
    /// `Packed`, `Count` or `Record`.
    pub(crate) fn redact(
        &self,
        positions: &BTreeSet<Position>,
    ) -> Result<Option<(Self, u64)>, BlockError> {
        let mut redacted = 0;
        let mut raw = Vec::with_capacity(self.header.raw_bytes as usize);
        for read in self.open()? {
            let (position, mut record) = read?;
            if is_redactable(positions, position, &record) {
                record.body = RecordBody::Redacted;
                redacted += 1;
            }
            codec::encode(&record, &mut raw);
        }
        if redacted == 0 {
            return Ok(None);
        }
        let flags = self.header.flags | REDACTED;
        let original = Some(self.header.original);
        let keys = self.packed_keys().to_vec();
        let block = Self::seal(flags, self.header.place, original, keys, &raw);
        Ok(Some((block, redacted)))
    }
}

fn is_redactable(positions: &BTreeSet<Position>, position: Position, record: &Record) -> bool {
    positions.contains(&position) && record.body != RecordBody::Redacted
}

/// The records of a block, read one by one.
pub(crate) struct Unpacked {
    raw: Vec<u8>,
    offset: usize,
    next: Position,
    left: u32,
}

impl Unpacked {
    /// Passes over the records before `position` without reading them; false if it stands behind this block.
    ///
    /// # Errors
    /// `Count` or `Record`.
    pub(crate) fn skip_to(&mut self, position: Position) -> Result<bool, BlockError> {
        while self.next < position && self.left > 0 {
            let mut rest = self.raw.get(self.offset..).unwrap_or_default();
            if rest.is_empty() {
                return Err(BlockError::Count);
            }
            codec::skip(&mut rest)?;
            self.offset = self.raw.len() - rest.len();
            self.next = self.next.plus(1);
            self.left -= 1;
        }
        Ok(self.left > 0)
    }
}

impl Iterator for Unpacked {
    type Item = Result<(Position, Record), BlockError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.raw.get(self.offset..).unwrap_or_default();
        if self.left == 0 {
            // said once
            self.offset = self.raw.len();
            return (!rest.is_empty()).then_some(Err(BlockError::Count));
        }
        if rest.is_empty() {
            self.left = 0;
            return Some(Err(BlockError::Count));
        }
        let read = codec::decode(&mut rest);
        self.offset = self.raw.len() - rest.len();
        let position = self.next;
        self.next = position.plus(1);
        self.left -= 1;
        match read {
            Ok(record) => Some(Ok((position, record))),
            Err(error) => {
                self.left = 0;
                self.offset = self.raw.len();
                Some(Err(error.into()))
            }
        }
    }
}

fn array<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    bytes[at..at + N]
        .try_into()
        .expect("fields lie within the header")
}

/// What LZ4 makes of `raw` bytes at the worst.
fn packed_bound(raw: usize) -> usize {
    lz4_flex::block::get_maximum_output_size(raw)
}

fn checksum64(bytes: &[u8]) -> [u8; 8] {
    let hash = blake3::hash(bytes);
    hash.as_bytes()[..8]
        .try_into()
        .expect("a hash has 32 bytes")
}

fn content_checksum(header: &[u8], redacted: bool, body: &[u8]) -> Checksum {
    let mut hasher = blake3::Hasher::new();
    // the original is what an unredacted block's sum becomes, so only a redacted block's sum can cover it
    hasher.update(&header[..if redacted { 72 } else { 56 }]);
    hasher.update(body);
    let hash = hasher.finalize();
    Checksum(
        hash.as_bytes()[..16]
            .try_into()
            .expect("a hash has 32 bytes"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::codec::tests::record;

    fn place() -> Place {
        Place {
            sequence: 7,
            first: Position(100),
            previous: Checksum([3; 16]),
        }
    }

    fn pack(records: &[Record]) -> Block {
        Block::pack(place(), &records.iter().collect::<Vec<_>>(), false).unwrap()
    }

    fn read(block: &Block) -> Vec<(Position, Record)> {
        block.open().unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn numbered(records: Vec<Record>) -> Vec<(Position, Record)> {
        (100..).map(Position).zip(records).collect()
    }

    proptest! {
        #[test]
        fn records_are_passed_over(records in proptest::collection::vec(record(), 1..20), to in 90..130_u64) {
            let mut unpacked = pack(&records).open().unwrap();
            let is_there = unpacked.skip_to(Position(to)).unwrap();
            let wanted: Vec<_> = numbered(records).into_iter().filter(|(at, _)| at.0 >= to).collect();
            prop_assert_eq!(is_there, !wanted.is_empty());
            prop_assert_eq!(unpacked.collect::<Result<Vec<_>, _>>().unwrap(), wanted);
        }

        #[test]
        fn what_is_packed_is_read(records in proptest::collection::vec(record(), 1..20)) {
            let block = pack(&records);
            let again = Block::parse(block.bytes().to_vec()).unwrap();
            prop_assert_eq!(&again, &block);
            let keys: Vec<_> = again.keys().collect();
            let expected: Vec<_> = numbered(records.clone())
                .into_iter()
                .filter_map(|(position, record)| Some((position, record.key()?)))
                .collect();
            prop_assert_eq!(keys, expected);
            prop_assert_eq!(read(&again), numbered(records));
        }

        #[test]
        fn every_change_is_found(
            records in proptest::collection::vec(record(), 1..8),
            at in any::<proptest::sample::Index>(),
            flip in 1..=255u8,
            redact in any::<bool>(),
        ) {
            let mut block = pack(&records);
            if redact {
                let positions = (100..120).map(Position).collect();
                if let Some((redacted, _)) = block.redact(&positions).unwrap() {
                    block = redacted;
                }
            }
            let mut bytes = block.bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(Block::parse(bytes.clone()).is_err());
            bytes[at] ^= flip;
            prop_assert!(Block::parse(bytes[..at].to_vec()).is_err());
            bytes.push(0);
            prop_assert_eq!(Block::parse(bytes), Err(BlockError::Long));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Block::parse(bytes.clone()).is_err());
            let mut begun = MAGIC.to_vec();
            begun.extend_from_slice(&bytes);
            prop_assert!(Block::parse(begun).is_err());
        }

        #[test]
        fn redaction_keeps_the_chain_the_keys_and_everybody_else(
            records in proptest::collection::vec(record(), 1..20),
            positions in proptest::collection::btree_set((90..130u64).prop_map(Position), 0..20),
        ) {
            let block = pack(&records);
            let expected = block.redactable(&positions).unwrap();
            let Some((redacted, count)) = block.redact(&positions).unwrap() else {
                prop_assert_eq!(expected, 0);
                return Ok(());
            };
            prop_assert_eq!(count, expected);
            let redacted = Block::parse(redacted.bytes().to_vec()).unwrap();
            prop_assert_eq!(redacted.header().next_place(), block.header().next_place());
            prop_assert_eq!(redacted.packed_keys(), block.packed_keys());
            let mut seen = 0;
            let pairs = read(&block).into_iter().zip(read(&redacted));
            for ((position, before), (_, after)) in pairs {
                if positions.contains(&position) && before.body != RecordBody::Redacted {
                    prop_assert_eq!(&after.body, &RecordBody::Redacted);
                    prop_assert_eq!(after.recorded_at, before.recorded_at);
                    seen += 1;
                } else {
                    prop_assert_eq!(after, before);
                }
            }
            prop_assert_eq!(seen, count);
            prop_assert_eq!(redacted.redact(&positions).unwrap(), None);
        }
    }

    #[test]
    fn a_forged_size_is_refused_before_anything_is_allocated() {
        let block = pack(&[Record {
            recorded_at: crate::domain::Timestamp::from_ms(1),
            body: RecordBody::Redacted,
        }]);
        for (at, value) in [(12, u32::MAX), (12, 0), (32, u32::MAX), (36, u32::MAX)] {
            let mut bytes = block.bytes().to_vec();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            let check = checksum64(&bytes[..88]);
            bytes[88..96].copy_from_slice(&check);
            assert_eq!(
                Block::parse(bytes),
                Err(BlockError::Bounds),
                "{value} at {at}"
            );
        }
    }

    #[test]
    fn a_newer_format_is_named() {
        let mut bytes = pack(&[Record {
            recorded_at: crate::domain::Timestamp::from_ms(1),
            body: RecordBody::Redacted,
        }])
        .bytes()
        .to_vec();
        bytes[8] = 2;
        let check = checksum64(&bytes[..88]);
        bytes[88..96].copy_from_slice(&check);
        assert_eq!(Block::parse(bytes), Err(BlockError::Newer(2)));
    }

    #[test]
    fn nothing_and_too_much_are_not_packed() {
        assert_eq!(Block::pack(place(), &[], false), None);
        let record = Record {
            recorded_at: crate::domain::Timestamp::from_ms(1),
            body: RecordBody::Redacted,
        };
        let many = vec![&record; MAX_BLOCK_RECORDS + 1];
        assert_eq!(Block::pack(place(), &many, false), None);
        let long = Record {
            body: RecordBody::ModelActivated("x".repeat(MAX_BLOCK_BYTES).into()),
            ..record
        };
        assert_eq!(Block::pack(place(), &[&long], false), None);
    }
}
