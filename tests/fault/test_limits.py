"""I7 and I10: too few file descriptors, and ten times the load."""

import re
import resource
import socket
import statistics
import subprocess
import time

from muster import PATIENCE, wait_for

POST = """
wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer %s"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"name": "flood", "type": "t", "key": "ec-p256"}'
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() counts = {} end
function response(status, headers)
	local wait = headers["Retry-After"] and " later" or ""
	counts[status .. wait] = (counts[status .. wait] or 0) + 1
end
function done()
	for _, thread in ipairs(threads) do
		for what, n in pairs(thread:get("counts")) do print("answers", what, n) end
	end
end
"""


def test_64_file_descriptors(make):
    """I7: fewer connections are taken, nothing breaks, and all is well when they have gone."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    service = make(csrs=10)
    service.start(preexec=few)
    service.home.process.wait_line("for want of file descriptors", 1)
    service.begin(threads=6)
    time.sleep(0.5)
    idle = []
    for _ in range(100):
        s = socket.socket()
        s.settimeout(1)
        idle.append(s)
        s.connect(("127.0.0.1", service.home.api_port))
    time.sleep(1)
    for s in idle:
        s.close()
    served = service.load.answers[201]
    wait_for(lambda: service.load.answers[201] > served, 10, "registrations to go on")
    service.check()
    assert not any("ended" in x for x in service.home.process.lines), service.home.process.lines


def timed(function):
    began = time.monotonic()
    reply = function()
    return time.monotonic() - began, reply


def measure(service, ids):
    """Seconds that health and revocations take, worst health and all revocations."""
    health, revocations = [], []
    for id in ids:
        took, reply = timed(lambda: service.home.request("GET", "/healthz", token=None))
        assert reply.status == 200
        health.append(took)
        took, reply = timed(lambda: service.revoke(id))
        assert reply.status == 200, reply.body
        revocations.append(took)
    return max(health), revocations


def test_ten_times_the_load(make):
    """I10: what is too much is told when to come again; health and revocation are answered all the while."""
    service = make(csrs=0, settings={"server.workers": "8", "limits.queue": "24", "keypool.rsa_2048": "0"}).start()
    home = service.home
    ids = [service.register(f"d{i}") for i in range(8)]
    time.sleep(1)
    idle = measure(service, ids[:4])
    script = home.base / "flood.lua"
    script.write_text(POST % home.token)
    # 8 workers and 24 places are what it has; 320 clients ask at once, and again as soon as they are answered.
    flood = subprocess.Popen(["wrk", "-t1", "-c320", "-d6s", "--timeout", "30s", "-s", script,
                              f"https://localhost:{home.api_port}/v1/devices"], stdout=subprocess.PIPE)
    time.sleep(1.5)
    loaded = measure(service, ids[4:])
    said = flood.communicate(timeout=60)[0].decode()
    answers = {what.strip(): int(n) for what, n in re.findall(r"answers\t(.+)\t(\d+)", said)}
    print(f"idle: health {idle[0]:.3f} s, revocation {statistics.median(idle[1]):.3f} s; "
          f"loaded: health {loaded[0]:.3f} s, revocation {statistics.median(loaded[1]):.3f} s (worst "
          f"{max(loaded[1]):.3f} s); {answers}")
    assert set(answers) <= {"201", "503 later", "429 later"}, answers
    assert answers["201"] > 0 and answers["503 later"] > 0
    assert loaded[0] < 2 * PATIENCE
    assert max(loaded[1]) < 5 * PATIENCE
    # And afterwards as before, once what was accepted last is done.
    wait_for(lambda: home.request("POST", "/v1/devices", {"name": "after", "type": "t", "key": "ec-p256"}).status == 201,
             5, "a registration after the flood")
    service.check()
