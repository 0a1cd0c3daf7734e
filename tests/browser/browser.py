"""Starts Chromium through its driver, and reads what its console says."""

import os
import shutil

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

BINARIES = ["chromium", "chromium-browser", "google-chrome", "chromium-headless-shell"]
WIDTH, HEIGHT = 1280, 900
LOAD_TIMEOUT_S = 120


def find():
    """The browser and its driver, or None for what is not there."""
    browsers = (shutil.which(name) for name in BINARIES)
    return next((path for path in browsers if path), None), shutil.which("chromedriver")


def start(javascript=True):
    """A browser without a window."""
    binary, driver = find()
    if not binary or not driver:
        raise RuntimeError("chromium and chromedriver are needed")
    options = Options()
    options.binary_location = binary
    flags = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    # the same picture, and a smaller one, on every machine
    flags += ["--hide-scrollbars", "--disable-lcd-text"]
    # it talks to the dashboard and to nobody else
    flags += ["--no-proxy-server", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += ["--disable-quic", "--no-default-browser-check"]
    for flag in flags:
        options.add_argument(flag)
    if os.geteuid() == 0:
        # in a container of its own, where Chromium refuses to start as root otherwise
        options.add_argument("--no-sandbox")
    options.add_argument(f"--window-size={WIDTH},{HEIGHT}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not javascript:
        setting = {"profile.managed_default_content_settings.javascript": 2}
        options.add_experimental_option("prefs", setting)
    # nor is the driver asked through a proxy that the environment names
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "localhost,127.0.0.1"
    browser = webdriver.Chrome(options=options, service=Service(driver))
    browser.set_page_load_timeout(LOAD_TIMEOUT_S)
    return browser


def colour_scheme(browser, scheme):
    """As if the person had chosen `light` or `dark`."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def complaints(browser):
    """What the console said since it was last asked, save information."""
    entries = browser.get_log("browser")
    return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]
