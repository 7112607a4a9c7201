//! A permit out of nothing.
fn forge(body: doorward_gateway::record::Nothing) -> doorward_gateway::Permit<doorward_gateway::record::Nothing> {
    doorward_gateway::Permit { body }
}

fn main() {}
