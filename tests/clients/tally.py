"""The checks of one script: a line for each, and the count that ./test adds up."""

import time
import traceback


class Tally:
    def __init__(self, name):
        self._name = name
        self._passed = self._failed = 0

    def check(self, name, actual, expected):
        """Passes when both are equal."""
        if actual == expected:
            self._passed += 1
            print(f"ok    {name}")
        else:
            self._failed += 1
            print(f"FAIL  {name}: expected {expected!r}, got {actual!r}")

    def part(self, run, *arguments):
        """Runs a part; what it raises is one failure, and the parts after it still run."""
        try:
            return run(*arguments)
        except Exception:  # whatever it is, it is told
            self._failed += 1
            print(f"FAIL  {run.__name__} does not come to its end:\n{traceback.format_exc()}")
            return None

    def finish(self):
        print(f"{self._name}: {self._passed} passed, {self._failed} failed")
        raise SystemExit(1 if self._failed else 0)


def until(what, ask):
    """Asks again and again until the answer is not None, for half a minute."""
    end = time.monotonic() + 30
    while (answer := ask()) is None:
        if time.monotonic() > end:
            raise TimeoutError(f"waited in vain: {what}")
        time.sleep(0.05)
    return answer
