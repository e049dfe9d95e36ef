"""The platform's files: what jobs left, in ranges, and a registry for uploads."""

from __future__ import annotations

import re

from aiohttp import web

from connector_sdk.testing.platform.artifact import Artifact, etag_of
from connector_sdk.testing.platform.jobs_api import job_of
from connector_sdk.testing.platform.world import World


class FilesApi:
    """List, send and take files."""

    def __init__(self, world: World) -> None:
        """Answer from `world`."""
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a route's name is the name of its call."""
        return [
            web.get("/v1/jobs/{job}/files", self.files, name="files"),
            web.get("/v1/jobs/{job}/files/{file}", self.download, name="download"),
            web.post("/v1/models/{model}", self.upload, name="upload"),
            web.get("/v1/models", self.models, name="models"),
            web.get("/v1/models/{model}", self.model, name="model"),
        ]

    async def files(self, request: web.Request) -> web.Response:
        """List the files of a job that has ended."""
        job = job_of(self._world, request)
        found = job.files.values() if job.has_ended(self._world.now()) else ()
        contents = {file.name: self._content(file) for file in found}
        shown = [{"name": name, "size": len(data), "etag": etag_of(data)} for name, data in contents.items()]
        return web.json_response({"files": shown})

    async def download(self, request: web.Request) -> web.Response:
        """Send a file, or what follows the first bytes of it."""
        file = job_of(self._world, request).files.get(request.match_info["file"])
        if file is None:
            return web.json_response({"error": "there is no such file"}, status=404)
        content = self._content(file)
        etag = etag_of(content)
        if request.headers.get("If-Match", f'"{etag}"') != f'"{etag}"':
            return web.json_response({"error": "the file is another one by now"}, status=412)
        told = {"ETag": '"another"' if self._world.conditions.is_etag_wrong else f'"{etag}"'}
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if asked is None:
            return web.Response(body=content, headers=told)
        first = int(asked[1])
        told["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        return web.Response(status=206, body=content[first:], headers=told)

    async def upload(self, request: web.Request) -> web.Response:
        """Keep a file as a model."""
        name = request.match_info["model"]
        self._world.uploads[name] = await request.read()
        return web.json_response({"id": name, "size": len(self._world.uploads[name])}, status=201)

    async def models(self, request: web.Request) -> web.Response:
        """Find models by a part of their name."""
        words = request.query.get("search", "")
        return web.json_response({"models": [{"id": name} for name in self._world.uploads if words in name]})

    async def model(self, request: web.Request) -> web.Response:
        """Show one model."""
        name = request.match_info["model"]
        if name not in self._world.uploads:
            return web.json_response({"error": "there is no such model"}, status=404)
        return web.json_response({"id": name, "size": len(self._world.uploads[name])})

    def _content(self, file: Artifact) -> bytes:
        content = file.content()
        missing = self._world.conditions.missing_tail_bytes if file.name.endswith(".safetensors") else 0
        return content[: len(content) - missing]
