#!/usr/bin/env python3
"""A second verifier for Doorward's receipts, written from the formats in spec/ and sharing no code with the first.

    verify.py BUNDLE --key VKEY               a bundle handed out by `doorward receipts export`
    verify.py DIRECTORY --key VKEY [--since CHECKPOINT_FILE]   a whole log
    verify.py --vectors DIRECTORY             the shared vectors

VKEY is the text of the key or a file that holds it. Python 3.11 or later, nothing but the standard library.
Exit status: 0 verified, 1 not, 2 could not be tried.
"""

import argparse
import base64
import binascii
import hashlib
import hmac
import json
import re
import struct
import sys
from pathlib import Path

MAX_INT = 2**53 - 1


class Bad(Exception):
    """What is wrong, as a stable word and in a sentence."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


# ---- bytes as text -------------------------------------------------------------------------------------------


def unbase64(text):
    """Standard base64, padded, of which each value has one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise ValueError("not base64") from error
    if base64.b64encode(data).decode() != text:
        raise ValueError("not canonical base64")
    return data


# ---- Ed25519 (RFC 8032 section 5.1) --------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def point_add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def point_mul(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = point_add(result, point)
        point = point_add(point, point)
        scalar >>= 1
    return result


def point_equal(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def point_read(data):
    """The point these 32 bytes encode, or None."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = point_read((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
IDENTITY = (0, 1, 1, 0)


def ed25519_verify(public, message, signature):
    """Strict: no small-order keys or points, no scalar beyond the group order."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, r = point_read(public), point_read(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if key is None or r is None or s >= L:
        return False
    if point_equal(point_mul(8, key), IDENTITY) or point_equal(point_mul(8, r), IDENTITY):
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    return point_equal(point_mul(s, BASE), point_add(r, point_mul(h, key)))


# ---- canonical JSON (RFC 8785, without fractions) ------------------------------------------------------------

ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def canonical_text(text):
    return '"' + "".join(ESCAPES.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in text) + '"'


def canonical(value):
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return canonical_text(value)
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    members = sorted(value.items(), key=lambda member: member[0].encode("utf-16-be"))
    return "{" + ",".join(f"{canonical_text(key)}:{canonical(item)}" for key, item in members) + "}"


def no_duplicates(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member name given twice")
    return members


def refuse_number(text):
    raise ValueError(f"{text} is not an integer")


def integer(text):
    value = int(text) if len(text) < 20 else MAX_INT + 1
    if abs(value) > MAX_INT or text == "-0":
        raise ValueError(f"{text} is not an integer that every reader keeps")
    return value


def read_json(data):
    """JSON in any layout: no fractions, no unsafe integers, no member twice, no half surrogate pairs."""
    text = data.decode("utf-8") if isinstance(data, bytes) else data
    try:
        value = json.loads(
            text,
            object_pairs_hook=no_duplicates,
            parse_float=refuse_number,
            parse_int=integer,
            parse_constant=refuse_number,
        )
        canonical(value).encode("utf-8")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value


def read_canonical(data):
    value = read_json(data)
    if canonical(value).encode() != data:
        raise ValueError("not in canonical form")
    return value


# ---- receipts ------------------------------------------------------------------------------------------------

ID = re.compile(r"[A-Za-z0-9\-_.:]{1,64}\Z")
KINDS = {"opened", "decision", "outcome", "key_rotation", "control"}


def check_receipt(receipt):
    """The envelope; everything else is open."""

    def need(good, name):
        if not good:
            raise Bad("bad_receipt", f"the member {name} is missing or not of the right form")

    def is_count(value):
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0

    def is_id(value):
        return isinstance(value, str) and ID.match(value) is not None

    need(isinstance(receipt, dict), "v")
    need(is_count(receipt.get("v")), "v")
    need(is_count(receipt.get("time_ms")), "time_ms")
    need(is_id(receipt.get("kind")), "kind")
    need(is_id(receipt.get("id")), "id")
    need(isinstance(receipt.get("node"), str), "node")
    need("of" not in receipt or is_id(receipt["of"]), "of")
    return receipt


def keyed_digest(salt, domain, content):
    return hmac.new(salt, domain.encode() + b"\0" + content, hashlib.sha256).hexdigest()


def digests_in(value):
    """Every member named digest or …_digest, at any depth."""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, str) and (key == "digest" or key.endswith("_digest")):
                yield item
            yield from digests_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from digests_in(item)


# ---- Merkle trees (RFC 6962 section 2.1, RFC 9162 section 2.1) -----------------------------------------------


def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def tree_root(leaves):
    """The definition itself, level by level: an odd one out rises unchanged."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    while len(leaves) > 1:
        paired = [node_hash(a, b) for a, b in zip(leaves[::2], leaves[1::2])]
        leaves = paired + leaves[len(paired) * 2 :]
    return leaves[0]


def root_from_inclusion(leaf, index, size, proof):
    """The root a proof leads to, walking down from the top; None if it does not fit the shape of the tree."""
    if size == 1:
        return leaf if index == 0 and not proof else None
    if not 0 <= index < size or not proof:
        return None
    left = 1 << (size - 1).bit_length() - 1
    if index < left:
        below = root_from_inclusion(leaf, index, left, proof[:-1])
        return below and node_hash(below, proof[-1])
    below = root_from_inclusion(leaf, index - left, size - left, proof[:-1])
    return below and node_hash(proof[-1], below)


def roots_from_consistency(old, new, proof, known):
    """Roots of the old and the new tree that a proof leads to. `known` is the old root while it need not be given."""
    if old == new:
        if known is not None:
            return (known, known) if not proof else None
        return (proof[0], proof[0]) if len(proof) == 1 else None
    if not proof:
        return None
    left = 1 << (new - 1).bit_length() - 1
    if old <= left:
        below = roots_from_consistency(old, left, proof[:-1], known)
        return below and (below[0], node_hash(below[1], proof[-1]))
    below = roots_from_consistency(old - left, new - left, proof[:-1], None)
    return below and (node_hash(proof[-1], below[0]), node_hash(proof[-1], below[1]))


def verify_consistency(old, old_root, new, new_root, proof):
    if not 0 < old <= new:
        return old == 0 and not proof and old_root == tree_root([])
    return roots_from_consistency(old, new, proof, old_root) == (old_root, new_root)


class Tree:
    """A tree that grows by leaves and knows its root."""

    def __init__(self):
        self.peaks, self.size = [], 0

    def push(self, leaf):
        self.peaks.append(leaf)
        self.size += 1
        for _ in range((self.size & -self.size).bit_length() - 1):
            right = self.peaks.pop()
            self.peaks.append(node_hash(self.peaks.pop(), right))

    def root(self):
        peaks = self.peaks[:] or [tree_root([])]
        while len(peaks) > 1:
            right = peaks.pop()
            peaks.append(node_hash(peaks.pop(), right))
        return peaks[0]


# ---- signed notes and checkpoints (C2SP) ---------------------------------------------------------------------


class Key:
    """A verifier key: `<name>+<key id>+<base64(0x01 || public key)>`."""

    def __init__(self, vkey):
        self.name, key_id, data = vkey.strip().split("+", 2)
        data = unbase64(data)
        if len(data) != 33 or data[0] != 1:
            raise ValueError("not an Ed25519 verifier key")
        self.public = data[1:]
        self.id = hashlib.sha256(self.name.encode() + b"\n" + data).digest()[:4]
        if self.id.hex() != key_id:
            raise ValueError("the key id does not belong to the key")


def open_note(note, key):
    """The signed text."""
    if any(c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160) for c in note):
        raise Bad("bad_checkpoint", "it has control characters")
    body, separator, lines = note.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise Bad("bad_checkpoint", "its signatures are missing or cut off")
    body, good = body + "\n", False
    for line in lines[:-1].split("\n"):
        match = re.fullmatch(r"— (\S+) (\S+)", line)
        try:
            data = unbase64(match[2])
        except (TypeError, ValueError) as error:
            raise Bad("bad_checkpoint", "a signature line is not one") from error
        if len(data) < 5:
            raise Bad("bad_checkpoint", "a signature line is not one")
        if (match[1], data[:4]) == (key.name, key.id):
            if not ed25519_verify(key.public, body.encode(), data[4:]):
                raise Bad("bad_signature", f"the signature of {key.name} is wrong")
            good = True
    if not good:
        raise Bad("foreign_key", f"not signed by {key.name}")
    return body


def read_checkpoint(body):
    """Origin, size and root of a checkpoint's text, nothing verified."""
    lines = body.split("\n")
    if len(lines) < 3 or not lines[0] or not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]):
        raise Bad("bad_checkpoint", "it is not a checkpoint")
    if int(lines[1]) > MAX_INT:
        raise Bad("bad_checkpoint", "its size is beyond 2^53 - 1")
    try:
        root = unbase64(lines[2])
    except ValueError:
        root = b""
    if len(root) != 32:
        raise Bad("bad_checkpoint", "its root is not a hash")
    return lines[0], int(lines[1]), root


