//! One file for each command.

pub mod allow;

pub mod approvals;

pub mod canary;

pub mod demo;

pub mod forensics;

pub mod fuzz;

pub mod honeytoken;

pub mod init;

pub mod inspect;

pub mod key;

pub mod kill;

pub mod policy;

pub mod quarantine;

pub mod receipts;

pub mod rules;

pub mod run;

pub mod secrets;

pub mod session;

pub mod status;

pub mod taint;

pub mod upkeep;

pub mod webhook;
