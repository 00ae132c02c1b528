"""A service that dies at numbered points, and what was passed."""

import mmap
import os
import struct

from service import Service

WORD = 4


class Points:
    """The file that all processes share: the armed point, then how often each was passed."""

    def __init__(self, base):
        self.fd = os.open(base / "killpoints", os.O_RDWR | os.O_CREAT, 0o666)
        os.ftruncate(self.fd, 64 * WORD)
        os.fchmod(self.fd, 0o666)
        self.words = mmap.mmap(self.fd, 64 * WORD)
        self.env = {**os.environ, "MUSTER_KILLPOINTS_FD": str(self.fd)}

    def arm(self, number):
        self.words[0:WORD] = struct.pack("=I", number)

    def armed(self):
        return struct.unpack("=I", self.words[0:WORD])[0]

    def passed(self, number):
        return struct.unpack("=I", self.words[number * WORD:(number + 1) * WORD])[0]


class KilledService(Service):
    def __init__(self):
        # A signal to a broker that does not run is part of a round all the same.
        super().__init__(settings={"pki.crl_renew": "60s", "pki.crl_validity": "10m", "rotation.overlap": "3s",
                                   "limits.auth_failures_per_min": "0", "limits.auth_failures_all_per_min": "0"}, csrs=60)
        self.points = Points(self.home.base)

    def start(self):
        super().start(env=self.points.env, pass_fds=(self.points.fd,))
        if self.load.secret is None:
            self.enrols_by_est()
        return self
