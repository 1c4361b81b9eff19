"""The benchmark: this server beside BIND, NSD, Knot and PowerDNS on one machine (`scripts/bench`)."""
