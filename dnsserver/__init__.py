"""An authoritative DNS server: primary and secondary zones, kept in SQL."""

__version__ = "0.1.0"
