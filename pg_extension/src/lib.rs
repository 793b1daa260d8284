//! PostgreSQL extension.
