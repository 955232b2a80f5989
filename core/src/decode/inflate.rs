//! Bodies that come compressed although `identity` was asked for, inflated as they stream.
//!
//! Memory a stream: gzip and deflate hold a 32 KiB window and a 16 KiB buffer; brotli and zstd hold a window
//! of at most [`WINDOW_BYTES_MAX`], and all of them together at most [`WINDOWS_BYTES_MAX`]. What would need
//! more is not read, and says so.

mod deflate;
mod zstd;

use std::sync::atomic::{AtomicUsize, Ordering};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use deflate::{Deflate, Header};
use zstd::Zstd;

/// Largest window of one brotli or zstd stream, in bytes.
pub const WINDOW_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Windows of all brotli and zstd streams of one process or VM together, in bytes.
pub const WINDOWS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Inflates one body.
pub struct Inflate {
    codec: Codec,
    broken: bool,
    /// How many bytes more it may inflate to.
    left: usize,
}

enum Codec {
    Deflate(Box<Deflate>),
    Brotli(Box<Brotli>),
    Zstd(Box<Zstd>),
}

impl std::fmt::Debug for Inflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflate").field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl Inflate {
    /// An inflater for a `content-encoding`; `None` for one that is not known, or several.
    pub fn of(content_encoding: &str) -> Option<Self> {
        let codec = match content_encoding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Codec::Deflate(Box::new(Deflate::new(Header::Gzip))),
            "deflate" => Codec::Deflate(Box::new(Deflate::new(Header::Zlib))),
            "br" => Codec::Brotli(Box::default()),
            "zstd" => Codec::Zstd(Box::default()),
            _ => return None,
        };
        Some(Self { codec, broken: false, left: PLAIN_BYTES_MAX })
    }

    /// Reads a piece, and hands over what it inflates to, in pieces of at most [`PIECE_BYTES_MAX`].
    pub fn feed(&mut self, bytes: &[u8], plain: &mut impl FnMut(&[u8])) {
        if self.broken {
            return;
        }
        let left = &mut self.left;
        // Whatever fits is handed over, however the body is cut.
        let mut plain = |piece: &[u8]| {
            let fits = piece.get(..piece.len().min(*left)).unwrap_or(piece);
            plain(fits);
            *left -= fits.len();
            if fits.len() == piece.len() { Ok(()) } else { Err(Broken) }
        };
        let fed = match &mut self.codec {
            Codec::Deflate(deflate) => deflate.feed(bytes, &mut plain),
            Codec::Brotli(brotli) => brotli.feed(bytes, &mut plain),
            Codec::Zstd(zstd) => zstd.feed(bytes, &mut plain),
        };
        self.broken = fed.is_err();
    }

    /// Whether the body is not what its encoding says, or would need more memory than there is for it.
    pub const fn is_broken(&self) -> bool {
        self.broken
    }
}

/// The bytes cannot be inflated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Broken;

/// Most that one body inflates to, in bytes: some kilobytes of a hostile one would keep a worker busy for
/// seconds. An answer with four pictures has less.
pub const PLAIN_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Largest piece of plain text that is handed over at once, in bytes.
pub const PIECE_BYTES_MAX: usize = 16 * 1024;

/// Brotli (RFC 7932).
#[derive(Default)]
struct Brotli {
    state: Option<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    window: Option<Window>,
}

impl Brotli {
    fn feed(
        &mut self,
        bytes: &[u8],
        plain: &mut impl FnMut(&[u8]) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let Some(first) = bytes.first() else { return Ok(()) };
        if self.window.is_none() {
            self.window = Some(Window::reserve(1 << brotli_window_bits(*first))?);
        }
        let state = self.state.get_or_insert_with(|| {
            BrotliState::new(StandardAlloc::default(), StandardAlloc::default(), StandardAlloc::default())
        });
        let (mut input_left, mut input_at, mut total) = (bytes.len(), 0, 0);
        let mut buffer = vec![0; PIECE_BYTES_MAX];
        loop {
            let (mut output_left, mut output_at) = (buffer.len(), 0);
            let result = BrotliDecompressStream(
                &mut input_left,
                &mut input_at,
                bytes,
                &mut output_left,
                &mut output_at,
                &mut buffer,
                &mut total,
                state,
            );
            if let Some(piece) = buffer.get(..output_at).filter(|piece| !piece.is_empty()) {
                plain(piece)?;
            }
            match result {
                BrotliResult::NeedsMoreOutput => {}
                // It asks for input also where the buffer was too small for what the input so far makes.
                BrotliResult::NeedsMoreInput if output_left == 0 => {}
                BrotliResult::NeedsMoreInput | BrotliResult::ResultSuccess => return Ok(()),
                BrotliResult::ResultFailure => return Err(Broken),
            }
        }
    }
}

