"""The web pages in a real browser: for a first-time visitor, and with the keyboard only."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.e2e.conftest import ROOT, eventually, kubectl, provide

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HOST = "web.slipway.localhost"
SITE = f"https://{HOST}"
PICTURES = ROOT / "docs" / "reference" / "screenshots"
PASSWORD = secrets.token_urlsafe(16)
# Makes the names of one run unique: the local stack keeps the data of former runs.
RUN = secrets.token_hex(4)

SHOPS = {
    "Zur Alten Post": ("Köln", "Solid food under low beams.", [4, 3]),
    "Café Morgenrot": ("Leipzig", "Breakfast until three, and cakes that change with the weather.", [5, 4, 5]),
    "Blumen Anders": ("Dresden", "", []),
    "Noodle House No. 9": ("Berlin", "Pulled by hand, loud, open late.", [4]),
    "Papier & Tinte": ("Hamburg", "Notebooks, fountain pens, and somebody who knows both.", [4, 5, 5]),
}
PEOPLE = {
    "Ada Lovelace": "Went for a pen, left with three. They let you try everything, and nobody is in a hurry.",
    "Jonas Weber": "Good, but crowded on Saturdays.",
    "Mira Okafor": "Exactly what I had hoped for.\nI will come again.",
}


def pinned_key() -> str:
    """Return the hash of the key of the certificate that the local CA issued: the only one the browser accepts."""
    trusting = ssl.create_default_context(cafile=ROOT / ".slipway" / "ca.crt")
    with (
        socket.create_connection(("127.0.0.1", 443), timeout=10) as connection,
        trusting.wrap_socket(connection, server_hostname=HOST) as secured,
    ):
        certificate = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Generator[webdriver.Chrome]:
    """Start Debian's Chromium, headless and with an empty profile."""
    folder = tmp_path_factory.mktemp("browser")
    provide(folder, {"chromium": "chromium", "chromedriver": "chromium-driver"})
    options = webdriver.ChromeOptions()
    options.add_argument("--headless=new")
    options.add_argument("--hide-scrollbars")
    options.add_argument(f"--user-data-dir={folder / 'profile'}")
    options.add_argument(f"--ignore-certificate-errors-spki-list={pinned_key()}")
    if os.geteuid() == 0:  # its sandbox refuses root
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service("/usr/bin/chromedriver"))
    driver.implicitly_wait(5)
    yield driver
    driver.quit()


