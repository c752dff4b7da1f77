"""Photograph every page of the built documentation, and report what is wider than the screen.

    python docs/screenshots.py docs/_build/html screenshots
    python docs/screenshots.py docs/_build/html screenshots --only quickstart glossary

Needs Chromium (``apt-get install chromium``) and nothing else. Each page is opened 1400 and 420 pixels wide, light and
dark. The status is 1 if a page scrolls sideways, if something sticks out, or if it asks the network for anything.
"""

import argparse
import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WIDTHS, SCHEMES, HEIGHT, TALLEST = (1400, 420), ("light", "dark"), 1000, 12000

# What is wider than the window and in no box that scrolls.
MEASURE = """(() => {
  const width = document.documentElement.clientWidth, page = document.scrollingElement, found = [];
  const scrolls = (node) => {
    for (let box = node; box && box !== document.body; box = box.parentElement)
      if (getComputedStyle(box).overflowX !== "visible") return true;
    return false;
  };
  for (const node of document.querySelectorAll("main *")) {
    const box = node.getBoundingClientRect();
    if (box.width && box.right > width + 1 && !scrolls(node))
      found.push(node.tagName + " " + (node.textContent || "").trim().slice(0, 60));
  }
  return {scroll: page.scrollWidth, height: page.scrollHeight, width, found: found.slice(0, 3)};
})()"""


class Browser:
    """Chromium without a window, asked through pipes in the devtools protocol."""

    def __init__(self, folder):
        to_browser, self.write_end = os.pipe()
        self.read_end, from_browser = os.pipe()
        command = [shutil.which("chromium") or "google-chrome", "--headless", "--remote-debugging-pipe", "--no-sandbox"]
        command += ["--disable-gpu", "--hide-scrollbars", "--no-first-run", f"--user-data-dir={folder}", "about:blank"]
        # The protocol is spoken on the file descriptors 3 and 4.
        shell = ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", *command]
        pipes = (to_browser, from_browser)
        self.process = subprocess.Popen(shell, pass_fds=pipes, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for end in pipes:
            os.close(end)
        self.rest, self.number, self.session = b"", 0, None
        self.requests, self.loaded = [], False

    def read(self):
        """Return the next message, and note what a page asks for and that it is loaded."""
        while b"\0" not in self.rest:
            block = os.read(self.read_end, 1 << 20)
            if not block:
                raise RuntimeError("Chromium has ended.")
            self.rest += block
        text, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(text)
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        self.loaded |= message.get("method") == "Page.loadEventFired"
        return message

    def ask(self, method, **params):
        """Send a command and return its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        while (answer := self.read()).get("id") != self.number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def open_page(self):
        """Open an empty page, which all later commands go to."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.ask(f"{domain}.enable")

    def visit(self, address, width, scheme):
        """Load a page at a width in a color scheme; return what was measured and what it asked for."""
        size = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.requests.clear()
        self.loaded = False
        self.ask("Page.navigate", url=address)
        while not self.loaded:
            self.read()
        found = self.ask("Runtime.evaluate", expression=MEASURE, returnByValue=True)["result"]["value"]
        return found, [url for url in self.requests if not url.startswith(("file:", "data:"))]

    def photograph(self, path, width, height):
        """Write a picture of the whole page."""
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, TALLEST), "scale": 1}
        picture = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(picture["data"]))

    def close(self):
        """End Chromium."""
        self.session = None
        with contextlib.suppress(RuntimeError, OSError):
            self.ask("Browser.close")
        self.process.wait(timeout=30)


def complaints(name, found, foreign):
    """Yield what is wrong with a page as it was opened."""
    if found["scroll"] > found["width"]:
        yield f"{name}: {found['scroll']} pixels wide"
    yield from (f"{name}: sticks out: {what}" for what in found["found"])
    yield from (f"{name}: asks the network for {url}" for url in foreign)


def photograph_all(pages, root, output, widths=WIDTHS, schemes=SCHEMES):
    """Photograph pages and return what is wrong with them."""
    wrong = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(folder)
        browser.open_page()
        for page in pages:
            for width in widths:
                for scheme in schemes:
                    found, foreign = browser.visit(page.resolve().as_uri(), width, scheme)
                    name = f"{page.relative_to(root).with_suffix('')}-{width}-{scheme}"
                    browser.photograph(output / f"{name}.png", width, found["height"])
                    wrong += complaints(name, found, foreign)
        browser.close()
    return wrong


def main():
    """Photograph the pages, print what is wrong, and return the status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", type=Path, help="folder of the built pages")
    parser.add_argument("output", type=Path, help="folder for the pictures")
    parser.add_argument("--only", nargs="+", default=None, help="names of pages, without .html")
    options = parser.parse_args()
    pages = sorted(page for page in options.root.rglob("*.html") if "_static" not in page.parts)
    if options.only:
        pages = [page for page in pages if str(page.relative_to(options.root).with_suffix("")) in options.only]
    wrong = photograph_all(pages, options.root, options.output)
    print("\n".join(wrong + [f"{len(pages)} pages, {len(wrong)} complaints"]))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
