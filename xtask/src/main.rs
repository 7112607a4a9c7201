//! The project's chores. `cargo xtask test` runs every check there is, with nothing to set up first.
//!
//! No dependencies, so that the first thing a contributor runs starts at once.

mod agents;
mod arguments;
mod bench;
mod deny;
mod fuzz;
mod learn;
mod node;
mod process;
mod python;
mod report;
mod scoreboard;
mod soak;
mod steps;
mod targets;

use std::process::ExitCode;

use arguments::Request;

fn main() -> ExitCode {
    match arguments::parse(std::env::args().skip(1)) {
        Ok(Request::Help) => {
            report::say(arguments::USAGE);
            ExitCode::SUCCESS
        }
        Ok(Request::Bench(arguments)) => bench::run(&arguments),
        Ok(Request::Agents(options)) => end(agents::run(&options)),
        Ok(Request::Test(options)) => end(steps::run(&options)),
        Ok(Request::Fuzz(arguments)) => end(fuzz::run(&arguments)),
        Ok(Request::Learn(arguments)) => end(learn::run(&arguments)),
        Ok(Request::Scoreboard(arguments)) => end(scoreboard::run(&arguments)),
        Ok(Request::Soak(arguments)) => soak::run(&arguments),
        Err(error) => {
            report::complain(&format!("xtask: {error}\n\n{}", arguments::USAGE));
            ExitCode::from(2)
        }
    }
}

fn end(passed: Result<bool, String>) -> ExitCode {
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report::complain(&format!("xtask: {error}"));
            ExitCode::FAILURE
        }
    }
}
