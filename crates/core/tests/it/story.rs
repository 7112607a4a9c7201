//! Sessions as stories: what several calls do together, played through `begin`, `decide` and `end`.

mod chains;

mod kept;

pub mod playbook;

mod returned;

mod taint;

mod work;
