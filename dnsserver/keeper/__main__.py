"""``python -m dnsserver.keeper``: started by ``dnsserver serve``."""

from dnsserver.keeper.main import main

main()
