//! `cargo xtask bench model`: the model door beside other proxies, in one run; `cargo xtask bench detect`: how fast text is
//! looked through. See `docs/benchmarks.md`.

#[cfg(target_os = "linux")]
mod arguments;
#[cfg(target_os = "linux")]
mod budgets;
#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod clock;
#[cfg(target_os = "linux")]
mod detect;
#[cfg(target_os = "linux")]
mod egress;
#[cfg(target_os = "linux")]
mod http;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod model;
#[cfg(target_os = "linux")]
mod peers;
#[cfg(target_os = "linux")]
mod proc;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod question;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod shapes;
#[cfg(target_os = "linux")]
mod spec;
#[cfg(target_os = "linux")]
mod stats;
#[cfg(target_os = "linux")]
mod upstream;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use std::process::ExitCode;

    use arguments::Request;

    let done = match arguments::parse(std::env::args().skip(1)) {
        Ok(Request::Help) => {
            report::say(arguments::USAGE);
            Ok(())
        }
        Ok(Request::Upstream) => upstream::serve(),
        Ok(Request::Model(options)) => model::run(&options),
        Ok(Request::Egress(options)) => egress::run(&options),
        Ok(Request::Detect { rounds, json, markdown }) => {
            detect::run(rounds, json.as_deref(), markdown.as_deref())
        }
        Err(error) => {
            report::tell(&format!("bench: {error}\n\n{}", arguments::USAGE));
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::tell(&format!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// What processes take is read from `/proc`.
#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "bench: runs on Linux only");
    std::process::ExitCode::FAILURE
}
