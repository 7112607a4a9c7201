//! What people see: faults with their place, errors with their cause, logs.

use std::io::{IsTerminal, Write};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use doorward_core::syntax::json::quoted;
use doorward_core::syntax::{Diagnostic, Severity};

/// Faults of several sources, gathered so that all are shown at once.
#[derive(Debug, Default)]
pub struct Faults {
    sources: Vec<(String, String, Vec<Diagnostic>)>,
    errors: bool,
}

/// A configuration that cannot be used. Rendered already.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl Faults {
    /// Faults by the source they were found in; `text` gives the text of a source.
    pub fn by_origin<'a>(found: Vec<Diagnostic>, text: impl Fn(&str) -> &'a str) -> Self {
        let mut faults = Self::default();
        let mut origins: Vec<String> = Vec::new();
        for diagnostic in &found {
            if !origins.contains(&diagnostic.origin) {
                origins.push(diagnostic.origin.clone());
            }
        }
        for origin in origins {
            let of_this = found.iter().filter(|diagnostic| diagnostic.origin == origin).cloned().collect();
            faults.add(&origin, text(&origin), of_this);
        }
        faults
    }

    /// Adds what was found in the source `name`.
    pub fn add(&mut self, name: &str, text: &str, found: Vec<Diagnostic>) {
        self.errors |= found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        self.sources.push((name.to_owned(), text.to_owned(), found));
    }

    /// Adds a fault that has no place in a file: of a flag, of an environment variable.
    pub fn add_plain(&mut self, name: &str, message: &str, advice: &str) {
        let diagnostic = Diagnostic::error(doorward_core::syntax::Span::default(), message).advise(advice);
        self.add(name, "", vec![diagnostic]);
    }

    /// Each in one line: where it is and what.
    pub fn lines(&self) -> Vec<String> {
        let one = |name: &str, text: &str, diagnostic: &Diagnostic| {
            let place = if text.is_empty() {
                String::new()
            } else {
                let (line, column) = diagnostic.position(text.as_bytes());
                format!(":{line}:{column}")
            };
            let advice = if diagnostic.advice.is_empty() {
                String::new()
            } else {
                format!(" ({})", diagnostic.advice)
            };
            format!("{name}{place}: {}{advice}", diagnostic.message)
        };
        self.each(one)
    }

    /// Each with the line it stands in.
    pub fn rendered(&self) -> Vec<String> {
        self.each(render)
    }

    fn each(&self, one: impl Fn(&str, &str, &Diagnostic) -> String) -> Vec<String> {
        let found = self
            .sources
            .iter()
            .flat_map(|(name, text, found)| found.iter().map(move |diagnostic| (name, text, diagnostic)));
        found.map(|(name, text, diagnostic)| one(name, text, diagnostic)).collect()
    }

    /// All of them as one error.
    pub fn into_error(self) -> ConfigError {
        ConfigError(self.rendered().join("\n"))
    }

    /// `Err` with everything rendered if there was any error.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn into_result(self) -> Result<(), ConfigError> {
        if self.errors { Err(self.into_error()) } else { Ok(()) }
    }
}

/// One fault with the line it stands in.
pub fn render(name: &str, text: &str, diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    if text.is_empty() {
        let advice =
            if diagnostic.advice.is_empty() { String::new() } else { format!("\n  {}", diagnostic.advice) };
        return format!("error: {name}: {}{advice}", diagnostic.message);
    }
    let range = diagnostic.span.range();
    let range = range.start.min(text.len())..range.end.min(text.len());
    let snippet = Snippet::source(text).path(name).annotation(AnnotationKind::Primary.span(range));
    let mut group = level.primary_title(&diagnostic.message).element(snippet);
    if !diagnostic.advice.is_empty() {
        group = group.element(Level::HELP.message(&diagnostic.advice));
    }
    let renderer = if std::io::stderr().is_terminal() { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

/// Something the user has to correct: exit status 2.
pub fn config_error(message: impl std::fmt::Display) -> anyhow::Error {
    ConfigError(format!("doorward: {message:#}")).into()
}

/// Says what went wrong.
pub fn error(error: &anyhow::Error) {
    if let Some(config) = error.downcast_ref::<ConfigError>() {
        say(&config.to_string());
    } else {
        say(&format!("doorward: {error:#}"));
    }
}

/// 2 for what the user has to correct in command or configuration, 1 for the rest.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<ConfigError>() { 2 } else { 1 }
}

/// A line to standard error.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A fault as a JSON object; `source` is the text it was found in.
pub fn fault_json(source: &str, diagnostic: &Diagnostic) -> String {
    let (line, column) = diagnostic.position(source.as_bytes());
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    format!(
        "{{\"severity\":\"{severity}\",\"file\":{},\"line\":{line},\"column\":{column},\"message\":{},\"advice\":{}}}",
        text(&diagnostic.origin),
        text(&diagnostic.message),
        text(&diagnostic.advice)
    )
}

/// A JSON text.
pub fn text(text: &str) -> String {
    String::from_utf8_lossy(&quoted(text)).into_owned()
}

/// A number of things.
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `text` without what a terminal would obey: the names in receipts are a stranger's words.
pub fn clean(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

/// Puts `line` in the place of the last line on the terminal.
pub fn overwrite(line: &str) {
    let _ = write!(std::io::stderr(), "\r\u{1b}[K{line}");
}

/// A line to standard output. A reader that has gone is no error of ours.
pub fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Sends the log to standard error. Bodies, headers and paths are never logged: they hold secrets.
pub fn log_to_stderr(verbosity: i8) {
    use tracing_subscriber::filter::LevelFilter;
    let level = match verbosity {
        ..0 => LevelFilter::ERROR,
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        3.. => LevelFilter::TRACE,
    };
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .with_target(false)
        .init();
}
