"""Questions to zones that are not signed: branch, origin, and lines as ``answer_cases`` has them."""

from __future__ import annotations

TABLES = [
    (
        "exact match",
        "feature.test",
        r"""
    www A = NOERROR
    www AAAA = NOERROR
    www TXT = NOERROR
    www A do = NOERROR
    www A edns = NOERROR
    www A tcp = NOERROR
    www A rd = NOERROR
    www A cd ad rd = NOERROR
    WwW A = NOERROR
    mixed A = NOERROR
    MIXED A do = NOERROR
    @ SOA = NOERROR
    @ SOA do tcp = NOERROR
    @ TXT = NOERROR
    @ CAA = NOERROR
    @ MX = NOERROR ! knotd:mail-addresses
    mxonly MX = NOERROR ! knotd:mail-addresses
    srv SRV = NOERROR ! knotd:mail-addresses
    _sip._tcp SRV = NOERROR ! knotd:mail-addresses
    svc HTTPS = NOERROR
    naptr NAPTR = NOERROR
    unknown TYPE65280 = NOERROR
    nul\000label A = NOERROR
    dot\.label A = NOERROR
    onlytxt TXT = NOERROR
    ns1 AAAA = NOERROR
    _sip._tcp SRV do tcp = NOERROR ! knotd:mail-addresses
    mxonly MX do = NOERROR ! knotd:mail-addresses
    """,
    ),
    (
        "apex NS",
        "feature.test",
        r"""
    @ NS = NOERROR ! named:apex-glue
    @ NS do = NOERROR ! named:apex-glue
    @ NS tcp = NOERROR ! named:apex-glue
    """,
    ),
    (
        "NODATA",
        "feature.test",
        r"""
    www MX = NOERROR
    www MX do = NOERROR
    www TYPE65280 = NOERROR
    www DS = NOERROR
    www DNSKEY do = NOERROR
    mail AAAA = NOERROR
    onlytxt A = NOERROR
    onlytxt SOA = NOERROR
    @ A = NOERROR
    @ DS = NOERROR
    @ NSEC = NOERROR
    @ RRSIG = NOERROR
    www RRSIG do = NOERROR
    www NSEC do = NOERROR
    naptr A tcp = NOERROR
    nul\000label TXT = NOERROR
    @ CNAME = NOERROR
    www CNAME = NOERROR
    www NS = NOERROR
    www SOA = NOERROR
    www DNAME = NOERROR
    """,
    ),
    (
        "NXDOMAIN",
        "feature.test",
        r"""
    nx A = NXDOMAIN
    nx A do = NXDOMAIN
    nx A tcp = NXDOMAIN
    nx SOA = NXDOMAIN
    nx NS = NXDOMAIN
    nx CNAME = NXDOMAIN
    nx DS = NXDOMAIN
    nx.www A = NXDOMAIN
    deep.nx.www A = NXDOMAIN
    a.very.long.way.down A = NXDOMAIN
    NX A = NXDOMAIN
    *.nx A = NXDOMAIN
    nx.onlytxt TXT = NXDOMAIN
    label A = NXDOMAIN
    zzzz.mail AAAA = NXDOMAIN
    nx.srv SRV = NXDOMAIN
    nx MX do = NXDOMAIN
    """,
    ),
    (
        "empty non-terminal",
        "feature.test",
        r"""
    ent A = NOERROR
    b.ent A = NOERROR
    b.ent TXT do = NOERROR
    ent NS = NOERROR
    ent DS = NOERROR
    nx.ent A = NXDOMAIN
    nx.b.ent A = NXDOMAIN
    a.b.ent A = NOERROR
    _tcp SRV = NOERROR
    _tcp A = NOERROR
    _udp A = NXDOMAIN
    cut A = NOERROR
    ent.cut A = NOERROR
    nx.ent.cut A = NXDOMAIN
    """,
    ),
    (
        "CNAME",
        "feature.test",
        r"""
    alias A = NOERROR
    alias AAAA = NOERROR
    alias A do = NOERROR
    alias TXT = NOERROR
    alias MX = NOERROR
    alias CNAME = NOERROR
    alias SOA = NOERROR
    alias NS = NOERROR
    alias DS = NOERROR
    alias2 A = NOERROR
    alias3 A = NOERROR
    alias3 A tcp = NOERROR
    alias3 CNAME = NOERROR
    dangling A = NXDOMAIN
    dangling CNAME = NOERROR
    toent A = NOERROR
    todeleg A = NOERROR
    todeleg A do = NOERROR
    todname A = NXDOMAIN
    towild A = NOERROR
    towild TXT = NOERROR
    towild MX = NOERROR
    nx.alias A = NXDOMAIN
    toabroad A = NOERROR
    toabroad CNAME = NOERROR
    """,
    ),
    (
        "CNAME into another zone",
        "feature.test",
        r"""
    toother A = NOERROR ! named:one-zone knotd:one-zone
    toother AAAA = NOERROR ! named:one-zone knotd:one-zone
    toother A do = NOERROR ! named:one-zone knotd:one-zone
    toothernx A = NXDOMAIN ! named:one-zone knotd:one-zone
    tootheralias A = NOERROR ! named:one-zone knotd:one-zone
    tochild A = NOERROR ! named:one-zone knotd:own-referral
    tochild MX = NOERROR ! named:one-zone knotd:own-referral
    tochildnx A = NXDOMAIN ! named:one-zone knotd:own-referral
    aliasns A = NOERROR ! named:one-zone knotd:one-zone
    """,
    ),
    (
        "CNAME into another zone",
        "other.test",
        r"""
    back A = NOERROR ! named:one-zone knotd:one-zone
    back AAAA = NOERROR ! named:one-zone knotd:one-zone
    back MX = NOERROR ! named:one-zone knotd:one-zone
    """,
    ),
    (
        "CNAME into another zone",
        "child.feature.test",
        r"""
    up A = NOERROR ! named:one-zone knotd:one-zone
    up MX = NOERROR ! named:one-zone knotd:one-zone
    """,
    ),
    (
        "CNAME loop",
        "feature.test",
        r"""
    loop A = NOERROR ! named:loop-servfail
    loop CNAME = NOERROR
    loop1 A = NOERROR ! named:loop-servfail
    loop2 A = NOERROR ! named:loop-servfail
    pingpong A = NOERROR ! named:one-zone knotd:one-zone
    pingpong A tcp = NOERROR ! named:one-zone knotd:one-zone
    """,
    ),
    (
        "wildcard",
        "feature.test",
        r"""
    any.wild A = NOERROR
    any.wild TXT = NOERROR
    any.wild MX = NOERROR
    any.wild A do = NOERROR
    two.labels.wild A = NOERROR
    ANY.Wild A = NOERROR
    exists.wild A = NOERROR
    exists.wild TXT = NOERROR
    nx.exists.wild A = NXDOMAIN
    ent.wild A = NOERROR
    nx.ent.wild A = NXDOMAIN
    deep.ent.wild A = NOERROR
    *.wild A = NOERROR
    *.wild MX = NOERROR
    x.*.wild A = NXDOMAIN
    wild A = NOERROR
    wild TXT = NOERROR
    x.wildalias A = NOERROR
    x.wildalias CNAME = NOERROR
    x.wildalias MX = NOERROR
    x.y.wildalias AAAA = NOERROR
    x.wildabroad A = NOERROR
    host9.wildmx MX = NOERROR
    host9.wildmx A = NOERROR
    host1.wildmx MX = NOERROR
    foo.wildent TXT = NOERROR
    foo.wildent A = NOERROR
    sub.*.wildent TXT = NOERROR
    nx.*.wildent TXT = NXDOMAIN
    *.wildent TXT = NOERROR
    foo.starent TXT = NOERROR
    foo.bar.starent A = NOERROR
    x.*.starent TXT = NOERROR
    *.starent TXT = NOERROR
    starent A = NOERROR
    """,
    ),
    (
        "delegation",
        "feature.test",
        r"""
    sub A = NOERROR
    sub NS = NOERROR
    sub SOA = NOERROR
    sub TXT do = NOERROR
    host.sub A = NOERROR
    host.sub A do = NOERROR
    host.sub A tcp = NOERROR
    ns1.sub A = NOERROR
    ns2.sub AAAA = NOERROR
    below.sub A = NOERROR
    nx.below.sub A = NOERROR
    deeper.sub A = NOERROR
    x.deeper.sub A = NOERROR
    HOST.SUB A = NOERROR
    sub CNAME = NOERROR
    sub MX = NOERROR
    outzone A = NOERROR
    x.outzone A = NOERROR
    mixed A = NOERROR
    ns.mixed A = NOERROR
    x.mixed A = NOERROR
    noglue A = NOERROR
    ns.noglue A = NOERROR
    inzone A = NOERROR ! named:in-zone-addresses
    x.inzone A = NOERROR ! named:in-zone-addresses
    below.ent.cut A = NOERROR ! named:in-zone-addresses
    x.below.ent.cut A = NOERROR ! named:in-zone-addresses
    """,
    ),
    (
        "sibling glue",
        "feature.test",
        r"""
    sibling A = NOERROR
    x.sibling A = NOERROR
    x.sibling A do = NOERROR
    sibling2 NS = NOERROR
    x.sibling2 A = NOERROR
    ns.sibling A = NOERROR
    ns.sibling2 A = NOERROR
    """,
    ),
    (
        "DS",
        "feature.test",
        r"""
    sub DS = NOERROR
    sub DS do = NOERROR
    outzone DS = NOERROR
    host.sub DS = NOERROR
    deeper.sub DS = NOERROR
    below.ent.cut DS = NOERROR
    """,
    ),
    (
        "child beside its parent",
        "feature.test",
        r"""
    child A = NOERROR
    child SOA = NOERROR
    child NS = NOERROR
    child DS = NOERROR
    child DS do = NOERROR
    child DS tcp = NOERROR
    www.child A = NOERROR
    nx.child A = NXDOMAIN
    ns.child A = NOERROR
    x.w.child A = NOERROR
    grand.child A = NOERROR
    x.grand.child A = NOERROR
    x.grand.child A do = NOERROR
    grand.child DS = NOERROR
    ns.grand.child A = NOERROR
    """,
    ),
    (
        "DNAME",
        "feature.test",
        r"""
    x.dn A = NXDOMAIN
    x.dn A do = NXDOMAIN
    x.dn A tcp = NXDOMAIN
    host.dn A = NOERROR
    host.dn AAAA = NOERROR
    HoSt.DN A = NOERROR
    dn DNAME = NOERROR
    dn TXT = NOERROR
    dn A = NOERROR
    dn MX = NOERROR
    x.wilddn.dn A = NOERROR
    host.dn CNAME = NOERROR
    host.dn DNAME = NOERROR
    nx.dn A = NXDOMAIN
    a.b.c.dn A = NXDOMAIN
    x.dnabroad A = NOERROR
    www.dnother A = NOERROR ! named:one-zone knotd:one-zone
    nx.dnother A = NXDOMAIN ! named:one-zone knotd:one-zone
    www.dnother AAAA = NOERROR ! named:one-zone knotd:one-zone
    x.dnself A = NOERROR ! named:loop-servfail
    host.dnchain A = NOERROR
    x.dnself CNAME = NOERROR
    host.dnchain TXT = NOERROR
    label-of-29-octets-xxxxxxxxxx.dnlong A edns = NXDOMAIN
    label-of-30-octets-xxxxxxxxxxx.dnlong A edns = YXDOMAIN ! knotd:no-yxdomain
    label-of-30-octets-xxxxxxxxxxx.dnlong A do = YXDOMAIN ! knotd:no-yxdomain
    several.labels.of.30.octets.xx.dnlong A edns = YXDOMAIN ! knotd:no-yxdomain
    label-of-30-octets-xxxxxxxxxxx.dnlong CNAME edns = YXDOMAIN ! knotd:no-yxdomain
    x.dnlong A edns = NXDOMAIN
    """,
    ),
    (
        "DNAME",
        "other.test",
        r"""
    www.dnback A = NOERROR ! named:one-zone knotd:one-zone
    alias.dnback A = NOERROR ! named:one-zone knotd:one-zone
    nx.dnback A = NXDOMAIN ! named:one-zone knotd:one-zone
    x.sub.dnback A = NOERROR ! named:one-zone knotd:one-zone
    """,
    ),
    (
        "ANY",
        "feature.test",
        r"""
    www ANY = NOERROR ! named:any-all
    www ANY tcp = NOERROR ! named:any-all
    @ ANY = NOERROR ! named:any-all nsd:any-other knotd:any-additional
    alias ANY = NOERROR
    any.wild ANY = NOERROR ! named:any-all
    ent ANY = NOERROR
    nx ANY = NXDOMAIN
    sub ANY = NOERROR
    x.dn ANY = NOERROR ! nsd:any-follows knotd:any-follows
    onlytxt ANY = NOERROR
    mxonly ANY do = NOERROR ! knotd:any-additional
    """,
    ),
    (
        "truncation",
        "feature.test",
        r"""
    big TXT = NOERROR
    big TXT edns = NOERROR
    big TXT size=512 = NOERROR
    big TXT size=700 = NOERROR
    big TXT size=100 = NOERROR
    big TXT tcp = NOERROR
    big TXT size=4096 = NOERROR
    huge TXT size=4096 = NOERROR
    huge TXT = NOERROR
    huge TXT tcp = NOERROR
    toobig TXT = NOERROR
    toobig TXT size=1232 = NOERROR
    toobig TXT tcp = NOERROR
    manyns A = NOERROR ! named:glue-without-tc nsd:glue-without-tc
    x.manyns A = NOERROR ! named:glue-without-tc nsd:glue-without-tc
    x.manyns A edns = NOERROR
    x.manyns A tcp = NOERROR
    """,
    ),
    (
        "class",
        "feature.test",
        r"""
    www A class=CH = REFUSED
    www A class=HS = REFUSED
    www A class=ANY = REFUSED ! named:class-any nsd:class-any knotd:class-any
    www A class=NONE = REFUSED ! named:class-none
    version.bind. TXT class=CH = REFUSED ! named:chaos nsd:chaos knotd:chaos
    id.server. TXT class=CH = REFUSED ! named:chaos nsd:chaos knotd:chaos
    version.server. TXT class=CH = REFUSED ! nsd:chaos knotd:chaos
    hostname.bind. TXT class=CH = REFUSED ! named:chaos nsd:chaos knotd:chaos
    """,
    ),
    (
        "not here",
        "example.net",
        r"""
    @ A = REFUSED
    www A = REFUSED
    www A edns = REFUSED
    @ SOA = REFUSED
    @ ANY = REFUSED
    . NS = REFUSED
    . A = REFUSED
    test. A = REFUSED
    test. SOA = REFUSED
    test. DS = REFUSED
    @ DS = REFUSED
    www A tcp = REFUSED
    @ NS rd = REFUSED
    """,
    ),
    (
        "QTYPE that asks for no data",
        "feature.test",
        r"""
    www TYPE0 = NOERROR ! knotd:type-zero
    www OPT = FORMERR ! nsd:meta-as-data knotd:meta-as-data
    www TSIG = FORMERR ! nsd:meta-as-data knotd:meta-as-data
    www TKEY = FORMERR ! nsd:meta-as-data knotd:meta-as-data
    www MAILA = NOTIMP ! nsd:meta-as-data knotd:meta-as-data
    www MAILB = NOTIMP ! nsd:meta-as-data knotd:meta-as-data
    www TYPE128 = FORMERR ! nsd:meta-as-data knotd:meta-as-data
    www TYPE200 = FORMERR ! nsd:meta-as-data knotd:meta-as-data
    www TYPE248 = FORMERR ! nsd:meta-as-data knotd:meta-as-data
    www TYPE103 = NOERROR
    """,
    ),
]
