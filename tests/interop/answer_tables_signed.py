"""Questions to signed zones: branch, origin, and lines as ``answer_cases`` has them."""

from __future__ import annotations

# Asked of each zone, and answered alike: with NSEC, with NSEC3, and with NSEC3 and opt-out.
SIGNED = r"""
    www A = NOERROR
    www A do = NOERROR
    www MX do = NOERROR
    www DS do = NOERROR
    www RRSIG = NOERROR ! knotd:one-signature
    www RRSIG do = NOERROR ! knotd:one-signature
    www NSEC do = NOERROR
    @ SOA do = NOERROR
    @ NS do = NOERROR
    @ MX do = NOERROR ! knotd:mail-addresses
    @ DNSKEY do = NOERROR
    @ DNSKEY = NOERROR
    @ NSEC3PARAM do = NOERROR
    @ DS do = NOERROR
    @ A do = NOERROR
    @ ANY do = NOERROR ! named:any-all nsd:any-other knotd:any-additional
    www ANY do = NOERROR ! named:any-all
    www ANY = NOERROR ! named:any-all
    nx A = NXDOMAIN
    nx A do = NXDOMAIN
    nx.www A do = NXDOMAIN
    a.b.c.nx A do = NXDOMAIN
    zzzz A do = NXDOMAIN
    0 A do = NXDOMAIN
    ent A do = NOERROR
    b.ent A do = NOERROR
    a.b.ent A do = NOERROR
    nx.ent A do = NXDOMAIN
    nx.b.ent A do = NXDOMAIN
    alias A do = NOERROR
    alias A = NOERROR
    alias MX do = NOERROR
    alias CNAME do = NOERROR
    nx.alias A do = NXDOMAIN
    dangling A do = NXDOMAIN
    towild A do = NOERROR
    tosecure A do = NOERROR
    toinsecure A do = NOERROR
    toabroad A do = NOERROR
    x.wild A do = NOERROR
    x.wild A = NOERROR
    x.wild TXT do = NOERROR
    x.wild MX do = NOERROR
    x.y.wild A do = NOERROR
    exists.wild TXT do = NOERROR
    nx.exists.wild A do = NXDOMAIN
    ent.wild A do = NOERROR
    nx.ent.wild A do = NXDOMAIN
    wild A do = NOERROR
    *.wild A do = NOERROR
    x.wildalias A do = NOERROR
    x.wildalias MX do = NOERROR
    x.wildalias CNAME do = NOERROR
    x.wildabroad A do = NOERROR
    secure A = NOERROR
    secure A do = NOERROR
    x.secure A do = NOERROR
    secure DS do = NOERROR
    secure DS = NOERROR
    secure NS do = NOERROR
    ns.secure A do = NOERROR
    x.secure DS do = NOERROR
    insecure A do = NOERROR
    x.insecure A do = NOERROR
    insecure DS do = NOERROR
    insecure NS do = NOERROR
    x.insecure2 A do = NOERROR ! named:in-zone-addresses
    insecure2 DS do = NOERROR
    x.unsigned.deep A do = NOERROR
    unsigned.deep DS do = NOERROR
    deep A do = NOERROR
    dn A do = NOERROR
    dn DNAME do = NOERROR
    host.dn A do = NOERROR
    zzz TXT do = NOERROR
    zzz A do = NOERROR
    nx.zzz A do = NXDOMAIN
    @ TYPE65280 do = NOERROR
    secure ANY do = NOERROR
    ns1 AAAA do tcp = NOERROR
    nx A do tcp = NXDOMAIN
    x.unsigned.deep A do tcp = NOERROR
"""

TABLES = [
    (
        "NSEC",
        "nsec.test",
        SIGNED
        + r"""
    *.wild MX do = NOERROR
    foo.starent TXT do = NOERROR ! named:wildcard-ent-proof knotd:wildcard-ent-proof
    foo.bar.starent A do = NOERROR ! named:wildcard-ent-proof knotd:wildcard-ent-proof
    *.starent TXT do = NOERROR
    nx.deep A do = NXDOMAIN
    nx.dn A do = NXDOMAIN ! nsd:denial-after-dname
    x.y.dn TXT do = NXDOMAIN ! nsd:denial-after-dname
    """,
    ),
    (
        "NSEC3",
        "nsec3.test",
        SIGNED
        + r"""
    *.wild MX do = NOERROR ! nsd:needless-next-closer
    foo.starent TXT do = NOERROR
    foo.bar.starent A do = NOERROR
    *.starent TXT do = NOERROR ! nsd:needless-next-closer
    nx.deep A do = NXDOMAIN
    nx.dn A do = NXDOMAIN
    x.y.dn TXT do = NXDOMAIN
    """,
    ),
    (
        "NSEC3 opt-out",
        "optout.test",
        SIGNED
        + r"""
    *.wild MX do = NOERROR ! nsd:needless-next-closer
    foo.starent TXT do = NOERROR
    foo.bar.starent A do = NOERROR
    *.starent TXT do = NOERROR ! nsd:needless-next-closer
    nx.deep A do = NXDOMAIN ! nsd:encloser-not-provable
    nx.dn A do = NXDOMAIN
    x.y.dn TXT do = NXDOMAIN
    """,
    ),
    (
        "signed child beside its parent",
        "hosted.nsec.test",
        r"""
    @ DS = NOERROR
    @ DS do = NOERROR
    @ DS do tcp = NOERROR
    @ NS do = NOERROR
    @ SOA do = NOERROR
    @ DNSKEY do = NOERROR
    www A do = NOERROR
    nx A do = NXDOMAIN
    @ NSEC do = NOERROR
    """,
    ),
    (
        "NSEC3 owners are no names",
        "nsec3.test",
        r"""
    GAILT7186OVON0TLCNUCI4A67E76S1GV NSEC3 do = NXDOMAIN
    GAILT7186OVON0TLCNUCI4A67E76S1GV A do = NXDOMAIN
    x.GAILT7186OVON0TLCNUCI4A67E76S1GV A do = NXDOMAIN ! nsd:nsec3-owner-encloser
    """,
    ),
    (
        "DNSSEC, no room",
        "nsec3.test",
        r"""
    nx A do size=512 = NXDOMAIN
    @ DNSKEY do size=512 = NOERROR
    x.insecure A do size=512 = NOERROR
    x.wild MX do size=700 = NOERROR
    """,
    ),
]