def decode(payload):
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise Bad("bad_checkpoint", "it is not text") from error


def open_checkpoint(note, key):
    """Size and root that `key` signed for its own log."""
    origin, size, root = read_checkpoint(open_note(note, key))
    if origin != key.name:
        raise Bad("foreign_key", f"this is a checkpoint of {origin}")
    return size, root


# ---- rotations: the log goes on under another key, and both say so -----------------------------------------


def next_key(receipt, key, place=None):
    """The key that a rotation leads to from `key`. `place` is the index and root where it stands, if that is known."""

    def need(good, what):
        if not good:
            raise Bad("bad_rotation", f"the rotation of the key does not hold: {what}")

    try:
        need(receipt["kind"] == "key_rotation", "its receipt is of another kind")
        said = receipt["rotation"]
        old, new = Key(said["old"]), Key(said["new"])
        root, index = unbase64(said["root"]), said["index"]
        signatures = {name: unbase64(said[name]) for name in ("by_old", "by_new")}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Bad("bad_rotation", f"the rotation of the key cannot be read: {error}") from error
    need((old.name, old.public) == (key.name, key.public), "it is not of the key that signs until here")
    need(new.name == key.name and new.public != key.public, "the new key has another name, or is the old one")
    need(isinstance(index, int) and not isinstance(index, bool) and len(root) == 32, "it names no place")
    text = f"doorward key rotation v1\n{said['old']}\n{said['new']}\n{index}\n{said['root']}\n".encode()
    need(ed25519_verify(old.public, text, signatures["by_old"]), "the old key did not sign it")
    need(ed25519_verify(new.public, text, signatures["by_new"]), "the new key did not sign it")
    need(place is None or place == (index, root), "it was signed for another place")
    return new


