//! The bytes of a segment: its header, the header of a frame, and the hashes over them.
//! `docs/journal.md` holds the table. All numbers are little-endian.

use aws_lc_rs::digest;

/// Length of a segment's header.
pub(super) const SEGMENT_HEADER: usize = 256;
/// Length of a frame's header.
pub(super) const FRAME_HEADER: usize = 92;
/// Length of the salt before a record's text.
pub(super) const SALT: usize = 16;
/// Longest body of a frame (salt and text).
pub(super) const MAX_BODY: usize = 16 << 20;
/// Longest name of a node, in bytes.
pub(super) const MAX_NODE: usize = 128;
/// Begins each frame; `ff` never occurs in a record's UTF-8.
pub(super) const FRAME_MAGIC: [u8; 4] = *b"\xffCWF";
/// Chain hash before the first record of a journal.
pub(super) const GENESIS: Hash = [0; 32];

const SEGMENT_MAGIC: [u8; 8] = *b"\x89CWJ\r\n\x1a\n";
const VERSION: u16 = 1;
const CHECKED: usize = SEGMENT_HEADER - 32;
const FRAME_CHECKED: usize = FRAME_HEADER - 8;

/// A SHA-256 digest.
pub(super) type Hash = [u8; 32];

/// SHA-256 over the parts, one after the other.
pub(super) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    out
}

/// The chain hash after a record: SHA256(chain before ‖ commitment).
pub(super) fn link(chain: &Hash, commitment: &Hash) -> Hash {
    sha256(&[chain, commitment])
}

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Seq of the first record that the segment holds or will hold.
    pub(super) first_seq: u64,
    /// Chain hash before that record.
    pub(super) chain: Hash,
    /// When it was begun: milliseconds since 1970-01-01T00:00:00Z.
    pub(super) created: i64,
    /// Name of the process that wrote it.
    pub(super) node: Box<str>,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER);
        out.extend_from_slice(&SEGMENT_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&0u16.to_le_bytes());
        out.extend_from_slice(&(SEGMENT_HEADER as u32).to_le_bytes());
        out.extend_from_slice(&self.first_seq.to_le_bytes());
        out.extend_from_slice(&self.chain);
        out.extend_from_slice(&self.created.to_le_bytes());
        let node = self.node.as_bytes();
        let node = node.get(..MAX_NODE).unwrap_or(node);
        out.push(node.len() as u8);
        out.extend_from_slice(node);
        out.resize(CHECKED, 0);
        let check = sha256(&[&out]);
        out.extend_from_slice(&check);
        out
    }

    pub(super) fn decode(bytes: &[u8; SEGMENT_HEADER]) -> Result<Self, What> {
        let (checked, check) = bytes.split_at(CHECKED);
        let mut fields = Fields(checked);
        if fields.take::<8>()? != SEGMENT_MAGIC {
            return Err(What::NotASegment);
        }
        if sha256(&[checked]) != check {
            return Err(What::SegmentHeader);
        }
        let version = u16::from_le_bytes(fields.take()?);
        let flags = u16::from_le_bytes(fields.take()?);
        let length = u32::from_le_bytes(fields.take()?);
        if version != VERSION || flags != 0 || length as usize != SEGMENT_HEADER {
            return Err(What::Version);
        }
        let first_seq = u64::from_le_bytes(fields.take()?);
        let chain = fields.take()?;
        let created = i64::from_le_bytes(fields.take()?);
        let [node] = fields.take()?;
        let node = fields.0.get(..usize::from(node)).ok_or(What::NotASegment)?;
        let node = std::str::from_utf8(node).map_err(|_| What::NotASegment)?;
        Ok(Self {
            first_seq,
            chain,
            created,
            node: node.into(),
        })
    }
}

/// What a frame says of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Length of the body that follows: salt and text.
    pub(super) length: u32,
    pub(super) seq: u64,
    /// Chain hash before this record.
    pub(super) prev: Hash,
    /// SHA256(salt ‖ text).
    pub(super) commitment: Hash,
}

impl FrameHeader {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&FRAME_MAGIC);
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&[0, 0, SALT as u8, 0]);
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.prev);
        out.extend_from_slice(&self.commitment);
        let check = sha256(&[out.get(start..).unwrap_or_default()]);
        out.extend_from_slice(check.first_chunk::<8>().unwrap_or(&[0; 8]));
    }

    pub(super) fn decode(bytes: &[u8; FRAME_HEADER]) -> Result<Self, What> {
        let (checked, check) = bytes.split_at(FRAME_CHECKED);
        if !sha256(&[checked]).starts_with(check) {
            return Err(What::FrameHeader);
        }
        let mut fields = Fields(checked);
        if fields.take::<4>()? != FRAME_MAGIC {
            return Err(What::FrameHeader);
        }
        let length = u32::from_le_bytes(fields.take()?);
        if fields.take::<4>()? != [0, 0, SALT as u8, 0] {
            return Err(What::Flags);
        }
        if (length as usize) < SALT || length as usize > MAX_BODY {
            return Err(What::FrameHeader);
        }
        Ok(Self {
            length,
            seq: u64::from_le_bytes(fields.take()?),
            prev: fields.take()?,
            commitment: fields.take()?,
        })
    }
}

/// What is wrong with a record or a segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// No header of a segment where one belongs.
    #[error("not a segment of a journal")]
    NotASegment,
    /// The header's checksum doesn't hold.
    #[error("the segment's header was changed")]
    SegmentHeader,
    /// Written by another version, or with flags that this one doesn't know.
    #[error("the segment has a format version that isn't understood")]
    Version,
    /// A file's name and its header disagree.
    #[error("the segment's name isn't that of its first record")]
    Name,
    /// The segment does not continue the one before it.
    #[error("the segment doesn't continue the chain of the one before")]
    SegmentChain,
    /// A segment before the last one ends within a frame.
    #[error("the segment ends within a record")]
    Short,
    /// The frame's checksum or its magic doesn't hold.
    #[error("the frame's header was changed")]
    FrameHeader,
    /// Flags or a salt length that this version doesn't know.
    #[error("the frame has flags that aren't understood")]
    Flags,
    /// Records are missing, doubled or out of order.
    #[error("record {expected} expected, record {found} found")]
    Sequence {
        /// The seq that should come.
        expected: u64,
        /// The seq that came.
        found: u64,
    },
    /// The frame's `prev` is not the chain's hash.
    #[error("the record doesn't continue the chain")]
    Chain,
    /// Salt and text don't match the commitment.
    #[error("the record's content was changed")]
    Content,
}

/// Reads fields of fixed length, in order.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], What> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(What::NotASegment)?;
        self.0 = rest;
        Ok(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_as_they_went() {
        let segment = SegmentHeader {
            first_seq: 77,
            chain: [9; 32],
            created: 1_795_219_200_123,
            node: "ward-1".into(),
        };
        let bytes = segment.encode();
        assert_eq!(
            SegmentHeader::decode(bytes.as_slice().try_into().unwrap()),
            Ok(segment)
        );

        let frame = FrameHeader {
            length: 40,
            seq: 78,
            prev: [1; 32],
            commitment: [2; 32],
        };
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        assert_eq!(
            FrameHeader::decode(bytes.as_slice().try_into().unwrap()),
            Ok(frame)
        );
    }

    #[test]
    fn sha_256_is_sha_256() {
        let abc = sha256(&[b"a", b"bc"]);
        assert_eq!(abc[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
