use std::io::Write as _;

use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;

use super::*;

const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Brotli, Coding::Zstd, Coding::Deflate];

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn bare(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn brotli(text: &[u8], window: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = ::brotli::CompressorWriter::new(&mut out, 4096, 5, window);
    encoder.write_all(text).unwrap();
    drop(encoder);
    out
}

fn zstd(text: &[u8], parameters: &[zstd_safe::CParameter]) -> Vec<u8> {
    let mut context = zstd_safe::CCtx::create();
    context.set_parameter(zstd_safe::CParameter::ChecksumFlag(true)).unwrap();
    for parameter in parameters {
        context.set_parameter(*parameter).unwrap();
    }
    let mut out = vec![0; zstd_safe::compress_bound(text.len())];
    let length = context.compress2(&mut out[..], text).unwrap();
    out.truncate(length);
    out
}

fn encode(coding: Coding, text: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => gzip(text),
        Coding::Brotli => brotli(text, 22),
        Coding::Zstd => zstd(text, &[]),
        Coding::Deflate => zlib(text),
    }
}

/// Each piece of a stream as an encoder flushes it, the last one with its end.
fn flushed(coding: Coding, pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    fn each<W: std::io::Write>(
        mut encoder: W,
        pieces: &[&[u8]],
        got: impl Fn(&W) -> Vec<u8>,
    ) -> Vec<Vec<u8>> {
        let (mut out, mut before) = (Vec::new(), 0);
        for piece in pieces {
            encoder.write_all(piece).unwrap();
            encoder.flush().unwrap();
            let so_far = got(&encoder);
            out.push(so_far[before..].to_vec());
            before = so_far.len();
        }
        out
    }
    match coding {
        Coding::Gzip => {
            let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            each(encoder, pieces, |encoder| encoder.get_ref().clone())
        }
        Coding::Deflate => {
            let encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            each(encoder, pieces, |encoder| encoder.get_ref().clone())
        }
        Coding::Brotli => {
            let encoder = ::brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
            each(encoder, pieces, |encoder| encoder.get_ref().clone())
        }
        Coding::Zstd => {
            let mut context = zstd_safe::CCtx::create();
            let mut out = Vec::new();
            for piece in pieces {
                let mut space = vec![0; 1 << 16];
                let mut to = zstd_safe::OutBuffer::around(&mut space[..]);
                let mut from = zstd_safe::InBuffer::around(piece);
                context.compress_stream(&mut to, &mut from).unwrap();
                assert_eq!(from.pos(), piece.len());
                assert_eq!(context.flush_stream(&mut to).unwrap(), 0);
                out.push(to.as_slice().to_vec());
            }
            out
        }
    }
}

/// Decodes pieces with little room, as a slow reader would.
fn decode<'a>(
    coding: Coding,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    room: usize,
) -> Result<Vec<u8>, Fault> {
    let mut decoder = Decoder::new(coding)?;
    let mut out = Vec::new();
    for mut piece in pieces {
        loop {
            let before = out.len();
            let progress = decoder.step(&mut piece, &mut out, room)?;
            assert!(out.len() - before <= room, "more than the room");
            if progress == Progress::Starved {
                assert!(piece.is_empty(), "starved with input left");
                break;
            }
        }
    }
    decoder.end()?;
    Ok(out)
}

fn whole(coding: Coding, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    decode(coding, [bytes], STEP)
}

fn code(result: Result<Vec<u8>, Fault>) -> &'static str {
    result.expect_err("it should be refused").code
}

