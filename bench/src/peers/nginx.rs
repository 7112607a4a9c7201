//! nginx: `proxy_pass` without buffering, connections to the upstream kept open.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::Places;
use crate::process::{Running, free_address};

pub fn start(folder: &Path, places: &Places, large: bool) -> anyhow::Result<(Running, SocketAddr, String)> {
    let version = Command::new("nginx")
        .arg("-v")
        .output()
        .context("nginx is not on the PATH; on Debian: apt install nginx-light, or nginx")?;
    let version = String::from_utf8_lossy(&version.stderr).trim().replace("nginx version: ", "");
    let address = free_address()?;
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration(folder, address, places.upstream, large))?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(&file).args(["-e", "stderr"]);
    Ok((Running::start(&mut command, folder, "nginx")?.unheard(), address, version))
}

fn configuration(folder: &Path, address: SocketAddr, upstream: SocketAddr, large: bool) -> String {
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("  {what}_temp_path {folder}/{what};\n"))
        .collect();
    let buffer = if large {
        "      proxy_buffer_size 64k;\n      proxy_buffers 8 64k;\n      proxy_busy_buffers_size 128k;\n"
    } else {
        ""
    };
    // The default would close a connection after a thousand requests, which no other peer does.
    let requests = "keepalive_requests 100000000;";
    format!(
        "daemon off;\nworker_processes 2;\nworker_rlimit_nofile 60000;\npid {folder}/pid;\nerror_log stderr error;\n\
         events {{ worker_connections 30000; }}\n\
         http {{\n  access_log off;\n{temporary}  \
         upstream provider {{ server {upstream}; keepalive 256; {requests} }}\n  \
         server {{\n    listen {address} backlog=4096;\n    {requests}\n    client_max_body_size 64m;\n    \
         location / {{\n      proxy_pass http://provider;\n      proxy_http_version 1.1;\n      \
         proxy_set_header Connection \"\";\n      proxy_buffering off;\n      proxy_request_buffering off;\n{buffer}      \
         proxy_read_timeout 600s;\n    }}\n  }}\n}}\n"
    )
}
