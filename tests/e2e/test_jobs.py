"""Bulk import and export: what is wrong is all told and nothing made; what is right is made once, whatever breaks off."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import muster
import pytest

SETTINGS = {"limits.body_bytes": "16384"}  # so that some hundred rows are many chunks


@pytest.fixture(scope="module")
def requests():
    """A function that gives so many certification requests, PEM, each of its own P-256 key."""
    def some(n):
        lines = muster.run(muster.BUILD / "tests/bench/make_csrs", "muster", str(n)).stdout.splitlines()
        return [json.loads(line)["csr"] for line in lines]
    return lambda n: [csr for begin in range(0, n, 10_000) for csr in some(min(10_000, n - begin))]


def write(home, rows, header=("name", "type", "csr")):
    path = home.base / f"import-{time.monotonic_ns()}.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def raw(home, data):
    path = home.base / f"import-{time.monotonic_ns()}.csv"
    path.write_bytes(data)
    return path


def results(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def devices(home, type):
    return home.json("device", "list", "--all", "--type", type)["items"]


def jobs(home):
    return home.json("job", "list", "--all")["items"]


def test_a_fleet_of_csrs(home, requests):
    """Every row becomes a device with the key of its CSR, labels and names as they are in the file."""
    csrs = requests(120)
    rows = [(f"Pumpe {i} – «ä»", "fleet", csrs[i], f"Halle, \"{i % 3}\"", str(i)) for i in range(120)]
    path = write(home, rows, ("name", "type", "csr", "location", "label:line"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    out = home.base / "fleet-results.csv"
    done = home.cli("device", "import", path, "-o", out)
    assert b"120 devices registered, 0 rows failed" in done.stdout
    assert out.stat().st_mode & 0o777 == 0o600
    listed = {d["name"]: d for d in devices(home, "fleet")}
    told = results(out)
    assert len(listed) == len(told) == 120
    for i, row in enumerate(told):
        device = listed[rows[i][0]]
        assert (row["row"], row["status"], row["id"], row["name"]) == (str(i + 1), "done", device["id"], rows[i][0])
        assert device["location"] == rows[i][3] and device["labels"] == {"line": str(i)} and device["status"] == "active"
    key = muster.openssl("req", "-pubkey", "-noout", input=csrs[77].encode()).stdout
    assert muster.openssl("x509", "-pubkey", "-noout", input=told[77]["certificate"].encode()).stdout == key
    (job,) = [j["id"] for j in jobs(home) if j["name"] == path.name]
    registered = [a for a in home.json("audit", "list", "--all")["items"] if a["action"] == "device.register"]
    assert {d["id"] for d in listed.values()} == {a["target"].removeprefix("device:") for a in registered if a["detail"].get("job") == job}
    # The same command again makes nothing, and tells the same.
    again = home.base / "fleet-again.csv"
    home.cli("device", "import", path, "-o", again)
    assert results(again) == told and len(devices(home, "fleet")) == 120


WRONG = [
    (b"name,type,colour\r\nx,t,red\r\n", ["1: colour: is no column"]),
    (b"name,name,type\r\nx,y,t\r\n", ["1: name: is there twice"]),
    (b"location\r\nx\r\n", ["1: name: is missing", "1: type: is missing"]),
    (b"", ["1: the file is empty"]),
    (b"name,type,csr\r\n", ["there is no row"]),
    (b"name,type\r\na,t\r\nb\r\nc,t,x\r\n\r\nd,\r\n",
     ["3: has 1 cells, and there are 2", "4: has 3 cells, and there are 2", "6: type: is required"]),
    (b"name,type\r\n\xff\xfe,t\r\nb\0b,t\r\n" + b"c" * 40000 + b",t\r\n",
     ["2: name: is not UTF-8", "3: name: has a NUL byte", "4: name: is longer than 32768"]),
    (b"name,type\r\n\"a\nb\",t\r\nb\"c,t\r\nd,t\r\n", ["4: a quote stands where none may be"]),
    (b"name,type\r\na,t\r\n\"b,t\r\nc,t\r\n", ["3: a quote is not closed"]),
    (b"name,type,csr\r\na,t,-----BEGIN PRIVATE KEY-----\r\nb,t,AAAA\r\nc,t,#\r\n",
     ["2: csr: is no certification request", "3: csr: is no certification request", "4: csr: is no certification request"]),
    (b"name,type,label:a,labels\r\na,t,1,\"{\"\"a\"\":\"\"2\"\"}\"\r\nb,t,,[]\r\n", ["2: labels: names a label", "3: labels: must be a JSON object"]),
]


@pytest.mark.parametrize("data,says", WRONG, ids=range(len(WRONG)))
def test_a_bad_file_is_told_of_whole(home, data, says):
    """Nothing of it is sent."""
    before = len(jobs(home))
    refused = home.cli("device", "import", raw(home, data), check=False)
    assert refused.returncode == 1
    for words in says:
        assert words.encode() in refused.stderr, refused.stderr
    assert refused.stderr.decode().strip().splitlines()[-1].startswith(f"muster: {len(says)} error")
    assert len(jobs(home)) == before


def test_what_the_server_refuses_is_told_by_line(home, requests):
    """Every row's error, and nothing is made; when the file is mended, all of it is."""
    csrs = requests(5)
    taken = requests(1)[0]
    home.request("POST", "/v1/devices", {"name": "first", "type": "judged", "csr": taken})
    bad = muster.openssl("req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=x").stdout.decode()
    header = ("name", "type", "csr", "policy", "profile", "valid", "san")
    good = [(f"n{i}", "judged", csr, "", "", "", "") for i, csr in enumerate(csrs)]
    rows = [good[0], ("a\u202eb", "judged", csrs[1], "", "", "", ""), ("b", "../x", csrs[1], "", "", "", ""),
            ("c", "judged", csrs[1], "none", "", "", ""), ("d", "judged", csrs[1], "", "none", "", ""),
            ("e", "judged", csrs[1], "", "", "9999d", ""), ("f", "judged", csrs[1], "", "", "", "DNS:localhost"),
            ("g", "judged", bad, "", "", "", ""), ("h", "judged", taken, "", "", "", ""), ("i", "judged", csrs[0], "", "", "", "")]
    path = write(home, rows, header)
    refused = home.cli("device", "import", path, check=False)
    said = refused.stderr.decode()
    lines, line = [], 2
    for row in rows:
        lines.append(line)
        line += 1 + row[2].count("\n")
    for n, field, words in ((1, "name", "printable"), (2, "type", ""), (3, "policy", ""), (4, "profile", "no profile"), (5, "valid", ""),
                            (6, "san[0]", "host name"), (7, "csr", ""), (8, "csr", "another device's"), (9, "csr", "the key of row 1, too")):
        assert any(f":{lines[n]}: {field}: " in told and words in told for told in said.splitlines()), (n, field, said)
    assert "9 errors" in said and refused.returncode == 1
    assert [d["name"] for d in devices(home, "judged")] == ["first"]
    (job,) = [j for j in jobs(home) if j["name"] == path.name]
    assert job["status"] == "cancelled"
    shown = home.cli("job", "show", job["id"], "--rows", "refused").stdout.decode()
    assert "there is no profile of that name" in shown and len(shown.splitlines()) == 10
    home.cli("device", "import", write(home, good, header))
    assert len(devices(home, "judged")) == 6


