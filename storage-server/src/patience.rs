//! How long the server waits for a client, in one place: each of these frees what a client holds that has gone quiet.

use std::time::Duration;

use crate::limits;

/// How long a client is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the first bytes of a connection.
    pub handshake: Duration,
    /// For the next request on a connection that has none.
    pub idle: Duration,
    /// For the rest of a message that has begun, and for the next frame of an upload.
    pub message: Duration,
    /// For an answer to be taken.
    pub answer: Duration,
    /// For [`limits::PACE_BYTES_MIN`] of an upload while others wait for its memory.
    pub pace: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            handshake: limits::HANDSHAKE_MAX,
            idle: limits::IDLE_MAX,
            message: limits::UPLOAD_PAUSE_MAX,
            answer: limits::ANSWER_PAUSE_MAX,
            pace: limits::PACE_WINDOW,
        }
    }
}
