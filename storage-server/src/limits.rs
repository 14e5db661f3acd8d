//! Every bound of the wire in one place. It knows sizes and times, and nothing of what they protect.

use std::time::Duration;

/// Largest payload of a unary put, and of one frame of a stream.
pub const PUT_BYTES_MAX: usize = 4 << 20;

/// Largest gRPC message accepted: a payload of [`PUT_BYTES_MAX`] with its options around it.
pub const REQUEST_BYTES_MAX: usize = PUT_BYTES_MAX + (64 << 10);

/// Largest answer a client of ours accepts.
pub const RESPONSE_BYTES_MAX: usize = 16 << 20;

/// A page of a listing ends before it grows beyond this, so that clients with gRPC's default limit of 4 MiB can read it.
pub const PAGE_BYTES_MAX: usize = 3 << 20;

/// Bytes in one data frame of an answer.
pub const FRAME_BYTES_MAX: usize = 128 << 10;

/// Requests in flight on one connection; HTTP/2 makes a client wait with the next one.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 256;

/// Flow-control windows: what may be on its way without being read, per stream and per connection.
pub const STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// See [`STREAM_WINDOW_BYTES`].
pub const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// Bound on the headers of one request.
pub const HEADER_BYTES_MAX: u32 = 16 << 10;

/// Idle connections are pinged this often, and closed when a ping stays unanswered for [`PING_TIMEOUT`].
pub const PING_INTERVAL: Duration = Duration::from_secs(30);
/// See [`PING_INTERVAL`].
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a client may take for the first bytes of a connection.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// How long a connection may be without a request; settings can change it.
pub const IDLE_MAX: Duration = Duration::from_mins(5);

/// How long a client may leave an answer untaken before its connection is closed.
pub const ANSWER_PAUSE_MAX: Duration = Duration::from_mins(1);

/// An upload gives way to those that wait for its memory where it brings less than [`PACE_BYTES_MIN`] in this time.
pub const PACE_WINDOW: Duration = Duration::from_secs(5);
/// See [`PACE_WINDOW`].
pub const PACE_BYTES_MIN: usize = 64 << 10;

/// What a request may bring before it counts towards the memory for requests being received.
pub const UNCOUNTED_BYTES_MAX: usize = 4 << 10;

/// Memory for requests being received is taken in steps of this size.
pub const RECEIVE_STEP_BYTES: usize = 256 << 10;

/// How long a closed connection is still read, so that the last answers are not lost.
pub const LINGER: Duration = Duration::from_secs(1);

/// How long a client may take to connect.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an upload may pause, and a single message on the wire may take, before the server gives up on it.
pub const UPLOAD_PAUSE_MAX: Duration = Duration::from_mins(1);

/// Messages of one ingest stream that are collected in memory up to this size; larger ones are passed on as they come.
pub const INGEST_COLLECT_BYTES_MAX: usize = 1 << 20;

/// Messages in flight on one ingest stream: begun, or complete and on their way to the disk.
pub const INGEST_MESSAGES_MAX: usize = 256;

/// Bytes in memory for one ingest stream.
pub const INGEST_BYTES_MAX: usize = 4 << 20;
/// Bytes of complete messages of one ingest stream that are on their way to the disk; further ones wait unread.
pub const INGEST_SUBMITTED_BYTES_MAX: usize = 1 << 20;

/// How long an ingest stream may bring nothing while nothing on it is unfinished.
pub const INGEST_IDLE_MAX: Duration = Duration::from_mins(5);

/// Messages above [`INGEST_COLLECT_BYTES_MAX`] that one ingest stream may have unfinished at a time.
pub const INGEST_LARGE_MAX: usize = 4;

/// Progress reports of a migration are at least this far apart.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// How often the engine is asked whether it still takes writes.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// What a caller is told whose request is over [`PUT_BYTES_MAX`].
pub const TOO_LARGE: &str = "A request may hold at most 4 MiB (4,194,304 bytes) of data. \
    Send larger items in pieces, with PutMessageStream or PutContentStream.";
