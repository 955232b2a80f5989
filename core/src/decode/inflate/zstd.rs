//! Zstandard (RFC 8878), block by block: a block is at most 128 KiB, compressed or not.

use ruzstd::decoding::FrameDecoder;

use super::{Broken, PIECE_BYTES_MAX, WINDOW_BYTES_MAX, Window};

/// Inflates zstd frames. Holds one block, and the window that the frame asks for.
#[derive(Default)]
pub(super) struct Zstd {
    decoder: FrameDecoder,
    /// Bytes that are not a whole header or block yet.
    held: Vec<u8>,
    part: Part,
    /// The frame ends with a checksum of four bytes.
    checksum: bool,
    window: Option<Window>,
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Part {
    #[default]
    FrameHeader,
    Block,
    /// A frame of application data that is skipped: bytes left.
    Skipped(u32),
}

impl Zstd {
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        plain: &mut impl FnMut(&[u8]) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let mut rest = bytes;
        loop {
            if let Part::Skipped(left) = self.part {
                let skipped = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                rest = rest.get(skipped..).unwrap_or(&[]);
                let left = left - u32::try_from(skipped).unwrap_or(left);
                self.part = if left == 0 { Part::FrameHeader } else { Part::Skipped(left) };
                if rest.is_empty() {
                    return Ok(());
                }
                continue;
            }
            let missing = self.needed()?.saturating_sub(self.held.len());
            if missing > 0 {
                if rest.is_empty() {
                    return Ok(());
                }
                let (piece, tail) = rest.split_at(missing.min(rest.len()));
                self.held.extend_from_slice(piece);
                rest = tail;
                continue;
            }
            self.step(plain)?;
        }
    }

    /// Bytes that the next step needs, as far as the held ones tell.
    fn needed(&self) -> Result<usize, Broken> {
        let byte = |at: usize| self.held.get(at).copied();
        Ok(match self.part {
            Part::Skipped(_) => 0,
            Part::FrameHeader => match (self.magic(), byte(4)) {
                (None, _) => 4,
                (Some(0x184D_2A50..=0x184D_2A5F), _) => 8,
                (Some(0xFD2F_B528), None) => 5,
                (Some(0xFD2F_B528), Some(descriptor)) => frame_header_bytes(descriptor),
                _ => return Err(Broken),
            },
            Part::Block => match self.held.get(..3) {
                None => 3,
                // The decoder gives out the end of a frame only with its checksum.
                Some(header) => {
                    let last = header.first().is_some_and(|byte| byte & 1 == 1);
                    3 + block_bytes(header)? + if last && self.checksum { 4 } else { 0 }
                }
            },
        })
    }

    fn step(&mut self, plain: &mut impl FnMut(&[u8]) -> Result<(), Broken>) -> Result<(), Broken> {
        match self.part {
            Part::Skipped(_) => {}
            Part::FrameHeader if self.magic() != Some(0xFD2F_B528) => {
                let size = self.held.get(4..8).and_then(|size| size.try_into().ok()).map(u32::from_le_bytes);
                self.part = Part::Skipped(size.unwrap_or(0));
            }
            Part::FrameHeader => {
                self.decoder.set_max_window_size(WINDOW_BYTES_MAX as u64);
                self.window = None;
                self.window = Some(Window::reserve(frame_window_bytes(&self.held).ok_or(Broken)?)?);
                self.checksum = self.held.get(4).is_some_and(|descriptor| descriptor >> 2 & 1 == 1);
                self.decoder.reset(self.held.as_slice()).map_err(|_| Broken)?;
                self.part = Part::Block;
            }
            Part::Block => {
                let last = self.held.first().is_some_and(|byte| byte & 1 == 1);
                let mut buffer = vec![0; PIECE_BYTES_MAX];
                let mut source = self.held.as_slice();
                loop {
                    let (read, written) =
                        self.decoder.decode_from_to(source, &mut buffer).map_err(|_| Broken)?;
                    source = source.get(read..).unwrap_or(&[]);
                    if let Some(piece) = buffer.get(..written).filter(|piece| !piece.is_empty()) {
                        plain(piece)?;
                    }
                    if written == 0 && (read == 0 || source.is_empty()) {
                        break;
                    }
                }
                self.part = if last { Part::FrameHeader } else { Part::Block };
            }
        }
        self.held.clear();
        Ok(())
    }

    fn magic(&self) -> Option<u32> {
        Some(u32::from_le_bytes(self.held.get(..4)?.try_into().ok()?))
    }
}

/// Size of magic and frame header, from the descriptor (RFC 8878, section 3.1.1.1).
const fn frame_header_bytes(descriptor: u8) -> usize {
    let single_segment = descriptor >> 5 & 1 == 1;
    let dictionary = match descriptor & 3 {
        0 => 0,
        1 => 1,
        2 => 2,
        _ => 4,
    };
    let content_size = match descriptor >> 6 {
        0 => single_segment as usize,
        1 => 2,
        2 => 4,
        _ => 8,
    };
    5 + !single_segment as usize + dictionary + content_size
}

/// Window that a whole frame header asks for (section 3.1.1.1.2); the content size in a single segment.
fn frame_window_bytes(header: &[u8]) -> Option<usize> {
    let descriptor = *header.get(4)?;
    if descriptor >> 5 & 1 == 0 {
        let window = header.get(5)?;
        let base = 1usize.checked_shl(10 + u32::from(window >> 3))?;
        return base.checked_add(base / 8 * usize::from(window & 7));
    }
    let size_bytes = match descriptor >> 6 {
        0 => 1,
        1 => 2,
        2 => 4,
        _ => 8,
    };
    let field = header.get(header.len().checked_sub(size_bytes)?..)?;
    let mut size = [0; 8];
    size.get_mut(..size_bytes)?.copy_from_slice(field);
    let base = if size_bytes == 2 { 256 } else { 0 };
    usize::try_from(u64::from_le_bytes(size).checked_add(base)?).ok()
}

/// Bytes of a block behind its header (section 3.1.1.2).
fn block_bytes(header: &[u8]) -> Result<usize, Broken> {
    let [one, two, three] = header.try_into().map_err(|_| Broken)?;
    let word = u32::from_le_bytes([one, two, three, 0]);
    let size = usize::try_from(word >> 3).map_err(|_| Broken)?;
    match word >> 1 & 3 {
        1 => Ok(1),
        0 | 2 if size <= BLOCK_BYTES_MAX => Ok(size),
        _ => Err(Broken),
    }
}

const BLOCK_BYTES_MAX: usize = 128 * 1024;
