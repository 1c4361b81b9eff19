from tests.support.fixtures import make_peer, make_server

__all__ = ["make_peer", "make_server"]
