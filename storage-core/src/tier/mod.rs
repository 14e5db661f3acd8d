//! Tier policy and recipes: what moves when, and how each tier is written. Pure.

pub mod policy;
pub mod recipe;
