//! The commands, as a user types them: the built binary, an empty home, a clean environment.

#[cfg(test)]
mod allow;
#[cfg(test)]
mod canary;
#[cfg(test)]
mod classifier;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod destinations;
#[cfg(test)]
mod diff;
#[cfg(test)]
mod forensics;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod honeytokens;
#[cfg(test)]
mod init;
#[cfg(test)]
mod inspect;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod learn;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod quarantine;
#[cfg(test)]
mod receipts;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod run;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod support;
#[cfg(test)]
mod taint;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod webhooks;
