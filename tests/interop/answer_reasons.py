"""Why the answer of another program differs from ours."""

from __future__ import annotations

REASONS: dict[str, str] = {
    "mail-addresses": (
        "Knot adds the addresses of MX and SRV targets. RFC 1035 (3.3.9) and RFC 2782 make them a "
        "convenience; ours are minimal."
    ),
    "apex-glue": (
        "BIND leaves out the addresses of name servers below a cut; a resolver that primes itself wants all "
        "of them (RFC 9609, 4.2)."
    ),
    "in-zone-addresses": (
        "BIND (minimal-responses) gives a referral only the glue below the cut; ours, NSD's and Knot's spares"
        " a query for in-zone servers."
    ),
    "one-zone": (
        'It follows an alias within one zone only. RFC 1034, 4.3.2, 3a: "change QNAME to the canonical name '
        'in the CNAME RR, and go back to step 1", and step 2 searches the available zones.'
    ),
    "own-referral": ("Knot follows the alias in the parent's zone alone, and refers to a child that it hosts itself."),
    "loop-servfail": (
        "BIND answers SERVFAIL to a loop of aliases; ours gives the records it met, as NSD and Knot do: the "
        "data is right, the resolver sees the loop."
    ),
    "no-yxdomain": ("Knot 3.2 answers NXDOMAIN. RFC 6672, 2.2, wants YXDOMAIN where the substituted name is too long."),
    "any-all": ("BIND (minimal-any no) gives all RRsets; ours gives one (RFC 8482, 4.1)."),
    "any-other": (
        'RFC 8482, 4.1: a responder "MAY instead send a response with a single RRset". NSD takes another one.'
    ),
    "any-additional": ("Knot takes the same RRset, and adds the addresses that it names."),
    "any-follows": (
        "It follows the CNAME made from a DNAME. RFC 1034, 4.3.2, 3a follows one where QTYPE does not match "
        "it; ANY does, as at a CNAME that stands there."
    ),
    "glue-without-tc": (
        "It omits glue without a word. RFC 9471, 3.1: where in-domain glue does not fit, TC must be set; Knot does."
    ),
    "class-any": (
        'RFC 1034, 3.7.1: "Hence responses to QCLASS=* queries can never be authoritative." There is nothing '
        "else here, so it is REFUSED."
    ),
    "class-none": (
        "BIND sees the class of RFC 2136's prerequisites and answers FORMERR; to ours, NSD and Knot it is one"
        " more class that is not here."
    ),
    "chaos": (
        'RFC 1035, 4.1.1: "Refused - The name server refuses to perform the specified operation for policy '
        "reasons.\" What runs here is nobody's business."
    ),
    "meta-as-data": (
        "It takes the QTYPE for data and answers NODATA. RFC 6895, 3.1: 128 to 255 are QTYPEs and meta-TYPEs,"
        " which no zone holds; as BIND."
    ),
    "type-zero": ("Knot answers NOTIMP; no record has type 0 (RFC 6895, 3.1), so there is none here."),
    "one-signature": (
        "Knot gives one RRSIG RRset for QTYPE=RRSIG, to stay small; who asks debugs, and gets all, as of BIND."
    ),
    "wildcard-ent-proof": (
        "It proves only that the name does not exist. RFC 4035, 3.1.3.4, wants the NSEC for the wildcard too,"
        " an empty non-terminal here."
    ),
    "denial-after-dname": ("NSD omits the NSEC about the wildcard for a name reached by DNAME (RFC 4035, 3.1.3.2)."),
    "needless-next-closer": (
        "NSD proves the absence of a next closer name for a question for the wildcard itself, which the "
        "matching NSEC3 answers (RFC 5155, 7.2.3)."
    ),
    "encloser-not-provable": (
        "NSD takes the closest encloser without looking whether it has an NSEC3. RFC 5155, 7.2.1, wants one "
        "that is provable."
    ),
    "nsec3-owner-encloser": ("NSD takes an NSEC3's owner for an encloser. RFC 5155, 7.2.8: it is no name of the zone."),
    "silent": (
        "Knot does not answer what it cannot parse to the end of the question; FORMERR tells the sender (RFC "
        "1035, 4.1.1)."
    ),
    "lenient-sections": (
        "It does not look at sections that a query has no use for; ours refuses to carry on parsing (as NSD),"
        " which bounds the work."
    ),
    "strict-additional": (
        "NSD wants OPT or TSIG alone in the additional section; a SIG(0) (RFC 2931) that is not verified may "
        "stand there."
    ),
    "trailing": ("It ignores what follows the last record that is counted; RFC 1035, 4.1, ends a message there."),
    "rcode-ignored": (
        "NSD answers FORMERR to an RCODE in a query. RFC 1035, 4.1.1: the field is set as part of responses, "
        "so it means nothing here."
    ),
    "opt-owner": ('Knot does not look at the owner. RFC 6891, 6.1.2: "NAME ... MUST be 0 (root domain)".'),
    "no-cookies": (
        "It runs without cookies here and ignores the option. RFC 7873, 5.2.2: a length that is not valid is FORMERR."
    ),
    "no-question": (
        "NSD answers NOERROR without a question and a cookie; RFC 7873, 5.4, extends QUERY only where there is one."
    ),
    "no-cookie-query": (
        "Knot without its cookies module does not know such a query (RFC 7873, 5.4, allows FORMERR then)."
    ),
    "badcookie": (
        'RFC 7873, 5.4: "In this case, the response SHALL have the RCODE BADCOOKIE if the Server Cookie sent '
        'with the query was invalid".'
    ),
    "notify-primary": (
        'RFC 1996, 3.10: of a host that is not a known primary a server "should ignore the request and '
        'produce an error message in its operations log"; R9 refuses it, so that the misconfiguration shows.'
    ),
    "notify-nxdomain": ("NSD answers NXDOMAIN; NOTAUTH says what is the matter (RFC 2136, 2.2)."),
    "update-notimp": ("NSD has no dynamic update."),
    "update-notauth": ("Knot answers NOTAUTH to what its lists deny; RFC 2136, 3.3, wants REFUSED."),
    "axfr-udp": (
        'RFC 5936, 4.2: "AXFR sessions over UDP transport are not defined." R5 wants FORMERR, before access is judged.'
    ),
    "axfr-notauth": ("Knot answers NOTAUTH to what its lists deny; R5 wants REFUSED."),
}
