"""Rdata of every type that dnspython knows, from text."""

from __future__ import annotations

from dnsserver.zone import names, rdata

TEXTS = {
    "A": "192.0.2.1", "NS": "ns1.example.com.", "MD": "a.", "MF": "a.", "CNAME": "www", "MB": "a.", "MG": "a.",
    "MR": "a.", "SOA": "ns1 hostmaster 1 2h 15m 2w 5m", "WKS": "192.0.2.1 tcp 25 80", "PTR": "host",
    "HINFO": '"PC \\" x" Unix', "MINFO": "a b", "MX": "10 mail", "TXT": '"a;b" c "\\000\\255"', "RP": "mbox txt",
    "AFSDB": "1 host", "X25": '"311061700956"', "ISDN": '"150862028003217" "004"', "RT": "10 host",
    "NSAP": "0x47.0005.80.005a00.0000.0001.e133.ffffff000161.00", "NSAP-PTR": "host",
    "SIG": "NXT 1 3 3600 20200101000000 20200701000000 2143 foo AxL1", "KEY": "512 255 1 AQMF",
    "PX": "10 map822 mapx400", "GPOS": "10.5 -20.0 30", "AAAA": "2001:db8::1",
    "LOC": "60 9 0.000 N 24 39 0.000 E 10.00m 20.00m 2000.00m 20.00m", "SRV": "1 2 3 host",
    "NAPTR": '100 10 "u" "E2U+sip" "!^.*$!sip:a@example.com!" .', "KX": "10 host", "CERT": "1 65534 8 AxL1",
    "DNAME": "a", "APL": "1:192.168.32.0/21 !1:192.168.38.0/28 2:ff00::/8", "DS": "1 8 2 " + "ab" * 32,
    "SSHFP": "1 1 " + "cd" * 20, "IPSECKEY": "10 3 2 gateway AQNR",
    "RRSIG": "A 8 2 3600 20300101000000 20200101000000 7 @ AAAA", "NSEC": "next A NS TYPE65280",
    "DNSKEY": "257 3 RSASHA256 AwEA", "DHCID": "AAIB", "NSEC3PARAM": "1 0 12 aabb",
    "NSEC3": "1 1 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A RRSIG", "TLSA": "3 1 1 " + "ef" * 32,
    "SMIMEA": "3 1 1 " + "ef" * 32, "HIP": "2 200100107B1A74DF365639CC39F1D578 AwEA rvs", "NINFO": "x",
    "CDS": "0 0 0 00", "CDNSKEY": "0 3 0 AA==", "OPENPGPKEY": "AQNR", "CSYNC": "66 3 A NS",
    "ZONEMD": "1 1 1 " + "ab" * 48, "SVCB": '1 foo alpn="h2,h3" port=8443 key667="x"',
    "HTTPS": "1 . ipv4hint=192.0.2.1 no-default-alpn alpn=h2", "DSYNC": "CDS NOTIFY 5359 host",
    "SPF": '"v=spf1 -all"', "HHIT": "AAIB", "BRID": "AAIB", "NID": "10 0014:4fff:ff20:ee64", "L32": "10 10.1.2.0",
    "L64": "10 2001:0db8:1140:1000", "LP": "10 host", "EUI48": "00-00-5e-00-53-2a",
    "EUI64": "00-00-5e-ef-10-00-00-2a", "URI": '10 1 "https://example.com/?a;b"',
    "CAA": '128 issue "ca.example; x=y"', "AVC": '"app-name:WOLFGANG"', "AMTRELAY": "10 1 3 relay",
    "RESINFO": '"qnamemin"', "WALLET": '"BTC" "x"', "DLV": "1 8 1 " + "ab" * 20, "TYPE65280": "\\# 3 aabbcc",
    "NULL": "\\# 2 0102", "TYPE38": "\\# 1 00",
}  # fmt: skip

ORIGIN = names.from_text("example.com.")
SAMPLES = [
    (rdata.type_from_text(kind), rdata.from_text(rdata.type_from_text(kind), text, ORIGIN))
    for kind, text in TEXTS.items()
]
