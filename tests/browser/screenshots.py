"""Takes the pictures of docs/screenshots: `screenshots.py URL FOLDER` for a dashboard that runs at URL."""

import pathlib
import sys

import browser

PAGES = {
    "journey": "/dashboard",
    "key-figures": "/dashboard/kpis",
    "touchpoints": "/dashboard/touchpoints",
    "personas": "/dashboard/personas",
    "models": "/dashboard/models",
    "offers": "/dashboard/offers",
}
WIDTH, HEIGHT = 1280, 1400
PHONE_WIDTH, PHONE_HEIGHT = 390, 844


def main(url, folder):
    """One picture a page, in the light; the first one also in the dark, that and a customer's also on a phone."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    chromium = browser.start()
    try:
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        for scheme in ["light", "dark"]:
            browser.colour_scheme(chromium, scheme)
            for name, path in PAGES.items():
                if scheme == "dark" and name != "journey":
                    continue
                chromium.get(url.rstrip("/") + path)
                suffix = "-dark" if scheme == "dark" else ""
                chromium.save_screenshot(str(folder / f"{name}{suffix}.png"))
        browser.colour_scheme(chromium, "light")
        chromium.get(url.rstrip("/") + "/dashboard/customers")
        chromium.find_element("css selector", "main ul.plain a").click()
        customer = chromium.current_url
        chromium.save_screenshot(str(folder / "customer.png"))
        size = {"width": PHONE_WIDTH, "height": PHONE_HEIGHT, "deviceScaleFactor": 1, "mobile": True}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        for name, address in [("journey", url.rstrip("/") + PAGES["journey"]), ("customer", customer)]:
            chromium.get(address)
            chromium.save_screenshot(str(folder / f"{name}-phone.png"))
    finally:
        chromium.quit()


if __name__ == "__main__":
    main(*sys.argv[1:])
