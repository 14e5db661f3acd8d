//! Mailboxes on disk: which files are mail ([`walk`]), what an mbox holds ([`mbox`]), their messages ([`read`]), and the
//! id each message gets ([`ids`]). Plain blocking code; it knows no server.

mod ahead;
pub mod ids;
pub mod mbox;
pub mod read;
pub mod walk;
