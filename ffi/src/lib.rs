//! C ABI over the engine.
