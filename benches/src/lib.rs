//! Workloads shared by the criterion files under `benches/`.
