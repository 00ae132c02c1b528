"""What the tests of the list of threats share: bytes that no client would send, and the proof that nothing is left."""

import contextlib
import json
import shutil
import socket
import sqlite3

import muster
import signerlog


def problem(reply, status, field=None, says=""):
    """REPLY is that refusal: status, document, the field it names, and words that tell this cause from others."""
    assert reply.status == status, (reply.status, reply.body[:500])
    assert reply.headers["Content-Type"] == "application/problem+json", reply.headers
    document = reply.json
    assert document["status"] == status and document["title"] and document["detail"]
    assert document["instance"] == reply.headers["X-Request-Id"]
    if field is None:
        assert says in document["detail"], document
        return document
    (error,) = document["errors"]
    assert error["field"] == field, document
    assert says in error["reason"], document
    return document


@contextlib.contextmanager
def served(home, *args):
    """HOME, started; gone afterwards."""
    try:
        yield home.start(*args)
    finally:
        home.close()
        shutil.rmtree(home.base, ignore_errors=True)


class Wire:
    """A connection of bytes, as the server sees it: what is sent is what is meant."""

    def __init__(self, home, listener="api", source="127.0.0.1"):
        if listener == "socket":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(str(home.dir / "muster.sock"))
        else:
            port = home.api_port if listener == "api" else home.pki_port
            self.socket = socket.create_connection(("127.0.0.1", port), source_address=(source, 0))
        if listener == "api":
            self.socket = home.tls().wrap_socket(self.socket, server_hostname="localhost")
        self.socket.settimeout(20 * muster.PATIENCE)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """False if the server has closed before all was sent."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def _more(self):
        try:
            chunk = self.socket.recv(65536)
        except TimeoutError:
            raise
        except OSError:
            chunk = b""
        self.rest += chunk
        return chunk != b""

    def reply(self, head_only=False):
        """The next answer; None if the server closed instead."""
        while b"\r\n\r\n" not in self.rest:
            if not self._more():
                assert self.rest == b"", self.rest
                return None
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        answer = Answer(head.decode())
        length = 0 if head_only else int(answer.headers.get("Content-Length", "0"))
        while len(self.rest) < length:
            assert self._more(), "the answer was cut"
        answer.body, self.rest = self.rest[:length], self.rest[length:]
        return answer

    def closed(self):
        """The server closes now, and says nothing more."""
        while self._more():
            pass
        return self.rest == b""


class Answer:
    def __init__(self, head):
        first, *lines = head.split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = dict(line.split(": ", 1) for line in lines)
        self.body = b""

    @property
    def json(self):
        return json.loads(self.body)


def head(method, target, *headers, host=True, token=None):
    lines = [f"{method} {target} HTTP/1.1", *(["Host: localhost"] if host else []), *headers]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def traces(home, but=()):
    """All that a request may leave behind: rows by table (without those of BUT), and certificates in the signer's log."""
    with sqlite3.connect(f"file:{home.dir / 'muster.db'}?mode=ro", uri=True) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables if name not in but}
        # Who came in is written when there is time, and the signer signs what there is then.
        if "audit" in rows:
            rows["audit"] = db.execute("SELECT count(*) FROM audit WHERE action NOT LIKE 'authentication.success%'").fetchone()[0]
        rows.pop("audit_checkpoint", None)
    assert {"device", "certificate", "package", "audit", "change"} - set(but) <= set(rows)
    signed = [row for row in signerlog.read(home.dir / "signer.log") if row.kind == signerlog.ISSUED]
    return {**rows, "signed": len(signed)}
