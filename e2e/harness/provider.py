"""The scripted provider (`crates/testkit`) as a child process."""

import http.client
import json
import time

from .process import Running, binary


class Provider:
    """A running provider; `with` stops it."""

    def __init__(self):
        self._running = Running([binary("SCRIPTED_PROVIDER_BIN", "scripted-provider")], env={})
        self.url = self._running.until(lambda line: line if line.startswith("http://") else None, 10)
        self.host = self.url.removeprefix("http://")
        self.port = int(self.host.rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._running.kill()

    def _call(self, method, path):
        connection = http.client.HTTPConnection(self.host, timeout=10)
        try:
            connection.request(method, path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def log(self):
        """Every request it received since the last `forget`."""
        return self._call("GET", "/_log")

    def forget(self):
        self._call("DELETE", "/_log")

    def await_end(self, end, seconds=5.0):
        """Waits until the last request's exchange has ended; returns how long that took."""
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            entries = self.log()
            if entries and entries[-1]["end"] == end:
                return time.monotonic() - begin
            time.sleep(0.005)
        raise AssertionError(f"no exchange ended as `{end}`: {[entry['end'] for entry in self.log()]}")


def header(entry, name):
    """The values of one header of a logged request."""
    return [value for key, value in entry["headers"] if key.lower() == name]
