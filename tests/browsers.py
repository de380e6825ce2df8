"""A headless Chromium, driven through a pipe, that looks at one page."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60  # until an answer is given up


def found():
    """The path of a browser, or None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def browser():
    """A page of a new browser with a profile of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        to_browser, ours = os.pipe()
        answers, from_browser = os.pipe()

        def ends():  # the protocol reads descriptor 3 and writes descriptor 4
            first, second = os.dup(to_browser), os.dup(from_browser)
            os.dup2(first, 3), os.dup2(second, 4)

        command = [
            *(found(), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--remote-debugging-pipe", "--no-first-run", "--disable-dev-shm-usage"),
            *(f"--user-data-dir={profile}", "--disable-background-networking", "about:blank"),
        ]
        process = subprocess.Popen(
            command,
            preexec_fn=ends,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser), os.close(from_browser)
        try:
            yield Page(ours, answers)
        finally:
            process.kill()
            process.wait()
            os.close(ours), os.close(answers)


class Page:
    """One page of a browser; its messages are collected in `messages`, its requests in `asked`."""

    def __init__(self, to_browser, answers):
        self.to_browser, self.answers = to_browser, answers
        self.count, self.rest, self.session = 0, b"", {}
        self.events, self.messages, self.asked = [], [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        opened = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = {"sessionId": opened["sessionId"]}
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Send a command, and return its answer."""
        self.count += 1
        number = self.count
        message = {"id": number, "method": method, "params": parameters, **self.session}
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        return self._until(lambda answer: answer.get("id") == number)["result"]

    def _until(self, wanted):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            part, separator, rest = self.rest.partition(b"\0")
            if not separator:
                if select.select([self.answers], [], [], 1.0)[0]:
                    self.rest += os.read(self.answers, 1 << 20)
                continue
            self.rest = rest
            answer = json.loads(part)
            assert "error" not in answer, answer
            self._note(answer)
            if wanted(answer):
                return answer
        raise TimeoutError

    def _note(self, answer):
        method, values = answer.get("method"), answer.get("params", {})
        if method == "Log.entryAdded":
            self.messages.append(values["entry"]["text"])
        elif method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.messages.append(json.dumps(values))
        elif method == "Page.javascriptDialogOpening":
            self.messages.append(f"dialog: {values['message']}")
        elif method == "Network.requestWillBeSent":
            self.asked.append(values["request"]["url"])

    def open(self, path, *, width=1100, dark=False):
        """Open a file in a window of a width, in light or dark colours."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Page.navigate", url=path.resolve().as_uri())
        self._until(lambda answer: answer.get("method") == "Page.loadEventFired")

    def value(self, expression):
        """The value of an expression on the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"]["value"]

    def screenshot(self):
        """The whole page as a PNG."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    def pdf(self):
        """The page as it is printed."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])