def resize(browser: webdriver.Chrome, width: int, height: int) -> None:
    """Set the size of the page, which is smaller than the window."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def fill(browser: webdriver.Chrome, **values: str) -> None:
    for name, value in values.items():
        field = browser.find_element(By.ID, name)
        field.clear()
        field.send_keys(value)


@contextmanager
def next_page(browser: webdriver.Chrome) -> Generator[None]:
    """Wait after the block until the next page has loaded completely.

    The page before the block gets a mark that the next page lacks. Chromium's driver sometimes fails with an internal
    error when it is asked about an element of a page that is being unloaded (SeleniumHQ/selenium#15401).
    """
    browser.execute_script("window.left = true")
    yield
    loaded = "return !window.left && document.readyState === 'complete'"
    WebDriverWait(browser, 10, ignored_exceptions=[WebDriverException]).until(lambda page: page.execute_script(loaded))


def press(browser: webdriver.Chrome, button: str) -> None:
    with next_page(browser):
        browser.find_element(By.XPATH, f"//button[starts-with(normalize-space(.), '{button}')]").click()


def follow(browser: webdriver.Chrome, link: str) -> None:
    with next_page(browser):
        browser.find_element(By.LINK_TEXT, link).click()


def read(browser: webdriver.Chrome, part: str = "body") -> str:
    return browser.find_element(By.CSS_SELECTOR, part).text


def log_in(browser: webdriver.Chrome, email: str) -> None:
    browser.get(f"{SITE}/login")
    fill(browser, email=email, password=PASSWORD)
    press(browser, "Log in")
    assert "Log out" in read(browser, "header")


@pytest.mark.feature("N4", part="the pages, in a browser")
@pytest.mark.feature("E4", part="the pages, in a browser")
def test_a_visitor_signs_up_adds_a_shop_finds_it_reviews_it_likes_the_review_and_logs_out(browser: webdriver.Chrome):
    email, shop = f"visitor-{RUN}@example.org", f"Tea House {RUN}"
    browser.get(SITE)
    follow(browser, "Sign up")
    fill(browser, name="Lin", email=email, password="short")
    press(browser, "Sign up")
    assert "Password must have at least 10 characters." in read(browser, "main")
    assert browser.find_element(By.ID, "email").get_attribute("value") == email
    assert browser.find_element(By.ID, "password").get_attribute("value") == ""
    fill(browser, password=PASSWORD)
    press(browser, "Sign up")
    assert "Your account is there." in read(browser, "main")
    fill(browser, email=email, password=PASSWORD)
    press(browser, "Log in")

    follow(browser, "Add a shop")
    fill(browser, name=shop, city="Köln", description="Forty kinds.")
    press(browser, "Add the shop")
    assert read(browser, "h1") == shop

    follow(browser, "Shops")
    fill(browser, search=shop.upper())
    press(browser, "Search")
    follow(browser, shop)
    browser.find_element(By.CSS_SELECTOR, "label[for=stars-4]").click()
    fill(browser, text="All forty are good.")
    press(browser, "Send the review")
    assert "All forty are good." in read(browser, "main")
    assert "1 review" in read(browser, "main")
    press(browser, "♥ Like")
    assert "1 like" in read(browser, ".card")
    press(browser, "Unlike")
    assert "0 likes" in read(browser, ".card")

    press(browser, "Log out")
    assert "Log in" in read(browser, "header")
    browser.get(f"{SITE}/shops/new")
    assert read(browser, "h1") == "Log in"


def test_a_visitor_corrects_a_review_changes_the_password_and_deletes_the_account(browser: webdriver.Chrome):
    email, password, shop = f"leaving-{RUN}@example.org", secrets.token_urlsafe(), f"Coffee House {RUN}"
    browser.get(f"{SITE}/signup")
    fill(browser, name="Kim", email=email, password=PASSWORD)
    press(browser, "Sign up")
    log_in(browser, email)
    browser.get(f"{SITE}/shops/new")
    fill(browser, name=shop)
    press(browser, "Add the shop")
    address = browser.current_url
    browser.find_element(By.CSS_SELECTOR, "label[for=stars-1]").click()
    fill(browser, text="Too litle.")
    press(browser, "Send the review")

    follow(browser, "Edit or delete your review")
    fill(browser, text="Too little.")
    press(browser, "Save the review")
    assert "Too little." in read(browser, "aside")
    follow(browser, "Account")
    fill(browser, currentPassword=PASSWORD, newPassword=password)
    press(browser, "Change the password")
    assert "Your password is changed" in read(browser, "main")
    fill(browser, password=password)
    press(browser, "Delete the account")
    assert "Your account is deleted" in read(browser, "main")

    browser.get(address)
    assert read(browser, "h1") == shop
    assert "Too little." not in read(browser, "main")
    assert "Log in" in read(browser, "header")


def test_the_keyboard_reaches_the_search_box_right_after_the_skip_link(browser: webdriver.Chrome):
    browser.get(SITE)
    focused = browser.switch_to.active_element
    focused.send_keys(Keys.TAB)
    skip = browser.switch_to.active_element
    assert skip.text == "Skip to the content"
    assert skip.is_displayed()
    skip.send_keys(Keys.ENTER)
    browser.switch_to.active_element.send_keys(Keys.TAB)
    search = browser.switch_to.active_element
    assert search.get_attribute("id") == "search"
    with next_page(browser):
        search.send_keys("nothing like that", Keys.ENTER)
    assert "No shop has this text" in read(browser, "main")


@pytest.fixture(scope="module")
def shop_paths(api: urllib3.HTTPSConnectionPool) -> dict[str, str]:
    """Create shops with reviews and likes through the API, and return the path of each page by name."""

    def send(method: str, path: str, body: object, token: str = "") -> dict[str, str]:
        answer = api.request(
            method, path, body=json.dumps(body), headers={**api.headers, **json_from(token)}, retries=False
        )
        assert answer.status in {200, 201, 204}, answer.data
        return answer.json() if answer.data else {}

    tokens: dict[str, str] = {}
    for name in PEOPLE:
        login = {"email": f"{name.split()[0].lower()}-{RUN}@example.org", "password": PASSWORD}
        send("POST", "/v1/users", login | {"name": name})
        tokens[name] = send("POST", "/v1/sessions", login)["accessToken"]
    paths: dict[str, str] = {}
    for shop, (city, description, stars) in SHOPS.items():
        draft = {"name": shop, "city": city, "description": description}
        paths[shop] = "/shops/" + send("POST", "/v1/shops", draft, tokens["Ada Lovelace"])["id"]
        for (author, text), given in zip(PEOPLE.items(), stars, strict=False):
            review = send("POST", f"/v1{paths[shop]}/reviews", {"stars": given, "text": text}, tokens[author])
            for name in list(PEOPLE)[: given - 2]:
                send("PUT", f"/v1/reviews/{review['id']}/like", {}, tokens[name])
    return paths


def json_from(token: str) -> dict[str, str]:
    return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})


def violations(browser: webdriver.Chrome) -> list[str]:
    """Return what the browser has logged about the content security policy since the last call."""
    entries: list[dict[str, str]] = browser.get_log("browser")
    return [line["message"] for line in entries if "Content Security Policy" in line["message"]]


def test_no_page_breaks_its_own_content_security_policy(browser: webdriver.Chrome, shop_paths: dict[str, str]):
    log_in(browser, f"ada-{RUN}@example.org")
    assert violations(browser) == []
    paths = ["/", "/?search=none", "/leaders", "/shops/new", "/nowhere", *shop_paths.values()]
    for path in paths:
        browser.get(SITE + path)
        assert violations(browser) == []
        assert browser.execute_script("return document.styleSheets.length") == 1
    # A violation is logged.
    browser.execute_script("document.body.setAttribute('style', 'color: red')")
    assert len(violations(browser)) == 1


def test_nothing_is_wider_than_a_small_screen(browser: webdriver.Chrome, shop_paths: dict[str, str]):
    resize(browser, 320, 640)
    paths = ["/", "/leaders", "/login", "/signup", "/shops/new", "/nowhere", *shop_paths.values()]
    for path in paths:
        browser.get(SITE + path)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 320


PICTURED = {"shops": ("", 1280), "shop": ("Papier & Tinte", 1280), "shop-narrow": ("Papier & Tinte", 360)}


@pytest.mark.parametrize("name", PICTURED)
def test_the_pictures_in_the_documentation_show_the_pages(
    browser: webdriver.Chrome, shop_paths: dict[str, str], tmp_path: Path, name: str
):
    shop, width = PICTURED[name]
    log_in(browser, f"ada-{RUN}@example.org")
    resize(browser, width, 800)
    browser.get(SITE + shop_paths.get(shop, "/"))
    taken = tmp_path / f"{name}.png"
    assert browser.save_screenshot(str(taken))
    assert 10_000 < taken.stat().st_size < 150_000
    # An existing picture is kept: delete it to have it taken again.
    if not (PICTURES / taken.name).exists():
        PICTURES.mkdir(exist_ok=True)
        taken.rename(PICTURES / taken.name)


@pytest.mark.feature("H6", part="logs of both services")
def test_one_trace_goes_through_the_pages_to_the_api(api: urllib3.HTTPSConnectionPool):
    trace, request = secrets.token_hex(16), f"e2e-{RUN}"
    pages = urllib3.HTTPSConnectionPool(
        "127.0.0.1", 443, ca_certs=api.ca_certs, server_hostname=HOST, assert_hostname=HOST, timeout=10, retries=False
    )
    headers = {"Host": HOST, "X-Request-Id": request, "Traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
    assert pages.request("GET", "/leaders", headers=headers).status == 200
    for service, route in {"web": "/leaders", "api": "/v1/leaderboard"}.items():
        eventually(lambda service=service: bool(logged(service, trace)), 20, f"{service} logs the request")
        line = logged(service, trace)
        assert f"route={route} " in line
        assert f"requestId={request}" in line


def logged(service: str, trace: str) -> str:
    """Return the line about this trace in the logs of a service."""
    lines = kubectl("logs", "-l", f"app.kubernetes.io/name={service}", "--tail=200").splitlines()
    return next((line for line in lines if trace in line), "")
