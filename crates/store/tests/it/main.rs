//! The store on real files.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod home;
#[cfg(test)]
mod kill_file;
#[cfg(test)]
mod place;
#[cfg(test)]
mod sqlite;