# ---- bundles -------------------------------------------------------------------------------------------------


def follow(note, rotations, key):
    """Size and root that `key` signed, or the first key after it that did."""
    rotations = rotations[:]
    while True:
        try:
            return open_checkpoint(note, key)
        except Bad as bad:
            # What a key before the one that is known has said is of no use.
            while rotations and not says(rotations[0], key):
                rotations.pop(0)
            if bad.code != "foreign_key" or not rotations:
                raise
        key = next_key(rotations.pop(0), key)


def says(receipt, key):
    said = receipt.get("rotation") if isinstance(receipt, dict) else None
    if not isinstance(said, dict) or not isinstance(said.get("old"), str):
        return True
    try:
        return Key(said["old"]).public == key.public
    except ValueError:
        return True


def verify_bundle(data, key):
    """Codes and sentences of everything that is wrong."""
    try:
        bundle = read_json(data)
        if not isinstance(bundle, dict) or bundle.get("type") != "doorward.bundle/1":
            raise ValueError("not a bundle")
        receipt, index, note = bundle["receipt"], bundle["index"], bundle["checkpoint"]
        proof = [unbase64(item) for item in bundle["proof"]]
        opened = [(item["domain"], unbase64(item["content"])) for item in bundle.get("opened", [])]
        salt = bytes.fromhex(bundle["salt"]) if "salt" in bundle else None
        rotations = bundle.get("rotations", [])
        if not isinstance(rotations, list) or len(rotations) > 1000:
            raise ValueError("its rotations are not a list")
        sound = isinstance(index, int) and index >= 0 and isinstance(note, str)
        if not sound or any(len(item) != 32 for item in proof) or (salt is not None and len(salt) != 32):
            raise ValueError("a member is not of the right form")
    except (KeyError, TypeError, ValueError) as error:
        return [Bad("bad_bundle", f"the bundle cannot be read: {error}")]
    problems = []
    try:
        check_receipt(receipt)
        size, root = follow(note, rotations, key)
        leaf = leaf_hash(canonical(receipt).encode())
        if index >= size or root_from_inclusion(leaf, index, size, proof) != root:
            problems.append(Bad("not_included", f"the receipt is not entry {index} of the {size} that were signed"))
    except Bad as bad:
        problems.append(bad)
    known = set(digests_in(receipt))
    for domain, content in opened:
        if salt is None or keyed_digest(salt, domain, content) not in known:
            problems.append(Bad("digest_mismatch", f"the content opened as {domain} is another"))
    return problems


