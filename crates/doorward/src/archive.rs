//! What an archive holds, by the names and sizes it gives: nothing is unpacked to disk, and how much is read is bounded.

use std::io::{Cursor, Read};

use doorward_control::Object;
use flate2::read::MultiGzDecoder;

/// The most members that are listed.
const MOST_MEMBERS: usize = 1000;

/// The most members of an archive that is looked at at all: beyond it even its index is too large.
const MOST_INDEXED: usize = 50_000;

/// The most bytes that are inflated.
const MOST_INFLATED: u64 = 64 << 20;

/// The most bytes that one byte may become.
const MOST_RATIO: u64 = 200;

/// How deep compression may lie in compression.
const DEEPEST: usize = 3;

/// The longest name of a member that is shown, in bytes.
const LONGEST_NAME: usize = 512;

/// What is in an archive.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The formats, the outermost first.
    pub formats: Vec<&'static str>,
    /// The members, in their order.
    pub members: Vec<Member>,
    /// Why that is not all, if it is not.
    pub stopped: Option<String>,
}

/// One member.
#[derive(Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, as the archive has it.
    pub name: String,
    /// How long it says that it is, in bytes.
    pub size: u64,
    /// What it is: `file`, `directory`, `link`, `other`.
    pub kind: &'static str,
    /// What is wrong about it, if anything: it would land elsewhere, or it expands beyond all measure.
    pub warning: Option<&'static str>,
}

impl Listing {
    /// As JSON.
    pub fn json(&self) -> Vec<u8> {
        let members = self.members.iter().map(|member| {
            let object = Object::new().text("name", &member.name).number("size", member.size);
            let warning = member.warning.map_or_else(|| b"null".to_vec(), quoted);
            object.text("kind", member.kind).raw("warning", &warning).end()
        });
        let stopped = self.stopped.as_deref().map_or_else(|| b"null".to_vec(), quoted);
        let formats = self.formats.iter().map(|format| quoted(format));
        Object::new().array("formats", formats).array("members", members).raw("stopped", &stopped).end()
    }
}

fn quoted(text: &str) -> Vec<u8> {
    doorward_core::syntax::json::quoted(text)
}

/// What `content` holds; `None` if it is no archive of a kind that is listed: zip, tar, gzip.
pub fn listing(content: &[u8]) -> Option<Listing> {
    let mut listing = Listing::default();
    look(content, 0, &mut listing);
    (!listing.formats.is_empty()).then_some(listing)
}

fn look(content: &[u8], depth: usize, listing: &mut Listing) {
    if content.starts_with(b"\x1f\x8b") {
        listing.formats.push("gzip");
        if depth >= DEEPEST {
            listing.stopped = Some(format!("compressed {DEEPEST} times over"));
            return;
        }
        gzip(content, depth, listing);
    } else if content.starts_with(b"PK\x03\x04") || content.starts_with(b"PK\x05\x06") {
        listing.formats.push("zip");
        zip(content, listing);
    } else if is_tar(content) {
        listing.formats.push("tar");
        tar(content, listing);
    }
}

fn is_tar(content: &[u8]) -> bool {
    content.get(257..262) == Some(b"ustar")
}

fn gzip(content: &[u8], depth: usize, listing: &mut Listing) {
    let most = MOST_INFLATED.min((content.len() as u64).saturating_mul(MOST_RATIO));
    let mut inflated = Vec::new();
    let done = MultiGzDecoder::new(content).take(most + 1).read_to_end(&mut inflated);
    let stopped = match done {
        Err(error) => Some(format!("damaged: {error}")),
        Ok(_) if inflated.len() as u64 > most => {
            inflated.truncate(usize::try_from(most).unwrap_or(usize::MAX));
            Some(format!("it expands to more than {most} bytes"))
        }
        Ok(_) => None,
    };
    let before = listing.formats.len();
    look(&inflated, depth + 1, listing);
    if listing.formats.len() == before {
        let name = "(compressed content)".to_owned();
        listing.members.push(Member { name, size: inflated.len() as u64, kind: "file", warning: None });
    }
    listing.stopped = stopped.or(listing.stopped.take());
}

fn zip(content: &[u8], listing: &mut Listing) {
    // Before its index is read: a megabyte of index is twenty thousand members.
    let indexed = content.windows(4).filter(|four| *four == b"PK\x01\x02").count();
    if indexed > MOST_INDEXED {
        listing.stopped = Some(format!("it has more than {MOST_INDEXED} members"));
        return;
    }
    let mut archive = match zip::ZipArchive::new(Cursor::new(content)) {
        Ok(archive) => archive,
        Err(error) => {
            listing.stopped = Some(format!("damaged: {error}"));
            return;
        }
    };
    for index in 0..archive.len() {
        if listing.members.len() >= MOST_MEMBERS {
            listing.stopped = Some(format!("it has {} members", archive.len()));
            return;
        }
        let Ok(member) = archive.by_index_raw(index) else {
            listing.stopped = Some(format!("damaged at member {}", index + 1));
            return;
        };
        let bomb = member.size() > member.compressed_size().saturating_mul(MOST_RATIO).max(1 << 20);
        let kind = match (member.is_dir(), member.is_symlink()) {
            (true, _) => "directory",
            (_, true) => "link",
            _ => "file",
        };
        let name = String::from_utf8_lossy(member.name_raw()).into_owned();
        let warning = elsewhere(&name).or(bomb.then_some("it expands beyond all measure"));
        listing.members.push(Member { name: shortened(&name), size: member.size(), kind, warning });
    }
}

