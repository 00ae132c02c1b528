"""A reader of the signer's log that shares no code with Muster: what was signed, as the file says it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

ISSUED, REVOKED, CRL, RESPONDER, CHECKPOINT = 1, 2, 3, 4, 5


@dataclass
class Row:
    seq: int
    kind: int
    at: int
    serial: str = ""
    owner: str = ""
    der: bytes = b""
    reason: int = -1
    number: int = 0


def number(data):
    return int.from_bytes(data, "big")


def parse(data):
    row = Row(kind=data[0], seq=number(data[1:9]), at=number(data[9:17]))
    rest = data[17:]
    if row.kind in (ISSUED, REVOKED):
        row.serial, rest = rest[:20].hex(), rest[20:]
    if row.kind == ISSUED:
        size = number(rest[:2])
        row.owner, row.der = rest[2:2 + size].decode(), rest[2 + size:]
    elif row.kind == REVOKED:
        row.reason = rest[0]
    elif row.kind == CRL:
        row.number = number(rest[:8])
    return row


def read(path):
    """Every whole row, chain checked; a torn last row is left out, as it was never acknowledged."""
    data = Path(path).read_bytes()
    assert data[:8] == b"MUSTLOG1"
    at, chain, rows = 8, bytes(32), []
    while at + 4 <= len(data):
        size, complement = number(data[at:at + 2]), number(data[at + 2:at + 4])
        if size == 0 and complement == 0 and not any(data[at:]):
            break
        assert size ^ complement == 0xffff, f"length at {at}"
        if at + 4 + size + 32 > len(data):
            break
        body = data[at + 4:at + 4 + size]
        chain = hashlib.sha256(chain + body).digest()
        assert chain == data[at + 4 + size:at + 36 + size], f"chain at {at}"
        rows.append(parse(body))
        assert rows[-1].seq == len(rows)
        at += 36 + size
    return rows
