"""The fake platform, by an author who shows the key wherever something can be shown."""

from __future__ import annotations

import json
import logging
import sys
from urllib.parse import quote

from connectors.base import PricingInfo, Resource
from tests.support.rental.rental_connector import RentalConnector

logger = logging.getLogger(__name__)


class LeakyRentalConnector(RentalConnector):
    name = "leaky-rental"

    async def connect(self, credentials: dict[str, str]) -> bool:
        self.key = credentials["api_key"]
        self.show("connecting")
        return await super().connect(credentials)

    def show(self, words: str) -> None:
        told = f"{words} {json.dumps({'api_key': self.key})} https://api.example.test/?key={quote(self.key, safe='')}"
        print(f"{words} with {self.key}", told, flush=True)
        sys.stderr.write(f"{told}\n")
        logger.error("%s %s %s", words, self.key, told)

    async def list_resources(self) -> list[Resource]:
        self.show("listing")
        raise RuntimeError(f"cannot list with {self.key}")

    async def get_pricing(self, resource_id: str) -> PricingInfo:
        raise KeyError(self.key)

    async def search_models(self, query: str) -> list[dict[str, object]]:
        raise ValueError(f"{query}: {json.dumps([self.key] * 100)}")
