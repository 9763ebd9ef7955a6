//! The error of this crate.

/// Result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A picture cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw a picture of {}x{} pixels: {message}", size.0, size.1)]
pub struct Error {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// What was expected, or what the library reports.
    pub message: String,
}
