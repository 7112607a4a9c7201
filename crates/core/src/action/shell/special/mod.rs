//! Programs whose arguments mean more than one line of the table can say.
//!
//! Each reader returns `None` where the table's plain reading is right after all.

mod clients;
mod detour;
mod files;
mod lolbins;
mod lookalike;
mod modules;
mod net;
mod powershell;
mod publish;
mod recipes;
mod system;
mod tools;
mod windows;

use super::eval::Eval;
use super::programs::Call;
use super::stream::Stream;

impl Eval {
    /// The program's own reader.
    pub(super) fn special(&mut self, call: &Call<'_>, stdin: &Stream) -> Option<Stream> {
        if call.is("ps") || call.is("slash") {
            return self.windows_program(call, stdin);
        }
        self.publish(call);
        self.recipe_program(call, stdin)
            .or_else(|| self.python_module(call, stdin))
            .or_else(|| self.file_program(call, stdin))
            .or_else(|| self.net_program(call, stdin))
            .or_else(|| self.system_program(call, stdin))
            .or_else(|| self.tool_program(call, stdin))
            .or_else(|| self.windows_program(call, stdin))
    }
}
