//! The binary as users meet it: what it prints where, and how it exits.

mod cluster;
mod damage;
mod demo;
mod help;
mod import;
mod keyvalue;
mod route_formats;
mod run;
