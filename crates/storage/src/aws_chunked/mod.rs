//! The framing `aws-chunked`: a body in chunks that may be signed, with checksums in a trailer.
//!
//! The decoder hands data on as it arrives and judges a chunk's signature at the chunk's end. So nothing is held in
//! memory, and whoever stores the data must not make it visible before [`Decoder::finish`] has agreed.

use bytes::{Buf, Bytes, BytesMut};
use sha2::{Digest, Sha256};

use crate::sigv4::{Payload, Seed, hex_sha256, same};

/// SHA-256 of nothing: the headers of a chunk, which there are none of.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// The longest line: a chunk's size and signature, or one trailer.
const MAX_LINE: usize = 1024;
/// The largest chunk. SDKs send 64 KiB to 1 MiB.
const MAX_CHUNK: u64 = 16 << 20;
/// The most trailer lines.
const MAX_TRAILERS: usize = 16;

/// Why a body's framing is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// 400 `IncompleteBody`: it ends in the middle.
    #[error("You did not provide the number of bytes specified by the Content-Length HTTP header")]
    Incomplete,
    /// 400 `InvalidRequest`: it is not framed as its headers say.
    #[error("The body is not framed as aws-chunked: {0}")]
    Malformed(&'static str),
    /// 403 `SignatureDoesNotMatch`: a chunk's or the trailer's signature is wrong.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your key and signing method."
    )]
    Signature,
}

/// What came after the data.
pub type Trailers = Vec<(String, String)>;

#[derive(Debug)]
enum State {
    /// Before a chunk's line, or in it.
    Line,
    /// In a chunk's data.
    Data(u64),
    /// Before the line end that closes a chunk's data.
    End,
    /// In the trailer.
    Trailer,
    /// Everything has been seen; anything after it is ignored.
    Done,
}

/// Takes the framing off a body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    line: BytesMut,
    signing: Option<Signing>,
    /// Whether a trailer may come, and whether it must be signed.
    trailer: bool,
    trailers: Trailers,
    trailer_lines: Vec<u8>,
    trailer_signature: Option<String>,
}

#[derive(Debug)]
struct Signing {
    seed: Seed,
    previous: String,
    hash: Sha256,
    claimed: String,
}

impl Decoder {
    /// A decoder for a body that is framed as `payload` says; `None` when it is not framed.
    #[must_use]
    pub fn new(payload: Payload, seed: Seed) -> Option<Self> {
        let (signed, trailer) = match payload {
            Payload::SignedChunks { trailer } => (true, trailer),
            Payload::UnsignedChunks => (false, true),
            Payload::Hash(_) | Payload::Unsigned => return None,
        };
        let signing = signed.then(|| Signing {
            previous: seed.signature.clone(),
            seed,
            hash: Sha256::new(),
            claimed: String::new(),
        });
        Some(Self {
            state: State::Line,
            line: BytesMut::new(),
            signing,
            trailer,
            trailers: Vec::new(),
            trailer_lines: Vec::new(),
            trailer_signature: None,
        })
    }

