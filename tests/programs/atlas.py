# SPDX-License-Identifier: MIT
# atlas.py PAGE FAKEBIND SEED [PICTURES]: looks at an atlas in a real browser, as people do, and holds cells against
# `fakebind play'.  Says `ok TEXT' or `not ok TEXT' for each check, `# TEXT' after a failure.
import json
import os
import random
import subprocess
import sys
import tempfile

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

CELLS = 40

page, fakebind, seed = "file://" + os.path.abspath(sys.argv[1]), sys.argv[2], int(sys.argv[3])
pictures = sys.argv[4] if len(sys.argv) > 4 else None


def check(text, got, expected=True):
    print("ok" if got == expected else "not ok", text, flush=True)
    if got != expected:
        print(f"# got {got!r}\n# expected {expected!r}", flush=True)


def start(profile):
    options = webdriver.ChromeOptions()
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "disable-quic", "no-first-run",
                 "disable-background-networking", "disable-component-update", "disable-sync", "window-size=1400,1050",
                 "user-data-dir=" + profile):
        options.add_argument("--" + flag)
    # Not its new tab page, which loads things of its own.
    options.add_experimental_option("prefs", {"session.restore_on_startup": 4, "session.startup_urls": ["about:blank"]})
    options.binary_location = "/usr/bin/chromium"
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


# ---- the page's parts ----

def text(css):
    return driver.find_element(By.CSS_SELECTOR, css).text


def cell(table, row, column):
    return driver.find_element(By.CSS_SELECTOR, f"#{table} tbody tr:nth-child({row}) td:nth-of-type({column}) button")


def fragment():
    return driver.execute_script("return location.hash")


def go(words):
    """Follows a link within the page; what the page then says."""
    return driver.execute_async_script("""
        const done = arguments[1], hash = "#" + arguments[0];
        const read = () => done({
            scenario: document.getElementById("scenario").textContent,
            why: [...document.querySelectorAll(".reason")].map(card => ({
                badge: card.querySelector("h3 .verdict").lastChild.textContent,
                rule: card.querySelector(".rule")?.textContent,
                because: card.querySelector(".because").textContent })),
        });
        if (location.hash === hash)
            return read();
        addEventListener("hashchange", () => setTimeout(read), { once: true });
        location.hash = hash;
    """, words)


def emulate(scheme):
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})


def is_dark():
    return driver.execute_script("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(part => part < 60)")


def low_contrasts():
    """Texts whose contrast with what is behind them is below 4.5."""
    return driver.execute_script("""
        const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        const rgba = colour => {
            context.clearRect(0, 0, 1, 1);
            context.fillStyle = colour;
            context.fillRect(0, 0, 1, 1);
            return [...context.getImageData(0, 0, 1, 1).data];
        };
        const light = colour => {
            const [r, g, b] = colour.map(part => part / 255).map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const behind = element => {
            const colour = element ? rgba(getComputedStyle(element).backgroundColor) : [255, 255, 255, 255];
            return colour[3] > 250 ? colour : behind(element.parentElement);
        };
        const contrast = element => {
            const two = [light(rgba(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
            return (two[0] + 0.05) / (two[1] + 0.05);
        };
        return [...document.body.querySelectorAll("*")]
            .filter(element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
            .filter(element => element.getClientRects().length && contrast(element) < 4.5)
            .map(element => `${element.tagName} ${element.className} ${element.textContent.slice(0, 30)} ${contrast(element)}`);
    """)


