"""The platform's calls about jobs."""

from __future__ import annotations

from aiohttp import web

from connector_sdk.testing.platform.job import Job, JobSpec
from connector_sdk.testing.platform.world import World

PAGE_JOBS = 100


def job_of(world: World, request: web.Request) -> Job:
    """Return the job that a path names, if it is of the caller's account."""
    job = world.jobs.get(request.match_info["job"])
    if job is None or job.account != request["account"]:
        raise web.HTTPNotFound(text='{"error": "there is no such job"}', content_type="application/json")
    return job


class JobsApi:
    """Submit, list, look, cancel, measure."""

    def __init__(self, world: World) -> None:
        """Answer from `world`."""
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a route's name is the name of its call."""
        return [
            web.get("/v1/account", self.account, name="account"),
            web.post("/v1/jobs", self.submit, name="submit"),
            web.get("/v1/jobs", self.list_, name="list"),
            web.get("/v1/jobs/{job}", self.look, name="look"),
            web.post("/v1/jobs/{job}/cancel", self.cancel, name="cancel"),
            web.get("/v1/jobs/{job}/metrics", self.metrics, name="metrics"),
        ]

    async def account(self, request: web.Request) -> web.Response:
        """Say whose key it is."""
        return web.json_response({"account": request["account"]})

    async def submit(self, request: web.Request) -> web.Response:
        """Rent a machine for a job."""
        wish = await request.json()
        machine = wish.get("machine") or "small"
        if machine not in self._world.machines:
            return web.json_response({"error": f"there is no machine {machine!r}"}, status=422)
        spec = JobSpec.model_validate(wish.get("spec", {}))
        idempotency_key = request.headers.get("Idempotency-Key", "")
        account, key = request["account"], request["key"]
        job = self._world.submit(account, key, wish.get("tag", ""), machine, spec, idempotency_key)
        return web.json_response(self._shown(job), status=201)

    async def list_(self, request: web.Request) -> web.Response:
        """List jobs that run, in pages; `tag` gives those of one tag, whether they run or not."""
        tag, first = request.query.get("tag", ""), int(request.query.get("cursor") or 0)
        now = self._world.now()
        jobs = [job for job in self._world.listed(request["account"], tag) if tag or not job.has_ended(now)]
        page = [self._shown(job) for job in jobs[first : first + PAGE_JOBS]]
        behind = str(first + PAGE_JOBS) if first + PAGE_JOBS < len(jobs) else ""
        return web.json_response({"jobs": page, "cursor": behind})

    async def look(self, request: web.Request) -> web.Response:
        """Show one job."""
        return web.json_response(self._shown(job_of(self._world, request)))

    async def cancel(self, request: web.Request) -> web.Response:
        """End a job and give its machine back."""
        job = job_of(self._world, request)
        job.finish(self._world.now(), is_cancelled=True)
        return web.json_response(self._shown(job))

    async def metrics(self, request: web.Request) -> web.Response:
        """Give one loss for each line that is written."""
        job, after = job_of(self._world, request), int(request.query.get("after") or 0)
        steps = range(after + 1, len(job.lines(self._world.now())) + 1)
        return web.json_response({"points": [{"name": "loss", "step": step, "value": 1 / step} for step in steps]})

    def _shown(self, job: Job) -> dict[str, object]:
        now = self._world.now()
        is_over = job.has_ended(now)
        return {
            "id": job.id,
            "tag": job.tag,
            "state": job.state(now).ljust(self._world.conditions.state_bytes, "."),
            "exit_code": job.spec.exit_code if is_over and not job.is_cancelled else None,
            "message": job.message() if is_over else "",
            "machine": job.machine.id,
            "price_per_hour": job.machine.price_per_hour,
            "created_at": self._world.told(job.made_at),
            "started_at": self._world.told(job.made_at),
            "ended_at": self._world.told(job.end(now)),
        }
