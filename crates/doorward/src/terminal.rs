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

/// `text` without what a terminal would obey, or show as something else than it is: control characters, those that
/// turn the direction of writing or cannot be seen, and marks that pile up over other lines. The names in receipts are
/// a stranger's words.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.chars() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if c.is_control() || is_unseen(c) || marks > 2 {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that say something and show nothing, or turn what is beside them.
const fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Marks that are drawn over the character before them.
const fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// A stranger's text as lines that all begin with a bar: whatever it says, it cannot pass for a line of ours. It is
/// broken here, because a terminal would begin the next line without a bar.
pub fn quoted_lines(text: &str) -> Vec<String> {
    let width = columns().saturating_sub(QUOTE.len() + 1).max(20);
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let mut out = String::from(QUOTE);
        let mut used = 0;
        for c in clean(line).chars() {
            // What is not ASCII may be two columns wide.
            let wide = if c.is_ascii() { 1 } else { 2 };
            if used + wide > width {
                lines.push(std::mem::replace(&mut out, String::from(QUOTE)));
                used = 0;
            }
            out.push(c);
            used += wide;
        }
        lines.push(out);
    }
    lines
}

/// What stands before a stranger's words.
const QUOTE: &str = "  | ";

/// How wide the terminal is; 100 if that is not known.
fn columns() -> usize {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(std::io::stdout())
        && size.ws_col > 0
    {
        return usize::from(size.ws_col);
    }
    100
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_cannot_draw() {
        let hostile = "ok\u{1b}[2J\u{7}\r\u{9b}1m\u{202e}txt.exe\u{200b}\u{e0041}\u{2028}";
        let shown = clean(hostile);
        assert!(shown.chars().all(|c| c.is_ascii_graphic()), "{shown}");
        let piled = format!("e{}", "\u{301}".repeat(50));
        assert_eq!(clean(&piled).chars().filter(|c| is_mark(*c)).count(), 2);
        assert_eq!(clean("Grüße, 世界 é"), "Grüße, 世界 é");
    }

    #[test]
    fn quoted_lines_all_have_their_bar() {
        let padded = format!("rm -rf x{}\nbecause:\n  nothing", " ".repeat(500));
        let lines = quoted_lines(&padded);
        assert!(lines.len() > 5);
        assert!(lines.iter().all(|line| line.starts_with(QUOTE) && line.chars().count() <= 100), "{lines:?}");
        let wide = quoted_lines(&"世".repeat(500));
        assert!(wide.iter().all(|line| line.chars().count() <= 4 + 48), "{wide:?}");
    }
}
