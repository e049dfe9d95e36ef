"""The laboratory, as a platform that starts another job with every call and can not be asked for one."""

from __future__ import annotations

from tests.support.plugins.lab_connector import LabConnector


class CarelessLabConnector(LabConnector):
    """Knows no tokens."""

    name = "careless-lab"
    submit_safety = "none"
