"""/metrics: what promtool says of it, who may read it, and that each figure moves by what was done."""

import http.client
import re
import subprocess
import time

import pytest

import muster

METRICS = muster.free_port()
SETTINGS = {"metrics.listen": f"127.0.0.1:{METRICS}", "keypool.rsa_2048": "2", "limits.auth_failures_per_min": "3"}
SECRETS = {"name": "planted-name-4711", "type": "planted-type-4711", "location": "planted-location-4711"}


def plain(path="/metrics", method="GET", port=METRICS):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20 * muster.PATIENCE)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return muster.Reply(response, response.read())
    finally:
        connection.close()


def figures():
    """The page as {line's name: value}."""
    reply = plain()
    assert reply.status == 200 and reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = re.findall(r"^([a-z_]+(?:\{[^}]*\})?(?:[^ ]*\})?) (\S+)$", reply.body.decode(), re.MULTILINE)
    assert len(found) == sum(not line.startswith("#") for line in reply.body.decode().splitlines())
    return {name: float(value) for name, value in found}


def moved(before, after):
    """What changed, but for what changes by itself."""
    own = re.compile(r"^(process_|muster_workers_busy|muster_keypool_ready|muster_http_connections|muster_crl_|muster_ocsp_|muster_store_|muster_audit_|"
                     r"muster_http_request_duration_seconds_(bucket|sum)|muster_signer_calls_waiting)|route=\"/metrics\"")
    return {name: value - before.get(name, 0) for name, value in after.items()
            if value != before.get(name, 0) and not own.search(name)}


def test_promtool(home):
    home.request("GET", "/v1/devices")
    home.json("broker", "add", "plant-1")
    page = plain().body
    said = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, timeout=60)
    assert said.returncode == 0 and said.stdout + said.stderr == b"", (said.stdout + said.stderr).decode()
    # The other way to it shows the same families, whoever of those that may looks.
    heads = [line for line in page.decode().splitlines() if line.startswith("# TYPE")]
    other = home.request("GET", "/metrics")
    assert other.status == 200
    assert [line for line in other.body.decode().splitlines() if line.startswith("# TYPE")] == heads
    said = muster.run("curl", "-sSf", "--unix-socket", home.dir / "muster.sock", "http://localhost/metrics")
    assert b"muster_build_info" in said.stdout


def test_alerts(home):
    """The rules are ones, and speak of what there is."""
    rules = muster.ROOT / "docs/alerts.yml"
    muster.run("promtool", "check", "rules", rules)
    named = set(re.findall(r"\b(?:muster|process)_[a-z_]+", " ".join(
        line for line in rules.read_text().splitlines() if line.strip().startswith("expr:"))))
    families = set(re.findall(r"^# TYPE (\S+)", plain().body.decode(), re.MULTILINE))
    assert named and {re.sub("_(bucket|sum|count)$", "", name) for name in named} <= families
    told = (muster.ROOT / "docs/monitoring.md").read_text()
    for alert in re.findall(r"alert: (\S+)", rules.read_text()):
        assert alert in told, alert


