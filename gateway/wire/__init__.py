"""Conversions between the messages of `peftstudio.job.v1` and the gateway's own types.

Both edges of the gateway use them: the servicers towards clients and the client towards connectors. A number that a
newer peer knows and this gateway does not becomes UNSPECIFIED or None; it never raises.
"""
