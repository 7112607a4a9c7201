//! The scripted provider's scenarios, played through the stream machine.

#[cfg(test)]
mod scenarios;
