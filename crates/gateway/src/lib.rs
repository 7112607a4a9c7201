//! The data plane: doors, judge, hold, record, forward.
