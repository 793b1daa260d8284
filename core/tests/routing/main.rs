//! The routing room from outside: agreement with other programs, and what moves when nodes change.

mod formats;
mod golden;
mod moves;
mod vectors;
