//! The routing room from outside: agreement with other programs, and what moves when nodes change.

mod definitions;
mod edges;
mod golden;
mod golden_router;
mod moves;
mod vectors;