# ---- logs ----------------------------------------------------------------------------------------------------

HEADER = struct.Struct(">20sQ")
ENTRY = struct.Struct(">cHQ8s")
CHECKPOINT = struct.Struct(">cH")


class Log:
    """Reads the segments of a log in order and collects what is wrong. `report` is a list of Bad."""

    def __init__(self, key, since=None):
        self.key, self.report, self.tree = key, [], Tree()
        self.entries, self.signed, self.sound, self.torn = 0, 0, True, False
        self.group, self.states, self.since, self.since_root = [], {}, None, None
        # The key that a rotation in this group leads to; a remembered checkpoint of a later key.
        self.next, self.later = None, None
        if since is not None:
            try:
                self.since = open_checkpoint(since, key)
            except Bad as bad:
                bad = Bad(bad.code, f"the remembered checkpoint: {bad}")
                if bad.code == "foreign_key":
                    self.later = (since, bad)
                else:
                    self.report.append(bad)

    def bad(self, code, message):
        self.report.append(Bad(code, message))

    def segment(self, name, data, last):
        first = int(name.removesuffix(".seg"))
        if last and (len(data) < HEADER.size or not data.strip(b"\0")):
            self.torn = bool(data)
            return
        if len(data) < HEADER.size or HEADER.unpack_from(data) != (b"doorward-segment v1\n", first):
            self.bad("bad_segment", f"{name} does not begin as that segment does")
        if first != self.signed:
            self.bad("segment_missing", f"{name} begins with {first}, but {self.signed} come before it")
            self.sound, self.signed = False, first
        at = HEADER.size
        while at < len(data):
            shape = {b"E": ENTRY, b"C": CHECKPOINT}.get(data[at : at + 1])
            whole = shape and at + shape.size <= len(data)
            fields = shape.unpack_from(data, at) if whole else None
            if not whole or at + shape.size + fields[1] > len(data):
                self.tail(name, data, at, last, garbage=shape is None)
                return
            payload = data[at + shape.size :][: fields[1]]
            if shape is ENTRY:
                self.entry(at, fields[2], fields[3], payload)
            else:
                self.checkpoint(payload)
            at += shape.size + fields[1]
        if self.group:
            self.tail(name, data, at, last, garbage=False)

    def entry(self, at, stated, check, payload):
        index, leaf = self.signed + len(self.group), leaf_hash(payload)
        intact = leaf[:8] == check
        if intact and b'"kind":"key_rotation"' in payload:
            self.rotation(index, payload)
        self.group.append((stated, intact, at))
        self.tree.push(leaf)
        self.entries += 1
        if self.since and self.since[0] == self.tree.size:
            self.since_root = self.tree.root()
        if intact:
            self.meaning(index, payload)

    def rotation(self, index, payload):
        try:
            receipt = check_receipt(read_canonical(payload))
        except (ValueError, Bad):
            return
        if receipt["kind"] != "key_rotation":
            return
        try:
            new = next_key(receipt, self.key, (index, self.tree.root()))
            if self.next:
                raise Bad("bad_rotation", "two rotations of the key under one checkpoint")
            self.next = new
        except Bad as bad:
            self.report.append(bad)

    def checkpoint(self, payload):
        end = self.signed + len(self.group)
        new, self.next = self.next, None
        try:
            size, root = open_checkpoint(decode(payload), self.key)
            if new:
                # Where the key changes, both sign.
                open_checkpoint(decode(payload), new)
                self.key = new
                if self.later:
                    try:
                        self.since, self.later = open_checkpoint(self.later[0], new), None
                        self.since_root = self.tree.root() if self.since[0] == self.tree.size else None
                    except Bad:
                        pass
        except Bad as bad:
            # Nothing was signed here, not even a size.
            self.report.append(bad)
            self.headers(end)
            self.signed, self.group = end, []
            return
        if size < end and size <= self.signed:
            self.bad("bad_checkpoint", f"the older checkpoint over {size} stands here again")
            return
        if self.sound and (size, root) == (end, self.tree.root()):
            for index, (stated, intact, _) in enumerate(self.group, self.signed):
                if stated != index or not intact:
                    self.bad("bad_record", f"index or check stored with receipt {index} was altered")
        else:
            if not self.headers(size) and self.sound:
                self.bad("root_mismatch", f"the receipts do not lead to the root signed over {size}")
            self.sound = False
        self.signed, self.group = size, []

    def headers(self, size):
        """What stored checks and indices say about the receipts since the last checkpoint."""
        before = len(self.report)
        stated = [index for index, _, _ in self.group]
        end = self.signed + len(stated)
        for index, (_, intact, _) in enumerate(self.group, self.signed):
            if not intact:
                self.bad("entry_altered", f"receipt {index} was altered")
        if stated == list(range(self.signed, end)):
            if end < size:
                self.bad("entry_missing", f"{size - end} of the receipts {self.signed} to {size - 1} are missing")
            elif end > size:
                self.bad("entry_added", f"{end - size} receipts more than were signed")
            return len(self.report) > before
        gapless = all(b == a + 1 for a, b in zip(stated, stated[1:]))
        if not self.sound and gapless and end == size:
            return False
        expected, whole = self.signed, True
        for index in sorted(stated) + [size]:
            if index > expected:
                self.bad("entry_missing", f"receipts {expected} to {index - 1} are missing")
                whole = False
            elif index < expected and index != size:
                self.bad("entry_added", f"receipt {index} stands there a second time")
                whole = False
            expected = max(expected, index + 1)
        if whole or any(a > b for a, b in zip(stated, stated[1:])):
            self.bad("entry_reordered", "receipts changed places")
        return True

    def tail(self, name, data, at, last, garbage):
        """What stands after the last whole checkpoint of a segment."""
        start = self.group[0][2] if self.group else at
        torn = not garbage or not data[at:].strip(b"\0")
        for match in re.finditer(re.escape(f"{self.key.name}\n".encode()), data[start:]):
            rest = data[start + match.start() :][:2048]
            line = re.match(rb".*?\n\n(?:\xe2\x80\x94 [^\n]*\n)+", rest, re.DOTALL)
            try:
                size, _ = open_checkpoint(decode(line[0]), self.key)
            except (Bad, TypeError):
                continue
            self.bad("bad_record", f"in {name} a length or type was altered before the checkpoint over {size}")
            self.sound, self.signed, self.group = False, size, []
            return
        if last and torn:
            self.headers(self.signed + len(self.group))
            self.torn = True
            self.entries -= len(self.group)
        else:
            self.bad("bad_record", f"{name}, byte {at}: not a record, or cut off with another segment following")
            self.sound = False
        self.group = []

    def meaning(self, index, payload):
        try:
            receipt = check_receipt(read_canonical(payload))
        except (ValueError, Bad) as error:
            self.bad("bad_receipt", f"receipt {index}: {error}")
            return
        kind, name, of = receipt["kind"], receipt["id"], receipt.get("of")
        state = self.states.get(of)
        if kind == "outcome":
            if state in ("opened", "decision"):
                self.states[of] = "closed"
            else:
                code = "outcome_twice" if state == "closed" else "outcome_without_opened"
                self.bad(code, f"receipt {index} is the outcome of {of}")
        elif of is not None and state is None:
            self.bad("unknown_reference", f"receipt {index} refers to {of}, which does not precede it")
        if name in self.states:
            self.bad("duplicate_id", f"the id of receipt {index} is used before")
            return
        self.states[name] = kind if kind in ("opened", "decision") else "other"

    def finish(self):
        if self.later:
            self.report.insert(0, self.later[1])
        if self.since:
            then, root = self.since
            if self.signed < then:
                rolled_back = self.sound and not self.torn and self.signed > 0
                self.bad("rolled_back" if rolled_back else "truncated", f"{then} were remembered, {self.signed} are left")
            elif self.since_root not in (None, root):
                self.bad("rewritten", f"the first {then} receipts are not those that were remembered")
        return self.report

    def open(self):
        return [name for name, state in self.states.items() if state == "opened"]


