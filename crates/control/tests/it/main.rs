//! The control listener on real sockets.

#[cfg(test)]
mod acts;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod served;
