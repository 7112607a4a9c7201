//! A permit opened by somebody who may not write.
fn steal(permit: doorward_gateway::Permit<bytes::Bytes>) -> bytes::Bytes {
    permit.open(doorward_gateway::forward::Key(()))
}

fn main() {}