/// WBITS of RFC 7932, section 9.1, from the first byte of a stream.
const fn brotli_window_bits(first: u8) -> u32 {
    match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => 16,
        (_, bits @ 1..=7, _) => 17 + bits as u32,
        (_, _, 0) => 17,
        // Large windows are no part of the standard; they are above every bound.
        (_, _, 1) => 30,
        (_, _, bits) => 8 + bits as u32,
    }
}

/// A share of the memory for windows, given back when dropped.
struct Window {
    bytes: usize,
}

static WINDOWS_BYTES: AtomicUsize = AtomicUsize::new(0);

impl Window {
    fn reserve(bytes: usize) -> Result<Self, Broken> {
        let reserved = bytes <= WINDOW_BYTES_MAX
            && WINDOWS_BYTES
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sum| {
                    sum.checked_add(bytes).filter(|sum| *sum <= WINDOWS_BYTES_MAX)
                })
                .is_ok();
        if reserved { Ok(Self { bytes }) } else { Err(Broken) }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        WINDOWS_BYTES.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn inflated(encoding: &str, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut inflate = Inflate::of(encoding).unwrap();
        let mut plain = Vec::new();
        for piece in pieces {
            inflate.feed(piece, &mut |bytes| {
                assert!(bytes.len() <= PIECE_BYTES_MAX);
                plain.extend_from_slice(bytes);
            });
        }
        (plain, inflate.is_broken())
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::GzBuilder::new()
            .filename("name")
            .comment("comment")
            .extra(vec![1, 2, 3])
            .write(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn raw_deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
    }

    /// Four times `hello`, and 100,000 × `a`, by the reference encoder (brotli 1.1 for Python).
    const BROTLI: &[(&[u8], &str, usize)] = &[
        (b"\x1b\x16\x00\xf8\x8d\x94n\xdeDU\x86\x96l o!O\x1c\xe08", "hello hello hello hello", 1),
        (b"[\x9f\x86\x81_\",\x1e\x0b\x04\xb2\xfc\x02\x00", "a", 100_000),
    ];

    fn texts() -> Vec<Vec<u8>> {
        let json = br#"{"usage":{"prompt_tokens":7}}"#.repeat(3_000);
        vec![Vec::new(), b"x".to_vec(), b"hello hello hello".to_vec(), vec![b'a'; 300_000], json]
    }

    #[test]
    fn every_encoding_gives_back_the_text_at_every_piece_size() {
        type Encoder = fn(&[u8]) -> Vec<u8>;
        let encoders: [(&str, Encoder); 4] =
            [("gzip", gzip), ("deflate", zlib), ("deflate", raw_deflate), ("zstd", zstd)];
        for (encoding, encode) in encoders {
            for text in texts() {
                let body = encode(&text);
                for size in [1, 7, 1000, body.len()] {
                    let pieces: Vec<&[u8]> = body.chunks(size.max(1)).collect();
                    let (plain, broken) = inflated(encoding, &pieces);
                    assert!(!broken, "{encoding} in pieces of {size}");
                    assert!(
                        plain == text,
                        "{encoding} in pieces of {size}: {} of {}",
                        plain.len(),
                        text.len()
                    );
                }
            }
        }
        for (body, text, times) in BROTLI {
            for size in [1, body.len()] {
                let pieces: Vec<&[u8]> = body.chunks(size).collect();
                assert_eq!(inflated("br", &pieces), (text.repeat(*times).into_bytes(), false));
            }
        }
    }

    #[test]
    fn text_that_fills_the_buffer_at_a_cut_is_given_out_at_every_cut() {
        // Varied enough that the plain text ends pieces at many places of the 16 KiB buffer.
        let text: Vec<u8> = (0..34_000u32)
            .flat_map(|n| format!("{} ", n.wrapping_mul(2_654_435_761) % 97).into_bytes())
            .take(33_440)
            .collect();
        let body = gzip(&text);
        for at in (0..body.len()).step_by(7) {
            let (head, tail) = body.split_at(at);
            let (plain, broken) = inflated("gzip", &[head, tail]);
            assert!(!broken && plain == text, "split at byte {at}: {} of {}", plain.len(), text.len());
        }
    }

    #[test]
    fn gzip_members_follow_each_other() {
        let body = [gzip(b"one "), gzip(b"two")].concat();
        for size in [1, body.len()] {
            let pieces: Vec<&[u8]> = body.chunks(size).collect();
            assert_eq!(inflated("gzip", &pieces), (b"one two".to_vec(), false));
        }
    }

    #[test]
    fn a_window_above_the_bound_is_refused() {
        assert!(Window::reserve(WINDOW_BYTES_MAX + 1).is_err());
        assert!(inflated("br", &[&[0b0001_0001, 0, 0, 0]]).1, "large-window brotli");
    }

    /// As many bytes at every cut, and then no more.
    #[test]
    fn a_body_that_inflates_to_too_much_ends_at_the_bound() {
        let body = gzip(&vec![b'a'; PLAIN_BYTES_MAX + 100_000]);
        for size in [body.len(), 999] {
            let pieces: Vec<&[u8]> = body.chunks(size).collect();
            let (plain, broken) = inflated("gzip", &pieces);
            assert_eq!((plain.len(), broken), (PLAIN_BYTES_MAX, true), "in pieces of {size}");
        }
        let (plain, broken) = inflated("gzip", &[&gzip(&vec![b'a'; PLAIN_BYTES_MAX])]);
        assert_eq!((plain.len(), broken), (PLAIN_BYTES_MAX, false));
    }

    #[test]
    fn what_is_not_known_is_not_inflated() {
        for encoding in ["compress", "gzip, br", "", "identity"] {
            assert!(Inflate::of(encoding).is_none(), "{encoding}");
        }
    }

    /// Found by fuzzing: bytes that make more than a buffer and end in the middle.
    #[test]
    fn an_unfinished_brotli_body_gives_all_it_has_at_every_cut() {
        const BODY: &[u8] = b"\x05\x06\x22\x00\x22\x22\x22\x05\x76\x30\x00\xc5\x49\x60lnIeIS\xffleoo";
        let whole = inflated("br", &[BODY]);
        assert_eq!((whole.0.len(), whole.1), (17_433, false));
        for at in 0..=BODY.len() {
            let (head, tail) = BODY.split_at(at);
            assert_eq!(inflated("br", &[head, tail]), whole, "split at byte {at}");
        }
    }

    /// Found by fuzzing: a byte that ended the window was withheld until more input came.
    #[test]
    fn an_unfinished_deflate_body_gives_all_it_has_at_every_cut() {
        let text: Vec<u8> = (0..40_000u32).map(|n| (n % 251) as u8).collect();
        let body = raw_deflate(&text);
        for length in 0..body.len() {
            let bytes: Vec<&[u8]> = body[..length].chunks(1).collect();
            let same = inflated("deflate", &bytes) == inflated("deflate", &[&body[..length]]);
            assert!(same, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..300) {
            for encoding in ["gzip", "deflate", "br", "zstd"] {
                let (head, tail) = bytes.split_at(at.min(bytes.len()));
                inflated(encoding, &[head, tail]);
            }
        }

        #[test]
        fn damage_is_found_or_harmless(at in 0usize..60, bit in 0u8..8) {
            for (encoding, body) in [("gzip", gzip(b"hello hello hello")), ("zstd", zstd(b"hello hello hello"))] {
                let mut body = body;
                if let Some(byte) = body.get_mut(at) {
                    *byte ^= 1 << bit;
                }
                inflated(encoding, &[&body]);
            }
        }
    }
}
