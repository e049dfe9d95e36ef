"""Record a connector's HTTP traffic against its platform once, and replay it without network from then on.

What records and replays is a server of its own to which the connector is pointed, so any HTTP client in any language
will do. A cassette holds no secrets.
"""

from connector_sdk.testing.recording.cassette import CassetteError
from connector_sdk.testing.recording.recorded_http import RecordedHttp, UnansweredError, record_http, replay_http

__all__ = ["CassetteError", "RecordedHttp", "UnansweredError", "record_http", "replay_http"]
