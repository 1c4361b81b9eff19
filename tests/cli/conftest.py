from tests.support.fixtures import make_server

__all__ = ["make_server"]
