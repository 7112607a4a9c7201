//! The control plane: what people use to steer a running Doorward.
