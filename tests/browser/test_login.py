"""Leads who log in by OpenID Connect, with a real browser and a provider of our own."""

from pathlib import Path

import pytest
from oidc_provider import CLIENT, provider
from serve import free_port, start

ROOT = Path(__file__).parents[2]
SLOW = 180_000

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("login")
    port = free_port()
    with provider() as made:
        secrets = folder / "secrets.toml"
        secrets.write_text(
            "[auth]\n"
            f'redirect_uri = "http://localhost:{port}/oauth2callback"\n'
            'cookie_secret = "a-cookie-secret-that-is-long-enough-for-tests"\n'
            f'client_id = "{CLIENT}"\n'
            'client_secret = "secret"\n'
            f'server_metadata_url = "{made.address}/.well-known/openid-configuration"\n'
        )
        environment = {
            "STREAMLIT_SECRETS_FILES": str(secrets),
            "REDVIZ_LEADS": "lead@example.org",
            "REDVIZ_HOME": str(folder),
        }
        server = start(ROOT / "app.py", ROOT, port, **environment)
        try:
            yield made, f"http://localhost:{port}"
        finally:
            server.terminate()
            server.wait(timeout=120)


@pytest.mark.parametrize(("email", "leads"), [("Lead@example.org", True), ("someone@example.org", False)])
def test_only_listed_addresses_lead(served, page, email, leads):
    made, address = served
    made.email = email
    opened = page()
    opened.set_default_timeout(SLOW)
    opened.goto(address)
    opened.get_by_role("button", name="Log in").click()
    if leads:
        opened.locator(".rv .text .u").first.wait_for()
    else:
        opened.get_by_text("is not on the list of leads").wait_for()
        assert opened.locator(".rv").count() == 0
