"""``python -m dnsserver``."""

from dnsserver.cli import main

if __name__ == "__main__":
    main()
