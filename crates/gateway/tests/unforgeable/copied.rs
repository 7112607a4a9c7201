//! One permit for two messages, one held call for two places.
fn twice(permit: &doorward_gateway::Permit<doorward_gateway::record::Nothing>) -> doorward_gateway::Permit<doorward_gateway::record::Nothing> {
    permit.clone()
}

fn both(held: doorward_core::stream::Held) -> [doorward_core::stream::Held; 2] {
    [held, held]
}

fn stream() -> doorward_gateway::StreamPermit {
    Default::default()
}

fn main() {}
