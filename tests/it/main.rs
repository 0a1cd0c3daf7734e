//! All integration tests, in one binary.

mod journal_contract;
mod journal_damage;
mod journal_erase;
mod journal_kill;
mod journal_speed;
mod journal_stories;
mod simulation;
