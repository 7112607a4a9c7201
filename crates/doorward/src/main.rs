//! `doorward`: the firewall for AI agents. Parse, settle the configuration, run one command.

mod canaries;

mod accounts;

mod aliases;

mod alone;

mod archive;

mod classifier;

mod cli;

mod client;

mod config;

mod detection;

mod egress;

mod honeytokens;

mod past;

mod policies;

mod registries;

mod rules;

mod ledger_key;

mod second_opinion;

mod secrets;

mod serve;

mod sphyr;

mod desk;

mod tool_policy;

mod commands;

mod secret_input;

mod terminal;

mod upkeep;

mod webhooks;

mod when;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    terminal::log_to_stderr(cli.verbosity());
    let result = match cli.command {
        Command::Run(ref command) => commands::run::run(&cli, command),
        Command::Init(ref command) => commands::init::run(&cli, command),
        Command::Inspect(ref command) => commands::inspect::run(&cli, command),
        Command::Policy(ref command) => commands::policy::run(&cli, command),
        Command::Honeytoken(ref command) => commands::honeytoken::run(&cli, command),
        Command::Canary(ref command) => commands::canary::run(&cli, command),
        Command::Forensics(ref command) => commands::forensics::run(&cli, command),
        Command::Secrets(ref command) => commands::secrets::run(&cli, command),
        Command::Fuzz(ref command) => commands::fuzz::run(&cli, command),
        Command::Rules(ref command) => commands::rules::run(&cli, command),
        Command::Allow(ref command) => commands::allow::run(&cli, command),
        Command::Approvals(ref command) => commands::approvals::run(&cli, command),
        Command::Status(ref command) => commands::status::run(&cli, command),
        Command::Session(ref command) => commands::session::run(&cli, command),
        Command::Quarantine(ref command) => commands::quarantine::run(&cli, command),
        Command::Taint(ref command) => commands::taint::run(&cli, command),
        Command::Key(ref command) => commands::key::run(&cli, command),
        Command::Agents(ref command) => commands::key::agents(&cli, command),
        Command::Credits(ref command) => commands::key::credits(&cli, command),
        Command::Webhook(ref command) => commands::webhook::run(&cli, command),
        Command::Retention(ref command) => commands::upkeep::retention(&cli, command),
        Command::Scrub(ref command) => commands::upkeep::scrub(&cli, command),
        Command::Ledger(ref command) => commands::upkeep::ledger(&cli, command),
        Command::Receipts(ref command) => commands::receipts::run(&cli, command),
        Command::Kill(ref command) => commands::kill::kill(&cli, command),
        Command::Resume(ref command) => commands::kill::resume(&cli, command),
        Command::Demo(ref command) => commands::demo::run(&cli, command),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            terminal::error(&error);
            ExitCode::from(terminal::exit_code(&error))
        }
    }
}
