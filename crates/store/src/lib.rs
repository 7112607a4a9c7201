//! The side store: recorded actions, keys, kill state and signals, on SQLite.
