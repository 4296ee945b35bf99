use crate::Format;

/// Why a picture could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are no picture that we know.
    #[error("the source is not an image of a known type")]
    UnknownFormat,
    /// A known type that we cannot read.
    #[error("{0} images cannot be read")]
    CannotRead(Format),
    /// A known type that we cannot write.
    #[error("{0} images cannot be written")]
    CannotWrite(Format),
    /// More pixels (in all frames together) than allowed. Found in the header, before anything was decoded.
    #[error("the source has {pixels} pixels, {limit} are allowed")]
    TooManyPixels {
        /// What the header says.
        pixels: u64,
        /// What [`crate::Limits`] allows.
        limit: u64,
    },
    /// More bytes than allowed.
    #[error("the source has more than {0} bytes")]
    TooManyBytes(usize),
    /// The bytes are damaged.
    #[error("the {format} image is damaged: {reason}")]
    Damaged {
        /// What the first bytes claim it to be.
        format: Format,
        /// The decoder's words.
        reason: String,
    },
    /// An encoder refused.
    #[error("the {format} image could not be written: {reason}")]
    Encoder {
        /// The wanted type.
        format: Format,
        /// The encoder's words.
        reason: String,
    },
    /// The time was up.
    #[error("the time for this image is over")]
    Timeout,
    /// Nobody waits for the result any more.
    #[error("nobody waits for this image any more")]
    Cancelled,
    /// As much work is waiting as may wait.
    #[error("too many images wait for their turn")]
    Busy,
}

impl Error {
    pub(crate) fn damaged(format: Format, reason: impl ToString) -> Self {
        Self::Damaged { format, reason: reason.to_string() }
    }

    pub(crate) fn encoder(format: Format, reason: impl ToString) -> Self {
        Self::Encoder { format, reason: reason.to_string() }
    }
}
