//! What no policy can lift: an agent that reaches for Doorward itself. Its files, its commands, its
//! process, its control listener, and the settings that lead a client through it.

use super::{Surroundings, reason};
use crate::action::shell::Reading;
use crate::action::{Action, Capability, Effect, PartKind, Target};
use crate::decision::{Layer, Reason, Verdict};
use crate::detect::canary::Place;
use crate::session::Held;
use crate::syntax::json;

mod along;

mod bait;
pub(super) use bait::led_to as led_to_bait;

mod canary;
pub(super) use canary::{Planted, content};

mod client;

mod commands;

mod control;

mod held;

mod home;

mod process;

mod spelling;
use spelling::Spelling;

mod tools;

/// The floor of one Doorward.
#[derive(Debug)]
pub(super) struct Floor {
    around: Surroundings,
    /// The name of our program, in lower case.
    program: String,
    spelling: Spelling,
    home: home::Home,
    control: Option<control::Control>,
    /// The ports of all our listeners.
    ports: Vec<String>,
}

/// An action with what the checks need of it.
struct Case<'a> {
    action: &'a Action,
    effects: &'a [Effect],
    /// Every command line in it, read.
    readings: Vec<&'a Reading>,
    /// For a tool whose meaning is not known: every text among its arguments.
    strings: Vec<String>,
    /// The arguments of any tool but for long texts.
    arguments: Vec<tools::Argument>,
}

impl Floor {
    pub(super) fn new(around: Surroundings) -> Self {
        let port = |listener: &String| Some(listener.rsplit_once(':')?.1.to_owned());
        Self {
            program: around.program.to_lowercase(),
            spelling: Spelling::new(&around),
            home: home::Home::new(&around),
            control: control::Control::new(&around.control),
            ports: around.listeners.iter().filter_map(port).collect(),
            around,
        }
    }

    /// The decoys at `places`, as this floor compares them.
    pub(super) fn planted(&self, places: &[Place]) -> Planted {
        Planted::new(places, &Spelling::new(&self.around))
    }

    /// Adds the floor's reasons.
    pub(super) fn judge(
        &self,
        action: &Action,
        effects: &[Effect],
        readings: &[(usize, Reading)],
        (planted, held): (&Planted, &Held),
        out: &mut Vec<Reason>,
    ) {
        let case = Case::new(action, effects, readings);
        out.extend(planted.touched(&case));
        out.extend(self.held(&case, held));
        out.extend(self.home.touched(&case).map(|touch| match touch {
            home::Touch::Itself => block(
                "floor.home",
                "the call reaches for Doorward's own files",
                "leave Doorward's directory alone; a person changes it",
            ),
            home::Touch::Along => block(
                "floor.home",
                "the call takes all of a directory in which Doorward's own files are",
                "name the directories in it that are needed instead of the whole; a person may take the whole, or have \
                 Doorward's directory elsewhere (`DOORWARD_HOME`)",
            ),
        }));
        out.extend(self.own_commands(&case));
        if self.signals_us(&case) {
            let message = "the call could stop Doorward's process";
            out.push(block(
                "floor.process",
                message,
                "name the exact process to stop, by its own pid or name",
            ));
        } else if self.ends_other_users(&case) {
            let message = "the call ends all processes of another user";
            let advice =
                "end the processes that are meant by their names; a person may end a user's whole session";
            out.push(reason("floor.process", Layer::Floor, Verdict::Ask, 70, message, advice));
        }
        if self.control.as_ref().is_some_and(|control| control.is_reached(&case)) {
            let message = "the call talks to Doorward's control listener";
            out.push(block("floor.control", message, "the control listener is for people; do not call it"));
        }
        out.extend(self.redirects(&case));
        out.extend(self.by_tool(&case).filter(|found| !out.iter().any(|own| own.rule == found.rule)));
    }
}

fn block(rule: &str, message: &str, advice: &str) -> Reason {
    reason(rule, Layer::Floor, Verdict::Block, 100, message, advice)
}

fn note(rule: &str, message: &str, advice: &str) -> Reason {
    reason(rule, Layer::Floor, Verdict::Audit, 40, message, advice)
}

impl<'a> Case<'a> {
    fn new(action: &'a Action, effects: &'a [Effect], readings: &'a [(usize, Reading)]) -> Self {
        let readings = readings.iter().map(|(_, reading)| reading).collect();
        let obscure = |effect: &Effect| {
            matches!(
                effect.capability,
                Capability::Unknown | Capability::McpInvoke | Capability::UiAutomation
            )
        };
        let unknown = effects.is_empty() || effects.iter().any(obscure);
        let (mut strings, mut arguments) = (Vec::new(), Vec::new());
        if unknown || action.tool.is_some() {
            for part in action.parts.iter().filter(|part| part.kind == PartKind::Arguments) {
                if let Ok(node) = json::parse(part.text.as_bytes()) {
                    tools::arguments(&node, "", &mut arguments);
                    if unknown {
                        node.each_string(&mut |text, _| strings.push(text.to_owned()));
                    }
                }
            }
        }
        Self { action, effects, readings, strings, arguments }
    }

    /// Whether nothing else stands beside the one command there is.
    fn is_single(&self) -> bool {
        self.readings.iter().map(|reading| reading.commands.len()).sum::<usize>() <= 1
    }

    /// Code given in place, and texts of tools nobody knows: places where only words can be looked for.
    fn loose_text(&self) -> impl Iterator<Item = &str> {
        let code = self.effects.iter().filter_map(|effect| match &effect.target {
            Target::Code(code) => Some(code.as_str()),
            _ => None,
        });
        code.chain(self.strings.iter().map(String::as_str))
    }
}
