"""Zone files: the master-file format of RFC 1035 (5), with $TTL (RFC 2308, 4), $INCLUDE, $GENERATE and RFC 3597."""