def test_each_figure_moves_by_what_was_done(home):
    before = figures()
    made = [home.request("POST", "/v1/devices", {"name": f"m{i}", "type": "t", "key": "ec-p256"}).json for i in range(3)]
    assert home.request("GET", f"/v1/devices/{made[0]['id']}").status == 200
    assert home.request("GET", "/v1/devices/nobody").status == 404
    assert home.request("GET", "/no/such/thing", token=None).status == 404
    assert home.request("HEAD", "/v1/devices").status == 200
    assert home.request("PUT", "/v1/devices").status == 405
    for d, reason in zip(made, ("keyCompromise", "superseded", "superseded")):
        assert home.request("POST", f"/v1/devices/{d['id']}/revoke", {"reason": reason}).status == 200

    def requests(method, route, code):
        return f'muster_http_requests_total{{method="{method}",route="{route}",code="{code}"}}'

    def durations(method, route):
        return f'muster_http_request_duration_seconds_count{{method="{method}",route="{route}"}}'

    assert moved(before, figures()) == {
        requests("POST", "/v1/devices", 201): 3, durations("POST", "/v1/devices"): 3,
        requests("GET", "/v1/devices/{id}", 200): 1, requests("GET", "/v1/devices/{id}", 404): 1,
        durations("GET", "/v1/devices/{id}"): 2,
        requests("GET", "/v1/devices", 200): 1, durations("GET", "/v1/devices"): 1,
        requests("none", "none", 404): 1, requests("none", "none", 405): 1, durations("none", "none"): 2,
        requests("POST", "/v1/devices/{id}/revoke", 200): 3, durations("POST", "/v1/devices/{id}/revoke"): 3,
        'muster_certificates_issued_total{owner="device",profile="constrained",key="ec-p256"}': 3,
        'muster_certificates_revoked_total{reason="keyCompromise"}': 1,
        'muster_certificates_revoked_total{reason="superseded"}': 2}


def test_times_and_sizes(home):
    now = time.time()
    f = figures()
    ends = {name: f[f'muster_certificate_not_after_timestamp_seconds{{certificate="{name}"}}']
            for name in ("root", "issuing", "server", "broker")}
    for name, path in {"root": "ca/root.crt", "issuing": "ca/issuing.crt", "server": "tls/server.crt"}.items():
        said = muster.openssl("x509", "-noout", "-enddate", "-in", home.dir / path, "-dateopt", "iso_8601").stdout.decode()
        assert said.strip() == time.strftime("notAfter=%Y-%m-%d %H:%M:%SZ", time.gmtime(ends[name]))
    crl = {k: v for k, v in f.items() if k.startswith("muster_crl_")}
    (this,) = (v for k, v in crl.items() if "this_update" in k and "complete" in k)
    (next_,) = (v for k, v in crl.items() if "next_update" in k and "complete" in k)
    assert now - 600 < this <= now + 1 and next_ - this == 7 * 86400
    assert f["process_resident_memory_bytes"] > 1 << 20 and 10 < f["process_open_fds"] < f["process_max_fds"]
    assert f["process_cpu_seconds_total"] > 0 and now - 600 < f["process_start_time_seconds"] <= now + 1
    assert f['muster_keypool_wanted{key="rsa-2048"}'] == 2
    assert f["muster_store_group_size_count"] == f["muster_store_commit_duration_seconds_count"] > 0
    assert f["muster_workers"] == 64 and f["muster_workers_busy"] >= 1


def test_ocsp(home):
    """An answer is signed once, then given from memory."""
    device = muster.open_package(home, home.request("POST", "/v1/devices", {"name": "o", "type": "t", "key": "ec-p256"}).json)
    names = {source: f'muster_ocsp_answers_total{{source="{source}"}}' for source in ("memory", "signed", "later")}
    before = figures()
    for _ in range(3):
        muster.openssl("ocsp", "-issuer", home.dir / "ca/issuing.crt", "-cert", device.dir / "device.crt", "-no_nonce",
                       "-CAfile", home.dir / "ca/root.crt", "-url", f"http://127.0.0.1:{home.pki_port}/ocsp")
    after = figures()
    assert {source: after[name] - before[name] for source, name in names.items()} == {"memory": 2, "signed": 1, "later": 0}
    assert after["muster_ocsp_answers_kept"] >= 1
    assert after["muster_ocsp_this_update_timestamp_seconds"] <= time.time() + 1 < after["muster_ocsp_next_update_timestamp_seconds"]


