//! Bytes to action to findings to decision. Pure: no I/O, clock, threads or randomness.
