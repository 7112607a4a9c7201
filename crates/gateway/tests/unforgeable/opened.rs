//! A permit opened by somebody who may not write.
fn steal(permit: doorward_gateway::Permit<doorward_gateway::record::Nothing>) -> doorward_gateway::record::Nothing {
    permit.open(doorward_gateway::forward::Key(()))
}

fn main() {}
