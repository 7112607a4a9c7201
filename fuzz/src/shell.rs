//! The reading of command lines.

use doorward_core::action::shell::{Reading, Shell, read};

/// The first byte chooses the shell. A line is read in bounded work, the same each time, and what its
/// effects refer to exists.
pub fn shell(data: &[u8]) {
    let Some((choice, line)) = data.split_first() else { return };
    let shell = match choice % 4 {
        0 => None,
        1 => Some(Shell::Sh),
        2 => Some(Shell::PowerShell),
        _ => Some(Shell::Cmd),
    };
    let line = String::from_utf8_lossy(line);
    let reading = read(&line, shell);
    sound(&reading);
    assert_eq!(read(&line, shell), reading, "the same line reads differently");
    // Three shells may read it, each with fuel of its own.
    let most = 3 * (17 * line.len() + 128 * 1024);
    assert!(reading.cost <= most, "{} units of work for {} bytes", reading.cost, line.len());
}

/// Every reference leads somewhere.
fn sound(reading: &Reading) {
    let effects = reading.effects.len();
    let flows = reading.effects.iter().flat_map(|effect| &effect.from);
    let words = reading.commands.iter().flat_map(|command| &command.argv).flat_map(|word| &word.from);
    let writes = reading.writes.iter().map(|(flow, _)| flow);
    for flow in flows.chain(words).chain(writes) {
        assert!(usize::from(*flow) < effects, "effect {flow} of {effects}");
    }
}
