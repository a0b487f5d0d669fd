"""The report in a real browser, headless Chromium, driven by its DevTools protocol over a pair of pipes."""

import fcntl
import json
import os
import select
import shutil
import signal
import time

import numpy as np
import pytest

from eval.measures.anatomy import anatomy
from eval.report.build import build_report
from logic.boolean.grammar import Grammar
from logic.boolean.language import Boolean
from logic.boolean.symbols import encode
from logic.boolean.verifier import verify
from loop.cell import Cell
from loop.examples import Examples
from loop.storage.run_directory import RunDirectory
from tests.eval.report.build_test import rows_of

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no chromium, chromium-browser or google-chrome on the PATH"),
]
SWITCHES = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking --disable-sync "
    "--disable-component-update --no-first-run --remote-debugging-pipe --window-size=1200,900"
)
PATIENCE = 300  # seconds until a page that does not get there is given up
HOSTILE = "</script><img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script><!--"
WRITTEN = ("(not False)", "(True or False)", "not False", "(not True)", "(True and", "")


class Browser:
    """One page of a fresh browser; what it logs, and what it asks the network for, is kept."""

    def __init__(self, profile, size=None, dark=False):
        commands, self._out = os.pipe()
        self._in, answers = os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in (commands, answers)]  # not 3 or 4, their targets
        log = os.open(profile.parent / f"{profile.name}.log", os.O_WRONLY | os.O_CREAT, 0o600)
        actions = [(os.POSIX_SPAWN_DUP2, fd, target) for fd, target in zip(high, (3, 4), strict=True)]
        actions += [(os.POSIX_SPAWN_DUP2, log, target) for target in (1, 2)]
        arguments = [CHROMIUM, *SWITCHES.split(), f"--user-data-dir={profile}", "about:blank"]
        self._pid = os.posix_spawn(CHROMIUM, arguments, os.environ, file_actions=actions, setpgroup=0)
        for fd in (commands, answers, *high, log):
            os.close(fd)
        self._received, self._last, self._session = b"", 0, None
        self.complaints, self.requests = [], []
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(t["targetId"] for t in targets if t["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.call(f"{domain}.enable")
        if size:
            metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
            self.call("Emulation.setDeviceMetricsOverride", **metrics)
        if dark:
            features = [{"name": "prefers-color-scheme", "value": "dark"}]
            self.call("Emulation.setEmulatedMedia", features=features)

    def _message(self):
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._received:
            if not select.select([self._in], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            part = os.read(self._in, 1 << 16)
            if not part:
                raise EOFError("the browser has ended")
            self._received += part
        message, self._received = self._received.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self._last += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._last, "method": method, "params": parameters, **session}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._message()).get("id") != self._last:
            event, told = answer.get("method", ""), answer.get("params", {})
            if event in ("Runtime.exceptionThrown", "Log.entryAdded") or (
                event == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert")
            ):
                self.complaints.append(told)
            elif event == "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, (expression, answer)
        return answer["result"].get("value")

    def wait(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not self.evaluate(f"!!({condition})"):
            assert time.monotonic() < deadline, (condition, self.complaints)
            time.sleep(0.05)

    def open(self, page, fragment=""):
        self.call("Page.navigate", url=f"{page.as_uri()}{fragment}")
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def close(self):
        os.close(self._out)  # the browser ends with its pipe
        deadline = time.monotonic() + 5
        while os.waitpid(self._pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.killpg(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                break
            time.sleep(0.05)
        os.close(self._in)


def make_run(path, generations=4, dissected=True):
    """A run whose every text is hostile where it can be, and whose generations can be told apart."""
    grammar, train = Grammar(1, 3), Examples.drawn(encode(["(not False)"]), 0)
    cells = [Cell(cycle, ratio, seed) for cycle in ("full", "balanced") for ratio in (0.0, 0.5) for seed in (0, 1)]
    cells += [Cell("fresh", 1.0, seed) for seed in (0, 1)]
    run = RunDirectory(path)
    run.create(
        {"loop": {"generations": generations}, "language": {"min_depth": 1, "max_depth": 3}, "note": HOSTILE}, ""
    )
    run.write_rows(list(rows_of(cells, generations)))
    for t in range(generations):
        expressions = encode(WRITTEN[t:] + WRITTEN[:t] + WRITTEN[:1] * (10 * t))
        verdicts = verify(expressions, grammar)
        run.write_samples(t, dict.fromkeys(cells, (expressions, verdicts._asdict())))
        if dissected:
            curve = np.array([[10, 2.0, 1.5, 1.75], [20, 1.0, 1.25, 1.5 + t]])
            run.write_curves(t, {cell: curve for cell in cells if cell.seed == 0})
            part = anatomy(Examples.written(expressions, t, train), verdicts._asdict(), train, Boolean(1, 3))
            part["top"][-1]["expression"] = HOSTILE
            run.write_anatomy(t, [c.keys | {"generation": t} | part for c in cells])
    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def page(folder):
    return build_report(
        [make_run(folder / "<img src=x onerror=alert(1)>"), make_run(folder / "plain", dissected=False)]
    )


@pytest.fixture
def browser(folder, page):
    browser = Browser(folder / f"profile{time.monotonic_ns()}")
    yield browser
    browser.close()


DRAWN = "['measure', 'depth', 'length'].every((name) => document.querySelector(`#${name}-chart svg path`))"
SHOWN = """({
  generation: document.getElementById("generation-shown").textContent,
  first: document.querySelector("#first .text").textContent,
  kind: document.querySelector("#first li").className,
  sign: document.querySelector("#first b").textContent,
  top: document.querySelector("#top td:nth-child(2)").textContent,
  bars: [...document.querySelectorAll("#depth-chart .mark-rect path")].map((bar) => bar.getAttribute("d")).join(),
  cell: document.getElementById("cell").selectedOptions[0].textContent,
})"""


def test_page_works_and_needs_nothing_else(browser, page):
    browser.open(page)
    browser.wait(f"{DRAWN} && document.querySelector('#descent-chart svg path')")
    assert browser.complaints == []
    assert {url for url in browser.requests if not url.startswith("data:image/svg+xml;")} == {page.as_uri()}
    images = "[...document.images].map((image) => image.naturalWidth)"
    assert len(browser.evaluate(images)) == 5 and all(browser.evaluate(images))
    labels = browser.evaluate("[...document.querySelectorAll('#measure-chart text')].map((text) => text.textContent)")
    assert {"full · plain", "balanced · plain", "φ = 0", "φ = 0.5", "control (fresh)"} <= set(labels)
    for color_scheme in ("dark", "light"):
        features = [{"name": "prefers-color-scheme", "value": color_scheme}]
        browser.call("Emulation.setEmulatedMedia", features=features)
    for width in (500, 1200):
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        time.sleep(0.4)  # the page waits for the end of a resize
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser.complaints == []


def test_hostile_text_is_text(browser, page):
    browser.open(page, "#generation=2")
    browser.wait(f"{DRAWN} && document.getElementById('top').rows.length > 0")
    texts = browser.evaluate("[...document.querySelectorAll('#top .text')].map((text) => text.textContent)")
    assert texts[-1] == HOSTILE
    config = browser.evaluate("[...document.querySelectorAll('pre')].map((text) => text.textContent).join()")
    assert json.dumps(HOSTILE) in config
    assert "<img src=x onerror=alert(1)>" in browser.evaluate("document.getElementById('cell').textContent")
    assert browser.evaluate("document.querySelectorAll('img[src=x]').length") == 0
    assert browser.evaluate("document.title").startswith("Self-consuming")
    assert browser.complaints == []


def test_slider_moves_samples_and_histograms(browser, page):
    browser.open(page, "#generation=1&cell=balanced_fresh0.5_seed1")
    browser.wait(DRAWN)
    one = browser.evaluate(SHOWN)
    assert one["generation"] == "1" and one["cell"].endswith("balanced, φ = 0.5, seed 1")
    assert (one["first"], one["kind"], one["sign"]) == ("(True or False)", "support", "●")
    browser.evaluate("document.getElementById('generation').focus()")
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", windowsVirtualKeyCode=39)
    browser.wait("document.getElementById('generation-shown').textContent === '2'")
    two = browser.evaluate(SHOWN)
    assert (two["first"], two["kind"], two["sign"]) == ("not False", "correct", "◆")
    browser.wait(f"JSON.stringify({SHOWN}.bars) !== {json.dumps(json.dumps(one['bars']))}")
    assert two["top"] != one["top"] and two["cell"] == one["cell"]
    assert "generation=2" in browser.evaluate("location.hash")
    browser.evaluate("location.hash = '#generation=3&cell=full_fresh0_seed0&measure=novelty&run=plain'")
    browser.wait("document.getElementById('generation-shown').textContent === '3'")
    assert browser.evaluate(SHOWN)["cell"] == "plain: full, φ = 0, seed 0"
    assert browser.evaluate("document.getElementById('measure').value") == "novelty"
    browser.wait("document.getElementById('descent').hidden")  # this run has no anatomy files
    browser.wait(
        "[...document.querySelectorAll('#measure-chart text')].some((t) => t.textContent.startsWith('novelty'))"
    )
    assert browser.complaints == []


def test_measures_can_be_chosen(browser, page):
    browser.open(page)
    browser.wait(DRAWN)
    names = browser.evaluate("[...document.getElementById('measure').options].map((option) => option.value)")
    assert "levenshtein_diversity" in names and "train_tokens" in names
    lines = "document.querySelectorAll('#measure-chart .mark-line path').length"
    few = browser.evaluate(lines)
    browser.evaluate("document.getElementById('seeds').click()")
    browser.wait(f"{lines} === {3 * few}")  # two seeds each
    browser.evaluate("document.querySelector('#ratios input').click()")
    browser.wait(f"{lines} < {3 * few}")
    browser.evaluate("document.querySelectorAll('#ratios input, #cycles input').forEach((i) => i.checked && i.click())")
    browser.wait("!document.getElementById('measure-none').hidden")
    assert browser.complaints == []


def test_training_curves_of_the_chosen_cell(browser, page):
    browser.open(page, "#cell=full_fresh0.5_seed0")
    lines = "document.querySelectorAll('#curves-chart .mark-line path').length"
    browser.wait(f"{lines} === 8")  # of four generations, the training and the validation loss
    labels = browser.evaluate("[...document.querySelectorAll('#curves-chart text')].map((text) => text.textContent)")
    assert {"training loss", "validation loss", "optimiser steps", "nats per symbol"} <= set(labels)
    strokes = (
        "new Set([...document.querySelectorAll('#curves-chart .mark-line path')].map((p) => p.getAttribute('stroke')))"
    )
    assert browser.evaluate(f"{strokes}.size") == 4
    browser.evaluate("location.hash = '#cell=full_fresh0.5_seed1'")  # it has none
    browser.wait("document.getElementById('curves').hidden")
    assert browser.complaints == []


def test_values_show_where_the_pointer_is_and_a_click_leads_to_the_cell(browser, page):
    browser.open(page)
    browser.wait(DRAWN)
    browser.evaluate("document.getElementById('measure-chart').scrollIntoView()")
    box = "(({x, y, width, height}) => [x, y, width, height])(document.querySelector('#measure-chart svg').%s)"
    x, y, width, height = browser.evaluate(box % "getBoundingClientRect()")
    at = {"x": x + 0.3 * width, "y": y + 0.3 * height}  # in the panel of the first run
    for _ in range(2):
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", **at)
    browser.wait("document.querySelector('#vg-tooltip-element.visible')")
    text = browser.evaluate("document.getElementById('vg-tooltip-element').innerText")
    assert "<img src=x onerror=alert(1)>" in text and "mean of 2 seeds" in text and "undefined" not in text
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)
    browser.wait("location.hash.includes('generation=')")
    assert browser.evaluate("document.querySelectorAll('img[src=x]').length") == 0
    assert browser.complaints == []


def test_without_script_everything_else_is_there(browser, page):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page)
    assert browser.evaluate("document.querySelector('details.print').open")
    assert browser.evaluate("getComputedStyle(document.getElementById('inside')).display") == "none"
