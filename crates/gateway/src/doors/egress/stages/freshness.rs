//! Whether a call was signed just now.

use doorward_core::account::replay::WINDOW;
use doorward_core::session::Millis;
use doorward_core::wire::sphyr::call::Time;
use doorward_core::wire::sphyr::code;

use super::super::denied::Denial;

/// What is wrong with the time at which a call was signed.
pub fn check(time: &Time, now: Millis) -> Result<(), Denial> {
    let seconds = now / 1000;
    if time.seconds.abs_diff(seconds) <= WINDOW {
        return Ok(());
    }
    let (apart, side) = match time.seconds.checked_sub(seconds) {
        Some(ahead) => (ahead, "after"),
        None => (seconds - time.seconds, "before"),
    };
    let message = format!("it was signed {apart} s {side} now, by the clock here; {WINDOW} s are allowed");
    Err(Denial::new(code::SIG_EXPIRED, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_hundred_seconds_either_way() {
        let at = |seconds: u64| Time { text: seconds.to_string(), seconds };
        for (signed, fine) in [(700, true), (699, false), (1300, true), (1301, false), (0, false)] {
            assert_eq!(check(&at(signed), 1_000_999).is_ok(), fine, "{signed}");
        }
    }
}