def verify_log(segments, key, since=None):
    """`segments` is a list of (file name, bytes or a function giving them) in order."""
    log = Log(key, since)
    for number, (name, data) in enumerate(segments):
        log.segment(name, data() if callable(data) else data, number + 1 == len(segments))
    log.finish()
    return log


# ---- the shared vectors --------------------------------------------------------------------------------------


def expect(good, what):
    if not good:
        raise AssertionError(what)


def refused(action, *arguments):
    try:
        action(*arguments)
    except (ValueError, Bad):
        return True
    return False


def run_rfc8032(vectors):
    for case in vectors["cases"]:
        public, message, signature = (bytes.fromhex(case[key]) for key in ("public", "message", "signature"))
        expect(ed25519_verify(public, message, signature), case["name"])
        expect(not ed25519_verify(public, message + b"x", signature), case["name"])
        expect(not ed25519_verify(public, message, signature[:-1] + bytes([signature[-1] ^ 1])), case["name"])


def run_rfc8785(vectors):
    for case in vectors["cases"]:
        expect(canonical(read_json(case["input"])) == case["canonical"], case["name"])
        read_canonical(case["canonical"].encode())
    for number in vectors["numbers"]:
        if number["is"] == "integer":
            expect(read_canonical(number["text"].encode()) == int(number["text"]), number)
        elif number["is"] in ("beyond", "fraction"):
            expect(refused(read_canonical, number["text"].encode()), number)
    expect(refused(read_canonical, b"-0"), "minus zero")


