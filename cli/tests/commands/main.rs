//! The binary as users meet it: what it prints where, and how it exits.

mod backup;
mod cluster;
mod damage;
mod demo;
mod help;
mod import;
mod keyvalue;
mod one_store;
mod options;
mod route_vectors;
mod run;
