//! gzip (RFC 1952), zlib (RFC 1950) and raw deflate (RFC 1951).

use flate2::{Decompress, FlushDecompress, Status};

use super::{Broken, PIECE_BYTES_MAX};

/// What stands around the deflate stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Header {
    /// A gzip member.
    Gzip,
    /// zlib; some servers send raw deflate under the same name, told by the first byte.
    Zlib,
}

/// Inflates a deflate stream. gzip checksums are not verified: the bytes go to the caller as they are.
pub(super) struct Deflate {
    header: Header,
    part: Part,
    raw: Decompress,
}

enum Part {
    /// Before the first byte of a zlib stream.
    ZlibStart,
    /// In a gzip header: bytes of the fixed part seen, its flags, and what follows.
    GzipHeader(GzipHeader),
    Body,
    /// gzip: bytes of the trailer left.
    Trailer(u8),
    /// After the end; what follows is padding.
    End,
}

#[derive(Clone, Copy, Default)]
struct GzipHeader {
    seen: u8,
    flags: u8,
    extra: Option<u16>,
    extra_size_low: Option<u8>,
    crc_bytes: u8,
}

impl Deflate {
    pub(super) fn new(header: Header) -> Self {
        Self { header, part: Part::start(header), raw: Decompress::new(false) }
    }

    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        plain: &mut impl FnMut(&[u8]) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let mut rest = bytes;
        let mut buffer = Vec::new();
        while let Some((&byte, tail)) = rest.split_first() {
            match &mut self.part {
                Part::ZlibStart => {
                    // CMF: method 8 and a window of at most 32 KiB; anything else is raw deflate.
                    let zlib = byte & 0x0F == 8 && byte >> 4 <= 7;
                    self.raw = Decompress::new(zlib);
                    self.part = Part::Body;
                }
                Part::GzipHeader(header) => {
                    if header.ends_with(byte)? {
                        self.raw = Decompress::new(false);
                        self.part = Part::Body;
                    }
                    rest = tail;
                }
                Part::Body => {
                    buffer.resize(PIECE_BYTES_MAX, 0);
                    rest = self.body(rest, &mut buffer, plain)?;
                }
                Part::Trailer(left) => {
                    *left -= 1;
                    if *left == 0 {
                        self.part = Part::start(self.header);
                    }
                    rest = tail;
                }
                Part::End => return Ok(()),
            }
        }
        Ok(())
    }

    fn body<'b>(
        &mut self,
        bytes: &'b [u8],
        buffer: &mut [u8],
        plain: &mut impl FnMut(&[u8]) -> Result<(), Broken>,
    ) -> Result<&'b [u8], Broken> {
        let mut rest = bytes;
        loop {
            let (in_before, out_before) = (self.raw.total_in(), self.raw.total_out());
            let status = self.raw.decompress(rest, buffer, FlushDecompress::None).map_err(|_| Broken)?;
            let read = usize::try_from(self.raw.total_in() - in_before).map_err(|_| Broken)?;
            let written = usize::try_from(self.raw.total_out() - out_before).map_err(|_| Broken)?;
            rest = rest.get(read..).unwrap_or(&[]);
            if let Some(piece) = buffer.get(..written).filter(|piece| !piece.is_empty()) {
                plain(piece)?;
            }
            if status == Status::StreamEnd {
                self.part = if self.header == Header::Gzip { Part::Trailer(8) } else { Part::End };
                return Ok(rest);
            }
            // Output may be pending without any input left, also where the buffer had room: at the window's
            // end.
            if written == 0 && read == 0 {
                return if rest.is_empty() { Ok(rest) } else { Err(Broken) };
            }
        }
    }
}

impl Part {
    fn start(header: Header) -> Self {
        match header {
            Header::Gzip => Self::GzipHeader(GzipHeader::default()),
            Header::Zlib => Self::ZlibStart,
        }
    }
}

impl GzipHeader {
    /// Reads a byte; true when it was the last of the header.
    fn ends_with(&mut self, byte: u8) -> Result<bool, Broken> {
        const EXTRA: u8 = 4;
        const NAME: u8 = 8;
        const COMMENT: u8 = 16;
        const CRC: u8 = 2;
        if self.seen < 10 {
            match (self.seen, byte) {
                (0, 0x1F) | (1, 0x8B) | (2, 8) | (4..=9, _) => {}
                (3, flags) => self.flags = flags,
                _ => return Err(Broken),
            }
            self.seen += 1;
        } else if self.flags & EXTRA != 0 {
            match (self.extra, self.extra_size_low) {
                (None, None) => self.extra_size_low = Some(byte),
                (None, Some(low)) => self.extra = Some(u16::from_le_bytes([low, byte])),
                (Some(left), _) => self.extra = Some(left - 1),
            }
            if self.extra == Some(0) {
                self.flags &= !EXTRA;
            }
        } else if self.flags & NAME != 0 {
            if byte == 0 {
                self.flags &= !NAME;
            }
        } else if self.flags & COMMENT != 0 {
            if byte == 0 {
                self.flags &= !COMMENT;
            }
        } else if self.flags & CRC != 0 {
            self.crc_bytes += 1;
            if self.crc_bytes == 2 {
                self.flags &= !CRC;
            }
        }
        Ok(self.seen == 10 && self.flags & (EXTRA | NAME | COMMENT | CRC) == 0)
    }
}
