"""The dashboard as a person meets it, in Chromium. `tests/it/dashboard_browser.rs` starts the service and this."""

import os
import unittest

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

import browser

URL = os.environ["TEST_URL"].rstrip("/")
CUSTOMER = os.environ["TEST_CUSTOMER"]
PAGES = [
    "/dashboard",
    "/dashboard/kpis?breakdown=persona",
    "/dashboard/touchpoints",
    "/dashboard/personas",
    "/dashboard/customers",
    f"/dashboard/customers?customer_id={CUSTOMER}",
    "/dashboard/models",
    "/dashboard/offers",
]
WAIT_S = 60
# a training runs beside all other tests, on whatever machine this is
TRAINING_WAIT_S = 600
# what is met while a page, or a part of it, is being replaced by the next
BETWEEN_PAGES = [NoSuchElementException, StaleElementReferenceException]


class Page(unittest.TestCase):
    """One browser for all stories."""

    javascript = True

    @classmethod
    def setUpClass(cls):
        cls.browser = browser.start(cls.javascript)

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()

    def open(self, path):
        self.browser.get(URL + path)

    def tearDown(self):
        self.assertEqual(browser.complaints(self.browser), [])

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def heading(self):
        return self.one("h1").text

    def waits_for(self, true, seconds=WAIT_S):
        wait = WebDriverWait(self.browser, seconds, ignored_exceptions=BETWEEN_PAGES)
        wait.until(lambda _: true(), "waited for in vain")

    def goes(self, element, part):
        """Follows a link or a button, to a new page whose address has this part."""
        element.click()
        self.waits_for(lambda: part in self.browser.current_url)
        self.waits_for(lambda: self.browser.execute_script("return document.readyState") == "complete")


