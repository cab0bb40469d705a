"""Where webhooks may go: the table of addresses, and the form of a URL."""

import pytest

from berrante.messaging.endpoints.addresses import checked_url, is_allowed
from berrante.messaging.errors import Invalid


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_what_is_not_a_public_server_is_refused(address: str) -> None:
    assert not is_allowed(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "172.15.0.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2a00::1"])
def test_public_servers_are_allowed(address: str) -> None:
    assert is_allowed(address)


def test_loopback_is_allowed_only_where_it_is_said_and_nothing_else_with_it() -> None:
    assert is_allowed("127.0.0.1", loopback=True)
    assert is_allowed("::1", loopback=True)
    refused = ("10.0.0.1", "169.254.169.254", "0.0.0.0", "::ffff:127.0.0.1")
    assert not any(is_allowed(address, loopback=True) for address in refused)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hooks",
        "ftp://example.com",
        "file:///etc/passwd",
        "gopher://example.com",
        "//example.com",
        "example.com",
        "https://",
        "https:///x",
        "https://user:secret@example.com/",
        "https://user@example.com/",
        "https://example.com/#x",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "https://exämple.com/",
        "https://example.com\\@10.0.0.1/",
        "https://example.com/\n",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://[bad",
        "https://.example.com/",
        "https://a..example.com/",
        "https://-a.example.com/",
        "https://" + "a" * 64 + ".com/",
        "https://" + "a." * 130 + "com/",
        "https://exa%6dple.com/",
        "https://example.com/" + "x" * 2_000,
    ],
)
def test_a_url_that_no_webhook_may_have_is_refused_by_name(url: str) -> None:
    with pytest.raises(Invalid, match="url "):
        checked_url(url)


@pytest.mark.parametrize(
    "url", ["https://example.com", "https://example.com:8443/a?b=c", "https://8.8.8.8/x", "https://a-b_c.example.com./"]
)
def test_other_urls_are_kept_as_they_are(url: str) -> None:
    assert checked_url(url) == url


def test_for_development_this_machine_may_be_called_by_http() -> None:
    assert checked_url("http://127.0.0.1:3000/x", loopback=True) == "http://127.0.0.1:3000/x"
    with pytest.raises(Invalid, match="no public address"):
        checked_url("http://192.168.0.1/x", loopback=True)