def run_rfc6962(vectors):
    leaves = [leaf_hash(bytes.fromhex(leaf)) for leaf in vectors["leaves"]]
    roots = [vectors["empty_root"]] + vectors["roots"]
    tree = Tree()
    for size, root in enumerate(roots):
        expect(tree_root(leaves[:size]).hex() == root == tree.root().hex(), f"root of {size}")
        if size < len(leaves):
            tree.push(leaves[size])
    for case in vectors["inclusion"]:
        proof = [bytes.fromhex(item) for item in case["proof"]]
        root = root_from_inclusion(leaves[case["index"]], case["index"], case["size"], proof)
        expect(root and root.hex() == roots[case["size"]], case)
    for case in vectors["consistency"]:
        proof = [bytes.fromhex(item) for item in case["proof"]]
        ends = (bytes.fromhex(roots[case["old"]]), case["new"], bytes.fromhex(roots[case["new"]]))
        expect(verify_consistency(case["old"], *ends, proof), case)


def run_note(vectors):
    key = Key(vectors["vkey"])
    open_note(vectors["note"], key)
    expect(refused(open_note, vectors["note"].replace("answer", "question"), key), "an altered note")


def run_receipts(vectors):
    for case in vectors["receipts"]:
        data = case["canonical"].encode()
        expect(check_receipt(read_canonical(data))["kind"] == case["kind"], case["kind"])
        expect(leaf_hash(data).hex() == case["leaf_hash"], case["kind"])
    for case in vectors["digests"]:
        digest = keyed_digest(bytes.fromhex(case["salt"]), case["domain"], unbase64(case["content"]))
        expect(digest == case["digest"], case)
    for case in vectors["refused"]:
        expect(refused(lambda data: check_receipt(read_canonical(data)), case["receipt"].encode()), case["why"])


