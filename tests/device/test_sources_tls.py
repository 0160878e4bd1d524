"""Sources over TLS: an authority that the device knows is needed, a name that fits, and the same bounds on time."""

import datetime as dt
import ipaddress
import ssl
import threading
from http.server import ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device_verifier.errors import SourceUnreachable
from device_verifier.sources.gateway import GatewayBlocks
from device_verifier.sources.http import HttpLimits
from ledger_protocol.content.cid import RAW, Cid
from tests.sim.servers import Gateway, handler, raw_server

BLOCK = b"a block"
CID = Cid.of(RAW, BLOCK)
QUICK = HttpLimits(connect_s=2, stall_s=0.3, total_s=0.6)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1: one file with the key, one without."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    public = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(private + public)
    (folder / "authority.pem").write_bytes(public)
    return folder


@pytest.fixture
def port(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "both.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(Gateway({CID: BLOCK})))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a handshake that the client refuses is what some tests want
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_an_unknown_authority_is_refused(port):
    with pytest.raises(SourceUnreachable, match="certificate verify failed"):
        GatewayBlocks(f"https://127.0.0.1:{port}", limits=QUICK).get(CID, max_bytes=100)


def test_a_name_that_does_not_fit_is_refused(port, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "authority.pem"))
    with pytest.raises(SourceUnreachable, match=r"certificate verify failed|cannot be reached"):
        GatewayBlocks(f"https://localhost:{port}", limits=QUICK).get(CID, max_bytes=100)


def test_a_known_authority_serves_blocks_over_one_connection(port, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "authority.pem"))
    gateway = GatewayBlocks(f"https://127.0.0.1:{port}", limits=QUICK)
    assert [gateway.get(CID, max_bytes=100) for _ in range(3)] == [BLOCK] * 3


def test_slow_retrieval_behind_a_handshake_that_never_ends_is_bounded():
    with raw_server(lambda _, over: over.wait(10)) as url, pytest.raises(SourceUnreachable):
        GatewayBlocks(
            url.replace("http:", "https:"), limits=HttpLimits(connect_s=0.3, stall_s=0.3, total_s=0.6)
        ).get(CID, max_bytes=100)