def test_brokers(home):
    """How far behind a broker is, from its first question on."""
    made = home.json("broker", "add", "plant-2")
    c = muster.open_package(home, made)
    line = 'muster_feed_lag_changes{broker="plant-2"}'
    f = figures()
    assert line not in f and f['muster_broker_seen_timestamp_seconds{broker="plant-2"}'] == 0
    tls = home.tls(c.dir / "device.crt", c.dir / "device.key")
    snapshot = home.request("GET", "/v1/feed/snapshot", token=None, tls=tls)
    epoch, seq = re.search(rb'"epoch": ?"([0-9a-f]+)"', snapshot.body)[1].decode(), re.search(rb'"seq": ?(\d+)', snapshot.body)[1]
    assert home.request("GET", f"/v1/feed?epoch={epoch}&after={seq.decode()}&wait_s=0", token=None, tls=tls).status == 200
    assert figures()[line] == 0
    for i in range(2):
        home.request("POST", "/v1/devices", {"name": f"lag{i}", "type": "t", "key": "ec-p256"})
    assert figures()[line] == 2


def test_nothing_else_is_there(home):
    """H1 the listener without credentials shows one page, and changes nothing."""
    for path in ("/", "/healthz", "/v1/devices", "/ca/root.crt", "/metrics/", "/metrics/x", "/%6detricsx"):
        assert plain(path).status == 404, path
    assert plain("/metrics?x=1").status == 400
    assert plain("/metrics", "POST").status == 405
    assert home.pki("/metrics").status == 404
    head = plain(method="HEAD")
    assert head.status == 200 and head.body == b""


def test_who_may_read_it(home):
    """H1 the API's page is the admins' and auditors' alone."""
    assert home.request("GET", "/metrics", token=None).status == 401
    assert home.request("GET", "/metrics", token="muster_wrong").status == 401
    tokens = {role: home.json("operator", "add", f"metrics-{role}", "--role", role)["token"]
              for role in ("admin", "auditor", "operator", "enroller")}
    assert {role: home.request("GET", "/metrics", token=token).status for role, token in tokens.items()} == {
        "admin": 200, "auditor": 200, "operator": 403, "enroller": 403}
    device = muster.open_package(home, home.request("POST", "/v1/devices", {"name": "d", "type": "t", "key": "ec-p256"}).json)
    for crt, key in ((device.dir / "device.crt", device.dir / "device.key"),
                     (home.dir / "broker/broker.crt", home.dir / "broker/broker.key")):
        assert home.request("GET", "/metrics", token=None, tls=home.tls(crt, key)).status == 403


def test_by_default_nobody_listens(fresh):
    """H1"""
    home = fresh(settings={"metrics.listen": ""}).start()
    assert not any("metrics" in line for line in home.process.lines)
    assert home.request("GET", "/metrics", token=None).status == 401


def test_no_secret_and_no_name(home):
    """H9 what clients sent, what they are called and where they are from is nowhere on the page."""
    made = home.request("POST", "/v1/devices", {**SECRETS, "key": "ec-p256", "labels": {"planted-4711": "planted-label-4711"}}).json
    token = made["package"]["url"].rsplit("/", 1)[1]
    assert home.request("GET", f"/d/{token}", token=None).status == 200
    assert home.request("GET", "/planted-path-4711", token=None).status == 404
    assert home.request("GET", "/v1/devices", token="muster_planted-token-4711").status == 401
    home.request("BREW", "/planted-path-4711", token=None, headers={"User-Agent": "planted-agent-4711"})
    page = plain().body.decode()
    for secret in ("4711", token, made["id"], made["package"]["password"], home.token, made["certificate"]["serial"],
                   made["certificate"]["fingerprint"], "127.0.0.1", "BREW"):
        assert secret not in page, secret
    assert 'route="/d/{token}"' in page


def test_what_limits_refuse(home):
    """Last, for this address has failed too often then."""
    name = 'muster_limit_refused_total{limit="auth_failures"}'
    before = figures()[name]
    statuses = [home.request("GET", "/v1/devices", token="muster_wrong").status for _ in range(8)]
    assert statuses.count(429) >= 4
    assert figures()[name] - before == statuses.count(429)