def run_checkpoints(vectors):
    for case in vectors["cases"]:
        code = "ok"
        try:
            open_checkpoint(case["note"], Key(case["vkey"]))
        except Bad as bad:
            code = bad.code
        expect(code == case["code"], f"{case['name']}: {code}, expected {case['code']}")


def run_proofs(vectors):
    for case in vectors["inclusion"]:
        proof, leaf = [bytes.fromhex(item) for item in case["proof"]], bytes.fromhex(case["leaf"])
        root = root_from_inclusion(leaf, case["index"], case["size"], proof)
        expect((root == bytes.fromhex(case["root"])) == case["ok"], case)
    for case in vectors["consistency"]:
        proof = [bytes.fromhex(item) for item in case["proof"]]
        old_root, new_root = bytes.fromhex(case["old_root"]), bytes.fromhex(case["new_root"])
        expect(verify_consistency(case["old"], old_root, case["new"], new_root, proof) == case["ok"], case)


def run_bundles(vectors):
    for case in vectors["cases"]:
        codes = [bad.code for bad in verify_bundle(case["bundle"], Key(case["vkey"]))]
        expect(codes == case["codes"], f"{case['name']}: {codes}, expected {case['codes']}")


def run_logs(vectors):
    for case in vectors["cases"]:
        segments = [(name, unbase64(data)) for name, data in sorted(case["segments"].items())]
        log = verify_log(segments, Key(case["vkey"]), case["since"])
        found = {"codes": [bad.code for bad in log.report], "open": log.open(), "entries": log.entries}
        for name, value in found.items():
            expect(value == case[name], f"{case['name']}, {name}: {value}, expected {case[name]}")


def run_rotations(vectors):
    run_logs({"cases": vectors["logs"]})
    run_bundles({"cases": vectors["bundles"]})


def run_vectors(folder):
    failed = 0
    files = sorted(folder.glob("*.json"))
    for path in files:
        runner = globals().get(f"run_{path.stem}")
        try:
            expect(runner, "no runner for this file")
            runner(json.loads(path.read_text()))
            print(f"ok      {path.name}")
        except (AssertionError, KeyError, ValueError, Bad) as error:
            failed += 1
            print(f"FAILED  {path.name}: {error}")
    return 1 if failed or not files else 0


# ---- command line --------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description="Verifies Doorward bundles and logs offline.")
    parser.add_argument("subject", nargs="?", type=Path, help="a bundle, or the directory of a log")
    parser.add_argument("--key", help="the verifier key, or a file with it")
    parser.add_argument("--since", type=Path, help="a checkpoint remembered from earlier")
    parser.add_argument("--vectors", type=Path, help="run the shared vectors in this directory")
    options = parser.parse_args()
    if options.vectors:
        return run_vectors(options.vectors)
    if not options.subject or not options.key:
        parser.error("give a bundle or a log directory, and --key")
    try:
        file = Path(options.key)
        key = Key(file.read_text() if file.is_file() else options.key)
        if options.subject.is_dir():
            if not (options.subject / "segments").is_dir():
                raise ValueError("it is no log directory: it has no `segments` (exported tiles are not read here)")
            files = sorted((options.subject / "segments").glob("*.seg"))
            since = options.since.read_text() if options.since else None
            log = verify_log([(path.name, path.read_bytes) for path in files], key, since)
            problems, what = log.report, f"log with {log.entries} receipts, {len(log.open())} open"
        else:
            problems, what = verify_bundle(options.subject.read_bytes(), key), "bundle"
    except (OSError, ValueError) as error:
        print(f"cannot verify {options.subject}: {error}", file=sys.stderr)
        return 2
    for problem in problems:
        print(f"{problem.code}: {problem}")
    print(f"{'NOT VERIFIED' if problems else 'verified'}: {what}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
