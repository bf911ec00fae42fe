//! Repeating primitives under a view that hides something: values and their `_x` siblings stay in
//! line, and an index at which nothing is left goes from both, so that no `null` tells that
//! something was hidden there (D7).

use super::super::scan::{self, byte, skip_value};
use super::super::sink::Sink;
use super::super::view::NodeId;
use super::{Ended, Kept, Kind, ProbeId, Stop, Walk, is_key};

impl<S: Sink> Walk<'_, '_, S> {
    /// A repeating primitive under a view that hides something. An item without a value stays as
    /// `null` only where its sibling stays: else it would tell that there was one (D7).
    #[allow(
        clippy::too_many_arguments,
        reason = "as every step of the walk, and the node"
    )]
    pub(super) fn items(
        &mut self,
        at: usize,
        node: NodeId,
        probe: Option<ProbeId>,
        step: Option<ProbeId>,
        key: &[u8],
        object: usize,
        depth: u32,
    ) -> Ended {
        if byte(self.bytes, at)? != b'[' {
            return self.copy(at, probe, step, key, object, depth);
        }
        let mark = self.mark(at);
        let mut gaps = false;
        let ended = self.array(at, depth, |walk, at, depth| {
            let (end, kept) = walk.item(at, probe, step, key, object, depth)?;
            gaps |= kept != Kept::Yes;
            Ok((end, kept))
        })?;
        if !gaps {
            return Ok(ended);
        }
        let siblings = self.siblings_left(node, key, object, depth)?;
        if !siblings.contains(&true) {
            return Ok(ended);
        }
        self.back(mark, at);
        let mut siblings = siblings.into_iter();
        self.array(at, depth, |walk, at, depth| {
            let stays = siblings.next() == Some(true);
            let end = skip_value(walk.bytes, at, depth)?;
            match byte(walk.bytes, at)? {
                b'n' | b'{' | b'[' if stays => {
                    walk.cut(at, end);
                    walk.out.put(b"null");
                    Ok((end, Kept::Yes))
                }
                b'n' | b'{' | b'[' => Ok((end, Kept::No)),
                _ => Ok((end, Kept::Yes)),
            }
        })
    }

    /// For each item of `_key` whether anything of it is left. Nothing is written.
    fn siblings_left(
        &mut self,
        node: NodeId,
        key: &[u8],
        object: usize,
        depth: u32,
    ) -> Result<Vec<bool>, Stop> {
        let mut left = Vec::new();
        let Some(at) = self.array_of(&[b"_", key].concat(), object, depth)? else {
            return Ok(left);
        };
        let (length, run) = (self.out.length(), self.run);
        self.run = at;
        self.array(at, depth, |walk, at, depth| {
            let (end, kept) = walk.enter(at, node, None, depth, Kind::Plain)?;
            left.push(kept == Kept::Yes);
            Ok((end, Kept::No))
        })?;
        self.out.truncate(length);
        self.run = run;
        Ok(left)
    }

    /// `_x` of a repeating primitive. An item that loses everything leaves `null` in its place
    /// where there is a value of that index, else nothing.
    #[inline(never)]
    pub(super) fn siblings(
        &mut self,
        at: usize,
        node: NodeId,
        key: &[u8],
        object: usize,
        depth: u32,
    ) -> Ended {
        if byte(self.bytes, at)? != b'[' {
            return self.enter(at, node, None, depth, Kind::Plain);
        }
        let whole = self.view.whole;
        let values = if whole {
            Vec::new()
        } else {
            self.values(key.strip_prefix(b"_").unwrap_or(key), object, depth)?
        };
        let (mut count, mut left) = (0, false);
        let (end, kept) = self.array(at, depth, |walk, at, depth| {
            let has_value = whole || values.get(count) == Some(&true);
            count += 1;
            let mark = walk.mark(at);
            let (end, kept) = walk.enter(at, node, None, depth, Kind::Plain)?;
            if kept == Kept::Yes {
                left = true;
            } else if has_value {
                walk.back(mark, end);
                walk.out.put(b"null");
                return Ok((end, Kept::Yes));
            }
            Ok((end, kept))
        })?;
        if !left {
            return Ok((end, if count == 0 { kept } else { Kept::No }));
        }
        for _ in values.iter().skip(count).filter(|has_value| **has_value) {
            self.put(end - 1, true, &[b"null"]);
        }
        Ok((end, Kept::Yes))
    }

    /// For each item of the array under `key` whether it is a value.
    fn values(&self, key: &[u8], object: usize, depth: u32) -> Result<Vec<bool>, Stop> {
        let mut values = Vec::new();
        let Some(at) = self.array_of(key, object, depth)? else {
            return Ok(values);
        };
        let mut at = scan::skip_space(self.bytes, at + 1);
        while byte(self.bytes, at)? != b']' {
            values.push(!matches!(byte(self.bytes, at)?, b'n' | b'{' | b'['));
            at = scan::skip_space(self.bytes, skip_value(self.bytes, at, depth + 1)?);
            if byte(self.bytes, at)? == b',' {
                at = scan::skip_space(self.bytes, at + 1);
            }
        }
        Ok(values)
    }

    /// Where the array under `key` of the object begins.
    fn array_of(&self, key: &[u8], object: usize, depth: u32) -> Result<Option<usize>, Stop> {
        let mut found = None;
        scan::members(self.bytes, object, depth.saturating_sub(1), |member| {
            if is_key(&member, key) {
                found = Some(member.value);
            }
            found.is_none()
        })?;
        match found {
            Some(at) if byte(self.bytes, at)? == b'[' => Ok(Some(at)),
            _ => Ok(None),
        }
    }
}
