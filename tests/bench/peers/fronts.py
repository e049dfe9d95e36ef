"""Proxies in front of a connector: nginx, Envoy, and the least that can be written with grpc.aio."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.peers import PEERS, peers_program
from tests.bench.peers.direct import Endpoint
from tests.bench.peers.program import free_port, program

NGINX = """
daemon off;
worker_processes 1;
error_log stderr warn;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream connector {{ server 127.0.0.1:{upstream}; keepalive 32; }}
  server {{
    listen 127.0.0.1:{port} http2;
    http2_max_requests 10000000;
    http2_max_concurrent_streams 1024;
    location / {{ grpc_pass grpc://connector; grpc_read_timeout 1h; }}
  }}
}}
"""
"""Nginx as its documentation sets up gRPC, with connections to the connector kept open."""

ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          codec_type: HTTP2
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: "/"}}, route: {{cluster: connector, timeout: 0s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: connector
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: connector
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}
"""
"""Envoy with one listener, one cluster and HTTP/2 on both sides."""

PROXY = Path(__file__).with_name("proxy.py")
KEEPER = Path(__file__).with_name("keeper.py")

Front = Callable[[Endpoint], AbstractAsyncContextManager[Endpoint]]


@asynccontextmanager
async def nginx(behind: Endpoint) -> AsyncIterator[Endpoint]:
    """Run nginx in front of a connector."""
    with TemporaryDirectory(prefix="peft-bench-") as name:
        folder, port = Path(name), free_port()
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port, upstream=behind.port))
        async with program(["nginx", "-p", name, "-e", "stderr", "-c", str(config)], port, folder):
            yield Endpoint(port, behind.metadata)


@asynccontextmanager
async def envoy(behind: Endpoint) -> AsyncIterator[Endpoint]:
    """Run Envoy in front of a connector, with one worker as nginx has."""
    with TemporaryDirectory(prefix="peft-bench-") as name:
        folder, port = Path(name), free_port()
        config = folder / "envoy.yaml"
        config.write_text(ENVOY.format(port=port, upstream=behind.port))
        flags = ["--concurrency", "1", "--log-level", "error", "--disable-hot-restart", "--use-dynamic-base-id"]
        async with program([str(peers_program("envoy")), "-c", str(config), *flags], port, folder):
            yield Endpoint(port, behind.metadata)


@asynccontextmanager
async def pass_through(behind: Endpoint) -> AsyncIterator[Endpoint]:
    """Run a bare grpc.aio proxy in front of a connector."""
    with TemporaryDirectory(prefix="peft-bench-") as name:
        port = free_port()
        command = [sys.executable, str(PROXY), str(port), behind.address]
        async with program(command, port, Path(name)):
            yield Endpoint(port, behind.metadata)


@asynccontextmanager
async def keeper(behind: Endpoint) -> AsyncIterator[Endpoint]:
    """Run the least that keeps files while they pass in front of a connector."""
    with TemporaryDirectory(prefix="peft-bench-") as name:
        port = free_port()
        command = [sys.executable, str(KEEPER), str(port), behind.address, name]
        async with program(command, port, Path(name)):
            yield Endpoint(port, behind.metadata)


INSTALLED = ("nginx", "envoy", "flyte")
"""What must be installed beside the project."""


def missing(peer: str) -> str:
    """Say what must be installed for a peer; empty = nothing."""
    if peer == "nginx" and shutil.which("nginx") is None:
        return "nginx is not installed (Debian: nginx-light)"
    if peer == "envoy" and not peers_program("envoy").exists():
        return "Envoy is not installed (make bench does it)"
    if peer == "flyte" and not peers_program("pyflyte").exists():
        return "flytekit is not installed (make bench does it)"
    if peer == "matplotlib" and not any(PEERS.parent.glob("lib/python*/site-packages/matplotlib")):
        return "matplotlib is not installed (make bench does it)"
    return ""
