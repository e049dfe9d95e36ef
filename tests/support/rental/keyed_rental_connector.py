"""The fake platform, given the token as a key by which it starts at most one job."""

from __future__ import annotations

from connector_sdk.models import SubmitRequest
from tests.support.rental.rental_connector import RentalConnector


class KeyedRentalConnector(RentalConnector):
    name = "keyed-rental"
    submit_safety = "keyed"

    def submit_headers(self, request: SubmitRequest) -> dict[str, str]:
        return {"Idempotency-Key": request.submission_token}
