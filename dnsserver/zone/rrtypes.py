"""Numbers of the types that the server itself must know (IANA, DNS parameters)."""

from __future__ import annotations

A = 1
NS = 2
CNAME = 5
SOA = 6
PTR = 12
MX = 15
TXT = 16
AAAA = 28
SRV = 33
NAPTR = 35
DNAME = 39
OPT = 41
DS = 43
RRSIG = 46
NSEC = 47
DNSKEY = 48
NSEC3 = 50
NSEC3PARAM = 51
CDS = 59
CDNSKEY = 60
ZONEMD = 63
SVCB = 64
HTTPS = 65
TSIG = 250
IXFR = 251
AXFR = 252
ANY = 255

# Queries alone (QTYPE), messages' own (OPT, TSIG) and obsolete ones that no zone holds (RFC 6895, 3.1).
META = frozenset({OPT, 249, TSIG, IXFR, AXFR, 253, 254, ANY})
# May stand beside a CNAME (RFC 4034, 2.5, 3 and 4).
BESIDE_CNAME = frozenset({CNAME, RRSIG, NSEC})
# Rdata that begins with nothing but one name, or holds names that may be compressed (RFC 3597, 4).
COMPRESSIBLE = frozenset({NS, CNAME, SOA, PTR, MX})
