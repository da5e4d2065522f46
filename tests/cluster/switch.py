#!/usr/bin/env python3
"""A network switch in one process, with latency and loss, for kernels that cannot delay (`tc ... netem`).

    switch.py DELAY LOSS DEVICE...

Makes the network devices (TAP) and, until it is ended, brings every frame that is sent into one of them to those it is
for: DELAY seconds later, or, with the probability LOSS, not at all. Says `ready` when the devices are there.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000
LONGEST = 65536


def device(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def main(delay, loss, names):
    devices = [device(name) for name in names]
    print("ready", flush=True)
    chance = random.Random(1)
    at = {}  # where an address was last heard
    waiting, number = [], 0
    while True:
        # poll() counts in milliseconds, too coarse for latencies; select() does not.
        until = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        for fd in select.select(devices, [], [], until)[0]:
            while True:
                try:
                    frame = os.read(fd, LONGEST)
                except OSError:  # no more; or the device is down
                    break
                at[frame[6:12]] = fd
                if chance.random() < loss:
                    continue
                heard = at.get(frame[:6])
                for to in [heard] if heard else devices:
                    if to != fd:
                        number += 1
                        heapq.heappush(waiting, (time.monotonic() + delay, number, to, frame))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, to, frame = heapq.heappop(waiting)
            try:
                os.write(to, frame)
            except OSError:  # down, or full: lost
                pass


main(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
