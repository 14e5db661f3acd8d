//! A failure of the database as an error of ours, with what to do about it.

use sqlx::migrate::MigrateError;

use crate::error::Error;
use crate::error::Kind;

/// SQLite's result code, without what it says in more detail.
fn code_of(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code)?;
    code.parse::<u32>().ok().map(|code| code & 0xFF)
}

/// Turns a database failure into an error of ours at the edge.
pub(super) fn failed(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |source| {
        let error = match code_of(&source) {
            Some(13) => Error::new(
                Kind::ResourceExhausted,
                "The disk that holds the catalog is full. Free some space.",
            ),
            Some(11 | 26) => damaged(doing),
            _ => Error::new(Kind::Io, format!("The catalog failed while {doing}.")),
        };
        error.with_source(source)
    }
}

/// The file is not what SQLite wrote. What it says of some rows may still be right, so this is not the damage of one of them.
fn damaged(doing: &'static str) -> Error {
    Error::new(
        Kind::Io,
        format!(
            "The catalog's file is damaged, which was noticed while {doing}. Restore catalog.db and packs from one backup; or \
             put catalog.db aside, with its -wal and -shm files, and run rebuild-catalog."
        ),
    )
}

/// The same for the schema.
pub(super) fn failed_to_migrate(source: MigrateError) -> Error {
    match source {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)
            if matches!(code_of(&source), Some(11 | 13 | 26)) =>
        {
            failed("bringing its schema up to date")(source)
        }
        source => Error::new(
            Kind::FailedPrecondition,
            "The catalog's schema could not be brought up to date. It may belong to a newer version.",
        )
        .with_source(source),
    }
}
