//! Sessions as stories: what several calls do together, played through `begin`, `decide` and `end`.

mod chains;

mod kept;

mod order;

pub mod playbook;

mod returned;

mod taint;

mod work;
