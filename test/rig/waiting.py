"""Waiting for conditions."""
import time


def wait_for(condition, seconds=10, step=0.005):
    """The condition's first true value, or its last one when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(step)