fn tar(content: &[u8], listing: &mut Listing) {
    let mut archive = tar::Archive::new(content);
    let entries = match archive.entries() {
        Ok(entries) => entries.raw(false),
        Err(error) => {
            listing.stopped = Some(format!("damaged: {error}"));
            return;
        }
    };
    for entry in entries {
        if listing.members.len() >= MOST_MEMBERS {
            listing.stopped = Some(format!("it has more than {MOST_MEMBERS} members"));
            return;
        }
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                listing.stopped = Some(format!("damaged: {error}"));
                return;
            }
        };
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => "file",
            tar::EntryType::Directory => "directory",
            tar::EntryType::Symlink | tar::EntryType::Link => "link",
            _ => "other",
        };
        let warning = elsewhere(&name);
        listing.members.push(Member { name: shortened(&name), size: entry.size(), kind, warning });
    }
}

/// What is wrong with a name that leads out of the directory into which one unpacks.
fn elsewhere(name: &str) -> Option<&'static str> {
    let rooted = name.starts_with(['/', '\\']) || name.get(1..2) == Some(":");
    let up = name.split(['/', '\\']).any(|part| part == "..");
    (rooted || up).then_some("it would land outside of the directory into which it is unpacked")
}

fn shortened(name: &str) -> String {
    let end = (0..=LONGEST_NAME.min(name.len())).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    let (start, rest) = name.split_at_checked(end).unwrap_or((name, ""));
    if rest.is_empty() { start.to_owned() } else { format!("{start}…") }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn zipped(names: &[&str], content: &[u8]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for name in names {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn tarred(count: usize, name: impl Fn(usize) -> String) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for at in 0..count {
            let mut header = tar::Header::new_ustar();
            let name = name(at);
            // Names that the writer would refuse.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(3);
            header.set_cksum();
            builder.append(&header, &b"abc"[..]).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn gzipped(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn members_are_listed_with_what_is_wrong_about_them() {
        let zip = listing(&zipped(&["a.txt", "bin/", "../../etc/cron.d/x"], b"hello")).unwrap();
        let kinds: Vec<_> =
            zip.members.iter().map(|m| (m.name.as_str(), m.size, m.kind, m.warning.is_some())).collect();
        let (a, bin, up) = (
            ("a.txt", 5, "file", false),
            ("bin/", 5, "directory", false),
            ("../../etc/cron.d/x", 5, "file", true),
        );
        assert_eq!((zip.formats.as_slice(), kinds), (&["zip"][..], vec![a, bin, up]));
        let names = ["x", "/etc/passwd"];
        let tar = listing(&gzipped(&tarred(2, |at| names[at].to_owned()))).unwrap();
        assert_eq!(tar.formats, ["gzip", "tar"]);
        let found: Vec<_> =
            tar.members.iter().map(|m| (m.name.as_str(), m.size, m.warning.is_some())).collect();
        assert_eq!(found, [("x", 3, false), ("/etc/passwd", 3, true)]);
        assert_eq!(tar.stopped, None);
        let plain = listing(&gzipped(b"just text")).unwrap();
        assert_eq!((plain.members[0].size, plain.stopped), (9, None));
        for none in [&b"text"[..], b"", b"\x7fELF", b"PK"] {
            assert_eq!(listing(none), None);
        }
        let json = String::from_utf8(zip.json()).unwrap();
        assert!(json.contains(r#""formats":["zip"]"#) && json.contains(r#""stopped":null"#), "{json}");
    }

    #[test]
    fn bombs_are_named_and_cost_what_is_bounded() {
        let zeros = vec![0; 80 << 20];
        let bomb = gzipped(&zeros);
        let found = listing(&bomb).unwrap();
        assert!(found.stopped.unwrap().contains("expands to more than"), "{}", bomb.len());
        assert!(found.members[0].size <= (bomb.len() as u64) * MOST_RATIO);
        let nested = gzipped(&gzipped(&gzipped(&gzipped(b"x"))));
        assert!(listing(&nested).unwrap().stopped.unwrap().contains("times over"));
        let mut zip = zipped(&["bomb"], b"x");
        let index = zip.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
        zip[index + 24..index + 28].copy_from_slice(&(80u32 << 20).to_le_bytes());
        let zip = listing(&zip).unwrap();
        assert_eq!(zip.members[0].warning, Some("it expands beyond all measure"));
        let many = listing(&tarred(MOST_MEMBERS + 5, |at| at.to_string())).unwrap();
        assert_eq!((many.members.len(), many.stopped.is_some()), (MOST_MEMBERS, true));
        // An index of more members than are looked at, of which each is a few bytes.
        let index = b"PK\x01\x02".repeat(MOST_INDEXED + 1);
        let indexed = listing(&[b"PK\x03\x04".as_slice(), &index].concat()).unwrap();
        assert!(indexed.stopped.unwrap().contains("more than 50000 members") && indexed.members.is_empty());
    }

    #[test]
    fn what_is_damaged_or_two_things_at_once_is_listed_as_far_as_it_goes() {
        let whole = zipped(&["a", "b"], b"hello");
        for end in (0..whole.len()).step_by(7) {
            let _ = listing(&whole[..end]);
        }
        // A program with an archive behind it is a program; an archive behind a gzip header is damaged.
        assert_eq!(listing(&[b"\x7fELF".as_slice(), &whole].concat()), None);
        assert!(listing(b"\x1f\x8bPK\x03\x04").unwrap().stopped.is_some());
        let mut tar = tarred(2, |at| at.to_string());
        tar[600] = 0xff;
        tar.truncate(1100);
        let _ = listing(&tar);
    }
}