def picture(name, width=1400, height=1050):
    if not pictures:
        return
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                           {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
    driver.save_screenshot(os.path.join(pictures, name + ".png"))
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


# ---- what people do ----

def read_a_cell():
    Select(driver.find_element(By.ID, "one")).select_by_value("linux-6.18")
    Select(driver.find_element(By.ID, "other")).select_by_value("freebsd-14")
    driver.find_element(By.CSS_SELECTOR, "#state input[value=listening]").find_element(By.XPATH, "..").click()
    cell("options", 2, 2).click()
    cell("addresses", 1, 2).click()
    check("two systems, options and a cell are chosen: the fragment says so",
          fragment(), "#linux-6.18/freebsd-14/tcp/listening/same/a/w/a/l")
    check("the rule and the sentence that says why", [line in text("#why") for line in (
        "linux-6.18/conflict/holder-listens", "bind() is refused because a listener never shares by SO_REUSEADDR alone.",
        "freebsd-14/ok/reuse", "measured", "inet_bind_conflict()")], [True] * 5)
    check("what would allow it", text(".reason .remedy"), "It would be allowed if both sockets had SO_REUSEPORT and the same user.")
    check("a cell where they differ says so without colour",
          (cell("addresses", 1, 2).text.split(), cell("addresses", 1, 2).get_attribute("aria-label")),
          (["A", "✕", "EADDRINUSE", "B", "✓", "ok"], "they differ, linux-6.18: EADDRINUSE, freebsd-14: ok"))
    check("and one where they do not", cell("addresses", 1, 1).text.split(), ["✕", "EADDRINUSE"])
    picture("light")


def follow_a_link():
    driver.get("about:blank")
    driver.get(page + "#windows/illumos/udp/bound/other/x/W/p/l")
    check("a link opens its view", (text("#sentence"), driver.find_element(By.ID, "one").get_attribute("value")), (
        "The first socket, UDP with SO_EXCLUSIVEADDRUSE, is bound to [::]. A second socket of another user with SO_REUSEPORT "
        "binds 127.0.0.1, the same port.", "windows"))
    go("no-such-system/%E0%A4%A/tcp/nonsense//a")
    check("of a damaged link what can be read counts", fragment().startswith("#no-such-system"), True)
    check("and the rest stays", driver.find_element(By.ID, "one").get_attribute("value"), "windows")


def use_keys():
    go("linux-6.18/freebsd-14/tcp/listening/same/a/w/a/w")
    keys = webdriver.ActionChains(driver)
    driver.find_element(By.ID, "next").send_keys(Keys.TAB)
    check("Tab reaches one cell of a table", driver.execute_script(
        "return document.activeElement.closest('table').id + ' ' + document.activeElement.getAttribute('aria-current')"), "options true")
    keys.send_keys(Keys.TAB).perform()
    check("and then the next table's", driver.execute_script("return document.activeElement.closest('table').id"), "addresses")
    keys.reset_actions()
    keys.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.END, Keys.ARROW_RIGHT, Keys.ENTER).perform()
    check("arrow keys and Enter choose a cell", fragment(), "#linux-6.18/freebsd-14/tcp/listening/same/a/W/a/m")
    check("the cell keeps the focus, which can be seen", driver.execute_script(
        "const style = getComputedStyle(document.activeElement);"
        "return [document.activeElement.getAttribute('aria-current'), parseInt(style.outlineWidth) >= 2 && style.outlineStyle]"), ["true", "solid"])
    check("a screen reader is told", (driver.find_element(By.ID, "said").get_attribute("aria-live"),
                                      driver.execute_script("return document.getElementById('said').textContent.slice(0, 36)")),
          ("polite", "linux-6.18: EADDRINUSE. bind() is re"))
    check("every cell has a row and a column heading", driver.execute_script(
        "return [...document.querySelectorAll('table')].every(table => table.caption && table.querySelectorAll('thead th[scope=col]').length === 7"
        " && table.querySelectorAll('tbody th[scope=row]').length === 6)"))
    driver.find_element(By.ID, "next").send_keys(Keys.ENTER)
    check("the next difference is one", "≠" in driver.execute_script(
        "return getComputedStyle(document.querySelector('#addresses [aria-current]'), '::after').content"))


def look_in_the_dark():
    go("windows/illumos/tcp/bound/same/x/w/a/l")
    check("light: every text has a contrast of 4.5", low_contrasts(), [])
    emulate("dark")
    check("the system is dark, so is the page", (is_dark(), text("#theme")), (True, "Dark"))
    check("dark: every text has a contrast of 4.5", low_contrasts(), [])
    picture("dark")
    driver.find_element(By.ID, "theme").click()
    check("the switch makes it light", (is_dark(), driver.find_element(By.ID, "theme").get_attribute("aria-pressed")), (False, "false"))
    driver.refresh()
    check("which it stays", is_dark(), False)
    emulate("light")


def shrink():
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True})
    check("a telephone: only the tables are scrolled sideways",
          driver.execute_script("return document.documentElement.scrollWidth <= innerWidth && innerWidth < 400"))
    picture("narrow", 390, 2400)


# ---- the answers ----

def random_view(data):
    state = random.choice(["udp/bound"] + ["tcp/" + state for state in data["states"]])
    socket = "/".join
    return "/".join([*(random.choice(data["systems"])["name"] for unused in range(2)), state, random.choice(["same", "other"]),
                     *(socket([random.choice(data["options"])[0], random.choice(data["places"])[0]]) for unused in range(2))])


def play(system, scenario):
    said = subprocess.run([fakebind, "play", "--os", system, "--explain", "--format", "json", "-"], input=scenario,
                          capture_output=True, text=True, check=True).stdout
    return json.loads(said)["steps"]


def verdict(steps):
    """As the page has it: the badge and the rule."""
    for step in steps:
        words = step["operation"].split()
        if words[0] in ("set", "uid") or step["answer"] == "ok":
            continue
        if words[1] != "b":
            return "n/a", step.get("rule")
        return step["answer"] + (" at listen" if words[0] == "listen" else ""), step.get("rule")
    return "ok", next(step for step in steps if step["operation"].startswith("bind b")).get("rule")


def hold_against_play():
    random.seed(seed)
    data = json.loads(driver.execute_script("return document.getElementById('data').textContent"))
    wrong = []
    for view in (random_view(data) for unused in range(CELLS)):
        said = go(view)
        for system, why in zip(view.split("/"), said["why"]):
            expected = verdict(play(system, said["scenario"]))
            if (why["badge"], why["rule"]) != expected:
                wrong.append((view, system, why, expected))
    check(f"{CELLS} cells say what `fakebind play' answers (seed {seed})", wrong, [])


# ---- ----

with tempfile.TemporaryDirectory() as profile:
    driver = start(profile)
    try:
        driver.get(page)
        read_a_cell()
        follow_a_link()
        use_keys()
        hold_against_play()
        look_in_the_dark()
        shrink()
        own = ("chrome:", "data:")  # a new browser's first page
        said = [entry["message"] for entry in driver.get_log("browser")]
        check("nothing on the console", [line for line in said if not line.startswith(own)], [])
        requests = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
        urls = {each["params"]["request"]["url"].split("#")[0] for each in requests if each["method"] == "Network.requestWillBeSent"}
        check("nothing is loaded but the page", {url for url in urls if not url.startswith(own)}, {page})
    finally:
        driver.quit()
