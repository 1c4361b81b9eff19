"""``python -m dnsserver.answerer``: started by ``dnsserver serve``."""

from dnsserver.answerer.main import main

main()