def started(home, path, *args):
    """The import, begun, with its job's id."""
    command = [muster.MUSTER, "--dir", home.dir, "--json", *args, "device", "import", path, "--no-wait"]
    return json.loads(subprocess.run(command, capture_output=True, timeout=1200, check=True).stdout)["id"]


def ended(home, id, status="done"):
    return muster.wait_for(lambda: (job := home.request("GET", f"/v1/jobs/{id}").json)["status"] == status and job, 60, f"job {id}")


def exactly_once(home, type, rows):
    """As many devices as rows, each with one certificate that is good."""
    names = sorted(d["name"] for d in devices(home, type))
    assert names == sorted(r[0] for r in rows)
    return names


@pytest.mark.parametrize("count", [pytest.param(400, id="some"), pytest.param(100_000, id="fleet", marks=pytest.mark.long)])
def test_killed_twice_midway_each_row_once(fresh, requests, count):
    """The whole service dies by SIGKILL, then the api alone; both times the job goes on by itself."""
    # Few are made slowly, so that there is time to kill.
    home = fresh(settings={"limits.body_bytes": "65536", **({"jobs.threads": "4"} if count < 1000 else {})}).start()
    rows = [(f"d{i}", "killed", csr) for i, csr in enumerate(requests(count))]
    id = started(home, write(home, rows))
    for part in (4, 2):
        muster.wait_for(lambda: home.request("GET", f"/v1/jobs/{id}").json["done"] >= count // part // 2, 600, "some rows")
        if part == 4:
            pids = [home.process.child.pid, home.child("api"), home.child("signer")]
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            home.process.child.wait()
            muster.wait_for(lambda: all(map(is_dead, pids)), 20, "the end of all")
            home.start()
        else:
            kill_api(home)()
    job = muster.wait_for(lambda: (j := home.request("GET", f"/v1/jobs/{id}").json)["status"] == "done" and j, 900, "the end")
    assert (job["done"], job["failed"]) == (count, 0)
    exactly_once(home, "killed", rows)
    assert home.json("audit", "verify")["rows"] > count


def is_dead(pid):
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # while one of them ends, it holds the database
        return threads == [str(pid)] and Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def kill_api(home):
    """By SIGKILL; the next one answers when this returns."""
    def ready():
        return sum(line.endswith(" ready") for line in list(home.process.lines))
    before = ready()
    os.kill(home.child("api"), signal.SIGKILL)

    def back():
        try:
            muster.wait_for(lambda: ready() > before, 30, "the api")
        except AssertionError as e:
            raise AssertionError(f"{e}\n" + "\n".join(home.process.lines[-30:])) from None
    return back


def test_what_was_signed_and_not_stored_is_not_in_the_way(home, requests):
    """The api dies while the signer works for it: those certificates are revoked, and their rows done with the same keys."""
    rows = [(f"d{i}", "orphaned", csr) for i, csr in enumerate(requests(60))]
    signer = home.child("signer")
    path = write(home, rows)
    os.kill(signer, signal.SIGSTOP)
    try:
        id = started(home, path)
        time.sleep(0.3)  # for rows to reach the signer's socket; none can come back from there
        back = kill_api(home)
    finally:
        os.kill(signer, signal.SIGCONT)
    back()
    job = ended(home, id)
    assert (job["done"], job["failed"]) == (60, 0)
    exactly_once(home, "orphaned", rows)
    ids = {d["id"] for d in devices(home, "orphaned")}
    abandoned = [a for a in home.json("audit", "list", "--all")["items"] if a["action"] == "certificate.abandon"]
    assert ids & {a["target"].removeprefix("device:") for a in abandoned}


def test_it_goes_on_where_it_broke_off(home, requests):
    """The service dies while rows are sent, and the command waits for it; then the command dies, and the next one goes on."""
    rows = [(f"d{i}", "resumed", csr) for i, csr in enumerate(requests(600))]
    path = write(home, rows)
    argv = [muster.MUSTER, "--dir", home.dir, "device", "import", path]
    first = muster.Process(argv)

    def job():
        return next((j for j in home.request("GET", "/v1/jobs?limit=1000").json["items"] if j["name"] == path.name and j["received"]),
                    None)
    muster.wait_for(job, 30, "some rows")
    kill_api(home)()
    received = job()["received"]
    muster.wait_for(lambda: job()["received"] > received or job()["status"] != "open", 30, "more rows")
    first.child.kill()
    first.child.wait()
    again = muster.run(*argv)
    assert b"600 devices registered, 0 rows failed" in again.stdout
    exactly_once(home, "resumed", rows)
    assert len([j for j in jobs(home) if j["name"] == path.name]) == 1


def test_rows_wait_for_a_signer_that_is_away(home, requests):
    """It dies while it works for them, again and again; what it signed without an answer is in no row's way."""
    rows = [(f"d{i}", "patient", csr) for i, csr in enumerate(requests(400))]
    id = started(home, write(home, rows))
    for part in (4, 2):
        muster.wait_for(lambda: home.request("GET", f"/v1/jobs/{id}").json["done"] >= 400 // part // 2, 30, "some rows")
        os.kill(home.child("signer"), signal.SIGKILL)
    job = ended(home, id)
    assert (job["done"], job["failed"]) == (400, 0)
    exactly_once(home, "patient", rows)


def test_rows_come_in_order_and_are_compared(home, requests):
    """A chunk again is the same chunk; with other content, out of its place or beyond the end it is none."""
    csrs = requests(4)
    rows = [{"name": f"r{i}", "type": "chunk", "csr": csr} for i, csr in enumerate(csrs)]
    order = {"kind": "device.import", "name": "x", "digest": "ab" * 32, "total": 4}
    made = home.request("POST", "/v1/jobs", order)
    job = made.json
    assert made.status == 201 and made.headers["Location"] == f"/v1/jobs/{job['id']}"
    again = home.request("POST", "/v1/jobs", order)
    assert again.status == 200 and again.json["id"] == job["id"]
    at = f"/v1/jobs/{job['id']}"

    def send(first, rows):
        return home.request("POST", f"{at}/rows", {"first": first, "rows": rows})

    assert send(2, rows[1:2]).status == 400
    assert send(1, rows[:2]).json["received"] == 2
    assert home.request("POST", f"{at}/start", {}).status == 409
    assert send(1, rows[:2]).json["received"] == 2
    assert send(2, rows[1:3]).json["received"] == 3
    assert send(1, [rows[1]]).status == 409
    assert send(4, rows[3:] * 2).status == 400
    assert send(4, rows[3:]).json["received"] == 4
    for body in ({"first": 1}, {"first": 1, "rows": []}, {"first": 0, "rows": rows}, {"first": 1, "rows": {}}):
        assert home.request("POST", f"{at}/rows", body).status == 400
    assert home.request("POST", f"{at}/start", {}).status == 202
    assert ended(home, job["id"])["done"] == 4
    assert home.request("POST", f"{at}/start", {}).json["status"] == "done"
    assert send(1, rows).json["received"] == 4
    assert home.request("POST", f"{at}/cancel", {}).status == 409
    page = home.request("GET", f"{at}/rows?limit=3").json
    rest = home.request("GET", f"{at}/rows?limit=3&after={page['next']}").json
    assert [r["row"] for r in page["items"] + rest["items"]] == [1, 2, 3, 4] and rest["next"] is None
    assert home.request("GET", f"{at}/rows?status=failed").json["items"] == []
    assert home.request("GET", f"{at}/rows?status=gone").status == 400
    assert home.request("GET", f"/v1/jobs/{muster_uuid()}/rows").status == 404


def muster_uuid():
    return "2c0c7d0e-43e2-4f0e-9a4a-1f6d2b9e8c11"


def test_bad_orders_name_the_field(home):
    good = {"kind": "device.import", "name": "x", "digest": "cd" * 32, "total": 4}
    for field, change in (("kind", {"kind": "device.export"}), ("name", {"name": ""}), ("digest", {"digest": "12"}),
                          ("digest", {"digest": "x" * 64}), ("total", {"total": 0}), ("total", {"total": 1_000_001}),
                          ("packages", {"packages": "all"}), ("seal", {"packages": "links"}), ("seal", {"seal": "AAAA"}),
                          ("seal", {"packages": "links", "seal": "?"}), ("seal", {"packages": "links", "seal": "AAAA"}),
                          ("link_ttl_s", {"link_ttl_s": 604801})):
        reply = home.request("POST", "/v1/jobs", {**good, **change})
        assert reply.status == 400 and reply.json["errors"][0]["field"] == field, (change, reply.body)


def test_a_cancelled_job_makes_no_more(home, requests):
    rows = [(f"d{i}", "cancelled", csr) for i, csr in enumerate(requests(40))]
    signer = home.child("signer")
    os.kill(signer, signal.SIGSTOP)
    try:
        id = started(home, write(home, rows))
        assert home.json("job", "cancel", id)["status"] == "cancelled"
    finally:
        os.kill(signer, signal.SIGCONT)
    fleet = requests(1)
    home.cli("device", "import", write(home, [("after", "cancelled", fleet[0])]))
    assert [d["name"] for d in devices(home, "cancelled")] == ["after"]
    assert home.request("POST", f"/v1/jobs/{id}/start", {}).status == 409


def test_a_removed_operators_job_ends(home, requests):
    """H3: what it ordered is not made any more."""
    token = home.json("operator", "add", "bulk", "--role", "operator")["token"]
    there = ["--url", f"https://localhost:{home.api_port}", "--ca", home.dir / "ca/root.crt", "--token", token]
    rows = [(f"d{i}", "orphan", csr) for i, csr in enumerate(requests(30))]
    signer = home.child("signer")
    os.kill(signer, signal.SIGSTOP)
    try:
        id = started(home, write(home, rows), *there)
        home.cli("operator", "remove", "bulk")
    finally:
        os.kill(signer, signal.SIGCONT)
    job = ended(home, id, "cancelled")
    assert job["created_by"] == "operator:bulk" and job["done"] == 0 and devices(home, "orphan") == []


def test_no_more_than_a_tenant_may_have(home, requests):
    """Nothing is made of a job that is larger than the room there is."""
    home.cli("tenant", "add", "small", "--quota", "2")
    rows = [(f"d{i}", "quota", csr) for i, csr in enumerate(requests(3))]
    refused = home.cli("--tenant", "small", "device", "import", write(home, rows), check=False)
    assert refused.returncode == 1 and b"as it may have" in refused.stderr
    home.cli("--tenant", "small", "device", "import", write(home, rows[:2]))
    assert len(home.json("--tenant", "small", "device", "list")["items"]) == 2 and devices(home, "quota") == []


def test_f8_a_limit_of_registrations_holds_for_jobs(fresh, requests):
    """F8: what may be registered in a minute is no more by a job; it waits."""
    home = fresh(settings={"limits.register_per_min": "5", "jobs.threads": "8"}).start()
    id = started(home, write(home, [(f"d{i}", "slow", csr) for i, csr in enumerate(requests(9))]))
    muster.wait_for(lambda: home.request("GET", f"/v1/jobs/{id}").json["done"] >= 5, 20, "what is allowed")
    waits = muster.wait_for(lambda: home.request("GET", f"/v1/jobs/{id}").json["waits_for"], 20, "why it waits")
    assert "more than 5 a minute" in waits
    assert b"\nmuster_jobs_running 1\nmuster_jobs_waiting 1\n" in re.sub(rb"\n#.*", b"", home.request("GET", "/metrics").body)
    job = home.json("job", "cancel", id)
    assert job["done"] + job["failed"] in (5, 6) and job["failed"] == 0


def test_links_and_passwords_for_the_uploader_alone(home):
    """The results open the packages; neither link nor password is in the database or its log in plain text."""
    rows = [(f"=cmd|'/C calc'!{i}", "linked", "ec-p256") for i in range(3)]
    path, out = write(home, rows, ("name", "type", "key")), home.base / "linked.csv"
    refused = home.cli("device", "import", path, check=False)
    assert refused.returncode == 1 and b"-o FILE" in refused.stderr
    home.cli("device", "import", path, "-o", out)
    assert not out.with_name("linked.csv.key").exists()
    told = results(out)
    assert [r["name"] for r in told] == ["'" + r[0] for r in rows] and out.stat().st_mode & 0o777 == 0o600
    stored = b"".join(p.read_bytes() for p in home.dir.glob("muster.db*"))
    for row in told:
        assert row["link"].startswith(f"https://localhost:{home.api_port}/d/") and len(row["password"]) >= 20
        assert row["password"].encode() not in stored and row["link"].rsplit("/", 1)[1].encode() not in stored
    made = {"id": told[1]["id"], "package": {"url": told[1]["link"], "password": told[1]["password"]}}
    opened = muster.open_package(home, made)
    assert told[1]["certificate"].strip() in (opened.dir / "device.crt").read_text()
    # Who has another key gets nothing; the job is known by its rows.
    again = home.cli("device", "import", path, "-o", home.base / "other.csv", check=False)
    assert again.returncode == 1 and b"another key" in again.stderr and not (home.base / "other.csv.key").exists()


def packed(path):
    """Names in the archive, as a program that nobody here wrote lists them."""
    return muster.run("bsdtar", "tf", path).stdout.decode().split()


def test_packages_in_one_archive(home):
    """It opens, and each package in it with its password from the results; killed midway it goes on, without one twice."""
    rows = [(f"p{i}", "packed", "ec-p256") for i in range(12)]
    path, out, tar = write(home, rows, ("name", "type", "key")), home.base / "packed.csv", home.base / "packed.tar"
    argv = [muster.MUSTER, "--dir", home.dir, "device", "import", path, "-o", out, "--archive", tar]
    running = muster.Process(argv)
    try:  # as soon as there is one package; when it is quicker than that, it was not killed
        muster.wait_for(lambda: running.child.poll() is not None or any(p.stat().st_size for p in home.base.glob("packed.tar.*")), 30,
                        "a package")
    finally:
        running.child.kill()
        running.child.wait()
    again = muster.run(*argv, check=False)
    lost = again.stderr.count(b"was fetched before, and is not in the archive")
    told = {r["id"]: r["password"] for r in results(out)}
    names = packed(tar)
    assert len(names) == len(set(names)) and {n.removesuffix(".zip") for n in names} <= set(told)
    assert len(names) + lost == 12 and lost <= 1 and again.returncode == (1 if lost else 0), again.stderr
    assert tar.stat().st_mode & 0o777 == 0o600 and not list(home.base.glob("packed.tar.*")) and not out.with_name("packed.csv.key").exists()
    muster.run("bsdtar", "xf", tar, "-C", home.base, names[0])
    assert b"device.key" in muster.run("7z", "l", f"-p{told[names[0].removesuffix('.zip')]}", home.base / names[0]).stdout
    muster.run("7z", "t", f"-p{told[names[0].removesuffix('.zip')]}", home.base / names[0])


def test_b6_export_and_import_are_each_others_inverse(home, requests):
    """B6 cells that begin with = + - @ cannot be a formula in a spreadsheet, and come back as they were."""
    names = ["=1+1", "+49", "-1", "@SUM(A1)", "'=quoted", "''+twice", "'plain", "a,b", 'say "x"', "ünï", "=HYPERLINK(\"x\",\"y\")"]
    for i, name in enumerate(names):
        reply = home.request("POST", "/v1/devices", {"name": name, "type": "b6", "location": name, "labels": {"l": name}, "key": "ec-p256"})
        assert reply.status == 201, reply.body
    text = home.cli("device", "export", "--type", "b6").stdout
    exported = list(csv.DictReader(io.StringIO(text.decode(), newline="")))
    assert len(exported) == len(names)
    for row in exported:
        assert all(not cell or cell[0] not in "=+-@\t\r" for cell in row.values()), row
    for row in exported:
        row["type"] = "b6again"
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, [*exported[0], "csr"])
    writer.writeheader()
    writer.writerows({**row, "csr": csr} for row, csr in zip(exported, requests(len(names))))
    home.cli("device", "import", raw(home, file.getvalue().encode()))

    def told(type):
        return sorted((d["name"], d["location"], json.dumps(d["labels"])) for d in devices(home, type))
    assert told("b6again") == told("b6") and {t[0] for t in told("b6")} == set(names)


def test_export_as_json_lines(home):
    lines = home.cli("device", "export", "--format", "jsonl", "--type", "b6").stdout.splitlines()
    assert [json.loads(line) for line in lines] == devices(home, "b6")
