//! The scripted provider: its scenarios played through the stream machine, and its socket.

#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod socket;
#[cfg(test)]
mod transcripts;