fn headers(values: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn exactly_one_known_coding_is_read() {
    let of = |values: &[&'static str]| Coding::of(&headers(values));
    assert_eq!(of(&[]).unwrap(), None);
    assert_eq!(of(&["identity"]).unwrap(), None);
    assert_eq!(of(&["GZIP"]).unwrap(), Some(Coding::Gzip));
    assert_eq!(of(&["x-gzip"]).unwrap(), Some(Coding::Gzip));
    assert_eq!(of(&["br"]).unwrap(), Some(Coding::Brotli));
    assert_eq!(of(&["zstd"]).unwrap(), Some(Coding::Zstd));
    for bad in [&["deflate"][..], &["gzip, br"], &["gzip", "gzip"], &["identity", "gzip"], &["utf-8"], &[""]]
    {
        assert_eq!(of(bad).unwrap_err().code, "content_encoding", "{bad:?}");
    }
}

/// Whoever reads it after us would guess; where nobody does, both forms are read.
#[test]
fn deflate_is_read_only_where_nobody_reads_it_again() {
    assert_eq!(Coding::of_decoded(&headers(&["Deflate"])).unwrap(), Some(Coding::Deflate));
    assert_eq!(Coding::of_decoded(&headers(&["gzip"])).unwrap(), Some(Coding::Gzip));
    for bad in [&["gzip, deflate"][..], &["deflate", "deflate"], &["compress"]] {
        assert_eq!(Coding::of_decoded(&headers(bad)).unwrap_err().code, "content_encoding", "{bad:?}");
    }
    for text in [&b""[..], b"x", b"said in either form", &[0; 100_000]] {
        for packed in [zlib(text), bare(text)] {
            for (size, room) in [(packed.len(), STEP), (1, 1), (2, 7)] {
                if text.len() < 1000 || room == STEP {
                    let read = decode(Coding::Deflate, packed.chunks(size), room);
                    assert_eq!(read.unwrap(), text, "{packed:?} by {size}");
                }
            }
            let mut more = packed.clone();
            more.push(0);
            assert_eq!(code(whole(Coding::Deflate, &more)), "encoding.trailing");
            for cut in 1..packed.len().min(40) {
                assert_eq!(code(whole(Coding::Deflate, &packed[..cut])), "encoding.truncated");
            }
        }
    }
    assert_eq!(code(whole(Coding::Deflate, b"plain words")), "encoding.corrupt");
}

/// An empty member has 20 bytes and costs a window: 64 MiB of them kept a thread busy for many seconds.
#[test]
fn many_empty_members_are_no_body() {
    let few = gzip(b"").repeat(1000);
    assert_eq!(whole(Coding::Gzip, &few).unwrap(), b"");
    let many = gzip(b"").repeat(1 << 20);
    let begun = std::time::Instant::now();
    assert_eq!(code(whole(Coding::Gzip, &many)), "encoding.corrupt");
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn each_flushed_piece_is_given_at_once() {
    let pieces: Vec<Vec<u8>> =
        (0..50).map(|at| format!("data: {{\"delta\": \"word {at}\"}}\n\n").into_bytes()).collect();
    let texts: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    for coding in CODINGS {
        let mut decoder = Decoder::new(coding).unwrap();
        for (bytes, text) in flushed(coding, &texts).iter().zip(&texts) {
            let (mut out, mut input) = (Vec::new(), bytes.as_slice());
            assert_eq!(decoder.step(&mut input, &mut out, STEP).unwrap(), Progress::Starved);
            assert_eq!(&out, text, "{coding:?}: a flushed event waits in the decoder");
        }
        assert_eq!(decoder.end().unwrap_err().code, "encoding.truncated", "{coding:?} has not ended");
    }
}

#[test]
fn bombs_are_refused_before_they_take_memory() {
    let zeros = vec![0; 64 << 20];
    for coding in CODINGS {
        let bomb = encode(coding, &zeros);
        let mut decoder = Decoder::new(coding).unwrap();
        let (mut input, mut given) = (bomb.as_slice(), 0);
        let fault = loop {
            let mut out = Vec::new();
            match decoder.step(&mut input, &mut out, STEP) {
                Ok(Progress::Starved) => panic!("{coding:?}: all of the bomb went off"),
                Ok(Progress::More) => given += out.len(),
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault.code, "encoding.ratio", "{coding:?}");
        assert!(given <= (FREE as usize).max(bomb.len() * 100 + STEP), "{coding:?}: {given} bytes came out");
        assert!(decoder.memory() <= 17 << 20, "{coding:?}: {} bytes held", decoder.memory());
    }
}

#[test]
fn short_repetitive_texts_are_no_bombs() {
    let text = vec![b'a'; 3 << 20];
    for coding in CODINGS {
        assert_eq!(whole(coding, &encode(coding, &text)).unwrap().len(), text.len(), "{coding:?}");
    }
}

#[test]
fn what_breaks_off_is_refused() {
    for coding in CODINGS {
        let bytes = encode(coding, b"{\"a\": 1, \"b\": [1, 2, 3, 4, 5, 6, 7, 8, 9]}");
        for cut in 1..bytes.len() {
            assert_eq!(code(whole(coding, &bytes[..cut])), "encoding.truncated", "{coding:?} cut at {cut}");
        }
        assert_eq!(whole(coding, &[]).unwrap(), b"", "{coding:?}: nothing at all is an empty body");
    }
}

#[test]
fn what_stands_behind_the_end_is_refused() {
    for coding in CODINGS {
        for behind in [&b"{\"tools\": []}"[..], &[0], &[0x1f], &[0x1f, 0x8b]] {
            let mut bytes = encode(coding, b"{}");
            bytes.extend_from_slice(behind);
            let refused = code(whole(coding, &bytes));
            assert!(
                matches!(refused, "encoding.trailing" | "encoding.corrupt" | "encoding.truncated"),
                "{coding:?}: {refused}"
            );
            // In the next piece as well.
            let pieces = [&bytes[..bytes.len() - behind.len()], behind];
            assert_eq!(code(decode(coding, pieces, STEP)), refused, "{coding:?}");
        }
    }
}

#[test]
fn members_and_frames_are_all_read() {
    let mut two = gzip(b"first ");
    two.extend(gzip(b"second"));
    assert_eq!(whole(Coding::Gzip, &two).unwrap(), b"first second");
    let mut two = zstd(b"first ", &[]);
    // A skippable frame says nothing.
    two.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    two.extend(zstd(b"second", &[]));
    assert_eq!(whole(Coding::Zstd, &two).unwrap(), b"first second");
    let mut two = brotli(b"first ", 22);
    two.extend(brotli(b"second", 22));
    assert_eq!(code(whole(Coding::Brotli, &two)), "encoding.trailing");
}

#[test]
fn windows_are_bounded() {
    // Noise in which everything can be found again far behind, so that encoders use their window.
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(9 << 20)
    .collect();
    let text = noise.repeat(2);
    let wide = zstd(&text, &[zstd_safe::CParameter::WindowLog(24)]);
    assert_eq!(code(whole(Coding::Zstd, &wide)), "encoding.window");
    let fine = zstd(&text, &[zstd_safe::CParameter::WindowLog(23)]);
    assert_eq!(whole(Coding::Zstd, &fine).unwrap(), text);
    // The header of a large-window stream: an extension of brotli that HTTP does not have.
    assert_eq!(code(whole(Coding::Brotli, &[0x11, 0x1e, 0, 0])), "encoding.corrupt");
    assert_eq!(whole(Coding::Brotli, &brotli(&text, 24)).unwrap(), text);
}

#[test]
fn checksums_count() {
    let mut bytes = gzip(b"{\"a\": 1}");
    let at = bytes.len() - 5;
    bytes[at] ^= 1;
    assert_eq!(code(whole(Coding::Gzip, &bytes)), "encoding.corrupt");
    let mut bytes = zstd(b"{\"a\": 1}", &[]);
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    assert_eq!(code(whole(Coding::Zstd, &bytes)), "encoding.corrupt");
}

#[test]
fn gzip_headers_are_read_whole() {
    let mut builder = flate2::GzBuilder::new().filename("body.json").comment("c").extra(vec![1, 2, 3]);
    builder = builder.mtime(7);
    let mut encoder = builder.write(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"{}").unwrap();
    let bytes = encoder.finish().unwrap();
    assert_eq!(whole(Coding::Gzip, &bytes).unwrap(), b"{}");
    let mut wrong = bytes.clone();
    wrong[2] = 7;
    assert_eq!(code(whole(Coding::Gzip, &wrong)), "encoding.corrupt");
    wrong = bytes.clone();
    wrong[3] |= 0x80;
    assert_eq!(code(whole(Coding::Gzip, &wrong)), "encoding.corrupt");
    // A name that does not end.
    let mut endless = vec![0x1f, 0x8b, 8, 1 << 3, 0, 0, 0, 0, 0, 3];
    endless.resize(4096, b'x');
    assert_eq!(code(whole(Coding::Gzip, &endless)), "encoding.corrupt");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn chunking_changes_nothing(
        text in prop::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..5000),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        room in 1_usize..300,
        which in 0_usize..CODINGS.len(),
    ) {
        let coding = CODINGS[which];
        let bytes = encode(coding, &text);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
        prop_assert_eq!(decode(coding, pieces, room).unwrap(), text);
    }

    /// Damage never panics, and is told in the same words however it is cut.
    #[test]
    fn damage_is_an_error_or_harmless(
        text in prop::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..2000),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        which in 0_usize..CODINGS.len(),
    ) {
        let coding = CODINGS[which];
        let mut bytes = encode(coding, &text);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let at_once = whole(coding, &bytes).map_err(|fault| fault.code);
        let bytewise = decode(coding, bytes.chunks(1), 7).map_err(|fault| fault.code);
        prop_assert_eq!(at_once, bytewise);
    }
}