    /// The next piece of data in `input`, which is consumed; `None` when more input is needed.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, ChunkError> {
        loop {
            match &mut self.state {
                State::Line => {
                    let Some(line) = self.read_line(input)? else { return Ok(None) };
                    self.begin_chunk(&line)?;
                }
                State::Data(left) => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    let data = input.split_to(take);
                    *left -= take as u64;
                    let is_over = *left == 0;
                    if let Some(signing) = &mut self.signing {
                        signing.hash.update(&data);
                    }
                    if is_over {
                        self.state = State::End;
                        self.check_chunk()?;
                    }
                    return Ok(Some(data));
                }
                State::End => {
                    let Some(line) = self.read_line(input)? else { return Ok(None) };
                    if !line.is_empty() {
                        return Err(ChunkError::Malformed("a chunk is longer than its size"));
                    }
                    self.state = State::Line;
                }
                State::Trailer => {
                    let Some(line) = self.read_line(input)? else { return Ok(None) };
                    self.read_trailer(&line)?;
                }
                State::Done => {
                    input.advance(input.len());
                    return Ok(None);
                }
            }
        }
    }

    /// The body has ended: the trailer, if everything was there.
    pub fn finish(mut self) -> Result<Trailers, ChunkError> {
        match self.state {
            State::Done => {}
            // The last line end is forgotten by some clients.
            State::Trailer => {
                let line = std::mem::take(&mut self.line);
                if !line.is_empty() {
                    self.read_trailer(strip_cr(&line))?;
                }
                self.end_trailer()?;
            }
            State::Line | State::Data(_) | State::End => return Err(ChunkError::Incomplete),
        }
        Ok(self.trailers)
    }

    /// A line without its end, or `None` when it goes on in the next input.
    fn read_line(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, ChunkError> {
        let end = memchr::memchr(b'\n', input);
        let take = end.map_or(input.len(), |at| at + 1);
        if self.line.len() + take > MAX_LINE {
            return Err(ChunkError::Malformed("a line is too long"));
        }
        let part = input.split_to(take);
        self.line.extend_from_slice(&part);
        if end.is_none() {
            return Ok(None);
        }
        let line = std::mem::take(&mut self.line).freeze();
        let line = line.slice(..line.len() - 1);
        let stripped = strip_cr(&line).len();
        Ok(Some(line.slice(..stripped)))
    }

    fn begin_chunk(&mut self, line: &[u8]) -> Result<(), ChunkError> {
        let line =
            std::str::from_utf8(line).map_err(|_| ChunkError::Malformed("a chunk's line is not text"))?;
        let (size, extension) = line.split_once(';').unwrap_or((line, ""));
        let size = size.trim();
        if size.is_empty() || size.len() > 16 || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ChunkError::Malformed("a chunk's size is not a hexadecimal number"));
        }
        let size = u64::from_str_radix(size, 16)
            .map_err(|_| ChunkError::Malformed("a chunk's size is too large"))?;
        if size > MAX_CHUNK {
            return Err(ChunkError::Malformed("a chunk is larger than 16 MiB"));
        }
        if let Some(signing) = &mut self.signing {
            let signature = extension
                .trim()
                .strip_prefix("chunk-signature=")
                .ok_or(ChunkError::Malformed("a chunk is not signed"))?;
            signing.claimed = signature.trim().to_owned();
        }
        if size > 0 {
            self.state = State::Data(size);
            return Ok(());
        }
        self.check_chunk()?;
        self.state = State::Trailer;
        Ok(())
    }

    /// Compares a chunk's signature, and makes it the one that the next continues from.
    fn check_chunk(&mut self) -> Result<(), ChunkError> {
        let Some(signing) = &mut self.signing else { return Ok(()) };
        let hash = hex::encode(std::mem::take(&mut signing.hash).finalize());
        let seed = &signing.seed;
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{}\n{EMPTY}\n{hash}",
            seed.timestamp, seed.scope, signing.previous
        );
        let expected = seed.key.sign(text.as_bytes());
        if !same(&expected, &signing.claimed) {
            return Err(ChunkError::Signature);
        }
        signing.previous = expected;
        Ok(())
    }

    fn read_trailer(&mut self, line: &[u8]) -> Result<(), ChunkError> {
        if line.is_empty() {
            // AWS's own examples have an empty line between the last trailer and its signature.
            if self.signing.is_some()
                && self.trailer
                && self.trailer_signature.is_none()
                && !self.trailers.is_empty()
            {
                return Ok(());
            }
            return self.end_trailer();
        }
        if !self.trailer {
            return Err(ChunkError::Malformed("a trailer that was not announced"));
        }
        let line = std::str::from_utf8(line).map_err(|_| ChunkError::Malformed("a trailer is not text"))?;
        let (name, value) = line.split_once(':').ok_or(ChunkError::Malformed("a trailer has no value"))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == "x-amz-trailer-signature" {
            self.trailer_signature = Some(value.to_owned());
            return Ok(());
        }
        if self.trailers.len() == MAX_TRAILERS {
            return Err(ChunkError::Malformed("too many trailers"));
        }
        self.trailer_lines.extend_from_slice(format!("{name}:{value}\n").as_bytes());
        self.trailers.push((name, value.to_owned()));
        Ok(())
    }

    fn end_trailer(&mut self) -> Result<(), ChunkError> {
        self.state = State::Done;
        let (Some(signing), true) = (&self.signing, self.trailer) else { return Ok(()) };
        let seed = &signing.seed;
        let text = format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{}\n{}",
            seed.timestamp,
            seed.scope,
            signing.previous,
            hex_sha256(&self.trailer_lines)
        );
        let claimed = self.trailer_signature.as_deref().unwrap_or_default();
        if same(&seed.key.sign(text.as_bytes()), claimed) { Ok(()) } else { Err(ChunkError::Signature) }
    }
}

fn strip_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests;