class WithJavaScript(Page):
    def test_pages_load_and_everything_has_a_name(self):
        self.open("/")
        self.assertEqual(self.browser.current_url, URL + "/dashboard")
        titles = []
        for path in PAGES:
            with self.subTest(path):
                self.open(path)
                self.assertEqual(len(self.all("h1")), 1)
                self.assertEqual(len(self.all("nav a[aria-current=page]")), 1)
                script = "return performance.getEntriesByType('resource').map(e => e.name)"
                for address in self.browser.execute_script(script):
                    self.assertTrue(address.startswith(URL), address)
                for element in self.all("a, button, input:not([type=hidden]), select, svg[role=img]"):
                    if element.is_displayed():
                        name = element.accessible_name
                        self.assertTrue(name, element.get_attribute("outerHTML")[:200])
                # headings begin with the first and skip no level; links to files tell each other apart
                script = "return [...document.querySelectorAll('main :is(h1,h2,h3,h4,h5,h6)')].map(h => +h.tagName[1])"
                levels = self.browser.execute_script(script)
                self.assertEqual(levels[0], 1)
                for above, below in zip(levels, levels[1:]):
                    self.assertLessEqual(below, above + 1, levels)
                files = [link.accessible_name for link in self.all("a[download]")]
                self.assertEqual(len(files), len(set(files)), files)
                titles.append(self.browser.title)
                # the page itself never scrolls sideways; tables and pictures do by themselves
                wide = "return document.documentElement.scrollWidth <= innerWidth"
                self.assertTrue(self.browser.execute_script(wide))
                self.assertEqual(browser.complaints(self.browser), [])

        self.assertEqual(len(set(titles)), len(PAGES), titles)

    def test_it_keeps_up_and_leaves_alone_what_is_in_use(self):
        self.open("/dashboard")
        table = self.one("section details")
        table.find_element(By.TAG_NAME, "summary").click()
        self.browser.execute_script("scrollTo(0, 300)")
        # as if other figures had stood there
        stale = "for (const part of document.querySelectorAll('[data-live]')) part.append('stale')"
        self.browser.execute_script(stale)
        region = self.one("[data-live=map]")
        self.browser.execute_script("arguments[0].focus({preventScroll: true})", region)
        part = lambda name: self.one(f"[data-live={name}]").get_attribute("textContent")
        for name in ["head", "tiles", "tables", "pains"]:
            self.waits_for(lambda: not part(name).endswith("stale"))
        self.assertTrue(part("map").endswith("stale"))
        self.assertEqual(self.browser.switch_to.active_element, region)
        self.assertEqual(self.browser.execute_script("return scrollY"), 300)
        self.assertTrue(table.get_attribute("open"))
        self.browser.execute_script("document.activeElement.blur()")
        self.waits_for(lambda: not part("map").endswith("stale"))

    def test_other_pages_of_counts_keep_up(self):
        stale = "for (const part of document.querySelectorAll('[data-live]')) part.append('stale')"
        kept = lambda: [part.get_attribute("data-live") for part in self.all("[data-live]")
                        if part.get_attribute("textContent").endswith("stale")]
        for path in ["/dashboard/kpis", "/dashboard/touchpoints", "/dashboard/personas", "/dashboard/offers"]:
            with self.subTest(path):
                self.open(path)
                drawn = self.one("[data-live=drawn]").text
                self.assertIn(" UTC", drawn)
                self.browser.execute_script("scrollTo(0, 40)")
                down = self.browser.execute_script("return scrollY")
                self.browser.execute_script(stale)
                in_use = []
                if path == "/dashboard/offers":
                    button = self.one("[data-live=offers] button")
                    self.browser.execute_script("arguments[0].focus({preventScroll: true})", button)
                    in_use = ["offers"]
                self.waits_for(lambda: kept() == in_use)
                self.assertNotEqual(self.one("[data-live=drawn]").text, drawn)
                self.assertEqual(self.browser.execute_script("return scrollY"), down)
        # one customer is not asked for again and again
        self.open(f"/dashboard/customers?customer_id={CUSTOMER}")
        self.assertEqual(self.all("[data-live]"), [])

    def test_it_fits_a_phone(self):
        size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        try:
            for path in PAGES:
                with self.subTest(path):
                    self.open(path)
                    script = "return document.documentElement.scrollWidth"
                    self.assertLessEqual(self.browser.execute_script(script), 390)
                    script = "return [...document.querySelectorAll('svg.chart text')].map(" \
                        "text => text.getBoundingClientRect().height)"
                    heights = self.browser.execute_script(script)
                    self.assertGreaterEqual(min(heights, default=99), 10)
        finally:
            self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def test_a_picker_changes_the_picture(self):
        self.open("/dashboard")
        before, said = self.one("#map").get_attribute("innerHTML"), self.heading()
        Select(self.one("select[name=persona_id]")).select_by_visible_text("B2B clients")
        # nothing moves under the hands of somebody who goes through a list by the keyboard
        self.assertEqual(self.browser.current_url, URL + "/dashboard")
        self.goes(self.one("form.picker button"), "persona_id=p3")
        self.assertNotEqual(self.one("#map").get_attribute("innerHTML"), before)
        self.assertNotEqual(self.heading(), said)
        chosen = Select(self.one("select[name=persona_id]")).first_selected_option.text
        self.assertEqual(chosen, "B2B clients")
        self.goes(self.one(".windows a"), "start_date=")
        self.assertIn("7 days", self.one(".kicker").text)
        self.assertIn("persona_id=p3", self.browser.current_url)
        # what was picked goes along
        self.browser.find_element(By.LINK_TEXT, "Touchpoints").click()
        self.waits_for(lambda: self.heading() == "Touchpoints")
        self.assertIn("persona_id=p3", self.browser.current_url)

    def test_the_keyboard_reaches_the_content(self):
        self.open("/dashboard")
        self.browser.switch_to.active_element.send_keys(Keys.TAB)
        skip = self.browser.switch_to.active_element
        self.assertEqual(skip.text, "Skip to the content")
        self.assertGreaterEqual(skip.location["x"], 0)
        skip.send_keys(Keys.ENTER)
        self.assertEqual(self.browser.switch_to.active_element.get_attribute("id"), "main")
        self.browser.switch_to.active_element.send_keys(Keys.TAB)
        # from the headline to the places it speaks of, then to the pickers
        focused = self.browser.switch_to.active_element
        self.assertTrue(focused.get_attribute("href").endswith("#pain-head"))
        focused.send_keys(Keys.TAB)
        focused = self.browser.switch_to.active_element
        self.assertEqual(focused.get_attribute("name"), "start_date")
        outline = focused.value_of_css_property("outline-style")
        self.assertEqual(outline, "solid")

    def test_it_is_light_or_dark_as_the_person_likes(self):
        paper = {}
        for scheme in ["light", "dark"]:
            browser.colour_scheme(self.browser, scheme)
            self.open("/dashboard")
            body = self.one("body").value_of_css_property("background-color")
            node = self.one("#map .node").value_of_css_property("fill")
            paper[scheme] = (body, node)
        browser.colour_scheme(self.browser, "light")
        self.assertNotEqual(paper["light"][0], paper["dark"][0])
        self.assertNotEqual(paper["light"][1], paper["dark"][1])

    def test_an_offer_is_paused_and_resumed(self):
        self.open("/dashboard/offers")
        row = "tr[data-offer=spring]"
        self.assertEqual(self.one(row).get_attribute("data-state"), "live")
        for button, state in [("Pause", "paused"), ("Resume", "live")]:
            self.assertEqual(self.one(f"{row} button").text, button)
            self.one(f"{row} button").click()
            self.waits_for(lambda: self.one(row).get_attribute("data-state") == state)
            self.waits_for(lambda: self.one(f"{row} button").text != button)
            self.assertEqual(self.browser.current_url, URL + "/dashboard/offers")

    def test_a_model_is_rolled_back_and_trained(self):
        def live():
            found = self.all("article[data-state=live]")
            return found[0].get_attribute("data-revision") if found else ""

        self.open("/dashboard/models")
        before = live()
        self.assertTrue(before)
        self.one("form[action$=roll-back] button").click()
        self.waits_for(lambda: live() not in ("", before))
        self.one("form[action$=train] button").click()
        self.waits_for(lambda: self.all("[data-running]") or "succeeded" in self.one("[data-progress]").text)
        # the script follows the run to its end, without a click
        ended = lambda: not self.all("[data-running]") and self.all("form[action$=train]")
        self.waits_for(ended, TRAINING_WAIT_S)


class WithoutJavaScript(Page):
    javascript = False

    def test_pages_can_be_read_and_pickers_work(self):
        for path in PAGES:
            with self.subTest(path):
                self.open(path)
                self.assertEqual(len(self.all("h1")), 1)
        self.open("/dashboard")
        said = self.heading()
        Select(self.one("select[name=persona_id]")).select_by_visible_text("B2B clients")
        self.goes(self.one("form.picker button"), "persona_id=p3")
        self.assertNotEqual(self.heading(), said)
        self.one("details summary").click()
        self.assertIn("Awareness", self.one("details table").text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
