from __future__ import annotations

import re

import pytest


def test_the_page_is_served_and_loads_nothing_from_elsewhere(client):
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert re.findall(r"(?:src|href)\s*=\s*[\"']?(?:\w+:)?//", answer.text) == []
    assert "'self'" in answer.headers["content-security-policy"]
    assert client.get("/static/index.html").content == answer.content


@pytest.mark.parametrize(
    "name", ["..", "../app.py", "..%2fapp.py", "%2e%2e/app.py", "/etc/passwd", "x" * 500, "a%00b"]
)
def test_nothing_but_the_pages_files_is_served(client, name):
    answer = client.get(f"/static/{name}")
    assert answer.status_code in (404, 200)
    assert answer.status_code == 404 or answer.content == client.get("/").content
    assert b"import" not in answer.content


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
def test_there_are_no_pages_that_load_scripts_from_elsewhere(client, path):
    assert client.get(path).status_code == 404
