"""One zone in 21 versions, as whole master files: what the primaries of these tests publish one after another.

Every name server in it has a loopback address: a NOTIFY to the NS set must not leave the machine.
"""

from __future__ import annotations

ZONE = "example.test."
# Refresh of an hour: what is current within seconds was told by NOTIFY.
_TIMERS = "3600 600 86400 60"
FIRST = (
    """@ NS ns1
@ NS ns2
@ MX 10 mail
ns1 A 127.0.0.71
ns2 A 127.0.0.72
mail A 192.0.2.25
www A 192.0.2.80
www A 192.0.2.81
www AAAA 2001:db8::80
Mixed.Case TXT "owner's case"
*.wild TXT "star"
child NS ns.child
ns.child A 127.0.0.73
alias CNAME www
""".splitlines()
    + [f"host{number} A 192.0.2.{number}" for number in range(80)]
)

# What each next version takes away (-) and brings (+).
_CHANGES = """
+new A 192.0.2.101
+new AAAA 2001:db8::101
+new MX 10 mail  +new MX 20 Backup
-www A 192.0.2.81  +www A 192.0.2.82  +www A 192.0.2.83
-www A 192.0.2.80
-www AAAA 2001:db8::80  +www 120 AAAA 2001:db8::80
-host1 A 192.0.2.1
+host1 CNAME www
-host1 CNAME www  +host1 A 192.0.2.111
+deep.empty.nonterminals TXT "a b" c
+_sip._tcp SRV 0 5 5060 sip
-alias CNAME www  +alias CNAME new
+*.other A 192.0.2.200
+child DS 12345 13 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF
-ns.child A 127.0.0.73  +child NS ns1  -child NS ns.child
+@ NS ns3  +ns3 A 127.0.0.74
-@ NS ns3  -ns3 A 127.0.0.74  +@ TXT "v=spf1 -all"
+unknown TYPE65280 \\# 4 0A000001  +caa CAA 0 issue "ca.example"  +d DNAME target
-*.wild TXT "star"  -Mixed.Case TXT "owner's case"  -deep.empty.nonterminals TXT "a b" c
""".strip().splitlines()
LAST = len(_CHANGES) + 2


def version(serial: int) -> str:
    """The master file of this serial; the last version has other SOA timers and no other change."""
    lines = list(FIRST)
    for change in _CHANGES[: serial - 1]:
        for step in change.split("  "):
            if step[0] == "+":
                lines.append(step[1:])
            else:
                lines.remove(step[1:])
    timers = _TIMERS.replace("3600", "3000") if serial >= LAST else _TIMERS
    head = ["$ORIGIN example.test.", "$TTL 300", f"@ SOA ns1 hostmaster {serial} {timers}"]
    return "\n".join([*head, *lines, ""])
